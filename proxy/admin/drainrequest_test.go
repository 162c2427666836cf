package admin

import (
	"strings"
	"testing"
	"time"
)

// A server that asks to be drained is seen as such wherever servers are shown, and never as
// a problem: an operator would look for a fault, or overlook why it gets no clients.
func TestDrainRequestIsShown(t *testing.T) {
	t.Parallel()
	now := time.Now()
	asks := Server{Name: "node1", State: ServerUp, Admin: AdminReady, DrainRequest: "HTTP status 503 asks to be drained", DrainRequestSince: now.Add(-time.Minute), Since: now.Add(-time.Hour)}
	drained, down := asks, asks
	drained.Admin, down.State = AdminDrain, ServerDown
	b := &Backend{Name: "nodes"}
	for _, test := range []struct {
		server                       Server
		words, class, haproxy, state string
		finding                      string
	}{
		{asks, "up, asks to be drained", "drain", "NOLB", " 3 0 0 0 60 6 4 3 ", "server nodes/node1 asks to be drained for 1m"},
		{drained, "drain, up", "drain", "DRAIN", " 3 8 0 0 60 6 3 3 ", "is in drain"},
		{down, "down", "down", "DOWN", " 0 0 0 0 60 6 2 0 ", "is down"},
	} {
		s := test.server
		if got := wordsOf(&s); got != test.words {
			t.Errorf("words %q, want %q", got, test.words)
		}
		if got := classOf(&s); got != test.class {
			t.Errorf("class %q, want %q", got, test.class)
		}
		if got := haproxyStatus(&s); got != test.haproxy {
			t.Errorf("HAProxy's status %q, want %q", got, test.haproxy)
		}
		if got := serverState(&Snapshot{Time: now}, b, &s, 1, 1); !strings.Contains(got, test.state) {
			t.Errorf("show servers state %q, want %q in it", got, test.state)
		}
		var sum Summary
		sum.server(now, b, &s)
		if len(sum.Findings) != 1 || !strings.Contains(sum.Findings[0].Text, test.finding) {
			t.Errorf("findings %+v, want %q", sum.Findings, test.finding)
		}
	}
	if asks.problem() || !asks.ShownSince().Equal(asks.DrainRequestSince) || urgency(&asks) != 2 {
		t.Errorf("a problem: %v, shown since %v, urgency %d", asks.problem(), asks.ShownSince(), urgency(&asks))
	}
}
