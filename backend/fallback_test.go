package backend

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"
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
	for _, place := range slices.Sorted(maps.Keys(places)) { // in the same order in every run
		n := places[place]
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

// cameBack fails if more than a few of the connections that places had are elsewhere.
// All reconnect in random order, which in one run of a hundred fills a server before
// its share of the others is there: it then sends up to 5 of 400 on. The sources that
// a fault takes from their server are a quarter of all.
func (c *crowd) cameBack(places map[string]int, otherwise string) {
	c.t.Helper()
	total, missing, now := 0, 0, c.places()
	for place, n := range places {
		total += n
		missing += max(0, n-now[place])
	}
	if missing > total/20 {
		c.t.Errorf("%s: %d of %d connections are elsewhere", otherwise, missing, total)
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
	c.cameBack(before, "not all sources came back to where they were")
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
	c.cameBack(before, "sources moved when a server got another address")
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
	c.cameBack(before, "not all sources came back when the server did")
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
