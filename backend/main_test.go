package backend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// backendOf returns a backend of n equal servers node1, node2, ... changed by
// each of change.
func backendOf(n int, change ...func(*conf.Backend)) conf.Backend {
	c := conf.Backend{
		Name: "nodes", Balance: conf.BalanceSource, BalanceFactor: 1.02,
		StickyTime: 30 * time.Minute, Failback: true,
	}
	for i := range n {
		c.Servers = append(c.Servers, serverOf(i+1))
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func serverOf(i int) conf.Server {
	ip := fmt.Sprintf("127.0.%d.%d", i/250, i%250+1)
	return conf.Server{
		Name: fmt.Sprint("node", i), Weight: 100,
		TCP: ip + ":9000", HTTP: ip + ":8080", WS: ip + ":8080", SSE: ip + ":8081",
	}
}

func balance(b conf.Balance) func(*conf.Backend) {
	return func(c *conf.Backend) { c.Balance = b }
}

func weights(w ...int) func(*conf.Backend) {
	return func(c *conf.Backend) {
		for i := range c.Servers {
			c.Servers[i].Weight = w[i%len(w)]
		}
	}
}

func maxConn(n int) func(*conf.Backend) {
	return func(c *conf.Backend) {
		for i := range c.Servers {
			c.Servers[i].MaxConn = n
		}
	}
}

func newPool(t testing.TB, c conf.Backend) *Pool {
	t.Helper()
	p, err := NewPool(c, 2, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	p.balancer.policies.random.rng = rand.New(rand.NewPCG(1, 2))
	return p
}

// addr returns the i-th of a range of client addresses.
func addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// acquire takes a slot that must be there.
func acquire(t testing.TB, p *Pool, r Request) Slot {
	t.Helper()
	l, result := p.Acquire(&r, nil)
	if result != Granted {
		t.Fatalf("Acquire(%+v) = %v, want granted", r, result)
	}
	return l
}

// seeds returns how many random runs a test makes, of those that it makes when time
// is not short: the race detector makes each ten times as long.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return (n + 4) / 5
	}
	return n
}

// perServer returns the slots in use by server.
func perServer(p *Pool) map[string]int {
	m := map[string]int{}
	for _, s := range p.Servers() {
		m[s.Name()] = s.Conns()
	}
	return m
}

// checkEven fails unless every usable server has its fair share by weight of
// all connections, within the given part of it, or a connection.
func checkEven(t testing.TB, p *Pool, within float64) {
	t.Helper()
	total, weights := 0, 0
	for _, s := range p.Servers() {
		total += s.Conns()
		if s.Usable() {
			weights += s.Weight()
		}
	}
	for _, s := range p.Servers() {
		if !s.Usable() {
			continue
		}
		fair := float64(total*s.Weight()) / float64(weights)
		if off := math.Abs(float64(s.Conns()) - fair); off > within*fair+1e-9 {
			t.Fatalf("%s has %d of %d connections, fair is %.1f: %.2f%% off, want %.2f%%; all: %v",
				s.Name(), s.Conns(), total, fair, 100*off/fair, 100*within, perServer(p))
		}
	}
}

// conn is a held connection of a source.
type conn struct {
	source netip.Addr
	slot   Slot
}

// crowd is a set of held connections, for tests that open and close many.
type crowd struct {
	t     testing.TB
	p     *Pool
	rng   *rand.Rand
	now   int64
	conns []conn
	where map[netip.Addr]map[string]int // server names and connections, by source
}

func newCrowd(t testing.TB, p *Pool) *crowd {
	return &crowd{t: t, p: p, rng: rand.New(rand.NewPCG(7, 11)), now: 1, where: map[netip.Addr]map[string]int{}}
}

// open opens a connection and returns its server's name.
func (c *crowd) open(source netip.Addr) string {
	c.t.Helper()
	c.now += int64(time.Millisecond)
	l := acquire(c.t, c.p, Request{Source: source, Endpoint: conf.EndpointTCP, Now: c.now})
	c.conns = append(c.conns, conn{source, l})
	if c.where[source] == nil {
		c.where[source] = map[string]int{}
	}
	c.where[source][l.Server().Name()]++
	return l.Server().Name()
}

// close closes connection i and returns its source and server's name.
func (c *crowd) close(i int) (netip.Addr, string) {
	c.now += int64(time.Millisecond)
	cn := c.conns[i]
	c.conns[i] = c.conns[len(c.conns)-1]
	c.conns = c.conns[:len(c.conns)-1]
	name := cn.slot.Server().Name()
	cn.slot.Release(Completed, c.now)
	if c.where[cn.source][name]--; c.where[cn.source][name] == 0 {
		delete(c.where[cn.source], name)
	}
	return cn.source, name
}

// closeIf closes every connection that cond holds for and returns their
// sources.
func (c *crowd) closeIf(cond func(conn) bool) []netip.Addr {
	var closed []netip.Addr
	for i := len(c.conns) - 1; i >= 0; i-- {
		if cond(c.conns[i]) {
			source, _ := c.close(i)
			closed = append(closed, source)
		}
	}
	return closed
}

// places returns where every source has its connections now.
func (c *crowd) places() map[string]int {
	m := map[string]int{}
	for source, servers := range c.where {
		for name, n := range servers {
			m[fmt.Sprint(source, " on ", name)] = n
		}
	}
	return m
}

func shuffled[T any](rng *rand.Rand, s []T) []T {
	rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s
}

func serverNamed(t testing.TB, p *Pool, name string) *Server {
	t.Helper()
	for _, s := range p.Servers() {
		if s.Name() == name {
			return s
		}
	}
	t.Fatalf("no server %s", name)
	return nil
}
