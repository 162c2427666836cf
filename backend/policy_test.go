package backend

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"mcplb/conf"
)

// Smooth weighted round robin: each server exactly its share of a full turn,
// evenly interleaved.
func TestRoundRobinSequence(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		weights []int
		want    string
	}{
		{[]int{100}, "12341234"},
		{[]int{5, 1, 1, 0}, "1121311"},
		{[]int{4, 2, 1, 1}, "12134121"},
		{[]int{0, 0, 1, 0}, "3333"},
	} {
		p := newPool(t, backendOf(4, balance(conf.BalanceRoundRobin), weights(tc.weights...)))
		for turn := range 3 {
			got := ""
			for range tc.want {
				l := acquire(t, p, Request{})
				got += l.Server().Name()[4:]
				l.Release(Completed, 0)
			}
			if got != tc.want {
				t.Errorf("weights %v, turn %d: %s, want %s", tc.weights, turn, got, tc.want)
			}
		}
	}
}

// A server that comes and goes leaves the turns of the others even.
func TestRoundRobinWithChangingServers(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(5, balance(conf.BalanceRoundRobin)))
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		for _, s := range p.Servers() {
			h := Up
			if rng.IntN(3) == 0 && s.Name() != "node1" {
				h = Down
			}
			s.SetHealth(h, "x", time.Now())
		}
		before := map[*Server]int{}
		usable := p.Usable()
		for range 20 * usable {
			l := acquire(t, p, Request{})
			before[l.Server()]++
			l.Release(Completed, 0)
		}
		for _, s := range p.Servers() {
			if s.Usable() && (before[s] < 19 || before[s] > 21) {
				t.Fatalf("%s was picked %d times in 20 turns", s.Name(), before[s])
			}
			if !s.Usable() && before[s] > 0 {
				t.Fatalf("%s is down and was picked", s.Name())
			}
		}
	}
}

// leastconn gives each new connection to a server that has the fewest for its
// weight, whichever connections end.
func TestLeastConn(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(6, balance(conf.BalanceLeastConn), weights(100, 200, 50)))
	rng := rand.New(rand.NewPCG(5, 6))
	load := func(s *Server) float64 { return float64(s.Conns()) / float64(s.Weight()) }
	var held []Slot
	for range 20000 {
		if len(held) > 0 && rng.IntN(5) < 2 {
			i := rng.IntN(len(held))
			held[i].Release(Completed, 0)
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		least := math.Inf(1)
		for _, s := range p.Servers() {
			least = min(least, load(s))
		}
		l := acquire(t, p, Request{})
		s := l.Server()
		if got := float64(s.Conns()-1) / float64(s.Weight()); got > least {
			t.Fatalf("%s was picked at %.3f connections for its weight, the least is %.3f", s.Name(), got, least)
		}
		held = append(held, l)
	}
}

// Equally loaded servers take turns.
func TestLeastConnTies(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4, balance(conf.BalanceLeastConn)))
	got := ""
	for range 8 {
		l := acquire(t, p, Request{})
		got += l.Server().Name()[4:]
		l.Release(Completed, 0)
	}
	if got != "12341234" {
		t.Errorf("idle servers were picked in the order %s", got)
	}
}

// random goes by weight, and with two choices keeps much closer to the fair
// share than one would.
func TestRandom(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(8, balance(conf.BalanceRandom), weights(100, 300)))
	for range 16000 {
		acquire(t, p, Request{})
	}
	for _, s := range p.Servers() {
		fair := float64(16000*s.Weight()) / 1600
		if off := math.Abs(float64(s.Conns()) - fair); off > 15 { // one choice: sigma is 30 and 50
			t.Errorf("%s has %d connections, fair is %.0f", s.Name(), s.Conns(), fair)
		}
	}
	counts := map[*Server]int{}
	q := newPool(t, backendOf(4, balance(conf.BalanceRandom), weights(100, 300)))
	for range 16000 { // idle servers: by weight alone
		l := acquire(t, q, Request{})
		counts[l.Server()]++
		l.Release(Completed, 0)
	}
	for s, n := range counts {
		fair := float64(16000*s.Weight()) / 800
		if math.Abs(float64(n)-fair) > 200 {
			t.Errorf("%s was picked %d times, want about %.0f", s.Name(), n, fair)
		}
	}
}

