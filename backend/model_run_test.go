package backend

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

// model is a naive version of what the pool must do: which server a request may
// have, which waiter is next in the queue. It follows the pool's choices among
// those that are allowed.
type model struct {
	t       *testing.T
	rng     *rand.Rand
	p       *Pool
	conf    conf.Backend
	now     int64
	servers map[*Server]*modelServer
	slots   []modelSlot
	queue   []*modelWaiter
	step    string
}

type modelServer struct {
	health    Health
	admin     Admin
	degraded  bool
	weight    int
	limit     int
	endpoints []conf.Endpoint
	conns     int
	gone      bool
}

type modelSlot struct {
	slot   Slot
	server *Server
}

type modelWaiter struct {
	m       *model
	r       Request
	granted []Slot
}

func (w *modelWaiter) Granted(l Slot) { w.granted = append(w.granted, l) }

func (s *modelServer) usable(e conf.Endpoint) bool {
	return !s.gone && s.health != Down && s.admin == Ready && s.weight > 0 && s.has(e)
}

func (s *modelServer) has(e conf.Endpoint) bool { return e == "" || slices.Contains(s.endpoints, e) }

func (s *modelServer) bindable(e conf.Endpoint) bool {
	return !s.gone && s.health != Down && s.admin != Maint && s.has(e)
}

func (s *modelServer) full() bool { return s.limit > 0 && s.conns >= s.limit }

// allowed returns the servers that r may be given now, and whether it must
// wait if there are none.
func (m *model) allowed(r *Request) (now []*Server, wait bool) {
	if s := r.Bound; s != nil && m.servers[s].bindable(r.Endpoint) && !slices.Contains(r.Tried, s) {
		if m.servers[s].full() {
			return nil, true
		}
		return []*Server{s}, true
	}
	now, wait = m.open(r, r.Tried)
	if !wait {
		now, wait = m.open(r, nil)
	}
	return now, wait
}

// open returns the best usable servers with a free slot, and whether any is
// usable at all.
func (m *model) open(r *Request, tried []*Server) (best []*Server, usable bool) {
	var good, degraded []*Server
	for s, ms := range m.servers {
		if !ms.usable(r.Endpoint) || slices.Contains(tried, s) {
			continue
		}
		usable = true
		switch {
		case ms.full():
		case ms.degraded:
			degraded = append(degraded, s)
		default:
			good = append(good, s)
		}
	}
	if len(good) > 0 {
		return good, usable
	}
	return degraded, usable
}

func (m *model) acquire() {
	r := Request{
		Source: addr(m.rng.IntN(30)), Balance: allPolicies[m.rng.IntN(4)], Now: m.now,
		Endpoint: []conf.Endpoint{"", conf.EndpointTCP, conf.EndpointHTTP, conf.EndpointSSE}[m.rng.IntN(4)],
	}
	all := m.p.Servers()
	if m.rng.IntN(4) == 0 {
		r.Bound = all[m.rng.IntN(len(all))]
	}
	for range m.rng.IntN(3) {
		r.Tried = append(r.Tried, all[m.rng.IntN(len(all))])
	}
	m.step = fmt.Sprintf("acquire %+v", r)
	allowed, wait := m.allowed(&r)
	w := &modelWaiter{m: m, r: r}
	w.r.Tried = slices.Clone(r.Tried)
	l, result := m.p.Acquire(&r, w)
	switch {
	case len(allowed) > 0:
		if result != Granted || !slices.Contains(allowed, l.Server()) {
			m.t.Fatalf("%s: %v, %v; want one of %s", m.step, result, l.Server(), names(allowed))
		}
		m.hold(l)
	case wait:
		if result != Queued {
			m.t.Fatalf("%s: %v, want queued", m.step, result)
		}
		m.unbind(&w.r)
		m.queue = append(m.queue, w)
	case result != NoServer:
		m.t.Fatalf("%s: %v, want no server", m.step, result)
	}
}

