package backend

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A server's death moves only its own connections, evenly to the others; its
// return brings back only those, as they reconnect.
func TestSourceDeathAndReturn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind string
		n    int
	}{{"interleaved", 40}, {"shuffled", 40}, {"zipf", 400}, {"interleaved", 400}} {
		c := newCrowd(t, newPool(t, backendOf(4)))
		for _, i := range arrivals[tc.kind](c.rng, tc.n, 4000) {
			c.open(addr(i))
		}
		before := c.places()
		dead := serverNamed(t, c.p, "node2")
		dead.SetHealth(Down, "killed", time.Now())
		lost := c.closeIf(func(cn conn) bool { return cn.slot.Server() == dead })
		others := c.places()
		for _, source := range shuffled(c.rng, lost) {
			if is := c.open(source); is == "node2" {
				t.Fatal("a dead server was given a connection")
			}
		}
		for place, n := range others {
			if c.places()[place] < n {
				t.Fatalf("%s had %d connections, has %d: the others were disturbed", place, n, c.places()[place])
			}
		}
		checkSpread(t, c.p, dead, largest(before, "node2"))

		dead.SetHealth(Up, "back", time.Now())
		for range 3 * len(c.conns) {
			source, was := c.close(c.rng.IntN(len(c.conns)))
			if is := c.open(source); is != was && is != "node2" {
				t.Fatalf("%v went from %s to %s when node2 returned", source, was, is)
			}
		}
		c.closeIf(func(conn) bool { return true })
		reopen(c, before)
		if after := c.places(); !maps.Equal(before, after) {
			t.Fatalf("%s/%d: some connections are not where they were", tc.kind, tc.n)
		}
	}
}

// largest returns the most connections that a source has on a server.
func largest(places map[string]int, server string) int {
	most := 0
	for place, n := range places {
		if strings.HasSuffix(place, " on "+server) {
			most = max(most, n)
		}
	}
	return most
}

// checkSpread fails if two servers other than dead differ by more than the
// bounds allow plus an unsplit source of the given size.
func checkSpread(t *testing.T, p *Pool, dead *Server, size int) {
	t.Helper()
	least, most := math.MaxInt, 0
	for _, s := range p.Servers() {
		if s != dead {
			least, most = min(least, s.Conns()), max(most, s.Conns())
		}
	}
	if most-least > size+most*4/100 {
		t.Fatalf("%v is not even, sources of up to %d moved", perServer(p), size)
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

// With a server down from the start its sources use fallback servers, unsplit,
// about as many on each of the others; 10 sources of 100 connections on 3 servers
// make 5%. They return once the server is up, which makes all four even.
func TestSourceColdStartWithServerDown(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind    string
		sources int
		down    float64 // how far off a server may be, with one down
	}{
		{"interleaved", 40, 0.05}, {"sequential", 40, 0.05}, {"shuffled", 40, 0.05},
		{"interleaved", 400, 0.02}, {"sequential", 400, 0.02}, {"shuffled", 400, 0.04},
		{"interleaved", 10, 0.025}, {"sequential", 10, 0.03}, {"shuffled", 10, 0.025},
		{"zipf", 40, 0.03}, {"zipf", 400, 0.03},
	} {
		for seed := range seeds(5) {
			c, base := seeded(t, seed)
			serverNamed(t, c.p, "node3").SetHealth(Down, "refused", time.Now())
			c.openInFlight(base, arrivals[tc.kind](c.rng, tc.sources, 4000), 1)
			checkEven(t, c.p, tc.down)
			serverNamed(t, c.p, "node3").SetHealth(Up, "", time.Now())
			places := c.places()
			c.closeIf(func(conn) bool { return true })
			reopen(c, places)
			checkEven(t, c.p, 0.02)
		}
	}
}

// Draining, weight 0 and maintenance send known sources to fallback servers too,
// always to the same one, and back afterwards.
func TestSourcePrimaryOutOfUse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, set := range map[string]func(p *Pool, s *Server, out bool){
		"drain":    func(p *Pool, s *Server, out bool) { s.SetAdmin(map[bool]Admin{true: Drain}[out], "test", now) },
		"maint":    func(p *Pool, s *Server, out bool) { s.SetAdmin(map[bool]Admin{true: Maint}[out], "test", now) },
		"weight":   func(p *Pool, s *Server, out bool) { s.SetWeight(map[bool]int{false: 100}[out]) },
		"degraded": func(p *Pool, s *Server, out bool) { s.SetDegraded(out, "late") },
		"down": func(p *Pool, s *Server, out bool) {
			s.SetHealth(map[bool]Health{true: Down, false: Up}[out], "x", now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, newPool(t, backendOf(4)))
			primary := map[netip.Addr]string{}
			for i := range 400 {
				primary[addr(i)] = c.open(addr(i))
			}
			set(c.p, serverNamed(t, c.p, "node1"), true)
			c.closeIf(func(conn) bool { return true })
			for i := range 400 {
				if is := c.open(addr(i)); is == "node1" || (primary[addr(i)] != "node1" && is != primary[addr(i)]) {
					t.Fatalf("%v went from %s to %s", addr(i), primary[addr(i)], is)
				}
			}
			checkEvenOver(t, c.p, "node2", "node3", "node4")
			c.reconnect(500)
			set(c.p, serverNamed(t, c.p, "node1"), false)
			c.closeIf(func(conn) bool { return true })
			for i := range 400 {
				if is := c.open(addr(i)); is != primary[addr(i)] {
					t.Fatalf("%v is on %s, its primary is %s", addr(i), is, primary[addr(i)])
				}
			}
			for i := range c.p.balancer.members.all {
				if n := c.p.balancer.members.all[i].placements.fallbackPeaks; n != 0 {
					t.Fatalf("%d fallback places on %s, all connections are on their primary", n, c.p.balancer.members.names[i])
				}
			}
		})
	}
}

