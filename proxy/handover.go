//go:build linux

package proxy

import (
	"bytes"
	"encoding/gob"
	"fmt"

	"mcplb/backend"
	"mcplb/proxy/l4"
	"mcplb/proxy/l7"
	"mcplb/proxy/reactor"
	"mcplb/proxy/upgrade"
	"mcplb/ratelimit"
)

// How the balancer is handed over to another process (upgrade.Giver, and
// upgrade.Taker in takeover.go).
//
// While both processes live every client, slot and source's connection counts
// in the new one: as its own, or as held by the process before. The state says
// what that one holds; a batch makes of what is held there what is held here;
// a report says what is left. Since the process before gives no slot away any
// more (backend.Pool.Freeze), no limit is exceeded at any moment.

// wholeState is what the new process is told before it accepts.
type wholeState struct {
	Limiter  ratelimit.Carried
	Backends map[string]backend.Carried
	Peaks    map[string]int // by frontend
	Peak     int64
	Held     holdings
}

// holdings are what a process holds, and what it has counted since the last
// time.
type holdings struct {
	Clients int
	Leases  map[leaseKey]int
	Sources map[uint64]int // by ratelimit.Source.Key
	Counts  map[string]upgrade.Counts
}

// leaseKey says what a slot is of, and what its pool remembers it by.
type leaseKey struct {
	Backend, Server string
	Entry           uint32
}

// kept is the Entry of slots that are free, but kept back for clients that
// cannot move.
const kept = ^uint32(0)

// bequest is what the process before knows of the hand-over.
type bequest struct {
	counted map[string]upgrade.Counts // reported so far
	spare   map[*backend.Server]int   // slots kept back
	staying bool                      // clients that cannot move are to end where they can
	refused map[any]bool              // sessions that the new process cannot serve
}

// record is a session on its way.
type record struct {
	Frontend string
	Lease    leaseKey // without a Server: it has none
	Source   uint64
	Limited  bool  // Source counts
	Two      bool  // its descriptors are the client's and the server's
	At       int64 // when nobody served it any more, on the system's monotonic clock
	Stream   *l4.Carried
	HTTP     *l7.Carried
}

// moving is a record and what becomes of the session here.
type moving struct {
	record
	session  any
	detached l4.Detached
	gone     func()
	back     func()
}

// Sockets implements upgrade.Giver: copies of the listening sockets of all
// frontends.
func (p *Proxy) Sockets() ([]upgrade.Socket, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var all []upgrade.Socket
	for _, l := range p.listeners {
		file, err := l.File()
		if err != nil {
			return all, fmt.Errorf("copying the socket of %s: %w", l.wanted, err)
		}
		all = append(all, upgrade.Socket{Address: l.wanted, File: file})
	}
	return all, nil
}

// Suspend implements upgrade.Giver: nobody is accepted and no slot is given
// away any more when it returns. Clients wait, in the listeners' backlogs and in
// the pools' queues.
func (p *Proxy) Suspend() {
	p.gate.closed.Store(true)
	p.given = bequest{spare: map[*backend.Server]int{}, refused: map[any]bool{}}
	p.everywhere() // an accept that has begun ends with its loop's turn
	staying := 0
	p.everySession(func(c *reactor.Conn, _ session) {
		if c.Layered() && l7.Of(c) != nil {
			staying++
		}
	})
	p.mu.RLock()
	for _, b := range p.backends {
		for server, n := range b.Freeze(staying) {
			p.given.spare[server] = n
		}
	}
	p.mu.RUnlock()
	p.everywhere() // slots given away before have come to whom they were given
}

// everywhere returns when every loop has come to run what it was given before.
func (p *Proxy) everywhere() {
	for _, loop := range p.engine.Loops() {
		p.onLoop(loop, func() {})
	}
}

