package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"
)

// What waits for the message rate moves through process after process: in order, with
// the bucket of its source, so that an upgrade is no second burst. If this fails, an
// upgrade floods the servers with all that was held back, or loses it (issue 12, B1).
func TestHandOverOfWhatWaits(t *testing.T) {
	t.Parallel()
	const rate, burst, count = 4, 5, 12
	s := endpoint.Serve(t, endpoint.Echo)
	text := fmt.Sprintf("[ratelimit]\nconnection_rate = 0\nmessage_rate = %d\nmessage_burst = %d\n", rate, burst) +
		frontendText("f", anyPort, "mcp", "b") + backendText("b", []string{s.Address})
	r := startOld(t, text)
	begin := time.Now()
	one, two := dial(t, r.address("f")), dial(t, r.address("f"))
	var all strings.Builder
	for i := range count {
		fmt.Fprintf(&all, "message %d\n", i)
	}
	one.Say(all.String())
	// A client that is still being connected stays in the old process, with a bucket of its own.
	r.eventually("both have their server", func() bool { return r.frontend("f").Connect.Count == 2 })
	r.eventually("some wait", func() bool { return r.frontend("f").MessagesDelayed > 0 })
	two.Say("other\n")
	h := r
	for range 3 {
		h = h.upgrade(text)
	}
	t.Cleanup(func() { _ = h.stop() })
	passed := 0
	hear := func(c *client, want string) {
		t.Helper()
		c.Hear(want)
		passed++
		if least := time.Duration(passed-burst) * time.Second / rate; time.Since(begin) < least {
			t.Errorf("message %d has passed after %v, want %v at least", passed, time.Since(begin), least)
		}
	}
	for i := range count {
		hear(one, fmt.Sprintf("message %d\n", i))
	}
	hear(two, "other\n")
	for _, c := range []*client{one, two} {
		c.Close()
	}
	h.empty()
}