func checkEvenOver(t *testing.T, p *Pool, names ...string) {
	t.Helper()
	n := perServer(p)
	least, most := math.MaxInt, 0
	for _, name := range names {
		least, most = min(least, n[name]), max(most, n[name])
	}
	if most-least > most/25 {
		t.Fatalf("not even: %v", n)
	}
}

// A full primary server sends connections elsewhere while there is room there, and
// takes them again afterwards.
func TestSourcePrimaryFull(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4, maxConn(10)))
	var held []Slot
	r := Request{Source: addr(1), Now: 1}
	primary := acquire(t, p, r)
	for range 9 {
		if l := acquire(t, p, r); l.Server() != primary.Server() {
			t.Fatal("a source left its primary server before that was full")
		} else {
			held = append(held, l)
		}
	}
	for range 30 {
		l := acquire(t, p, r)
		if l.Server() == primary.Server() {
			t.Fatal("maxconn was exceeded")
		}
		held = append(held, l)
	}
	if _, result := p.Acquire(&r, nil); result != Full {
		t.Fatalf("Acquire = %v, want full", result)
	}
	server := primary.Server()
	primary.Release(Completed, 2)
	if l := acquire(t, p, r); l.Server() != server {
		t.Fatalf("the connection went to %s, not to its primary %s", l.Server().Name(), server.Name())
	}
	for i := range held {
		held[i].Release(Completed, 3)
	}
}

// A source moves to the server that replaces its primary under the same name, and
// gets a new primary if there is none: its fallback, once it has one.
func TestSourcePrimaryRemoved(t *testing.T) {
	t.Parallel()
	conf4 := backendOf(4)
	c := newCrowd(t, newPool(t, conf4))
	primary := map[netip.Addr]string{}
	for i := range 400 {
		primary[addr(i)] = c.open(addr(i))
	}
	moved := backendOf(4)
	moved.Servers[0].TCP = "127.0.9.9:9000"
	mustApply(t, c.p, moved)
	c.reconnect(1000)

	without := backendOf(4)
	without.Servers = without.Servers[1:]
	mustApply(t, c.p, without)
	c.closeIf(func(conn) bool { return true })
	second := map[netip.Addr]string{}
	for i := range 400 {
		second[addr(i)] = c.open(addr(i))
		if primary[addr(i)] != "node1" && second[addr(i)] != primary[addr(i)] {
			t.Fatalf("%v went from %s to %s", addr(i), primary[addr(i)], second[addr(i)])
		}
	}
	checkEvenOver(t, c.p, "node2", "node3", "node4")
	mustApply(t, c.p, conf4) // node1 returns: its sources have new primary servers by now
	c.reconnect(1000)
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
	s.SetHealth(Down, "x", time.Now())
	for _, source := range c.closeIf(func(cn conn) bool { return cn.slot.Server() == s }) {
		c.open(source)
	}
	s.SetHealth(Up, "", time.Now())
	start := c.now + second
	var before int
	for step := range 11 {
		for range 2000 {
			c.now = start + int64(step)*second
			i := c.rng.IntN(len(c.conns))
			source, _ := c.close(i)
			c.now = start + int64(step)*second
			c.open(source)
		}
		part := max(0.01, float64(step)/10)
		most := int(math.Ceil(400 * part / (3 + part)))
		if n := s.Conns(); n > most+1 || n < before || n < most*8/10-1 {
			t.Fatalf("%d s into slow start the server has %d connections, %d before, at most %d are its share", step, n, before, most)
		}
		before = s.Conns()
	}
	checkEven(t, c.p, 0.02)
}

// A source whose primary is removed while it uses a fallback stays there.
func TestSourcePrimaryRemovedDuringFallback(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, newPool(t, backendOf(4)))
	for i := range 400 {
		c.open(addr(i))
	}
	serverNamed(t, c.p, "node1").SetHealth(Down, "x", time.Now())
	c.closeIf(func(conn) bool { return true })
	for i := range 400 {
		c.open(addr(i))
	}
	without := backendOf(4)
	without.Servers = without.Servers[1:]
	mustApply(t, c.p, without)
	c.reconnect(1000)
	checkCounts(t, c.p)
}

// A source that grows while its primary drains does so on its fallback.
func TestSourceGrowsOnFallback(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, newPool(t, backendOf(4)))
	for i := range 20 {
		primary := c.open(addr(i))
		serverNamed(t, c.p, primary).SetAdmin(Drain, "x", time.Now())
		c.closeIf(func(conn) bool { return true })
		for range 10 {
			c.open(addr(i))
		}
		if n := c.split(); n != 0 {
			t.Fatalf("%v is on %v", addr(i), c.where[addr(i)])
		}
		c.closeIf(func(conn) bool { return true })
		serverNamed(t, c.p, primary).SetAdmin(Ready, "x", time.Now())
	}
}