// onLoop runs f on a loop and waits for it. It returns false when the loop has
// stopped.
func (p *Proxy) onLoop(loop *reactor.Loop, f func()) bool {
	done := make(chan struct{})
	posted := loop.Post(func() {
		defer close(done)
		f()
	})
	if posted {
		<-done
	}
	return posted
}

// everySession calls visit for every session, loop by loop, and waits.
func (p *Proxy) everySession(visit func(*reactor.Conn, session)) {
	for _, loop := range p.engine.Loops() {
		p.onLoop(loop, func() {
			loop.SweepSome(0, func(c *reactor.Conn) bool {
				if s := sessionOf(c); s != nil {
					visit(c, s)
				}
				return true
			})
		})
	}
}

// Resume has clients accepted again, and slots given away, after Suspend or
// Options.Suspended.
func (p *Proxy) Resume() {
	p.startChecks()
	p.thaw()
	p.gate.closed.Store(false)
	p.resumeAll()
}

// thaw gives slots away again.
func (p *Proxy) thaw() {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, b := range p.backends {
		b.Thaw()
	}
}

// Leave says that another process serves now: no configuration is taken any
// more, and clients that cannot move end where they have a good place to. Stop
// is to follow.
func (p *Proxy) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	p.given.staying = true
}

// State implements upgrade.Giver.
func (p *Proxy) State() ([]byte, error) {
	now := p.engine.Now()
	p.mu.RLock()
	state := wholeState{
		Limiter: p.limiter.Carry(now), Backends: map[string]backend.Carried{},
		Peaks: map[string]int{}, Peak: p.gate.peak.Load(),
	}
	for name, b := range p.backends {
		state.Backends[name] = b.Carry(now)
	}
	for name, f := range p.frontends {
		state.Peaks[name] = f.Peak()
	}
	p.mu.RUnlock()
	state.Held = p.holdings()
	return encode(&state)
}

// Report implements upgrade.Giver.
func (p *Proxy) Report() (payload []byte, clients int, err error) {
	held := p.holdings()
	payload, err = encode(&held)
	return payload, held.Clients, err
}

func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(v); err != nil {
		return nil, fmt.Errorf("encoding what is handed over: %w", err)
	}
	return out.Bytes(), nil
}

// holdings are what this process holds now.
func (p *Proxy) holdings() holdings {
	h := holdings{Clients: p.engine.Load(), Leases: map[leaseKey]int{}, Sources: map[uint64]int{}, Counts: p.newlyCounted()}
	staying := false
	p.everySession(func(c *reactor.Conn, s session) {
		lease, source := s.Holds()
		if lease.Server() != nil {
			h.Leases[keyOf(lease)]++
		}
		if source != nil {
			h.Sources[source.Key()]++
		}
		staying = staying || c.Layered() && l7.Of(c) != nil
	})
	if staying {
		for server, n := range p.given.spare {
			h.Leases[leaseKey{server.Backend(), server.Name(), kept}] = n
		}
	}
	return h
}

func keyOf(lease *backend.Lease) leaseKey {
	return leaseKey{lease.Server().Backend(), lease.Server().Name(), lease.Entry()}
}

// newlyCounted is what was counted since it was asked for last.
func (p *Proxy) newlyCounted() map[string]upgrade.Counts {
	all, grown := map[string]upgrade.Counts{}, map[string]upgrade.Counts{}
	p.eachCounters(func(name string, loop int, counters any) {
		if all[name] == nil {
			all[name] = upgrade.Counts{}
		}
		all[name].Add(counters)
	})
	for name, counts := range all {
		if more := counts.Since(p.given.counted[name]); len(more) > 0 {
			grown[name] = more
		}
	}
	p.given.counted = all
	return grown
}

// eachCounters calls visit for everything that is counted by loop.
func (p *Proxy) eachCounters(visit func(name string, loop int, counters any)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for i := range p.engine.Loops() {
		for name, f := range p.frontends {
			for _, layer := range f.layers() {
				visit("frontend "+name+" "+layer.name(), i, layer.counters(i))
			}
		}
		for name, b := range p.backends {
			for _, server := range b.Servers() {
				visit("server "+name+"/"+server.Name(), i, server.Counters(i))
			}
		}
	}
}

