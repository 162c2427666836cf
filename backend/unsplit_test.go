package backend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"mcplb/conf"
)

// seeded returns a crowd whose random numbers and addresses go by seed, and
// its first address.
func seeded(t testing.TB, seed uint64, change ...func(*conf.Backend)) (*crowd, int) {
	c := newCrowd(t, newPool(t, backendOf(4, change...)))
	c.rng = rand.New(rand.NewPCG(seed, 17))
	return c, c.rng.IntN(1 << 20)
}

// unevenness returns how far the server farthest from its fair share is off,
// as a part of the share.
func unevenness(p *Pool) float64 {
	total, weights := 0, 0
	for _, s := range p.Servers() {
		total += s.Conns()
		weights += s.Weight()
	}
	worst := 0.0
	for _, s := range p.Servers() {
		fair := float64(total*s.Weight()) / float64(weights)
		worst = max(worst, math.Abs(float64(s.Conns())-fair)/fair)
	}
	return worst
}

// openInFlight opens a connection of every source of order, of which inFlight
// are under way at once: any of them may be the next to arrive. If that is more
// than one, every fifth is followed by the end of a connection, itself or any
// other, which is then opened again. It returns the worst unevenness from 1,000
// connections on.
func (c *crowd) openInFlight(base int, order []int, inFlight int) float64 {
	c.t.Helper()
	var flying []netip.Addr
	worst := 0.0
	for next := 0; next < len(order) || len(flying) > 0; {
		for ; len(flying) < inFlight && next < len(order); next++ {
			flying = append(flying, addr(base+order[next]))
		}
		i := 0
		if inFlight > 1 {
			i = c.rng.IntN(len(flying))
		}
		source := flying[i]
		flying = append(flying[:i], flying[i+1:]...)
		c.open(source)
		if inFlight > 1 && c.rng.IntN(5) == 0 {
			ends := len(c.conns) - 1
			if c.rng.IntN(2) == 0 {
				ends = c.rng.IntN(len(c.conns))
			}
			again, _ := c.close(ends)
			flying = append(flying, again)
		}
		if len(c.conns) >= 1000 {
			worst = max(worst, unevenness(c.p))
		}
	}
	return worst
}

// away returns how many connections are not on the server that has the most of
// their source.
func (c *crowd) away() int {
	n := 0
	for _, servers := range c.where {
		most, all := 0, 0
		for _, k := range servers {
			most, all = max(most, k), all+k
		}
		n += all - most
	}
	return n
}

// checkUnsplit fails if a source is on more than one server.
func (c *crowd) checkUnsplit() {
	c.t.Helper()
	if n := c.split(); n > 0 {
		c.t.Fatalf("%d of %d sources are split, %d connections away from the others", n, len(c.where), c.away())
	}
}

// Sources of one size, the same number per server: each stays on one server and
// the servers are even, in whatever order they come and however many at once.
// They stay where they are when connections end and come back, and when all leave
// and come back in another order.
func TestSourceKeepsSourcesUnsplit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ sources, each int }{{40, 100}, {400, 10}, {400, 1}, {100, 40}, {40, 10}} {
		for _, kind := range []string{"interleaved", "sequential", "shuffled"} {
			for _, inFlight := range []int{1, 32, 200} {
				t.Run(fmt.Sprint(tc.sources, "x", tc.each, "/", kind, "/", inFlight), func(t *testing.T) {
					t.Parallel()
					for seed := range uint64(3) {
						c, base := seeded(t, seed)
						c.openInFlight(base, arrivals[kind](c.rng, tc.sources, tc.sources*tc.each), inFlight)
						c.checkUnsplit()
						checkEven(t, c.p, 0.02)
						c.reconnect(1000)
						checkReturn(c)
						checkCounts(t, c.p)
					}
				})
			}
		}
	}
}

// checkReturn closes all connections, opens them again in random order, and fails
// if one gets another server.
func checkReturn(c *crowd) {
	c.t.Helper()
	where := map[netip.Addr]map[string]int{}
	for source, servers := range c.where {
		where[source] = map[string]int{}
		for name, n := range servers {
			where[source][name] = n
		}
	}
	for _, source := range shuffled(c.rng, c.closeIf(func(conn) bool { return true })) {
		name := c.open(source)
		if where[source][name]--; where[source][name] < 0 {
			c.t.Fatalf("%v came back to %s with more connections than it had there", source, name)
		}
	}
}

