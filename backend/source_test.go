package backend

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
)

// arrivals returns about total sources, of n, in the order in which they
// connect: the kinds of order that the properties below must survive.
var arrivals = map[string]func(rng *rand.Rand, n, total int) []int{
	"interleaved": func(_ *rand.Rand, n, total int) []int {
		order := make([]int, total/n*n)
		for i := range order {
			order[i] = i % n
		}
		return order
	},
	"sequential": func(_ *rand.Rand, n, total int) []int {
		order := make([]int, total/n*n)
		for i := range order {
			order[i] = i / (total / n)
		}
		return order
	},
	"shuffled": func(rng *rand.Rand, n, total int) []int {
		order := make([]int, total/n*n)
		for i := range order {
			order[i] = i % n
		}
		return shuffled(rng, order)
	},
	"random": func(rng *rand.Rand, n, total int) []int {
		order := make([]int, total)
		for i := range order {
			order[i] = rng.IntN(n)
		}
		return order
	},
	"zipf": func(rng *rand.Rand, n, total int) []int {
		z := rand.NewZipf(rng, 1.2, 1, uint64(n-1))
		order := make([]int, total)
		for i := range order {
			order[i] = int(z.Uint64())
		}
		return order
	},
}

// How far off its fair share a server may be from 1,000 connections on (way)
// and when all 4,000 have come (end), by the order in which sources come. What
// is above 2% is what keeping sources whole costs; source.go says why.
var evenness = []struct {
	kind     string
	sources  []int
	way, end float64
}{
	{"interleaved", []int{5, 7, 10, 15, 33, 40, 50, 100, 400}, 0.02, 0.02},
	{"sequential", []int{5, 7, 10, 15, 16, 31}, 0.02, 0.02},
	{"sequential", []int{40}, 0.28, 0},
	{"sequential", []int{100, 400}, 0.125, 0},
	{"shuffled", []int{5, 7}, 0.02, 0.02},
	{"shuffled", []int{10, 15, 16, 31}, 0.20, 0.02},
	{"shuffled", []int{40, 100, 400}, 0.20, 0},
	{"random", []int{5, 7}, 0.02, 0.02},
	{"random", []int{10, 15, 16, 31}, 0.20, 0.02},
	{"random", []int{40, 100, 400}, 0.20, 0.10},
	{"zipf", []int{5, 7}, 0.02, 0.02},
	{"zipf", []int{10, 15, 40, 100, 400}, 0.42, 0.02},
}

// From 1,000 connections on no server is farther off its fair share, above or
// below, than the table says; every connection that is closed and opened again
// comes back to where it was.
func TestSourceBoundsBothSides(t *testing.T) {
	t.Parallel()
	for _, tc := range evenness {
		for _, n := range tc.sources {
			t.Run(fmt.Sprint(tc.kind, "/", n), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(4) {
					c, base := seeded(t, seed)
					way := c.openInFlight(base, arrivals[tc.kind](c.rng, n, 4000), 1)
					if end := unevenness(c.p); way > tc.way+1e-9 || end > tc.end+1e-9 {
						t.Fatalf("%.1f%% off on the way and %.1f%% at the end, want %.1f%% and %.1f%%",
							100*way, 100*end, 100*tc.way, 100*tc.end)
					}
					c.reconnect(200)
				}
			})
		}
	}
}

// The bounds go by weight, for other numbers of servers and other factors too,
// give or take a connection where 2% are less than one: at every step for
// sources so few that none is kept whole, in the end for others.
func TestSourceBoundsByWeight(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		servers int
		factor  float64
		weights []int
		few     int
		total   int
	}{
		{2, 1.02, []int{100}, 3, 3000},
		{3, 1.02, []int{100, 50, 10}, 3, 4000},
		{7, 1.05, []int{1, 2, 3}, 8, 4000},
		{16, 1.02, []int{100}, 31, 6000},
		{50, 1.02, []int{100}, 99, 8000},
		{4, 1, []int{100}, 7, 3000},
		{4, 3, []int{100}, 7, 3000},
	} {
		c := backendOf(tc.servers, weights(tc.weights...))
		c.BalanceFactor = tc.factor
		few, many := newCrowd(t, newPool(t, c)), newCrowd(t, newPool(t, c))
		from := max(1000, boundFromPerServer*tc.servers)
		for i, source := range arrivals["zipf"](few.rng, tc.few, tc.total) {
			few.open(addr(source))
			if i+1 >= from {
				checkBounds(t, few.p, tc.factor)
			}
		}
		many.openInFlight(0, arrivals["zipf"](many.rng, 200, tc.total), 1)
		checkBounds(t, many.p, max(tc.factor, 1.02))
	}
}

