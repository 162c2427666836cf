package session

import (
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

func TestShorter(t *testing.T) {
	t.Parallel()
	tests := []struct{ a, b, want time.Duration }{
		{0, 0, 0}, {1, 0, 1}, {0, 1, 1}, {1, 2, 1}, {2, 1, 1}, {2, 2, 2},
	}
	for _, test := range tests {
		if got := Shorter(test.a, test.b); got != test.want {
			t.Errorf("Shorter(%d, %d) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestReasonsAreNamed(t *testing.T) {
	t.Parallel()
	known := map[string]Reason{}
	for reason := range Reasons {
		name := reason.String()
		if other, taken := known[name]; name == "" || taken {
			t.Errorf("reason %d is called %q, as is %d", reason, name, other)
		}
		known[name] = reason
	}
	for verdict := ratelimit.RefusedBanned; verdict.String() != "unknown"; verdict++ {
		if reason := RefusalOf(verdict); reason.String() != verdict.String() || !reason.Refusal() {
			t.Errorf("verdict %v ends a session by %v", verdict, reason)
		}
	}
}

func TestAttemptOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		errno   unix.Errno
		outcome backend.Outcome
		reason  Reason
	}{
		{unix.ECONNREFUSED, backend.Refused, ConnectRefused},
		{unix.ETIMEDOUT, backend.ConnectTimeout, ConnectTimeout},
		{unix.ECONNRESET, backend.Unreachable, ConnectFailed},
		{unix.EHOSTUNREACH, backend.Unreachable, ConnectFailed},
		{unix.ENETUNREACH, backend.Unreachable, ConnectFailed},
		{unix.EMFILE, backend.Aborted, NoResources},
		{unix.ENFILE, backend.Aborted, NoResources},
		{unix.ENOBUFS, backend.Aborted, NoResources},
		{unix.ENOMEM, backend.Aborted, NoResources},
		{unix.EADDRNOTAVAIL, backend.Aborted, NoResources},
	}
	for _, test := range tests {
		if outcome, reason := attemptOutcome(test.errno); outcome != test.outcome || reason != test.reason {
			t.Errorf("%v: %v and %v, want %v and %v", test.errno, outcome, reason, test.outcome, test.reason)
		}
	}
}