func (m *model) hold(l Slot) {
	m.servers[l.Server()].conns++
	m.slots = append(m.slots, modelSlot{l, l.Server()})
}

func (m *model) release() {
	if len(m.slots) == 0 {
		return
	}
	i := m.rng.IntN(len(m.slots))
	l := m.slots[i]
	m.slots = slices.Delete(m.slots, i, i+1)
	m.step = "release " + l.server.Name()
	m.servers[l.server].conns--
	l.slot.Release(Outcome(m.rng.IntN(8)), m.now)
	l.slot.Release(Completed, m.now)
	m.settle()
}

func (m *model) cancel() {
	if len(m.queue) == 0 {
		return
	}
	i := m.rng.IntN(len(m.queue))
	if !m.p.Cancel(m.queue[i]) || m.p.Cancel(m.queue[i]) {
		m.t.Fatal("cancel of a waiter in the queue")
	}
	m.queue = slices.Delete(m.queue, i, i+1)
}

func (m *model) change() {
	all := m.p.Servers()
	s := all[m.rng.IntN(len(all))]
	ms := m.servers[s]
	switch m.rng.IntN(6) {
	case 0:
		m.setHealth(s, Health(m.rng.IntN(3)))
	case 1:
		m.setAdmin(s, Admin(m.rng.IntN(3)))
	case 2:
		m.setDegraded(s, !ms.degraded)
	case 3:
		m.setWeight(s, m.rng.IntN(4))
	case 4:
		m.setMaxConn(s, m.rng.IntN(12))
	case 5: // back to normal, so that there is usually something to choose from
		m.setHealth(s, Up)
		m.setAdmin(s, Ready)
		m.setDegraded(s, false)
		m.setWeight(s, 2)
		m.setMaxConn(s, 5)
	}
}

func (m *model) setHealth(s *Server, h Health) {
	m.servers[s].health = h
	s.SetHealth(h, "x", time.Now())
	m.changed(s, "health")
}

func (m *model) setAdmin(s *Server, a Admin) {
	m.servers[s].admin = a
	s.SetAdmin(a, "x", time.Now())
	m.changed(s, "admin")
}

func (m *model) setDegraded(s *Server, degraded bool) {
	m.servers[s].degraded = degraded
	s.SetDegraded(degraded, "x")
	m.changed(s, "degraded")
}

func (m *model) setWeight(s *Server, weight int) {
	m.servers[s].weight = weight
	s.SetWeight(weight)
	m.changed(s, "weight")
}

func (m *model) setMaxConn(s *Server, n int) {
	m.servers[s].limit = n
	s.SetMaxConn(n)
	m.changed(s, "maxconn")
}

func (m *model) changed(s *Server, what string) {
	m.step = fmt.Sprintf("%s of %s: %+v", what, s.Name(), m.servers[s])
	m.settle()
}

// reload adds, removes, moves and replaces servers.
func (m *model) reload() {
	m.conf.Servers = nil
	for i := 1; i <= 6; i++ {
		if m.rng.IntN(4) == 0 && i > 1 {
			continue
		}
		s := serverOf(i)
		s.Weight, s.MaxConn = 2, 5
		if i%2 == 0 {
			s.SSE = ""
		}
		if m.rng.IntN(6) == 0 {
			s.TCP = "127.0.7.7:1"
		}
		m.conf.Servers = append(m.conf.Servers, s)
	}
	m.step = "reload"
	admins := map[string]Admin{} // of removed servers, whose names may be used again
	for _, s := range mustApply(m.t, m.p, m.conf) {
		m.servers[s].gone = true
		admins[s.Name()] = m.servers[s].admin
	}
	m.adopt(admins)
	m.settle()
}

// adopt adds the pool's new servers to the model. admins are the operator's
// settings of the servers whose names they take over.
func (m *model) adopt(admins map[string]Admin) {
	for _, s := range m.p.Servers() {
		if m.servers[s] == nil {
			ms := &modelServer{admin: admins[s.Name()], weight: s.Weight(), limit: s.MaxConn()}
			for _, e := range []conf.Endpoint{conf.EndpointTCP, conf.EndpointHTTP, conf.EndpointSSE} {
				if s.Addr(e).IsValid() {
					ms.endpoints = append(ms.endpoints, e)
				}
			}
			m.servers[s] = ms
		}
	}
}