// The same with sources of many connections, if the sources are many.
func TestSourceKeepsLargeSourcesUnsplit(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"interleaved", "shuffled"} {
		for seed := range uint64(2) {
			c, base := seeded(t, seed)
			c.openInFlight(base, arrivals[kind](c.rng, 40, 40*300), 1)
			c.checkUnsplit()
			checkEven(t, c.p, 0.02)
		}
	}
}

// Clients that each open all connections of one address, some at a time.
func TestSourceBatches(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		sources, each, clients int
		end                    float64
		away                   int
	}{
		{40, 100, 8, 0, 0}, {40, 100, 16, 0, 0}, {40, 100, 32, 0, 0}, {40, 100, 40, 0, 0},
		{40, 100, 10, 0.07, 150},
	} {
		for seed := range seeds(20) {
			c, base := seeded(t, seed)
			c.openInFlight(base, byClients(c.rng, tc.sources, tc.each, tc.clients), 1)
			checkEven(t, c.p, tc.end)
			if away := c.away(); away > tc.away {
				t.Fatalf("%d at a time: %d connections away from their source's main server", tc.clients, away)
			}
		}
	}
}

// A source that was held up until long after the others came catches up with
// them, unsplit, though its primary has more sources than its share by then: if
// it was not given an allowance yet, or while others are growing up.
func TestSourceCatchesUp(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ others, newest int }{
		"no allowance yet":  {0, 100},
		"others growing up": {8, 50},
		"both":              {0, 50},
	} {
		t.Run(name, func(t *testing.T) {
			caught, runs := uint64(0), seeds(40)
			for seed := range runs {
				c, base := seeded(t, seed)
				for range 10 { // the late one gets its allowance here, if there are others
					for i := range 1 + tc.others {
						c.open(addr(base + i))
					}
				}
				late := c.p.balancer.sticky.memory.at(c.p.balancer.sticky.memory.first[addr(base).As16()])
				for i := 1; i < 40; i++ {
					for n := c.p.live(addr(base + i)); n < tc.newest; n++ {
						c.open(addr(base + i))
					}
					primary, n := &c.p.balancer.members.all[late.Primary], c.p.balancer.members.population([]int32{0, 1, 2, 3})
					if over := float64(primary.placements.live) > 1.02*n.share(primary.weight); i > 16 && over {
						caught++
						for range 90 {
							c.open(addr(base))
						}
						if on := c.where[addr(base)]; len(on) > 1 {
							t.Fatalf("it is on %v", on)
						}
						break
					}
					for n := c.p.live(addr(base + i)); n < 100; n++ {
						c.open(addr(base + i))
					}
				}
			}
			if caught < runs/2 {
				t.Fatalf("only %d of %d runs came to the point", caught, runs)
			}
		})
	}
}

// live returns the connections of a source that is not split.
func (p *Pool) live(source netip.Addr) int {
	r := p.balancer.sticky.memory.first[source.As16()]
	if r == noEntry {
		return 0
	}
	return int(p.balancer.sticky.memory.at(r).live)
}

// Several sources that come at once do not all find the same server the emptiest:
// each is expected to grow.
func TestSourceNewcomersSpread(t *testing.T) {
	t.Parallel()
	c, base := seeded(t, 1)
	c.openInFlight(base, arrivals["interleaved"](c.rng, 40, 4000), 1)
	left := 0
	for i := 0; left < 2; i++ { // two of node1's sources leave
		if source := addr(base + i); c.where[source]["node1"] > 0 {
			c.closeIf(func(cn conn) bool { return cn.source == source })
			left++
		}
	}
	primaries := map[string]int{}
	for i := range 8 {
		primaries[c.open(addr(base+100+i))]++
	}
	if n := primaries["node1"]; n < 2 || n > 4 {
		t.Fatalf("%v: node1 lacks 2 sources", primaries)
	}
}

// byClients returns the order in which sources connect, each so many times, if the
// given number of clients run at a time, each as fast as the others.
func byClients(rng *rand.Rand, sources, each, clients int) []int {
	var order, active []int
	left := make([]int, sources)
	for next := 0; ; {
		for ; len(active) < clients && next < sources; next++ {
			active = append(active, next)
			left[next] = each
		}
		if len(active) == 0 {
			return order
		}
		i := rng.IntN(len(active))
		source := active[i]
		order = append(order, source)
		if left[source]--; left[source] == 0 {
			active = append(active[:i], active[i+1:]...)
		}
	}
}

