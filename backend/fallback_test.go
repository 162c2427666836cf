package backend

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"testing"
	"time"

	"mcplb/conf"
)

// outs are the ways in which a server may be out of use, and come back.
var outs = map[string]func(s *Server, out bool){
	"drain":  func(s *Server, out bool) { s.SetAdmin(map[bool]Admin{true: Drain}[out], "test", time.Now()) },
	"maint":  func(s *Server, out bool) { s.SetAdmin(map[bool]Admin{true: Maint}[out], "test", time.Now()) },
	"weight": func(s *Server, out bool) { s.SetWeight(map[bool]int{false: 100}[out]) },
	"down": func(s *Server, out bool) {
		s.SetHealth(map[bool]Health{true: Down, false: Up}[out], "x", time.Now())
	},
}

// A server that dies, or is taken out of use, moves only its own connections, evenly
// to the others, also before they have come back; its return brings back only
// these, as they reconnect. If it took others along, every restart of a node would
// cost all clients their sessions.
func TestSourceDeathAndReturn(t *testing.T) {
	t.Parallel()
	for name, set := range outs {
		for _, tc := range []struct {
			kind           string
			servers        int
			sources, total int
			weights        []int
		}{
			{"shuffled", 4, 4000, 4000, nil}, {"shuffled", 4, 400, 400, nil}, {"shuffled", 4, 400, 4000, nil},
			{"interleaved", 4, 40, 4000, nil}, {"zipf", 4, 400, 4000, nil}, {"shuffled", 7, 3500, 3500, []int{100, 200, 50}},
		} {
			t.Run(fmt.Sprintf("%s/%d servers, %d of %d %s", name, tc.servers, tc.sources, tc.total, tc.kind), func(t *testing.T) {
				t.Parallel()
				file := backendOf(tc.servers)
				if tc.weights != nil {
					weights(tc.weights...)(&file)
				}
				c, base := seeded(t, 5, file)
				c.openAll(base, arrivals[tc.kind](c.rng, tc.sources, tc.total))
				out := serverNamed(t, c.p, "node1")
				set(out, true)
				lost := c.closeIf(func(cn conn) bool { return cn.slot.Server() == out })
				c.undisturbed("while the clients of node1 are gone", tc.total)
				others := c.places()
				for _, source := range shuffled(c.rng, lost) {
					if is := c.open(source); is == "node1" {
						t.Fatal("a server out of use was given a connection")
					}
				}
				now := c.places()
				for place, n := range others {
					if now[place] < n {
						t.Fatalf("%s had %d connections, has %d: the others were disturbed", place, n, now[place])
					}
				}
				checkBoundsOver(t, c.p, out)
				c.undisturbed("while node1 is out of use", tc.total)
				set(out, false)
				c.undisturbed("after the return of node1", tc.total)
				if below, above := off(c.p); above > 1 || tc.sources < tc.total && below > 20 {
					t.Errorf("after all have come back servers are %v and %v beyond their bounds: %v", below, above, perServer(c.p))
				}
				checkCounts(t, c.p)
			})
		}
	}
}

// undisturbed closes n connections and opens each again. It fails if more than a few
// move to where their source had none, unless it belongs on node1.
func (c *crowd) undisturbed(when string, n int) {
	c.t.Helper()
	moved := 0
	for i := range n {
		source, was := c.close(i % len(c.conns))
		is := c.open(source)
		if is == was || is == "node1" || c.where[source][is] > 1 {
			continue
		}
		if r := c.p.balancer.sticky.find(sourceKey(source), int32(serverNamed(c.t, c.p, "node1").member)); r == noEntry {
			moved++
		}
	}
	if moved > n/30 {
		c.t.Fatalf("%s %d of %d connections moved that do not belong on it", when, moved, n)
	}
}

// checkBoundsOver fails if a server other than out has more than twice the slack above
// its fair share of all connections.
func checkBoundsOver(t *testing.T, p *Pool, out *Server) {
	t.Helper()
	total, weights := 0, 0
	for _, s := range p.Servers() {
		if s != out {
			total += s.Conns()
			weights += s.Weight()
		}
	}
	for _, s := range p.Servers() {
		fair := float64(total*s.Weight()) / float64(weights)
		if slack := max(0.02*fair, 20); s != out && math.Abs(float64(s.Conns())-fair) > 3*slack {
			t.Errorf("%s has %d connections, its fair share is %.0f: %v", s.Name(), s.Conns(), fair, perServer(p))
		}
	}
}