var allPolicies = []conf.Balance{conf.BalanceSource, conf.BalanceLeastConn, conf.BalanceRoundRobin, conf.BalanceRandom}

// What every policy must observe: only usable servers with the endpoint and a
// free slot, degraded ones last, tried ones not while another is usable.
func TestEveryPolicyChoosesAmongCandidates(t *testing.T) {
	t.Parallel()
	for _, policy := range allPolicies {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			c := backendOf(6, balance(policy), maxConn(50))
			c.Servers[1].TCP = ""
			c.Servers[2].Weight = 0
			p := newPool(t, c)
			s := p.Servers()
			s[3].SetHealth(Down, "x", time.Now())
			s[4].SetDegraded(true, "late")
			tcp := func(i int, tried ...*Server) Request {
				return Request{Source: addr(i), Endpoint: conf.EndpointTCP, Tried: tried, Now: 1}
			}
			for i := range 100 { // node1, node6; then the degraded one
				want := s[0] // or node6
				l := acquire(t, p, tcp(i))
				if l.Server() != want && l.Server() != s[5] {
					t.Fatalf("connection %d went to %s", i, l.Server().Name())
				}
			}
			for i := range 49 {
				if l := acquire(t, p, tcp(i)); l.Server() != s[4] {
					t.Fatalf("connection %d went to %s, want the degraded server", i, l.Server().Name())
				}
			}
			r := tcp(1, s[4])
			if _, result := p.Acquire(&r, nil); result != Full {
				t.Fatalf("the server tried has room, the others are usable and full: %v, want full", result)
			}
			s[0].SetAdmin(Maint, "x", time.Now())
			s[5].SetAdmin(Drain, "x", time.Now())
			if l := acquire(t, p, r); l.Server() != s[4] {
				t.Fatalf("no other server is usable, want the one tried")
			}
			r.Tried = nil
			if _, result := p.Acquire(&r, nil); result != Full {
				t.Fatalf("Acquire = %v, want full", result)
			}
			s[4].SetHealth(Down, "x", time.Now())
			if _, result := p.Acquire(&r, nil); result != NoServer {
				t.Fatalf("Acquire = %v, want no server", result)
			}
			r.Endpoint = "gopher"
			if _, result := p.Acquire(&r, nil); result != NoServer {
				t.Fatalf("Acquire for an unknown endpoint = %v, want no server", result)
			}
			checkCounts(t, p)
		})
	}
}

// A request may name another policy than the backend's.
func TestRequestNamesPolicy(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	for range 40 {
		acquire(t, p, Request{Source: addr(1), Balance: conf.BalanceLeastConn})
	}
	checkEven(t, p, 0)
	if n := p.balancer.sticky.memory.used; n != 0 {
		t.Errorf("policy leastconn left %d entries in the sticky memory", n)
	}
}

// A bound client gets its server while that is neither down nor in maintenance,
// whatever its weight, and waits for it while it is full.
func TestBound(t *testing.T) {
	t.Parallel()
	for _, policy := range allPolicies {
		p := newPool(t, backendOf(4, balance(policy), maxConn(2)))
		s := p.Servers()[2]
		r := Request{Source: addr(1), Bound: s, Now: 1}
		s.SetAdmin(Drain, "x", time.Now())
		s.SetWeight(0)
		first := acquire(t, p, r)
		if second := acquire(t, p, r); first.Server() != s || second.Server() != s {
			t.Fatal("a draining server was not given to its bound client")
		}
		w := newWaiter()
		if _, result := p.Acquire(&r, w); result != Queued {
			t.Fatalf("Acquire for a full bound server = %v, want queued", result)
		}
		first.Release(Completed, 2)
		if got := w.slot(t); got.Server() != s {
			t.Fatalf("granted %s, want the bound server", got.Server().Name())
		}
		w2 := newWaiter()
		p.Acquire(&r, w2)
		s.SetAdmin(Maint, "x", time.Now())
		if got := w2.slot(t); got.Server() == s {
			t.Fatal("a server in maintenance was given to a bound client")
		}
		if l := acquire(t, p, r); l.Server() == s {
			t.Fatal("a server in maintenance was given to a bound client")
		}
		checkCounts(t, p)
	}
}