// settle adds what the waiters were granted to the model. It fails if one was
// granted a slot that it may not have, waits in vain or was passed over.
func (m *model) settle() {
	for _, w := range m.queue {
		m.unbind(&w.r)
	}
	var waiting []*modelWaiter
	for i, w := range m.queue {
		switch len(w.granted) {
		case 0:
			waiting = append(waiting, w)
			continue
		case 1:
		default:
			m.t.Fatalf("%s: a waiter was granted %d slots", m.step, len(w.granted))
		}
		s := w.granted[0].Server()
		if !m.mayHave(&w.r, s) {
			m.t.Fatalf("%s: waiter %d, %+v, was granted %s", m.step, i, w.r, s.Name())
		}
		for _, earlier := range waiting {
			if m.mayHave(&earlier.r, s) {
				m.t.Fatalf("%s: %+v was passed over by %+v", m.step, earlier.r, w.r)
			}
		}
		m.hold(w.granted[0])
	}
	m.queue = waiting
	for _, w := range waiting {
		for s, ms := range m.servers {
			if !ms.gone && !ms.full() && m.mayHave(&w.r, s) {
				m.t.Fatalf("%s: %+v waits though %s has a free slot", m.step, w.r, s.Name())
			}
		}
	}
}

// unbind makes a waiter wait for any server once the one that it is bound to is
// out of use.
func (m *model) unbind(r *Request) {
	if b := r.Bound; b != nil && (!m.servers[b].bindable(r.Endpoint) || slices.Contains(r.Tried, b)) {
		r.Bound = nil
	}
}

// mayHave reports whether a waiter may have a slot of s.
func (m *model) mayHave(r *Request, s *Server) bool {
	if r.Bound != nil {
		return s == r.Bound
	}
	if !m.servers[s].usable(r.Endpoint) {
		return false
	}
	if !slices.Contains(r.Tried, s) {
		return true
	}
	_, another := m.open(r, r.Tried)
	return !another
}

func (m *model) check() {
	for s, ms := range m.servers {
		if s.Conns() != ms.conns {
			m.t.Fatalf("%s: %s has %d connections, want %d", m.step, s.Name(), s.Conns(), ms.conns)
		}
		if ms.gone {
			continue
		}
		if got := s.Usable(); got != ms.usable("") {
			m.t.Fatalf("%s: %s usable is %v", m.step, s.Name(), got)
		}
	}
	if m.p.Queued() != len(m.queue) {
		m.t.Fatalf("%s: %d queued, want %d", m.step, m.p.Queued(), len(m.queue))
	}
	checkCounts(m.t, m.p)
}

// Random operations against the model.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range seeds(30) {
		c := backendOf(4, maxConn(5), weights(2))
		c.StickyTime = time.Second
		c.SlowStart = time.Duration(seed%3) * time.Second
		c.BalanceFactor = []float64{1.02, 1.5, 0}[seed%3]
		c.Failback = seed%2 == 0
		m := &model{
			t: t, rng: rand.New(rand.NewPCG(seed, 5)), conf: c, p: newPool(t, c), now: 1,
			servers: map[*Server]*modelServer{},
		}
		m.p.balancer.sticky.memory.init(20)
		m.adopt(nil)
		for range 1500 {
			m.now += m.rng.Int64N(int64(50 * time.Millisecond))
			switch k := m.rng.IntN(100); {
			case k < 50:
				m.acquire()
			case k < 80:
				m.release()
			case k < 85:
				m.cancel()
			case k < 98:
				m.change()
			default:
				m.reload()
			}
			m.check()
		}
		for len(m.slots) > 0 {
			m.release()
			m.check()
		}
	}
}