// With a server down from the start the sources that belong there use the others,
// evenly; they return once it is up, which makes all even.
func TestSourceColdStartWithServerDown(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"interleaved", "sequential", "shuffled", "zipf"} {
		for _, sources := range []int{40, 400, 4000} {
			c, base := seeded(t, uint64(sources), backendOf(4))
			down := serverNamed(t, c.p, "node3")
			down.SetHealth(Down, "refused", time.Now())
			for _, i := range arrivals[kind](c.rng, sources, 4000) {
				c.open(addr(base + i))
			}
			checkBoundsOver(t, c.p, down)
			down.SetHealth(Up, "", time.Now())
			places := c.places()
			c.closeIf(func(conn) bool { return true })
			reopen(c, places)
			if _, above := off(c.p); above > 1e-6 {
				t.Errorf("%s, %d sources: %v more than the bound: %v", kind, sources, above, perServer(c.p))
			}
		}
	}
}

// reopen opens as many connections of every source as places says, in random
// order.
func reopen(c *crowd, places map[string]int) {
	var all []netip.Addr
	for place, n := range places {
		var source, on string
		fmt.Sscanf(place, "%s on %s", &source, &on)
		for range n {
			all = append(all, netip.MustParseAddr(source))
		}
	}
	for _, source := range shuffled(c.rng, all) {
		c.open(source)
	}
}

func checkEvenOver(t *testing.T, p *Pool, names ...string) {
	t.Helper()
	n := perServer(p)
	least, most := math.MaxInt, 0
	for _, name := range names {
		least, most = min(least, n[name]), max(most, n[name])
	}
	if most-least > max(most/20, 40) {
		t.Fatalf("not even: %v", n)
	}
}

// While a check of a server is overdue, its sources use others, and return after.
func TestSourceDegraded(t *testing.T) {
	t.Parallel()
	c, base := seeded(t, 2, backendOf(4))
	for i := range 400 {
		c.open(addr(base + i))
	}
	before, late := c.places(), serverNamed(t, c.p, "node2")
	late.SetDegraded(true, "late")
	c.closeIf(func(conn) bool { return true })
	reopen(c, before)
	if n := late.Conns(); n != 0 {
		t.Errorf("a server whose check is overdue was given %d connections", n)
	}
	late.SetDegraded(false, "")
	c.closeIf(func(conn) bool { return true })
	reopen(c, before)
	if !maps.Equal(before, c.places()) {
		t.Error("not all sources came back to where they were")
	}
}

// A full server sends connections elsewhere while there is room there, and takes
// them again afterwards.
func TestSourceFull(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4, maxConn(10)))
	r := Request{Source: addr(1), Now: 1}
	first := acquire(t, p, r)
	for range 9 {
		if l := acquire(t, p, r); l.Server() != first.Server() {
			t.Fatal("a source left its server before that was full")
		}
	}
	for range 30 {
		if l := acquire(t, p, r); l.Server() == first.Server() {
			t.Fatal("maxconn was exceeded")
		}
	}
	if _, result := p.Acquire(&r, nil); result != Full {
		t.Fatalf("Acquire = %v, want full", result)
	}
	server := first.Server()
	first.Release(Completed, 2)
	if l := acquire(t, p, r); l.Server() != server {
		t.Fatalf("the connection went to %s, not to %s, which has room", l.Server().Name(), server.Name())
	}
	checkCounts(t, p)
}

// A server that takes over a name takes over its sources; one that a reload removes
// leaves its sources to the others, and the others where they are.
func TestSourceServerRemoved(t *testing.T) {
	t.Parallel()
	conf4 := backendOf(4)
	c := newCrowd(t, newPool(t, conf4))
	for i := range 400 {
		c.open(addr(i))
	}
	before := c.places()
	moved := backendOf(4)
	moved.Servers[0].TCP = "127.0.9.9:9000"
	mustApply(t, c.p, moved)
	c.closeIf(func(conn) bool { return true })
	reopen(c, before)
	if !maps.Equal(before, c.places()) {
		t.Error("sources moved when a server got another address")
	}
	without := backendOf(4)
	without.Servers = without.Servers[1:]
	mustApply(t, c.p, without)
	lost := c.closeIf(func(cn conn) bool { return cn.slot.Server().Name() == "node1" })
	others := c.places()
	for _, source := range lost {
		c.open(source)
	}
	now := c.places()
	for place, n := range others {
		if now[place] < n {
			t.Errorf("%s was disturbed", place)
		}
	}
	checkEvenOver(t, c.p, "node2", "node3", "node4")
	mustApply(t, c.p, conf4)
	checkCounts(t, c.p)
	c.closeIf(func(conn) bool { return true })
	reopen(c, before)
	if !maps.Equal(before, c.places()) {
		t.Error("not all sources came back when the server did")
	}
}