// The effective weight rises linearly from a hundredth to all of the weight,
// after a server was away, not at a cold start.
func TestSlowStartRamp(t *testing.T) {
	t.Parallel()
	const second = int64(time.Second)
	c := backendOf(2, balance(conf.BalanceRoundRobin), weights(1))
	c.SlowStart = 100 * time.Second
	p := newPool(t, c)
	s := p.Servers()[0]
	share := func(now int64) int {
		n := 0
		for range 1000 {
			l := acquire(t, p, Request{Now: now})
			if l.Server() == s {
				n++
			}
			l.Release(Completed, now)
		}
		return n
	}
	s.SetHealth(Up, "first check", time.Now())
	if got := share(second); got != 500 {
		t.Fatalf("at a cold start the server gets %d of 1000", got)
	}
	s.SetHealth(Down, "x", time.Now())
	s.SetHealth(Up, "", time.Now())
	for _, at := range []int64{0, 10, 50, 90, 99, 100, 150} {
		part := min(1, max(0.01, float64(at)/100))
		want := 1000 * part / (1 + part)
		if got := share((1000 + at) * second); math.Abs(float64(got)-want) > 2 {
			t.Errorf("%d s into slow start the server gets %d of 1000, want %.0f", at, got, want)
		}
	}
	if p.balancer.slowStart.underWay != 0 {
		t.Errorf("%d members still ramp", p.balancer.slowStart.underWay)
	}
}

// Slow start that is cut short, lengthened or reweighted leaves nothing behind.
func TestSlowStartInterrupted(t *testing.T) {
	t.Parallel()
	c := backendOf(2, balance(conf.BalanceLeastConn))
	c.SlowStart = 100 * time.Second
	p := newPool(t, c)
	s := p.Servers()[0]
	back := func() {
		s.SetHealth(Down, "x", time.Now())
		s.SetHealth(Up, "", time.Now())
	}
	back()
	l := acquire(t, p, Request{Now: 1})
	l.Release(Completed, 1)
	s.SetWeight(50)
	if got := p.balancer.members.all[s.member].effective; got != 50 {
		t.Errorf("effective weight %d at the start, want 50", got)
	}
	s.SetHealth(Down, "x", time.Now())
	if p.balancer.slowStart.underWay != 0 {
		t.Errorf("%d members ramp, the one that did is down", p.balancer.slowStart.underWay)
	}
	s.SetAdmin(Maint, "x", time.Now())
	s.SetHealth(Up, "", time.Now())
	if p.balancer.slowStart.underWay != 0 {
		t.Error("a server in maintenance ramps")
	}
	s.SetAdmin(Ready, "x", time.Now())
	if p.balancer.slowStart.underWay != 1 {
		t.Error("a server back from maintenance does not start slowly")
	}
	off := c
	off.SlowStart = 0
	mustApply(t, p, off)
	l = acquire(t, p, Request{Now: 2})
	l.Release(Completed, 2)
	if got := p.balancer.members.all[s.member].effective; p.balancer.slowStart.underWay != 0 || got != 50*weightScale {
		t.Errorf("slow start switched off: %d members ramp, effective weight %d", p.balancer.slowStart.underWay, got)
	}
	back()
	mustApply(t, p, backendOf(1))
	if p.balancer.slowStart.underWay != 0 {
		t.Errorf("%d members ramp", p.balancer.slowStart.underWay)
	}
}
