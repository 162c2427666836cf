package proxy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
)

// twoNamed is a balancer of mode tcp in front of two servers that reply with their
// names.
func twoNamed(t *testing.T, more ...string) (*running, string) {
	t.Helper()
	first, second := endpoint.Serve(t, name("s1")), endpoint.Serve(t, name("s2"))
	text := frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{first.Address, second.Address}, append(more, `balance = "roundrobin"`)...)
	return start(t, text), text
}

// set changes a server of backend b.
func (r *running) set(server string, change admin.ServerChange) []admin.Change {
	r.t.Helper()
	changes, err := r.SetServer("b", server, change)
	if err != nil {
		r.t.Fatal(err)
	}
	return changes
}

// onEach connects a client to each server, and returns them by the server's name.
func onEach(t *testing.T, r *running) map[string]*client {
	t.Helper()
	clients := map[string]*client{}
	for range 2 {
		c := dial(t, r.address("f"))
		clients[c.Ask("who?")] = c
	}
	if len(clients) != 2 {
		t.Fatalf("two clients reached %d servers", len(clients))
	}
	return clients
}

func newClients(t *testing.T, r *running, n int) (names []string) {
	t.Helper()
	for range n {
		c := dial(t, r.address("f"))
		names = append(names, c.Ask("who?"))
		c.Reset()
	}
	return names
}

// A draining server keeps its clients and gets no new ones, even after a reload.
func TestDrainServer(t *testing.T) {
	t.Parallel()
	r, text := twoNamed(t)
	clients := onEach(t, r)
	drain, ready := admin.AdminDrain, admin.AdminReady
	changes := r.set("s1", admin.ServerChange{Admin: &drain, Reason: "by me"})
	if want := []admin.Change{{What: "admin", Old: "ready", New: "drain"}}; !slices.Equal(changes, want) {
		t.Errorf("changed %v, want %v", changes, want)
	}
	if again := r.set("s1", admin.ServerChange{Admin: &drain}); len(again) != 0 {
		t.Errorf("changed again: %v", again)
	}
	r.apply(text + "\n[frontend.other]\nlisten = \"127.0.0.1:0\"\nmode = \"tcp\"\nbackend = \"b\"\n")
	if names := newClients(t, r, 4); slices.Contains(names, "s1") {
		t.Errorf("new clients reached %v", names)
	}
	if s := r.server("s1"); s.Admin != admin.AdminDrain || s.Usable || s.AdminReason != "by me" {
		t.Errorf("shown as %s, usable %v, %q", s.Admin, s.Usable, s.AdminReason)
	}
	if got := clients["s1"].Ask("still there?"); got != "s1" {
		t.Errorf("the draining server's client was answered by %s", got)
	}
	r.set("s1", admin.ServerChange{Admin: &ready})
	if names := newClients(t, r, 4); !slices.Contains(names, "s1") {
		t.Errorf("ready again, and new clients reached %v", names)
	}
}

// A server in maintenance gets no clients, not even those bound to it; on_down says
// what happens to its present ones.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"close", "keep"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			r, _ := twoNamed(t, `on_down = "`+policy+`"`)
			clients := onEach(t, r)
			maint := admin.AdminMaint
			r.set("s1", admin.ServerChange{Admin: &maint})
			if policy == "close" {
				clients["s1"].HearReset()
				r.ended("f", "server_maint", 1)
			} else if got := clients["s1"].Ask("still there?"); got != "s1" {
				t.Errorf("the kept client was answered by %s", got)
			}
			if got := clients["s2"].Ask("and you?"); got != "s2" {
				t.Errorf("the other server's client was answered by %s", got)
			}
			if names := newClients(t, r, 4); slices.Contains(names, "s1") {
				t.Errorf("new clients reached %v", names)
			}
		})
	}
}