// A returning server takes its sources back at the pace of its slow start.
func TestSourceSlowStart(t *testing.T) {
	t.Parallel()
	const second = int64(time.Second)
	conf4 := backendOf(4)
	conf4.SlowStart = 10 * time.Second
	c := newCrowd(t, newPool(t, conf4))
	for i := range 400 {
		c.open(addr(i))
	}
	s := serverNamed(t, c.p, "node1")
	share := s.Conns()
	s.SetHealth(Down, "x", time.Now())
	for _, source := range c.closeIf(func(cn conn) bool { return cn.slot.Server() == s }) {
		c.open(source)
	}
	s.SetHealth(Up, "", time.Now())
	start, before := c.now+second, 0
	for step := range 11 {
		for range 2000 {
			c.now = start + int64(step)*second
			source, _ := c.close(c.rng.IntN(len(c.conns)))
			c.now = start + int64(step)*second
			c.open(source)
		}
		part := max(0.01, float64(step)/10)
		most := int(math.Ceil(400 * part / (3 + part)))
		if n := s.Conns(); step < 10 && n > most+1 || n < before || n < min(most, share)*7/10-1 {
			t.Fatalf("%d s into slow start the server has %d connections, %d before, at most %d are its share", step, n, before, most)
		}
		before = s.Conns()
	}
	if before != share {
		t.Errorf("the server has %d connections after slow start, %d before it died", before, share)
	}
}

// Backup servers take clients only while no other server is usable, all of them then,
// whatever the policy, and clients that are bound to one keep it. Were they used
// before, what is kept for emergencies would serve; were they not, an outage of the
// others would be one of the service.
func TestBackup(t *testing.T) {
	t.Parallel()
	for _, policy := range allPolicies {
		for name, set := range outs {
			c := backendOf(4, balance(policy))
			c.Servers[2].Backup, c.Servers[3].Backup = true, true
			p := newPool(t, c)
			s := p.Servers()
			fill := func(when string, n int, want ...*Server) []Slot {
				t.Helper()
				var slots []Slot
				on := map[*Server]int{}
				for i := range n {
					slots = append(slots, acquire(t, p, Request{Source: addr(i), Endpoint: conf.EndpointTCP, Now: 1}))
					on[slots[i].Server()]++
				}
				for _, server := range want {
					if on[server] == 0 {
						t.Fatalf("%s, %s, %s: %s got no client", policy, name, when, server.Name())
					}
					delete(on, server)
				}
				if len(on) > 0 {
					t.Fatalf("%s, %s, %s: other servers got clients", policy, name, when)
				}
				return slots
			}
			release := func(slots []Slot) {
				for i := range slots {
					slots[i].Release(Completed, 1)
				}
			}
			release(fill("all in use", 100, s[0], s[1]))
			set(s[0], true)
			release(fill("one out of use", 100, s[1]))
			set(s[1], true)
			held := fill("both out of use", 100, s[2], s[3])
			bound := held[0].Server()
			set(s[0], false)
			release(fill("one is back", 100, s[0]))
			l := acquire(t, p, Request{Source: addr(1), Bound: bound, Now: 1})
			if l.Server() != bound {
				t.Fatalf("%s: a client bound to %s got %s", policy, bound.Name(), l.Server().Name())
			}
			l.Release(Completed, 1)
			release(held)
			if n := p.Usable(); n != 3 {
				t.Errorf("%d servers are usable, want 3", n)
			}
			checkCounts(t, p)
		}
	}
}

