package proxy

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/handover"
	"mcplb/proxy/l7"
	"mcplb/proxy/metrics"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// inheritance is what this process holds for the one before it: slots and
// sources' connections that are in use there. What that one has by name or
// number is what it is here, whatever reloads do meanwhile.
type inheritance struct {
	leases    map[leaseKey][]backend.Slot
	sources   map[uint64][]*ratelimit.Source
	frontends map[string]*layered
	pools     []*pool             // by carriedServer.Backend
	entries   []map[uint32]uint32 // likewise: what the pool's memory's entries are called here
	servers   []inherited         // by number, from 1 on
	pauses    pauses
}

// inherited is a server of the process before.
type inherited struct {
	carriedServer
	here *backend.Server // nil: nobody has asked yet
}

// pauses are for how long connections that came from the process before were
// served by nobody.
type pauses struct {
	mu  sync.Mutex
	all []time.Duration // guarded by mu
}

// TakenOver is what became of the connections of the process before.
type TakenOver struct {
	Connections    int
	P50, P99, Most time.Duration // for how long they were served by nobody
}

// TakenOver tells which connections have come from the process before; once, for
// it forgets them.
func (p *Proxy) TakenOver() (t TakenOver) {
	s := &p.taken.pauses
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.all)
	if n := len(s.all); n > 0 {
		t = TakenOver{Connections: n, P50: s.all[n/2], P99: s.all[n*99/100], Most: s.all[n-1]}
	}
	s.all = nil
	return t
}

// note notes that sessions are served again.
func (s *pauses) note(share []*arrival, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range share {
		s.all = append(s.all, time.Duration(now-a.At))
	}
}

// Restore implements handover.Taker.
func (p *Proxy) Restore(payload []byte) error {
	var state wholeState
	if err := decode(payload, &state); err != nil {
		return err
	}
	p.limiter.Restore(state.Limiter, p.engine.Now())
	p.gate.peak.Store(state.Peak)
	p.gate.failed.Add(state.Failed)
	if err := p.reconstruct(&state); err != nil {
		return err
	}
	p.hold(&state.Held)
	return nil
}

// reconstruct finds, or makes, what the process before has.
func (p *Proxy) reconstruct(state *wholeState) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &p.taken
	t.leases, t.sources = map[leaseKey][]backend.Slot{}, map[uint64][]*ratelimit.Source{}
	t.frontends = map[string]*layered{}
	p.leaving.forgotten = state.Forgotten
	for i := range state.Backends {
		b, err := p.poolLike(&state.Backends[i])
		if err != nil {
			return err
		}
		t.pools = append(t.pools, b)
		t.entries = append(t.entries, b.Restore(state.Backends[i].Known, p.engine.Now()))
	}
	for _, server := range state.Servers {
		if server.Backend < 0 || server.Backend >= len(t.pools) {
			return fmt.Errorf("decoding what is handed over: server %s has no backend", server.Name)
		}
		t.servers = append(t.servers, inherited{carriedServer: server})
	}
	for i := range state.Frontends {
		p.frontendLike(&state.Frontends[i])
	}
	return nil
}

// poolLike is the pool of a backend, one that is leaving where this process's
// configuration has none.
func (p *Proxy) poolLike(c *carriedBackend) (*pool, error) {
	if b := p.backends[c.Settings.Name]; b != nil && !c.Removed {
		return b, nil
	}
	b, err := p.newPool(c.Settings, netip.ParseAddrPort)
	if err != nil {
		return nil, err
	}
	b.Retire()
	p.leaving.pools = append(p.leaving.pools, b)
	return b, nil
}

// frontendLike finds a frontend, or makes one that is leaving, with the layers
// that it had.
func (p *Proxy) frontendLike(c *carriedFrontend) {
	f, gone := p.frontends[c.Name], false
	if f == nil {
		f, gone = &layered{proxy: p}, true
	}
	directory := l7.NewDirectory(p.poolLeft)
	for _, layer := range []*conf.Frontend{c.Stream, c.Web} {
		if layer != nil && !slices.ContainsFunc(backendsOf(layer), func(name string) bool { return p.poolLeft(name) == nil }) {
			f.complete(layer, directory)
		}
	}
	if f.now.Load() == nil {
		return // its backends have gone, and so it can have no clients
	}
	if gone {
		f.drain()
		p.leaving.frontends[c.Name] = f
	}
	f.RestorePeak(c.Peak)
	p.taken.frontends[c.Name] = f
}

// poolLeft finds a backend's pool by its name, be the backend leaving; nil where
// there is none.
func (p *Proxy) poolLeft(name string) *backend.Pool {
	if b := p.poolOf(name); b != nil {
		return b
	}
	for _, b := range p.leaving.pools {
		if b.Name() == name {
			return b.Pool
		}
	}
	return nil
}

