package backend

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
)

// waiter is a Waiter that keeps what it is granted.
type waiter struct{ granted chan Slot }

func newWaiter() *waiter { return &waiter{make(chan Slot, 2)} }

func (w *waiter) Granted(l Slot) { w.granted <- l }

// slot returns the slot granted, which must be there already.
func (w *waiter) slot(t testing.TB) Slot {
	t.Helper()
	select {
	case l := <-w.granted:
		return l
	default:
		t.Fatal("the waiter was not granted a slot")
		return Slot{}
	}
}

func (w *waiter) waits(t testing.TB) {
	t.Helper()
	select {
	case l := <-w.granted:
		t.Fatalf("the waiter was granted a slot of %s", l.Server().Name())
	default:
	}
}

func queued(t testing.TB, p *Pool, r Request) *waiter {
	t.Helper()
	w := newWaiter()
	if _, result := p.Acquire(&r, w); result != Queued {
		t.Fatalf("Acquire = %v, want queued", result)
	}
	return w
}

// fill takes all slots.
func fill(t testing.TB, p *Pool) []Slot {
	t.Helper()
	var held []Slot
	for i := 0; ; i++ {
		l, result := p.Acquire(&Request{Source: addr(i), Now: 1}, nil)
		if result != Granted {
			return held
		}
		held = append(held, l)
	}
}

func TestQueueIsFIFO(t *testing.T) {
	t.Parallel()
	for _, policy := range allPolicies {
		p := newPool(t, backendOf(4, balance(policy), maxConn(5)))
		held := fill(t, p)
		var ws []*waiter
		for i := range 50 {
			ws = append(ws, queued(t, p, Request{Source: addr(100 + i), Now: 1}))
		}
		if p.Queued() != 50 {
			t.Fatalf("%d are queued, want 50", p.Queued())
		}
		rng := rand.New(rand.NewPCG(1, 1))
		for i, w := range ws {
			w.waits(t)
			k := rng.IntN(len(held))
			was := held[k].Server()
			held[k].Release(Completed, 2)
			held[k] = w.slot(t)
			if held[k].Server() != was {
				t.Fatalf("waiter %d was granted %s, the slot freed was of %s", i, held[k].Server().Name(), was.Name())
			}
		}
		for i := range held {
			held[i].Release(Completed, 3)
		}
		if p.Queued() != 0 {
			t.Fatalf("%d are queued at the end", p.Queued())
		}
		checkCounts(t, p)
	}
}

// A freed slot goes to the first waiter that may use it: others are passed over.
func TestQueueFits(t *testing.T) {
	t.Parallel()
	c := backendOf(2, balance(conf.BalanceLeastConn), maxConn(1))
	c.Servers[0].SSE = ""
	p := newPool(t, c)
	s := p.Servers()
	one := acquire(t, p, Request{Tried: []*Server{s[1]}})
	two := acquire(t, p, Request{Tried: []*Server{s[0]}})
	sse := queued(t, p, Request{Endpoint: conf.EndpointSSE})
	bound := queued(t, p, Request{Bound: s[1]})
	tried := queued(t, p, Request{Tried: []*Server{s[0]}})
	tcp := queued(t, p, Request{Endpoint: conf.EndpointTCP})
	any := queued(t, p, Request{})

	one.Release(Completed, 1)
	l := tcp.slot(t)
	two.Release(Completed, 1)
	l2 := sse.slot(t)
	l2.Release(Completed, 1)
	l3 := bound.slot(t)
	any.waits(t)
	s[1].SetHealth(Down, "x", time.Now()) // the server tried is the only one now
	l.Release(Completed, 1)
	l4 := tried.slot(t)
	if l4.Server() != s[0] {
		t.Fatal("granted a server that is down")
	}
	any.waits(t)
	l3.Release(Completed, 1)
	any.waits(t)
	s[1].SetHealth(Up, "", time.Now())
	l5 := any.slot(t)
	l4.Release(Completed, 1)
	l5.Release(Completed, 1)
}