// mostInBatch is how many descriptors go together; mostVisited bounds how long
// a loop is kept from its other connections.
const (
	mostInBatch = 240
	mostVisited = 4096
	mostParked  = 4 << 20 // bytes
)

// Move implements upgrade.Giver.
func (p *Proxy) Move(give func(*upgrade.Batch) error) error {
	for _, loop := range p.engine.Loops() {
		for next, more := 0, true; more; more = next != 0 {
			var list []*moving
			if !p.onLoop(loop, func() { list, next = p.detachSome(loop, next) }) {
				return errStopped
			}
			if len(list) == 0 {
				continue
			}
			batch, err := p.batch(loop, list)
			if err == nil {
				err = give(batch)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// detachSome detaches sessions of a loop, from a place in it on, and tells
// where to go on; 0 = that was all.
func (p *Proxy) detachSome(loop *reactor.Loop, from int) (list []*moving, next int) {
	descriptors, visited, parked := 0, 0, 0
	at := p.engine.Now()
	next = loop.SweepSome(from, func(c *reactor.Conn) bool {
		visited++
		if m := p.detach(c); m != nil {
			m.At = at
			list = append(list, m)
			descriptors += len(m.detached.FDs())
			parked += len(m.detached.Client.Parked) + len(m.detached.Server.Parked)
		}
		return descriptors < mostInBatch && visited < mostVisited && parked < mostParked
	})
	return list, next
}

// detach detaches the session whose client c is, if it can move. Where it never
// will, and the new process serves already, it is to end where it has a good
// place to.
func (p *Proxy) detach(c *reactor.Conn) *moving {
	s := sessionOf(c)
	if s == nil || p.given.refused[s] {
		return nil
	}
	lease, source := s.Holds()
	m := &moving{session: s}
	m.Frontend, m.Source, m.Limited = s.Info().Frontend, source.Key(), source != nil
	if lease.Server() != nil {
		m.Lease = keyOf(lease)
	}
	ok := false
	switch s := s.(type) {
	case *l4.Session:
		m.Stream, m.detached, ok = s.Detach()
		m.gone, m.back = func() { s.Gone(&m.detached) }, func() { s.Back(m.Stream, &m.detached) }
	case l7.Session:
		m.HTTP, m.detached, ok = s.Detach()
		m.gone, m.back = func() { s.Gone(&m.detached) }, func() { s.Back(m.HTTP, &m.detached) }
	}
	m.Two = ok && m.detached.Server.FD >= 0
	if ok {
		return m
	}
	if c.Layered() && p.given.staying {
		s.Drain()
	}
	return nil
}

// batch makes a message of sessions of one loop.
func (p *Proxy) batch(loop *reactor.Loop, list []*moving) (*upgrade.Batch, error) {
	var records []record
	var descriptors []int
	for _, m := range list {
		records = append(records, m.record)
		descriptors = append(descriptors, m.detached.FDs()...)
	}
	back := func() {
		p.onLoop(loop, func() {
			for _, m := range list {
				m.back()
			}
		})
	}
	payload, err := encode(records)
	if err != nil {
		back()
		return nil, err
	}
	return &upgrade.Batch{
		Payload: payload, Descriptors: descriptors, Back: back,
		Gone: func(refused []int) { p.onLoop(loop, func() { p.gone(list, refused) }) },
	}, nil
}

// gone ends sessions here that live on in the new process, but for those that it
// refused.
func (p *Proxy) gone(list []*moving, refused []int) {
	for _, i := range refused {
		if i >= 0 && i < len(list) && list[i] != nil {
			p.given.refused[list[i].session] = true
			list[i].back()
			list[i] = nil
		}
	}
	for _, m := range list {
		if m != nil {
			m.gone()
		}
	}
}
