package proxy

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"maps"
	"slices"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/handover"
	"mcplb/proxy/l4"
	"mcplb/proxy/l7"
	"mcplb/proxy/metrics"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// How the balancer is handed over to another process (handover.Giver, and
// handover.Taker in takeover.go).
//
// While both processes live every client, slot and source's connection counts
// in the new one: as its own, or as held by the process before. The state says
// what that one holds; a batch makes of what is held there what is held here;
// a report says what is left. Since the process before gives no slot away any
// more (backend.Pool.Freeze), no limit is exceeded at any moment.
//
// What only the process before has, since a reload or the new one's file took it
// away, the new one makes for those who use it, as if it had run that reload
// itself: leaving. So the state has the settings of frontends and backends, too.

// wholeState is what the new process is told before it accepts.
type wholeState struct {
	Limiter   ratelimit.Handover
	Frontends []carriedFrontend
	Backends  []carriedBackend
	Servers   []carriedServer // holdings and records name them by their places here, from 1 on
	Peak      int64
	Failed    uint64         // gate.failed
	Forgotten admin.Frontend // leaving.forgotten
	Held      holdings
}

// carriedFrontend is a frontend, as its layers know it; nil = it has not this
// one. TLS stays out: what has it does not move.
type carriedFrontend struct {
	Name        string
	Stream, Web *conf.Frontend
	Peak        int
}

// carriedBackend is a backend.
type carriedBackend struct {
	Settings conf.Backend // with what host names meant here
	Removed  bool         // by a reload
	Known    backend.Handover
}

// carriedServer is a server that may have clients.
type carriedServer struct {
	Backend int // its place in wholeState.Backends
	backend.Identity
	Removed bool // by a reload: who is connected is to be
}

// holdings are what a process holds, and what it has counted since the last
// time.
type holdings struct {
	Clients int
	Leases  map[leaseKey]int
	Sources map[uint64]int // by ratelimit.Source.Key
	Counts  map[string]metrics.Counts
}

// leaseKey says what a slot is of, and what its pool remembers it by.
type leaseKey struct {
	Server uint32 // its number; 0 = none
	Entry  uint32
}

// kept is the Entry of slots that are free, but kept back for clients that
// cannot move.
const kept = ^uint32(0)

// bequest is what the process before knows of the hand-over.
type bequest struct {
	counted map[string]metrics.Counts // reported so far
	pools   []*pool                   // there is no other any more: carriedServer.Backend
	servers map[*backend.Server]uint32
	list    []*backend.Server // by number, from 1 on
	spare   map[leaseKey]int  // slots kept back
	staying bool              // clients that cannot move are to end where they can
	refused map[any]bool      // sessions that the new process cannot serve
}

// record is a session on its way.
type record struct {
	Frontend string
	Lease    leaseKey
	Source   uint64
	Limited  bool  // Source counts
	Two      bool  // its descriptors are the client's and the server's
	At       int64 // when nobody served it any more, on the system's monotonic clock
	Stream   *l4.Handover
	HTTP     *l7.Handover
}

// moving is a record and what becomes of the session here.
type moving struct {
	record
	session  any
	detached session.Detached
	gone     func()
	back     func()
}

// Sockets implements handover.Giver: copies of the listening sockets of all
// frontends.
func (p *Proxy) Sockets() ([]handover.Socket, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var all []handover.Socket
	for _, l := range p.listeners {
		file, err := l.File()
		if err != nil {
			return all, fmt.Errorf("copying the socket of %s: %w", l.wanted, err)
		}
		all = append(all, handover.Socket{Address: l.wanted, File: file})
	}
	return all, nil
}

// Suspend implements handover.Giver: nobody is accepted and no slot is given
// away any more when it returns. Clients wait, in the listeners' backlogs and in
// the pools' queues.
func (p *Proxy) Suspend() {
	p.gate.closed.Store(true)
	p.everywhere() // an accept that has begun ends with its loop's turn
	for p.evictions.underWay() {
		p.everywhere() // whoever is to be told of a server's loss is told here
	}
	staying := 0
	p.everySession(func(c *reactor.Conn, _ session.Session) {
		if c.HasTransport() && isHTTP(c) {
			staying++
		}
	})
	p.given = bequest{spare: map[leaseKey]int{}, refused: map[any]bool{}, servers: map[*backend.Server]uint32{}, pools: p.prunedPools()}
	for _, b := range p.given.pools {
		for server, n := range b.Suspend(staying) {
			p.given.spare[leaseKey{p.number(server), kept}] = n
		}
	}
	p.everywhere() // slots given away before have come to whom they were given
	for _, b := range p.given.pools {
		for _, server := range slices.Concat(b.Servers(), b.Leaving()) {
			p.number(server)
		}
	}
}

// prunedPools are all pools, but those of backends that nobody uses any more.
func (p *Proxy) prunedPools() []*pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune()
	return p.pools()
}

// pools are all that there are; p.mu is held.
func (p *Proxy) pools() []*pool {
	return slices.AppendSeq(slices.Clone(p.leaving.pools), maps.Values(p.backends))
}