// Every change that opens up slots serves the queue: a higher limit, a server that
// comes up, becomes ready, gets a weight, is added.
func TestQueueIsServedByChanges(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, change := range map[string]struct{ before, after func(p *Pool, s *Server) }{
		"maxconn raised": {nil, func(p *Pool, s *Server) { s.SetMaxConn(13) }},
		"no maxconn":     {nil, func(p *Pool, s *Server) { s.SetMaxConn(0) }},
		"up":             {func(p *Pool, s *Server) { s.SetHealth(Down, "x", now) }, func(p *Pool, s *Server) { s.SetHealth(Up, "", now) }},
		"ready":          {func(p *Pool, s *Server) { s.SetAdmin(Drain, "x", now) }, func(p *Pool, s *Server) { s.SetAdmin(Ready, "", now) }},
		"weight":         {func(p *Pool, s *Server) { s.SetWeight(0) }, func(p *Pool, s *Server) { s.SetWeight(1) }},
		"added":          {nil, func(p *Pool, s *Server) { p.Apply(backendOf(3, maxConn(10)), resolver) }},
		"limit reloaded": {nil, func(p *Pool, s *Server) { p.Apply(backendOf(2, maxConn(20)), resolver) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, backendOf(2, maxConn(10)))
			if change.before != nil {
				change.before(p, p.Servers()[0])
			}
			held := fill(t, p)
			var ws []*waiter
			for i := range 3 {
				ws = append(ws, queued(t, p, Request{Source: addr(1000 + i)}))
			}
			change.after(p, p.Servers()[0])
			for _, w := range ws {
				held = append(held, w.slot(t))
			}
			if p.Queued() != 0 {
				t.Errorf("%d are queued", p.Queued())
			}
			for i := range held {
				held[i].Release(Completed, 1)
			}
			checkCounts(t, p)
		})
	}
}

// A bound waiter whose server goes out of use waits for any, in its turn.
func TestQueueUnbinds(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(p *Pool, s *Server){
		"down":    func(p *Pool, s *Server) { s.SetHealth(Down, "x", time.Now()) },
		"removed": func(p *Pool, s *Server) { p.Apply(backendOf(1, maxConn(1)), resolver) },
	} {
		p := newPool(t, backendOf(2, maxConn(1)))
		s := p.Servers()
		one := acquire(t, p, Request{Tried: []*Server{s[1]}})
		acquire(t, p, Request{Tried: []*Server{s[0]}})
		first := queued(t, p, Request{})
		bound := queued(t, p, Request{Bound: s[1]})
		last := queued(t, p, Request{})
		lose(p, s[1])
		one.Release(Completed, 1)
		l := first.slot(t)
		l.Release(Completed, 1)
		last.waits(t)
		if l = bound.slot(t); l.Server() != s[0] {
			t.Fatalf("%s: granted %s", name, l.Server().Name())
		}
		l.Release(Completed, 1)
		last.slot(t)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(1, maxConn(1)))
	held := fill(t, p)
	a, b := queued(t, p, Request{}), queued(t, p, Request{})
	if _, result := p.Acquire(&Request{}, a); result != Queued || p.Queued() != 2 {
		t.Fatalf("queueing a waiter twice: %v, %d are queued", result, p.Queued())
	}
	if !p.Cancel(a) || p.Cancel(a) || p.Cancel(newWaiter()) {
		t.Error("Cancel must report whether the waiter was in the queue")
	}
	held[0].Release(Completed, 1)
	a.waits(t)
	l := b.slot(t)
	if p.Cancel(b) {
		t.Error("Cancel removed a waiter that was granted a slot")
	}
	l.Release(Completed, 1)
	l.Release(Completed, 1)
	if n := p.Servers()[0].Conns(); n != 0 {
		t.Errorf("%d slots in use after all was released", n)
	}
}

// racer is a Waiter that releases its slot at once.
type racer struct {
	granted atomic.Int32
	onGrant func(Slot)
}

func (r *racer) Granted(l Slot) { r.granted.Add(1); r.onGrant(l) }