func decode(payload []byte, v any) error {
	if err := gob.NewDecoder(bytes.NewReader(payload)).Decode(v); err != nil {
		return fmt.Errorf("decoding what is handed over: %w", err)
	}
	return nil
}

// Serve implements handover.Taker.
func (p *Proxy) Serve() { p.Resume() }

// startChecks begins the checks of a process that was started Suspended: the
// verdicts of the one before are known by now.
func (p *Proxy) startChecks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.options.Suspended {
		return
	}
	p.options.Suspended = false
	for _, b := range p.backends {
		b.checker.Apply(b.InForce().Check, b.Servers())
	}
}

// Inherited implements handover.Taker.
func (p *Proxy) Inherited(report []byte) error {
	var held holdings
	if err := decode(report, &held); err != nil {
		return err
	}
	p.hold(&held)
	return nil
}

// Alone implements handover.Taker.
func (p *Proxy) Alone() {
	p.hold(&holdings{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken.frontends, p.taken.pools, p.taken.entries, p.taken.servers = nil, nil, nil, nil
	p.prune()
}

// hold brings what is held for the process before to what it says it holds.
func (p *Proxy) hold(h *holdings) {
	for key, leases := range p.taken.leases {
		if n := h.Leases[key]; n < len(leases) {
			p.releaseSome(leases[n:])
			p.taken.leases[key] = leases[:n]
		}
	}
	for key, n := range h.Leases {
		if server := p.serverOf(key); server != nil {
			for len(p.taken.leases[key]) < n {
				p.taken.leases[key] = append(p.taken.leases[key], p.reinstate(server, key))
			}
		}
	}
	for key, sources := range p.taken.sources {
		for len(sources) > h.Sources[key] {
			last := len(sources) - 1
			sources[last].Release()
			sources = sources[:last]
		}
		p.taken.sources[key] = sources
	}
	for key, n := range h.Sources {
		for len(p.taken.sources[key]) < n {
			p.taken.sources[key] = append(p.taken.sources[key], p.limiter.Reinstate(key, p.engine.Now()))
		}
	}
	p.addCounts(h.Counts)
	p.gate.other.Store(int64(h.Clients))
	p.gate.Left()
}

func (p *Proxy) releaseSome(leases []backend.Slot) {
	for i := range leases {
		leases[i].Release(backend.Completed, p.engine.Now())
	}
}

func (p *Proxy) reinstate(server *backend.Server, key leaseKey) backend.Slot {
	at := p.taken.servers[key.Server-1].Backend
	return p.taken.pools[at].Reinstate(server, p.taken.entries[at][key.Entry])
}

// serverOf finds the server that a slot is of, also where the configuration has
// it no more; nil where there is none of that number.
func (p *Proxy) serverOf(key leaseKey) *backend.Server {
	if key.Server == 0 || int(key.Server) > len(p.taken.servers) {
		return nil
	}
	known := &p.taken.servers[key.Server-1]
	if known.here == nil {
		known.here = p.taken.pools[known.Backend].Identified(known.Identity)
	}
	return known.here
}

// addCounts adds what the process before has counted to what the first loop
// counts.
func (p *Proxy) addCounts(counts map[string]metrics.Counts) {
	if len(counts) == 0 {
		return
	}
	p.eachCounters(func(name string, loop int, counters metrics.Set) {
		if more, grown := counts[name]; grown && loop == 0 {
			p.engine.Loops()[0].Post(func() { more.Restore(counters) })
		}
	})
}

// adopted is a batch that was taken in and is not served yet.
type adopted struct {
	proxy   *Proxy
	list    []arrival
	refused []int
}

// arrival is a session that has come.
type arrival struct {
	record
	detached session.Detached
	frontend frontend
	lease    backend.Slot
	server   *backend.Server // of the lease
	pool     *backend.Pool
	source   *ratelimit.Source
}

// Adopt implements handover.Taker.
func (p *Proxy) Adopt(payload []byte, descriptors []int) (handover.Adopted, error) {
	p.mu.RLock()
	draining := p.draining
	p.mu.RUnlock()
	if draining {
		return nil, ErrDraining
	}
	var records []record
	if err := decode(payload, &records); err != nil {
		return nil, err
	}
	wanted := 0
	for i := range records {
		wanted += records[i].descriptors()
	}
	if wanted != len(descriptors) {
		return nil, fmt.Errorf("%d descriptors came for connections that have %d", len(descriptors), wanted)
	}
	a := &adopted{proxy: p}
	for i := range records {
		r := &records[i]
		fds := descriptors[:r.descriptors()]
		descriptors = descriptors[len(fds):]
		arrived, err := p.receive(r, fds)
		if err != nil {
			p.options.Log.Debug("a connection stays in the process before", "frontend", r.Frontend, "err", err)
			closeFDs(fds)
			a.refused = append(a.refused, i)
			continue
		}
		a.list = append(a.list, arrived)
	}
	return a, nil
}

func (r *record) descriptors() int {
	if r.Two {
		return 2
	}
	return 1
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// errUnknown says why a session is refused.
var errUnknown = errors.New("its frontend or server is not known here")

// receive finds for a session what it needs here.
func (p *Proxy) receive(r *record, fds []int) (arrival, error) {
	a := arrival{record: *r, detached: session.Detached{Client: reactor.Detached{FD: fds[0]}, Server: reactor.Detached{FD: -1}}}
	a.frontend = p.layerOf(r)
	switch a.frontend.(type) {
	case *streamFrontend:
		a.detached.Client.Parked = r.Stream.Relay.ToClient
		a.detached.Server.Parked = r.Stream.Relay.ToServer
	case *httpFrontend:
		a.detached.Client.Parked, a.detached.Server.Parked = r.HTTP.Parked()
	default:
		return a, errUnknown
	}
	if r.Two {
		a.detached.Server.FD = fds[1]
	}
	if err := p.claim(&a); err != nil {
		return a, err
	}
	return a, nil
}

// layerOf is the frontend that a session belongs to, in the layer that it began
// in; nil where there is none.
func (p *Proxy) layerOf(r *record) frontend {
	p.mu.RLock()
	defer p.mu.RUnlock()
	switch f := p.taken.frontends[r.Frontend]; {
	case f == nil:
	case r.Stream != nil && f.stream != nil:
		return f.stream
	case r.HTTP != nil && f.web != nil:
		return f.web
	}
	return nil
}

// claim makes of a slot and a source's connection that are held for the process
// before what the session holds here.
func (p *Proxy) claim(a *arrival) error {
	if key := a.Lease; key.Server != 0 {
		server := p.serverOf(key)
		if server == nil {
			return errUnknown
		}
		a.server, a.pool = server, server.Pool()
		if held := p.taken.leases[key]; len(held) > 0 {
			a.lease = held[len(held)-1]
			p.taken.leases[key] = held[:len(held)-1]
		} else { // taken since the last report
			a.lease = p.reinstate(server, key)
		}
	}
	if a.Limited {
		if held := p.taken.sources[a.Source]; len(held) > 0 {
			a.source = held[len(held)-1]
			p.taken.sources[a.Source] = held[:len(held)-1]
		} else {
			a.source = p.limiter.Reinstate(a.Source, p.engine.Now())
		}
	}
	return nil
}

// Refused implements handover.Adopted.
func (a *adopted) Refused() []int { return a.refused }

// Serve implements handover.Adopted: it spreads the sessions over the loops.
func (a *adopted) Serve() {
	p := a.proxy
	loops := p.engine.Loops()
	shares := make([][]*arrival, len(loops))
	for i := range a.list {
		least := 0
		for j, loop := range loops {
			if loop.Load() < loops[least].Load() {
				least = j
			}
		}
		loops[least].AddLoad(1)
		p.gate.other.Add(-1)
		shares[least] = append(shares[least], &a.list[i])
	}
	for i, share := range shares {
		loop := loops[i]
		if len(share) > 0 && !loop.Post(func() { p.serveShare(loop, share) }) {
			loop.AddLoad(-len(share))
			closeShare(share)
		}
	}
	a.part()
}

// part does as a reload would with those whose server this configuration has no
// more.
func (a *adopted) part() {
	for i := range a.list {
		one := &a.list[i]
		server := one.server
		if server == nil || !server.Removed() || a.proxy.taken.servers[one.Lease.Server-1].Removed {
			continue
		}
		if policy := one.pool.InForce().OnRemoved; policy == conf.OnDownClose {
			a.proxy.evictions.add(server, policy)
		}
	}
}

// serveShare begins to serve sessions on their loop.
func (p *Proxy) serveShare(loop *reactor.Loop, share []*arrival) {
	defer func() { p.taken.pauses.note(share, p.engine.Now()) }()
	for _, a := range share {
		switch f := a.frontend.(type) {
		case *streamFrontend:
			f.Adopt(loop, a.Stream, &a.detached, a.source, a.lease)
		case *httpFrontend:
			f.Adopt(loop, a.HTTP, &a.detached, a.source, a.lease, a.pool)
		}
	}
}

func closeShare(share []*arrival) {
	for _, a := range share {
		a.detached.Close()
	}
}

// Drop implements handover.Adopted: the sessions stay with the process before,
// and so does what they hold.
func (a *adopted) Drop() {
	p := a.proxy
	for i := range a.list {
		one := &a.list[i]
		one.detached.Close()
		if one.lease.Server() != nil {
			p.taken.leases[one.Lease] = append(p.taken.leases[one.Lease], one.lease)
		}
		if one.source != nil {
			p.taken.sources[one.Source] = append(p.taken.sources[one.Source], one.source)
		}
	}
}