// checkBounds fails if a server has more than factor times its fair share, or
// lags behind by as much; a connection's difference is rounding.
func checkBounds(t *testing.T, p *Pool, factor float64) {
	t.Helper()
	total, weights := 0, 0
	for _, s := range p.Servers() {
		total += s.Conns()
		weights += s.Weight()
	}
	for _, s := range p.Servers() {
		fair := float64(total*s.Weight()) / float64(weights)
		most, least := max(factor*fair, fair+1), min((2-factor)*fair, fair-1)
		if n := float64(s.Conns()); n > most+1e-9 || n < least-1e-9 {
			t.Fatalf("factor %v: %s has %v of %d, bounds are %.1f and %.1f; all: %v", factor, s.Name(), n, total, least, most, perServer(p))
		}
	}
}

// 400 addresses spread within 2%, each on its own server over 1,000 reconnects.
func TestSourceSpreadsAddresses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		c := newCrowd(t, newPool(t, backendOf(4)))
		c.rng = rand.New(rand.NewPCG(seed, 1))
		base := c.rng.IntN(1 << 20)
		for i := range 400 {
			c.open(addr(base + i))
		}
		checkEven(t, c.p, 0.02)
		c.reconnect(1000)
		checkEven(t, c.p, 0.02)
	}
}

// A server's death moves its own connections only, evenly to the others; its
// return brings back its own only, as they reconnect.
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
		lost := c.closeIf(func(cn conn) bool { return cn.lease.Server() == dead })
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
			t.Fatalf("%s/%d: not everybody is back where they were", tc.kind, tc.n)
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
// bounds allow and a source of the given size, which stays whole.
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

// Everybody leaving and coming back in another order lands everybody where
// they were, split or not.
func TestSourceReturnsInAnyOrder(t *testing.T) {
	t.Parallel()
	for kind, order := range arrivals {
		c := newCrowd(t, newPool(t, backendOf(4)))
		for _, i := range order(c.rng, 50, 4000) {
			c.open(addr(i))
		}
		before := c.places()
		for range 3 {
			c.closeIf(func(conn) bool { return true })
			reopen(c, before)
			if after := c.places(); !maps.Equal(before, after) {
				t.Fatalf("%s: not everybody came back to where they were", kind)
			}
		}
	}
}