// Many goroutines acquire, wait, cancel and release while servers come and go
// and limits change: maxconn is never exceeded, no slot is lost, no waiter is
// both granted and cancelled or neither.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const limit = 7
	p := newPool(t, backendOf(4, maxConn(limit)))
	var inUse [4]atomic.Int32
	index := map[*Server]int{}
	for i, s := range p.Servers() {
		index[s] = i
	}
	enter := func(l Slot) {
		if n := inUse[index[l.Server()]].Add(1); n > limit {
			t.Errorf("%s has %d slots in use, maxconn is %d", l.Server().Name(), n, limit)
		}
	}
	leave := func(l Slot, now int64) {
		inUse[index[l.Server()]].Add(-1)
		l.Release(Completed, now)
	}
	var outcomes atomic.Int64
	p.Observe(func(*Server, Outcome) { outcomes.Add(1) })
	stop := make(chan struct{})
	var chaos, clients sync.WaitGroup
	chaos.Go(func() { disturb(p, stop) })
	var slots atomic.Int64
	for g := range 16 {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 9))
			for i := range 2000 {
				r := Request{Source: addr(rng.IntN(50)), Balance: allPolicies[rng.IntN(4)], Now: int64(i)}
				done := make(chan struct{})
				w := &racer{onGrant: func(l Slot) {
					enter(l)
					slots.Add(1)
					leave(l, int64(i))
					close(done)
				}}
				l, result := p.Acquire(&r, w)
				switch result {
				case Granted:
					enter(l)
					slots.Add(1)
					leave(l, int64(i))
				case Queued:
					if rng.IntN(2) == 0 && p.Cancel(w) {
						if w.granted.Load() != 0 {
							t.Error("a waiter was cancelled and granted")
						}
						continue
					}
					<-done
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	chaos.Wait()
	if p.Queued() != 0 || outcomes.Load() != slots.Load() {
		t.Errorf("%d queued, %d outcomes of %d slots", p.Queued(), outcomes.Load(), slots.Load())
	}
	for _, s := range p.Servers() {
		if s.Conns() != 0 || s.Peak() > limit {
			t.Errorf("%s: %d slots in use, peak %d", s.Name(), s.Conns(), s.Peak())
		}
	}
	checkCounts(t, p)
}

// disturb changes states, weights and limits (never above 7) until stop, and
// leaves every server usable.
func disturb(p *Pool, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(8, 8))
	now := time.Now()
	restore := func(s *Server) {
		s.SetHealth(Up, "", now)
		s.SetAdmin(Ready, "", now)
		s.SetDegraded(false, "")
		s.SetWeight(100)
		s.SetMaxConn(7)
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		s := p.Servers()[rng.IntN(4)]
		switch rng.IntN(5) {
		case 0:
			s.SetHealth(Down, "x", now)
		case 1:
			s.SetAdmin(Admin(rng.IntN(3)), "x", now)
		case 2:
			s.SetDegraded(true, "x")
		case 3:
			s.SetWeight(rng.IntN(3))
		case 4:
			s.SetMaxConn(1 + rng.IntN(7))
		}
		if rng.IntN(2) == 0 {
			restore(s)
		}
		if rng.IntN(8) == 0 {
			for _, s := range p.Servers() {
				restore(s)
			}
		}
		_ = p.Usable() + p.Queued()
		_ = s.State()
	}
}

// Operators see which server clients with a session wait for, and what its slots are used
// for; numbers that do not return to 0 would keep them waiting for a server that is empty.
func TestUsesAndQueueOfServer(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(2, maxConn(1)))
	held := fill(t, p)
	bound := held[0].Server()
	held[0].SetUse(Stream)
	held[0].SetUse(Tunnel)
	held[1].SetUse(Stream)
	if bound.Used(Stream) != 0 || bound.Used(Tunnel) != 1 || held[1].Server().Used(Stream) != 1 {
		t.Errorf("used for streams %d, tunnels %d", bound.Used(Stream), bound.Used(Tunnel))
	}
	first, second := queued(t, p, Request{Bound: bound, Now: 1}), queued(t, p, Request{Bound: bound, Now: 1})
	queued(t, p, Request{Source: addr(9), Now: 1})
	if bound.Queued() != 2 || held[1].Server().Queued() != 0 || p.Queued() != 3 {
		t.Errorf("%d wait for the server, %d in all", bound.Queued(), p.Queued())
	}
	p.Cancel(second)
	held[0].Release(Completed, 2)
	slot := first.slot(t)
	if bound.Queued() != 0 || bound.Used(Tunnel) != 0 {
		t.Errorf("afterwards %d wait for the server, and it has %d tunnels", bound.Queued(), bound.Used(Tunnel))
	}
	slot.SetUse(Tunnel)
	slot.Moved(3)
	held[1].Release(Completed, 3)
	held[1].Release(Completed, 3)
	if bound.Used(Tunnel) != 0 || p.Queued() != 0 {
		t.Errorf("at the end it has %d tunnels, and %d wait", bound.Used(Tunnel), p.Queued())
	}
	acquire(t, p, Request{Bound: bound, Now: 4})
	third := queued(t, p, Request{Bound: bound, Now: 4})
	bound.SetAdmin(Maint, "", time.Unix(1, 0))
	if bound.Queued() != 0 {
		t.Errorf("%d wait for a server in maintenance", bound.Queued())
	}
	third.waits(t)
}
