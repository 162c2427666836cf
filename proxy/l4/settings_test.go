package l4

import (
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

func TestShorter(t *testing.T) {
	t.Parallel()
	tests := []struct{ a, b, want time.Duration }{
		{0, 0, 0}, {1, 0, 1}, {0, 1, 1}, {1, 2, 1}, {2, 1, 1}, {2, 2, 2},
	}
	for _, test := range tests {
		if got := shorter(test.a, test.b); got != test.want {
			t.Errorf("shorter(%d, %d) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestReasonsAreNamed(t *testing.T) {
	t.Parallel()
	known := map[string]Reason{}
	for reason := range reasons {
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

// A frontend's own policy goes before its backend's.
func TestBalanceOfTheFrontend(t *testing.T) {
	t.Parallel()
	b := begin(t, []string{"127.0.0.1:1"})
	settings := *b.frontend.Settings()
	if got := settings.balance(); got != conf.BalanceRoundRobin {
		t.Errorf("the policy is %s, want the backend's", got)
	}
	settings.Frontend.Balance = conf.BalanceRandom
	if got := settings.balance(); got != conf.BalanceRandom {
		t.Errorf("the policy is %s, want the frontend's", got)
	}
}

func TestPeak(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	b := begin(t, []string{s.Address})
	first, second := b.connect(), b.connect()
	first.Close()
	second.Close()
	b.expect(ClientClosed, 2)
	b.connect()
	if current, peak := b.frontend.Current(), b.frontend.Peak(); current != 1 || peak != 2 {
		t.Errorf("%d sessions, %d at most, want 1 and 2", current, peak)
	}
	totals := b.frontend.Totals()
	if totals.Connect.Count != 3 || totals.Connect.Max <= 0 || totals.Connect.Sum < totals.Connect.Max {
		t.Errorf("connecting took %+v, want three that took some time", totals.Connect)
	}
}