// The same with concurrent clients, some of which break off and try again.
func TestSourceKeepsSourcesUnsplitConcurrently(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"interleaved", "sequential", "shuffled"} {
		for _, clients := range []int{32, 200} {
			t.Run(fmt.Sprint(kind, "/", clients), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(uint64(clients), 3))
				p := newPool(t, backendOf(4))
				slots := openConcurrently(p, rng.IntN(1<<20), arrivals[kind](rng, 40, 4000), clients)
				on := map[netip.Addr]*Server{}
				for _, cn := range slots {
					if s := on[cn.source]; s != nil && s != cn.slot.Server() {
						t.Fatalf("%v is on %s and on %s", cn.source, s.Name(), cn.slot.Server().Name())
					}
					on[cn.source] = cn.slot.Server()
				}
				checkEven(t, p, 0.02)
				checkCounts(t, p)
			})
		}
	}
}

// openConcurrently opens a connection of every source of order from a number of
// goroutines, each taking the next; every fourth is released and acquired again.
func openConcurrently(p *Pool, base int, order []int, clients int) []conn {
	held := make([]conn, len(order))
	var next atomic.Int64
	var done sync.WaitGroup
	for range clients {
		done.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(order) {
					return
				}
				r := Request{Source: addr(base + order[i]), Endpoint: conf.EndpointTCP, Now: int64(i + 1)}
				slot, _ := p.Acquire(&r, nil)
				if i%4 == 0 {
					slot.Release(ClientAbort, r.Now)
					slot, _ = p.Acquire(&r, nil)
				}
				held[i] = conn{r.Source, slot}
			}
		})
	}
	done.Wait()
	return held
}

// Weights change the shares, not the rule: a server of twice the weight is the
// primary of twice the sources.
func TestSourceKeepsSourcesUnsplitByWeight(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"interleaved", "sequential", "shuffled"} {
		for seed := range uint64(3) {
			c, base := seeded(t, seed, weights(200, 100, 100, 100))
			c.openInFlight(base, arrivals[kind](c.rng, 50, 4000), 1)
			c.checkUnsplit()
			checkEven(t, c.p, 0.02)
		}
	}
}

// Few sources of one size end even, in whatever order they come; they are split
// as far as that takes. Those that take turns are even at every step.
func TestSourceFewAreEven(t *testing.T) {
	t.Parallel()
	for n := 5; n < 32; n++ {
		for _, kind := range []string{"interleaved", "sequential", "shuffled"} {
			for _, inFlight := range []int{1, 200} {
				t.Run(fmt.Sprint(n, "/", kind, "/", inFlight), func(t *testing.T) {
					t.Parallel()
					for seed := range uint64(2) {
						c, base := seeded(t, seed+uint64(n))
						worst := c.openInFlight(base, arrivals[kind](c.rng, n, 4000), inFlight)
						checkEven(t, c.p, 0.02)
						if turns := kind == "interleaved" && inFlight == 1; turns && worst > 0.02 {
							t.Fatalf("on the way there %.1f%% off", 100*worst)
						}
					}
				})
			}
		}
	}
}

// Few heavy sources among many light ones end even: the heavy ones are split, and
// few of the light ones.
func TestSourceSplitsHeavy(t *testing.T) {
	t.Parallel()
	for _, n := range []int{5, 8, 16, 40, 100, 400, 4000} {
		for seed := range seeds(5) {
			c, base := seeded(t, seed)
			c.openInFlight(base, arrivals["zipf"](c.rng, n, 4000), 1)
			checkEven(t, c.p, 0.02)
			if split := c.split(); split > 20 {
				t.Fatalf("%d of %d sources are split", split, n)
			}
			c.reconnect(200)
			checkReturn(c)
		}
	}
}

// If the number of sources cannot be the same on every server, those that come in
// random order are split on the servers that have one more, by a few connections;
// those that come one after another stay unsplit.
func TestSourceNoMultiple(t *testing.T) {
	t.Parallel()
	for _, n := range []int{33, 34, 41, 50} {
		for seed := range seeds(5) {
			for kind, end := range map[string]float64{"interleaved": 0.02, "shuffled": 0.03} {
				c, base := seeded(t, seed)
				c.openInFlight(base, arrivals[kind](c.rng, n, 4000), 1)
				checkEven(t, c.p, end)
				if away := c.away(); away > 400 {
					t.Fatalf("%d/%s: %d connections away from their source's main server", n, kind, away)
				}
			}
			c, base := seeded(t, seed)
			c.openInFlight(base, arrivals["sequential"](c.rng, n, 4000), 1)
			c.checkUnsplit()
			for _, s := range c.p.Servers() {
				if has, fair := s.Conns()/(4000/n), n/4; has != fair && has != fair+1 {
					t.Fatalf("%s has %d of %d sources", s.Name(), has, n)
				}
			}
		}
	}
}