// Weight and maxconn remain as set until the configuration changes the same number.
func TestWeightAndMaxConn(t *testing.T) {
	t.Parallel()
	r, text := twoNamed(t)
	zero, five := 0, 5
	changes := r.set("s1", admin.ServerChange{Weight: &zero, MaxConn: &five})
	if want := []admin.Change{{What: "weight", Old: "100", New: "0"}, {What: "maxconn", Old: "25000", New: "5"}}; !slices.Equal(changes, want) {
		t.Errorf("changed %v, want %v", changes, want)
	}
	if names := newClients(t, r, 4); slices.Contains(names, "s1") {
		t.Errorf("of weight 0, and new clients reached %v", names)
	}
	r.apply(strings.Replace(text, `name = "s1"`, "name = \"s1\"\nmaxconn = 9", 1))
	if s := r.server("s1"); s.Weight != 0 || s.Connections.Limit != 9 {
		t.Errorf("after a reload that changes maxconn: weight %d, maxconn %d", s.Weight, s.Connections.Limit)
	}
	for _, wrong := range []int{-1, 1001} {
		if _, err := r.SetServer("b", "s1", admin.ServerChange{Weight: &wrong}); !errors.Is(err, admin.ErrInvalid) {
			t.Errorf("weight %d: %v", wrong, err)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	t.Parallel()
	r, _ := twoNamed(t)
	one := 1
	for _, names := range [][2]string{{"x", "s1"}, {"b", "x"}} {
		if _, err := r.SetServer(names[0], names[1], admin.ServerChange{Weight: &one}); !errors.Is(err, admin.ErrNotFound) {
			t.Errorf("%v: %v", names, err)
		}
		if _, err := r.Kill(t.Context(), admin.ConnectionFilter{Backend: names[0], Server: names[1]}); !errors.Is(err, admin.ErrNotFound) {
			t.Errorf("killing %v: %v", names, err)
		}
	}
	for _, id := range []string{"", "0", "x-1", "0-ffffffff", "99-1", "-1-1"} {
		if err := r.KillOne(t.Context(), id); !errors.Is(err, admin.ErrNotFound) {
			t.Errorf("connection %q: %v", id, err)
		}
	}
}

// Connections are listed with their servers, and killed one by one or by filter.
func TestListAndKill(t *testing.T) {
	t.Parallel()
	r, _ := twoNamed(t)
	clients := onEach(t, r)
	list, err := r.ListConnections(t.Context(), admin.ConnectionFilter{Backend: "b", Server: "s2"}, 10)
	if err != nil || list.Total != 1 || len(list.Connections) != 1 {
		t.Fatalf("s2 has %+v, %v", list, err)
	}
	c := list.Connections[0]
	if c.Server != "s2" || c.Backend != "b" || c.Frontend != "f" || c.State != "relaying" || c.Client != clients["s2"].LocalAddr().String() || c.IdleSeconds < 0 || c.IdleSeconds > 60 {
		t.Errorf("listed as %+v", c)
	}
	if err := r.KillOne(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	clients["s2"].HearReset()
	if err := r.KillOne(t.Context(), c.ID); !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("killed twice: %v", err)
	}
	if got := clients["s1"].Ask("and you?"); got != "s1" {
		t.Errorf("the other client was answered by %s", got)
	}
	if n, err := r.Kill(t.Context(), admin.ConnectionFilter{Client: netip.MustParsePrefix("192.0.2.0/24")}); n != 0 || err != nil {
		t.Errorf("killed %d of an unknown client, %v", n, err)
	}
	if n, err := r.Kill(t.Context(), admin.ConnectionFilter{Client: netip.MustParsePrefix("127.0.0.0/8")}); n != 1 || err != nil {
		t.Errorf("killed %d, %v", n, err)
	}
	clients["s1"].HearReset()
	r.ended("f", "killed", 2)
}

func TestBanAndSticky(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, name("s1"))
	r := start(t, frontendText("f", anyPort, "tcp", "b")+backendText("b", []string{s.Address}))
	local := netip.MustParseAddr("127.0.0.1")
	c := dial(t, r.address("f"))
	c.Ask("who?")
	for _, source := range []netip.Addr{{}, local} {
		list, err := r.Sticky("b", source, 10)
		if err != nil || len(list) != 1 || list[0].Source != "127.0.0.1" || list[0].Server != "s1" || list[0].Connections != 1 {
			t.Errorf("remembered of %v: %+v, %v", source, list, err)
		}
	}
	if list, err := r.Sticky("b", netip.MustParseAddr("192.0.2.1"), 10); len(list) != 0 || err != nil {
		t.Errorf("of an unknown source is remembered %+v, %v", list, err)
	}
	banned := netip.MustParsePrefix("127.0.0.1/32")
	if ban, err := r.Ban(banned, time.Hour); err != nil || ban.Note != "" || ban.Source != "127.0.0.1/32" || ban.Reason != "manual" || ban.RemainingSeconds != 3600 {
		t.Errorf("banned as %+v", ban)
	}
	endpoint.TurnedAway(t, r.address("f"))
	if bans := r.Bans(10); len(bans) != 1 || bans[0].Source != "127.0.0.1/32" {
		t.Errorf("bans: %+v", bans)
	}
	if first, second := r.Unban(banned), r.Unban(banned); first != nil || !errors.Is(second, admin.ErrNotFound) {
		t.Errorf("lifting it: %v, and once more: %v", first, second)
	}
	dial(t, r.address("f")).Ask("again?")
}

func TestClearPeaks(t *testing.T) {
	t.Parallel()
	r, _ := twoNamed(t)
	newClients(t, r, 1)
	r.eventually("it has gone", func() bool { return r.Connections() == 0 })
	r.ClearPeaks()
	shown := r.Snapshot()
	if p, f, s := shown.Process.Connections.Peak, shown.Frontends[0].Connections.Peak, r.server("s1").Connections.Peak; p+f+s != 0 {
		t.Errorf("peaks of %d, %d, %d are left", p, f, s)
	}
}