// Full servers queue: a backup server is not used for what the others have no slot
// for. Once they are out of use, those who wait get the backup's slots, and when they
// are back, what is freed there goes to no one.
func TestBackupAndQueue(t *testing.T) {
	t.Parallel()
	for _, policy := range allPolicies {
		c := backendOf(2, balance(policy), maxConn(1))
		c.Servers[1].Backup = true
		p := newPool(t, c)
		s := p.Servers()
		held := acquire(t, p, Request{Source: addr(1)})
		waits := queued(t, p, Request{Source: addr(2), Tried: s[:1]})
		more := queued(t, p, Request{Source: addr(3)})
		if s[1].Conns() != 0 {
			t.Fatalf("%s: the backup server is used while the other is merely full", policy)
		}
		s[0].SetHealth(Down, "x", time.Now())
		slot := waits.slot(t)
		if slot.Server() != s[1] {
			t.Fatalf("%s: %s, want the backup server", policy, slot.Server().Name())
		}
		s[0].SetHealth(Up, "", time.Now())
		slot.Release(Completed, 2)
		more.waits(t)
		held.Release(Completed, 3)
		if got := more.slot(t); got.Server() != s[0] {
			t.Fatalf("%s: %s, want the server that is back", policy, got.Server().Name())
		}
	}
}

// A backup server with the only address of a kind serves it: a backend is looked at by
// endpoint.
func TestBackupByEndpoint(t *testing.T) {
	t.Parallel()
	c := backendOf(2)
	c.Servers[0].SSE, c.Servers[1].Backup = "", true
	p := newPool(t, c)
	for endpoint, want := range map[conf.Endpoint]int{conf.EndpointSSE: 1, conf.EndpointHTTP: 0, "": 0} {
		if l := acquire(t, p, Request{Source: addr(1), Endpoint: endpoint}); l.Server() != p.Servers()[want] {
			t.Errorf("endpoint %q is served by %s", endpoint, l.Server().Name())
		}
	}
}

// disabled is the file's first word: the operator's command survives a reload of an
// unchanged file, a change of the file goes before it, and a server that appears
// starts as it says. Otherwise a reload would put a server into service that is
// being worked on, or take one out that was made ready.
func TestDisabled(t *testing.T) {
	t.Parallel()
	file := func(disabled bool) conf.Backend {
		c := backendOf(2)
		c.Servers[0].Disabled = disabled
		return c
	}
	p := newPool(t, file(true))
	var seen []string
	p.OnChange(func(s *Server, old, new State) {
		seen = append(seen, fmt.Sprint(s.Name(), " ", old.Admin, " ", new.Admin))
	})
	s := p.Servers()[0]
	expect := func(when string, want Admin) {
		t.Helper()
		if st := p.Servers()[0].State(); st.Admin != want || (want == Maint) == p.Servers()[0].Usable() || st.AdminReason == "" {
			t.Errorf("%s: %v, reason %q", when, st.Admin, st.AdminReason)
		}
	}
	expect("at the start", Maint)
	s.SetAdmin(Ready, "by hand", time.Now())
	mustApply(t, p, file(true))
	expect("ready by command, the file is unchanged", Ready)
	moved := file(true)
	moved.Servers[0].TCP = "127.0.8.8:1"
	mustApply(t, p, moved)
	expect("ready by command, another address", Ready)
	mustApply(t, p, file(true))
	mustApply(t, p, file(false))
	expect("the file enables what is ready", Ready)
	mustApply(t, p, file(true))
	expect("the file disables it", Maint)
	mustApply(t, p, file(false))
	expect("the file enables it", Ready)
	p.Servers()[0].SetAdmin(Drain, "by hand", time.Now())
	mustApply(t, p, file(true))
	mustApply(t, p, backendOf(0, func(c *conf.Backend) { c.Servers = file(true).Servers[1:] }))
	mustApply(t, p, file(true))
	expect("a server that was not there", Maint)
	want := []string{"node1 maint ready", "node1 ready maint", "node1 maint ready", "node1 ready drain", "node1 drain maint"}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("observers saw %q, want %q", seen, want)
	}
}

// The same over an upgrade, whose new binary reads the file anew.
func TestDisabledAndUpgrade(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		before, after bool
		command, want Admin
	}{
		{true, true, Ready, Ready}, {true, true, Maint, Maint}, {false, true, Ready, Maint}, {true, false, Maint, Ready},
		{false, false, Maint, Maint}, {true, false, Drain, Drain}, {true, true, Drain, Drain},
	} {
		file := func(disabled bool) conf.Backend {
			c := backendOf(2)
			c.Servers[0].Disabled = disabled
			return c
		}
		p := newPool(t, file(tc.before))
		p.Servers()[0].SetAdmin(tc.command, "by hand", time.Now())
		q, _ := handOver(t, p, file(tc.after), nil, 1)
		if got := q.Servers()[0].State().Admin; got != tc.want {
			t.Errorf("disabled %v, then %v, by command %v: %v, want %v", tc.before, tc.after, tc.command, got, tc.want)
		}
	}
}