// With a server down from the start its sources take refuge whole, about as
// many on each of the others; 10 sources of 100 connections on 3 servers make
// 5%. They go home once it is up, which makes all four even.
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
		for seed := range uint64(5) {
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

// Draining, weight 0 and maintenance send known sources elsewhere too, always
// to the same place, and back afterwards.
func TestSourceHomeOutOfUse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, set := range map[string]func(p *Pool, s *Server, out bool){
		"drain":   func(p *Pool, s *Server, out bool) { s.SetAdmin(map[bool]Admin{true: Drain}[out], "test", now) },
		"maint":   func(p *Pool, s *Server, out bool) { s.SetAdmin(map[bool]Admin{true: Maint}[out], "test", now) },
		"weight":  func(p *Pool, s *Server, out bool) { s.SetWeight(map[bool]int{false: 100}[out]) },
		"suspect": func(p *Pool, s *Server, out bool) { s.SetDegraded(out, "late") },
		"down": func(p *Pool, s *Server, out bool) {
			s.SetHealth(map[bool]Health{true: Down, false: Up}[out], "x", now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, newPool(t, backendOf(4)))
			home := map[netip.Addr]string{}
			for i := range 400 {
				home[addr(i)] = c.open(addr(i))
			}
			set(c.p, serverNamed(t, c.p, "node1"), true)
			c.closeIf(func(conn) bool { return true })
			for i := range 400 {
				if is := c.open(addr(i)); is == "node1" || (home[addr(i)] != "node1" && is != home[addr(i)]) {
					t.Fatalf("%v went from %s to %s", addr(i), home[addr(i)], is)
				}
			}
			checkEvenOver(t, c.p, "node2", "node3", "node4")
			c.reconnect(500)
			set(c.p, serverNamed(t, c.p, "node1"), false)
			c.closeIf(func(conn) bool { return true })
			for i := range 400 {
				if is := c.open(addr(i)); is != home[addr(i)] {
					t.Fatalf("%v is on %s, home is %s", addr(i), is, home[addr(i)])
				}
			}
			for i := range c.p.balancer.members.all {
				if n := c.p.balancer.members.all[i].placements.fallbackPeaks; n != 0 {
					t.Fatalf("%d refugees on %s, everybody is at home", n, c.p.balancer.members.names[i])
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

// A full home sends connections elsewhere while there is room elsewhere, and
// takes them again afterwards.
func TestSourceHomeFull(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4, maxConn(10)))
	var held []Slot
	r := Request{Source: addr(1), Now: 1}
	home := acquire(t, p, r)
	for range 9 {
		if l := acquire(t, p, r); l.Server() != home.Server() {
			t.Fatal("a source left its home before it was full")
		} else {
			held = append(held, l)
		}
	}
	for range 30 {
		l := acquire(t, p, r)
		if l.Server() == home.Server() {
			t.Fatal("maxconn was exceeded")
		}
		held = append(held, l)
	}
	if _, result := p.Acquire(&r, nil); result != Full {
		t.Fatalf("Acquire = %v, want full", result)
	}
	server := home.Server()
	home.Release(Completed, 2)
	if l := acquire(t, p, r); l.Server() != server {
		t.Fatalf("the connection went to %s, not home to %s", l.Server().Name(), server.Name())
	}
	for i := range held {
		held[i].Release(Completed, 3)
	}
}

// A source moves to the server that replaces its home under the same name, and
// finds a new home if there is none: its refuge, once it has one.
func TestSourceHomeRemoved(t *testing.T) {
	t.Parallel()
	conf4 := backendOf(4)
	c := newCrowd(t, newPool(t, conf4))
	home := map[netip.Addr]string{}
	for i := range 400 {
		home[addr(i)] = c.open(addr(i))
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
		if home[addr(i)] != "node1" && second[addr(i)] != home[addr(i)] {
			t.Fatalf("%v went from %s to %s", addr(i), home[addr(i)], second[addr(i)])
		}
	}
	checkEvenOver(t, c.p, "node2", "node3", "node4")
	mustApply(t, c.p, conf4) // node1 returns: its sources have new homes by now
	c.reconnect(1000)
}

func mustApply(t testing.TB, p *Pool, c conf.Backend) []*Server {
	t.Helper()
	gone, err := p.Apply(c, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	return gone
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
	for _, source := range c.closeIf(func(cn conn) bool { return cn.lease.Server() == s }) {
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

// balance_factor 0: the same server for the same source, always and without
// memory, in proportion to the weights; a death moves its own sources only.
func TestSourcePlainHash(t *testing.T) {
	t.Parallel()
	c := backendOf(4, weights(100, 100, 200, 50))
	c.BalanceFactor = 0
	p, other := newPool(t, c), newPool(t, c)
	where := map[netip.Addr]string{}
	count := map[string]int{}
	place := func(p *Pool, a netip.Addr) string {
		l := acquire(t, p, Request{Source: a})
		defer l.Release(Completed, 0)
		return l.Server().Name()
	}
	for i := range 45000 {
		where[addr(i)] = place(p, addr(i))
		count[where[addr(i)]]++
	}
	for name, want := range map[string]float64{"node1": 10000, "node2": 10000, "node3": 20000, "node4": 5000} {
		if off := math.Abs(float64(count[name])-want) / want; off > 0.05 {
			t.Errorf("%s has %d of 45000 sources, want about %v", name, count[name], want)
		}
	}
	serverNamed(t, p, "node3").SetHealth(Down, "x", time.Now())
	for a, was := range where {
		if place(other, a) != was {
			t.Fatal("two balancers with the same servers disagree")
		}
		if is := place(p, a); is != was && was != "node3" {
			t.Fatalf("%v moved from %s to %s when node3 died", a, was, is)
		}
	}
	if n := p.balancer.sticky.memory.used; n != 0 {
		t.Errorf("%d entries in the memory", n)
	}
}

// The hash is the same in every version: balancers of a fleet agree on it.
func TestSourceHashIsStable(t *testing.T) {
	t.Parallel()
	c := backendOf(4)
	c.BalanceFactor = 0
	p := newPool(t, c)
	got := ""
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.7", "203.0.113.99", "2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1"} {
		l := acquire(t, p, Request{Source: netip.MustParseAddr(a)})
		got += l.Server().Name()[4:]
		l.Release(Completed, 0)
	}
	if want := "11112121"; got != want {
		t.Errorf("servers %s, want %s", got, want)
	}
}

// An entry lives for sticky_time after its last connection, and the memory has
// a bound, which those idle the longest make room for.
func TestSourceMemoryExpires(t *testing.T) {
	t.Parallel()
	c := backendOf(4)
	c.StickyTime = time.Minute
	p := newPool(t, c)
	now := int64(1)
	for i := range 1000 {
		l := acquire(t, p, Request{Source: addr(i), Now: now})
		l.Release(Completed, now)
	}
	now += int64(time.Minute)
	l := acquire(t, p, Request{Source: addr(0), Now: now})
	if got := p.balancer.sticky.memory.used; got != 1000 {
		t.Fatalf("%d entries within sticky_time, want 1000", got)
	}
	now += 2
	for range 1000 {
		l := acquire(t, p, Request{Source: addr(1), Now: now})
		l.Release(Completed, now)
	}
	if got := p.balancer.sticky.memory.used; got != 2 {
		t.Fatalf("%d entries after sticky_time, want 2", got)
	}
	l.Release(Completed, now)
	checkCounts(t, p)
}

func TestSourceMemoryIsBounded(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	p.balancer.sticky.memory.init(100)
	first := acquire(t, p, Request{Source: addr(0), Now: 1})
	for i := 1; i < 1000; i++ {
		l := acquire(t, p, Request{Source: addr(i), Now: 1})
		l.Release(Completed, 1)
	}
	if got := p.balancer.sticky.memory.used; got != 100 {
		t.Fatalf("%d entries, want 100", got)
	}
	for i := 1; i < 1000; i++ {
		if _, known := p.balancer.sticky.memory.first[addr(i).As16()]; known != (i > 900) {
			t.Fatalf("source %d known: %v; those idle the longest must go first", i, known)
		}
	}
	// All entries live: a new source is served without one.
	var held []Slot
	for i := range 200 {
		held = append(held, acquire(t, p, Request{Source: addr(5000 + i), Now: 2}))
	}
	checkCounts(t, p)
	for i := range held {
		held[i].Release(Completed, 3)
	}
	first.Release(Completed, 3)
	checkCounts(t, p)
	if got := p.balancer.sticky.memory.used; got != 100 {
		t.Fatalf("%d entries, want 100", got)
	}
}

// Places that were not used for sticky_time are forgotten even while others of
// the source are in use.
func TestSourcePeakDecays(t *testing.T) {
	t.Parallel()
	c := backendOf(2)
	c.StickyTime = time.Minute
	p := newPool(t, c)
	var held []Slot
	for range 10 {
		held = append(held, acquire(t, p, Request{Source: addr(1), Now: 1}))
	}
	for i := range 9 {
		held[i].Release(Completed, 2)
	}
	early := acquire(t, p, Request{Source: addr(1), Now: 2 + int64(time.Minute)})
	if e := p.balancer.sticky.memory.at(p.balancer.sticky.memory.first[addr(1).As16()]); e.Peak != 10 {
		t.Fatalf("entry %+v within sticky_time, want a peak of 10", e)
	}
	early.Release(Completed, 2+int64(time.Minute))
	again := acquire(t, p, Request{Source: addr(1), Now: 3 + int64(time.Minute)})
	if e := p.balancer.sticky.memory.at(p.balancer.sticky.memory.first[addr(1).As16()]); e.Peak != 2 || e.live != 2 {
		t.Fatalf("entry %+v, want 2 connections and a peak of 2", e)
	}
	again.Release(Completed, 4+int64(time.Minute))
	held[9].Release(Completed, 4+int64(time.Minute))
}

// Servers without the endpoint wanted are no candidates, and their sources'
// homes for other endpoints stay as they are.
func TestSourceByEndpoint(t *testing.T) {
	t.Parallel()
	conf4 := backendOf(4)
	conf4.Servers[0].TCP, conf4.Servers[1].TCP = "", ""
	c := newCrowd(t, newPool(t, conf4))
	for _, i := range arrivals["random"](c.rng, 100, 2000) {
		c.open(addr(i))
	}
	n := perServer(c.p)
	if n["node1"] != 0 || n["node2"] != 0 || math.Abs(float64(n["node3"]-n["node4"])) > 40 {
		t.Fatalf("by endpoint tcp: %v", n)
	}
	l := acquire(t, c.p, Request{Source: addr(1), Endpoint: conf.EndpointHTTP, Now: c.now})
	l.Release(Completed, c.now)
	c.reconnect(500)
}

// Without an address to go by, connections are spread as leastconn does.
func TestSourceWithoutAddress(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	for range 100 {
		acquire(t, p, Request{})
	}
	for name, n := range perServer(p) {
		if n != 25 {
			t.Errorf("%s has %d connections, want 25", name, n)
		}
	}
}

// A connect that fails goes to another server, the next client of the source
// comes home again.
func TestSourceTried(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	l := acquire(t, p, Request{Source: addr(1), Now: 1})
	home := l.Server()
	var tried []*Server
	for range 4 {
		s := l.Server()
		for _, other := range tried {
			if other == s {
				t.Fatalf("%s was tried twice", s.Name())
			}
		}
		tried = append(tried, s)
		l.Release(Refused, 1)
		l = acquire(t, p, Request{Source: addr(1), Tried: tried, Now: 1})
	}
	l.Release(Completed, 1)
	if l = acquire(t, p, Request{Source: addr(1), Now: 1}); l.Server() != home {
		t.Fatalf("the next connection went to %s, home is %s", l.Server().Name(), home.Name())
	}
	l.Release(Completed, 1)
}

// A source whose home is removed while it has taken refuge stays there.
func TestSourceHomeRemovedDuringRefuge(t *testing.T) {
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

// A source that grows while its home drains does so where it took refuge.
func TestSourceGrowsInRefuge(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, newPool(t, backendOf(4)))
	for i := range 20 {
		home := c.open(addr(i))
		serverNamed(t, c.p, home).SetAdmin(Drain, "x", time.Now())
		c.closeIf(func(conn) bool { return true })
		for range 10 {
			c.open(addr(i))
		}
		if n := c.split(); n != 0 {
			t.Fatalf("%v is on %v", addr(i), c.where[addr(i)])
		}
		c.closeIf(func(conn) bool { return true })
		serverNamed(t, c.p, home).SetAdmin(Ready, "x", time.Now())
	}
}

// A server whose maxconn is below its fair share is nobody's home beyond it:
// the others share the rest.
func TestSourceSmallServer(t *testing.T) {
	t.Parallel()
	conf4 := backendOf(4)
	conf4.Servers[0].MaxConn = 100
	c := newCrowd(t, newPool(t, conf4))
	for _, i := range arrivals["random"](c.rng, 60, 4000) {
		c.open(addr(i))
	}
	n := perServer(c.p)
	if n["node1"] > 100 {
		t.Fatalf("%v: maxconn of node1 was exceeded", n)
	}
	checkEvenOver(t, c.p, "node2", "node3", "node4")
	if at := c.p.balancer.members.all[serverNamed(t, c.p, "node1").member].attributed; at > 100 {
		t.Fatalf("%d connections are at home on a server that can hold 100", at)
	}
	c.reconnect(500)
}