// number is what a server is called in the hand-over.
func (p *Proxy) number(server *backend.Server) uint32 {
	n := p.given.servers[server]
	if n == 0 {
		p.given.list = append(p.given.list, server)
		n = uint32(len(p.given.list))
		p.given.servers[server] = n
	}
	return n
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
func (p *Proxy) everySession(visit func(*reactor.Conn, session.Session)) {
	for _, loop := range p.engine.Loops() {
		p.onLoop(loop, func() {
			loop.SweepFrom(0, func(c *reactor.Conn) bool {
				if s := session.Of(c); s != nil {
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
	for _, b := range p.pools() {
		b.Resume()
	}
}

// Leave says that another process serves now: no configuration is taken any
// more, the access log is where that one has it, and clients that cannot move
// end where they have a good place to. Until Stop, which is to follow, the health
// page says of this process what holds for both: new clients are served.
func (p *Proxy) Leave() {
	p.log.Follow()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given.staying = true
}

// State implements handover.Giver.
func (p *Proxy) State() ([]byte, error) {
	state := p.carry()
	state.Held = p.holdings()
	return encode(&state)
}

// carry is all but what is held.
func (p *Proxy) carry() wholeState {
	now := p.engine.Now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	state := wholeState{Limiter: p.limiter.Handover(now), Peak: p.gate.peak.Load(), Failed: p.gate.failed.Load(), Forgotten: p.leaving.forgotten}
	places := map[*backend.Pool]int{}
	for i, b := range p.given.pools {
		places[b.Pool] = i
		state.Backends = append(state.Backends, p.carryBackend(b, now))
	}
	for _, server := range p.given.list {
		state.Servers = append(state.Servers, carriedServer{places[server.Pool()], server.Identity(), server.Removed()})
	}
	for name, f := range p.allFrontends() {
		state.Frontends = append(state.Frontends, f.carry(name))
	}
	return state
}

// carryBackend is what the new process is to know of a backend; p.mu is held.
func (p *Proxy) carryBackend(b *pool, now int64) carriedBackend {
	c := carriedBackend{Settings: b.Config(), Removed: p.poolOf(b.Name()) != b.Pool, Known: b.Handover(now)}
	c.Settings.Servers = slices.Clone(c.Settings.Servers)
	for i, server := range b.Servers() {
		s := &c.Settings.Servers[i]
		for e, address := range map[conf.Endpoint]*string{conf.EndpointTCP: &s.TCP, conf.EndpointHTTP: &s.HTTP, conf.EndpointWS: &s.WS, conf.EndpointSSE: &s.SSE} {
			if *address != "" {
				*address = server.Addr(e).String()
			}
		}
	}
	return c
}

// carry is what the new process is to know of a frontend.
func (f *layered) carry(name string) carriedFrontend {
	c := carriedFrontend{Name: name, Peak: f.Peak()}
	if f.stream != nil {
		c.Stream = plain(f.stream.config())
	}
	if f.web != nil {
		c.Web = plain(f.web.config())
	}
	return c
}

// plain is a copy without TLS.
func plain(c *conf.Frontend) *conf.Frontend {
	copied := *c
	copied.TLS = nil
	return &copied
}

// Report implements handover.Giver.
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
	p.everySession(func(c *reactor.Conn, s session.Session) {
		lease, source := s.Holds()
		if lease.Server() != nil {
			h.Leases[p.keyOf(lease)]++
		}
		if source != nil {
			h.Sources[source.Key()]++
		}
		staying = staying || c.HasTransport() && isHTTP(c)
	})
	if staying {
		maps.Copy(h.Leases, p.given.spare)
	}
	return h
}

func (p *Proxy) keyOf(lease *backend.Slot) leaseKey {
	return leaseKey{p.given.servers[lease.Server()], lease.Entry()}
}

// newlyCounted is what was counted since it was asked for last.
func (p *Proxy) newlyCounted() map[string]metrics.Counts {
	all, grown := map[string]metrics.Counts{}, map[string]metrics.Counts{}
	p.eachCounters(func(name string, loop int, counters metrics.Set) {
		sum := all[name]
		sum.Add(counters)
		all[name] = sum
	})
	for name, now := range all {
		before := p.given.counted[name]
		if more := now.Sub(&before); !more.Empty() {
			grown[name] = more
		}
	}
	p.given.counted = all
	return grown
}

// eachCounters calls visit for everything that is counted by loop, and as of the
// first for what is counted by all together.
func (p *Proxy) eachCounters(visit func(name string, loop int, counters metrics.Set)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	frontends := p.allFrontends()
	for name, f := range frontends {
		for _, layer := range f.layers() {
			if server := layer.tls(); server != nil {
				visit("tls "+name+" "+layer.name(), 0, server.Counters())
			}
		}
	}
	for i := range p.engine.Loops() {
		for name, f := range frontends {
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

// Move implements handover.Giver.
func (p *Proxy) Move(give func(*handover.Batch) error) error {
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
	next = loop.SweepFrom(from, func(c *reactor.Conn) bool {
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
	s := session.Of(c)
	if s == nil || p.given.refused[s] {
		return nil
	}
	lease, source := s.Holds()
	m := &moving{session: s}
	m.Frontend, m.Source, m.Limited = s.Info().Frontend, source.Key(), source != nil
	if lease.Server() != nil {
		m.Lease = p.keyOf(lease)
	}
	ok := false
	switch s := s.(type) {
	case *l4.Session:
		m.Stream, m.detached, ok = s.Detach()
		m.gone, m.back = func() { s.Gone(&m.detached) }, func() { s.Back(m.Stream, &m.detached) }
	case httpSession:
		m.HTTP, m.detached, ok = s.Detach()
		m.gone, m.back = func() { s.Gone(&m.detached) }, func() { s.Back(m.HTTP, &m.detached) }
	}
	m.Two = ok && m.detached.Server.FD >= 0
	if ok {
		return m
	}
	if c.HasTransport() && p.given.staying {
		s.Drain()
	}
	return nil
}

// batch makes a message of sessions of one loop.
func (p *Proxy) batch(loop *reactor.Loop, list []*moving) (*handover.Batch, error) {
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
	return &handover.Batch{
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
