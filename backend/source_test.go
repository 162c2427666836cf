package backend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

// arrivals has the kinds of order in which sources may connect. Each function
// returns total connections, about as many of each of n sources.
var arrivals = map[string]func(rng *rand.Rand, n, total int) []int{
	"interleaved": func(_ *rand.Rand, n, total int) []int {
		order := make([]int, total/n*n)
		for i := range order {
			order[i] = i % n
		}
		return order
	},
	"sequential": func(rng *rand.Rand, n, total int) []int {
		order, sources := make([]int, total/n*n), rng.Perm(n)
		for i := range order {
			order[i] = sources[i/(total/n)]
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
	"zipf": func(rng *rand.Rand, n, total int) []int {
		z := rand.NewZipf(rng, 1.2, 1, uint64(n-1))
		order := make([]int, total)
		for i := range order {
			order[i] = int(z.Uint64())
		}
		return order
	},
}

// seeded returns a crowd whose random numbers and addresses go by seed, and
// its first address.
func seeded(t testing.TB, seed uint64, c conf.Backend) (*crowd, int) {
	crowd := newCrowd(t, newPool(t, c))
	crowd.rng = rand.New(rand.NewPCG(seed, 17))
	return crowd, crowd.rng.IntN(1 << 20)
}

// openAll opens the connections of order and returns the most that a server was
// above its bound on the way, in connections.
func (c *crowd) openAll(base int, order []int) (excess float64) {
	c.t.Helper()
	for n, i := range order {
		c.open(addr(base + i))
		if n%41 == 0 || n == len(order)-1 {
			_, over := off(c.p)
			excess = max(excess, over)
		}
	}
	return excess
}

// off returns by how many connections servers are below and above their fair
// shares at the most, each less the slack that balance_factor gives them.
func off(p *Pool) (below, above float64) {
	total, weights := 0, 0
	for _, s := range p.Servers() {
		total += s.Conns()
		weights += s.Weight()
	}
	factor := p.InForce().BalanceFactor
	for _, s := range p.Servers() {
		fair := float64(total*s.Weight()) / float64(weights)
		slack := max((factor-1)*fair, slackConns)
		below = max(below, fair-float64(s.Conns())-slack)
		above = max(above, float64(s.Conns())-fair-slack)
	}
	return below, above
}

// agreement returns the part of the connections of two crowds of the same sources
// that are on the same servers.
func agreement(a, b *crowd) float64 {
	same := 0
	for source, servers := range a.where {
		for name, n := range servers {
			same += min(n, b.where[source][name])
		}
	}
	return float64(same) / float64(len(a.conns))
}

// mainShare returns the part of its connections that a source has on its main
// server: of the average source.
func (c *crowd) mainShare() float64 {
	sum := 0.0
	for _, servers := range c.where {
		most, all := 0, 0
		for _, n := range servers {
			most, all = max(most, n), all+n
		}
		sum += float64(most) / float64(all)
	}
	return sum / float64(len(c.where))
}

// reversed returns c with its servers in the opposite order.
func reversed(c conf.Backend) conf.Backend {
	c.Servers = slices.Clone(c.Servers)
	slices.Reverse(c.Servers)
	return c
}

// Two balancers that see the same sources in another order, whose files list the
// servers in another order, agree about nearly all of them; so does a balancer that
// was killed and started with itself. Otherwise clients would lose their server with
// every restart, and with every change of the balancer that they reach. docs/stickiness.md
// has these numbers; on the way no server exceeds its bound.
func TestSourceBalancersAgree(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind          string
		sources, each int
		factor        float64
		servers       int
		weights       []int
		agree, least  float64 // on average, and in the worst run
		bothSides     bool    // no server is farther below its share than it may be above
		main          float64 // see mainShare
	}{
		{"shuffled", 4000, 1, 1.02, 4, nil, 0.98, 0.965, false, 1},
		{"shuffled", 400, 1, 1.02, 4, nil, 0.99, 0.95, false, 1},
		{"shuffled", 40, 1, 1.02, 4, nil, 1, 1, false, 1},
		{"shuffled", 400, 10, 1.02, 4, nil, 0.9, 0.85, true, 0.95},
		{"sequential", 400, 10, 1.02, 4, nil, 0.75, 0.7, false, 0.95},
		{"interleaved", 400, 10, 1.02, 4, nil, 0.9, 0.85, true, 0.95},
		{"shuffled", 40, 100, 1.02, 4, nil, 0.85, 0.75, true, 0.8},
		{"interleaved", 40, 100, 1.02, 4, nil, 0.75, 0.6, true, 0.9},
		{"sequential", 40, 100, 1.02, 4, nil, 0.4, 0.3, false, 0.6},
		{"zipf", 400, 10, 1.02, 4, nil, 0.8, 0.7, true, 0.95},
		{"shuffled", 400, 1, 1.25, 4, nil, 0.99, 0.95, false, 1},
		{"shuffled", 4000, 1, 1.25, 4, nil, 0.999, 0.995, false, 1},
		{"shuffled", 2000, 5, 1.02, 7, []int{100, 50, 200}, 0.85, 0.8, true, 0.9},
		{"shuffled", 4000, 1, 1.02, 2, nil, 0.98, 0.96, false, 1},
		{"shuffled", 4000, 1, 1.02, 10, []int{1, 2, 3}, 0.965, 0.95, false, 1},
		{"shuffled", 4000, 1, 1.05, 16, nil, 0.97, 0.95, false, 1},
		{"shuffled", 3000, 1, 1, 3, nil, 0.96, 0.94, false, 1},
	} {
		t.Run(fmt.Sprintf("%d servers, factor %v, %d x %d %s", tc.servers, tc.factor, tc.sources, tc.each, tc.kind), func(t *testing.T) {
			t.Parallel()
			file := backendOf(tc.servers, func(c *conf.Backend) { c.BalanceFactor = tc.factor })
			if tc.weights != nil {
				weights(tc.weights...)(&file)
			}
			sum, least, main, runs := 0.0, 1.0, 0.0, int(seeds(8))
			for seed := range runs {
				a, base := seeded(t, uint64(seed), file)
				b, _ := seeded(t, uint64(seed), reversed(file))
				order := arrivals[tc.kind](a.rng, tc.sources, tc.sources*tc.each)
				for c, order := range map[*crowd][]int{a: order, b: another(b.rng, tc.kind, tc.sources, order)} {
					if over := c.openAll(base, order); over > 1e-6 {
						t.Fatalf("a server has %.1f connections more than its bound: %v", over, perServer(c.p))
					}
					if under, _ := off(c.p); tc.bothSides && under > 1 {
						t.Fatalf("a server has %.1f connections less than its bound: %v", under, perServer(c.p))
					}
					checkCounts(t, c.p)
				}
				share := agreement(a, b)
				sum, least, main = sum+share, min(least, share), main+a.mainShare()
			}
			agree, main := sum/float64(runs), main/float64(runs)
			t.Logf("%.1f%% agree, %.1f%% at least; %.0f%% on the main server", 100*agree, 100*least, 100*main)
			if agree < tc.agree || least < tc.least || main < tc.main-1e-9 {
				t.Errorf("%.2f%% agree, %.2f%% at least, %.0f%% are on the main server; want %.1f%%, %.1f%%, %.0f%%",
					100*agree, 100*least, 100*main, 100*tc.agree, 100*tc.least, 100*tc.main)
			}
		})
	}
}

// another returns an order of the same connections, of the same kind.
func another(rng *rand.Rand, kind string, sources int, order []int) []int {
	switch kind {
	case "interleaved":
		names, other := rng.Perm(sources), slices.Clone(order)
		for i := range other {
			other[i] = names[other[i]]
		}
		return other
	case "sequential":
		rng.Uint64() // the generators of both started alike
		return arrivals[kind](rng, sources, len(order))
	}
	return shuffled(rng, slices.Clone(order))
}

// A source of one connection at its first server by hash leaves nothing behind; one
// that was displaced is remembered for sticky_time after its last connection, and
// comes back to where it was, though its first server has room by then. Otherwise
// it would lose its session, or the memory would fill with what hashing finds anyway.
func TestSourceRemembersDisplaced(t *testing.T) {
	t.Parallel()
	file := backendOf(4)
	c, base := seeded(t, 3, file)
	order := make([]int, 4000)
	for i := range order {
		order[i] = i
	}
	c.openAll(base, order)
	displaced := map[netip.Addr]string{}
	file.BalanceFactor = 0
	hash := newPool(t, file)
	for i := range order {
		first := acquire(t, hash, Request{Source: addr(base + i)})
		if name := only(c.where[addr(base+i)]); name != first.Server().Name() {
			displaced[addr(base+i)] = name
		}
	}
	if len(displaced) == 0 || len(displaced) > 200 {
		t.Fatalf("%d sources are displaced", len(displaced))
	}
	c.closeIf(func(conn) bool { return true })
	if n := c.p.Remembered(); n != len(displaced) {
		t.Errorf("%d sources are remembered, %d were displaced", n, len(displaced))
	}
	for source, was := range displaced {
		if is := c.open(source); is != was {
			t.Errorf("%v came back to %s, was on %s", source, is, was)
		}
	}
	c.closeIf(func(conn) bool { return true })
	c.now += int64(31 * time.Minute)
	for source := range displaced {
		c.open(source)
	}
	c.closeIf(func(conn) bool { return true })
	if n := c.p.Remembered(); n != 0 {
		t.Errorf("%d sources are remembered after sticky_time", n)
	}
	checkCounts(t, c.p)
}

// only returns the one key of a map.
func only(m map[string]int) string {
	for name := range m {
		return name
	}
	return ""
}

// A connection that ends and is opened again while the others stay gets the same
// server, or another one of its source: one that is split may be united.
func TestSourceReconnects(t *testing.T) {
	t.Parallel()
	for kind := range arrivals {
		for _, n := range []int{40, 400, 4000} {
			c, base := seeded(t, 1, backendOf(4))
			c.openAll(base, arrivals[kind](c.rng, n, 4000))
			moved := 0
			for range 1000 {
				source, was := c.close(c.rng.IntN(len(c.conns)))
				others := len(c.where[source])
				if is := c.open(source); is != was && c.where[source][is] == 1 && others > 0 {
					moved++ // to where it had none
				}
			}
			if moved > 20 {
				t.Errorf("%s, %d sources: %d of 1000 connections moved to where their source had none", kind, n, moved)
			}
			if below, above := off(c.p); above > 1e-6 || n < 4000 && below > 20 {
				t.Errorf("%s, %d sources: servers are %v and %v beyond their bounds", kind, n, below, above)
			}
		}
	}
}

// mustApply puts c in force.
func mustApply(t testing.TB, p *Pool, c conf.Backend) []*Server {
	t.Helper()
	gone, err := p.Apply(c, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

// Servers without the endpoint wanted are no candidates; requests for other
// endpoints leave the sources where they are.
func TestSourceByEndpoint(t *testing.T) {
	t.Parallel()
	conf4 := backendOf(4)
	conf4.Servers[0].TCP, conf4.Servers[1].TCP = "", ""
	c := newCrowd(t, newPool(t, conf4))
	for _, i := range arrivals["shuffled"](c.rng, 100, 2000) {
		c.open(addr(i))
	}
	n := perServer(c.p)
	if n["node1"] != 0 || n["node2"] != 0 || math.Abs(float64(n["node3"]-n["node4"])) > 40 {
		t.Fatalf("by endpoint tcp: %v", n)
	}
	l := acquire(t, c.p, Request{Source: addr(1), Endpoint: conf.EndpointHTTP, Now: c.now})
	l.Release(Completed, c.now)
	checkCounts(t, c.p)
}

// Connections without an address are spread as by leastconn.
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

// After a failed connect another server is chosen; the source's next connection
// goes to its own again.
func TestSourceTried(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	l := acquire(t, p, Request{Source: addr(1), Now: 1})
	first := l.Server()
	var tried []*Server
	for range 4 {
		s := l.Server()
		if slices.Contains(tried, s) {
			t.Fatalf("%s was tried twice", s.Name())
		}
		tried = append(tried, s)
		l.Release(Refused, 1)
		l = acquire(t, p, Request{Source: addr(1), Tried: tried, Now: 1})
	}
	l.Release(Completed, 1)
	if l = acquire(t, p, Request{Source: addr(1), Now: 1}); l.Server() != first {
		t.Fatalf("the next connection went to %s, want %s", l.Server().Name(), first.Name())
	}
	l.Release(Completed, 1)
}

// To a server whose maxconn is below its fair share no more connections belong than
// that: the others share the rest.
func TestSourceSmallServer(t *testing.T) {
	t.Parallel()
	conf4 := backendOf(4)
	conf4.Servers[0].MaxConn = 100
	c := newCrowd(t, newPool(t, conf4))
	for _, i := range arrivals["shuffled"](c.rng, 50, 4000) {
		c.open(addr(i))
	}
	n := perServer(c.p)
	if n["node1"] > 100 {
		t.Fatalf("%v: maxconn of node1 was exceeded", n)
	}
	checkEvenOver(t, c.p, "node2", "node3", "node4")
	if at := c.p.balancer.members.all[serverNamed(t, c.p, "node1").member].attributed; at > 100 {
		t.Fatalf("%d connections belong on a server that can hold 100", at)
	}
}
