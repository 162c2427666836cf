//go:build linux

package proxy

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mcplb/proxy/admin"
)

// What happened is what the status shows.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	r := start(t, "[global]\nthreads = 2\nmaxconn = 77\n"+frontendText("f", anyPort, "mcp", "b")+
		backendText("b", nil)+serverText("b", "node", s.address, "maxconn = 5", "weight = 42"))
	r.eventually("the server was checked", func() bool { return r.server("node").State == admin.ServerUp })
	c := dial(t, r.address("f"))
	c.ask("{\"id\":1}")
	c.ask("{\"id\":2}")
	r.eventually("the bytes are counted", func() bool { return r.server("node").Traffic.BytesOut == 18 })

	shown := r.Snapshot()
	p := shown.Process
	if p.Version != "test" || p.PID != os.Getpid() || p.ConfigPath != "lb.toml" || p.Threads != 2 || p.Draining || p.AcceptPaused ||
		p.OpenFiles.Limit != 10_000 || p.OpenFiles.Used < 5 || p.Resident < 1<<20 || time.Since(p.StartTime) > time.Hour {
		t.Errorf("the process is %+v", p)
	}
	if want := (admin.Connections{Current: 1, Peak: 1, Total: 1, Limit: 77}); p.Connections != want {
		t.Errorf("the connections are %+v, want %+v", p.Connections, want)
	}
	if n := len(shown.Loops); n != 2 || shown.Loops[0].Connections+shown.Loops[1].Connections != 1 {
		t.Errorf("the loops are %+v, want two with one connection", shown.Loops)
	}
	traffic := admin.Traffic{BytesIn: 18, BytesOut: 18, MessagesIn: 2, MessagesOut: 2}
	f := shown.Frontends[0]
	if f.Name != "f" || f.Mode != "mcp" || f.State != admin.FrontendOpen || f.Traffic != traffic || f.Connect.Count != 1 {
		t.Errorf("the frontend is %+v", f)
	}
	node := shown.Backends[0].Servers[0]
	if node.Name != "node" || node.Addresses["tcp"] != s.address || node.Weight != 42 || !node.Usable || node.Traffic != traffic {
		t.Errorf("the server is %+v", node)
	}
	if want := (admin.Connections{Current: 1, Peak: 1, Total: 1, Limit: 5}); node.Connections != want {
		t.Errorf("the server's connections are %+v, want %+v", node.Connections, want)
	}
	if check := node.Check; check.Type != "tcp" || check.Checks == 0 || check.Failures != 0 {
		t.Errorf("the check is %+v", check)
	}
}

// Bans are listed with what is left of them, and refusals by what they are for.
func TestSnapshotOfLimits(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	r := start(t, "[ratelimit]\nconnection_rate = 1\nconnection_burst = 1\nban_after = 2\nban_time = \"1h\"\n"+
		frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{s.address}))
	dial(t, r.address("f")).ask("hello")
	for range 3 {
		turnedAway(t, r.address("f"))
	}
	r.ended("f", "connection_rate", 2)
	r.ended("f", "banned", 1)
	limits := r.Snapshot().RateLimit
	if limits.Refused["connection_rate"] != 2 || limits.Refused["banned"] != 1 || limits.BansActive != 1 || limits.BansImposed != 1 || limits.SourcesRemembered != 1 {
		t.Errorf("the limits show %+v", limits)
	}
	if len(limits.Bans) != 1 || limits.Bans[0].Source != "127.0.0.1/32" || limits.Bans[0].RemainingSeconds <= 3500 || limits.Bans[0].RemainingSeconds > 3600 {
		t.Errorf("the bans are %+v", limits.Bans)
	}
}

func TestPreferredAddress(t *testing.T) {
	t.Parallel()
	four, six, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1")
	tests := []struct {
		found []netip.Addr
		want  netip.Addr
	}{
		{[]netip.Addr{six, four}, four},
		{[]netip.Addr{six, mapped}, four},
		{[]netip.Addr{six}, six},
	}
	for _, test := range tests {
		if got := preferred(test.found); got != test.want {
			t.Errorf("of %v it prefers %v, want %v", test.found, got, test.want)
		}
	}
}

// Servers may be named instead of numbered.
func TestServerByName(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	r := start(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{strings.Replace(s.address, "127.0.0.1", "localhost", 1)}))
	dial(t, r.address("f")).ask("hello")
	if got := r.server("s1").Addresses["tcp"]; got != s.address {
		t.Errorf("localhost was resolved to %s, want %s", got, s.address)
	}
}
