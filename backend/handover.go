package backend

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"mcplb/conf"
)

// Handover is the state of a pool for the pool of a new process: everything but
// the slots in use, which are handed over one by one (Reinstate). It is fit for
// encoding. Its times are monotonic, of a clock that both processes share.
type Handover struct {
	Servers    []HandoverServer
	Names      []string // of servers, as the placements refer to them
	Sticky     []HandoverEntry
	QueuedPeak int64
}

// HandoverServer is the state of one server.
type HandoverServer struct {
	Identity
	State     State
	Disabled  bool   // as configured: another word of the new process's file goes before State
	Weight    *int32 // as set at run time; nil = as configured
	MaxConn   *int32 // likewise
	Peak      int32
	SlowStart int64 // when its slow start began; 0 = none is under way
	Sessions  []HandoverSession
}

// HandoverEntry is one placement of a source.
type HandoverEntry struct {
	Ref uint32 // the name by which slots refer to it (Slot.Entry)
	Placement
}

// Suspend stops the granting of slots until Resume: requests are queued as if
// every server were full. Requests with Stay, of connections that cannot move to
// the new process, are the exception: they may have what is released here, and up
// to spare of every server's free slots. Suspend returns the most slots of each
// server that has a limit which are in use here, or may be until the next call.
// Called again it gives up what is spare by then; Extend adds to it, Slot.Moved
// takes from it.
func (p *Pool) Suspend(spare int) (most map[*Server]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.balancer
	b.suspended, b.queue.suspended = true, true
	return b.members.reserve(spare)
}

// Withheld reports whether w waits in the queue and gets no slot, whatever is free,
// because a new process takes over.
func (p *Pool) Withheld(w Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.balancer.queue.byWaiter[w]
	return n != nil && p.balancer.queue.withheld(n)
}

// Waiting is how many requests in the queue wait for the same.
type Waiting struct {
	Endpoint conf.Endpoint
	Bound    *Server // nil = any
	Count    int
}

// Waiting returns what the requests in the queue wait for.
func (p *Pool) Waiting() (all []Waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := map[Waiting]int{}
	for _, n := range p.balancer.queue.byWaiter {
		counts[Waiting{Endpoint: n.request.Endpoint, Bound: n.request.Bound}]++
	}
	for w, n := range counts {
		w.Count = n
		all = append(all, w)
	}
	return all
}

// Extend grants a slot of s, which the new process has reserved for this one, to
// the first request in the queue that may use it, with Stay or without. It reports
// false if there is none, and then nothing has changed. The pool must be suspended.
func (p *Pool) Extend(s *Server) bool {
	p.mu.Lock()
	g := p.balancer.extend(s)
	p.mu.Unlock()
	g.deliver()
	return g.waiter != nil
}

// extend is Pool.Extend, under the lock.
func (b *balancer) extend(s *Server) grant {
	m := b.members.of(s)
	if m == nil {
		return grant{}
	}
	b.queue.suspended = false
	defer func() { b.queue.suspended = b.suspended }()
	limited := m.limit != math.MaxInt32
	if limited {
		m.limit++
	}
	g := b.grant(s.member)
	if limited && g.waiter == nil {
		m.limit--
	}
	return g
}

// moved takes a slot that is in use out of this process: the new one has it.
func (p *Pool) moved(s *Server, e ref, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.balancer
	b.advance(now)
	b.sticky.disconnect(e)
	s.setConns(s.conns.Load() - 1)
	if m := b.members.of(s); m != nil {
		m.conns--
		if b.suspended && m.limit != math.MaxInt32 {
			m.limit--
		}
	}
}

// Resume ends Suspend. Slots that are free go to the queue first.
func (p *Pool) Resume() {
	p.mu.Lock()
	p.balancer.suspended, p.balancer.queue.suspended = false, false
	for _, s := range p.Servers() {
		p.balancer.refresh(s)
	}
	grants := p.balancer.grantAll()
	p.mu.Unlock()
	deliver(grants)
}

// Handover returns the pool's state. The pool should be suspended.
func (p *Pool) Handover(now int64) Handover {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.balancer
	b.advance(now)
	h := Handover{
		Names:      slices.Clone(b.members.names),
		Sticky:     b.sticky.handover(),
		QueuedPeak: int64(p.QueuedPeak()),
	}
	for _, s := range p.Servers() {
		h.Servers = append(h.Servers, s.handover(b.members.of(s)))
	}
	return h
}

func (s *Server) handover(m *member) HandoverServer {
	h := HandoverServer{Identity: s.id, State: s.State(), Disabled: s.conf.Disabled, Peak: s.peak.Load(), SlowStart: m.ramp, Sessions: s.sessions.handover()}
	if n := s.weight.Load(); n != clamp(s.conf.Weight) {
		h.Weight = &n
	}
	if n := s.maxConn.Load(); n != clamp(s.conf.MaxConn) {
		h.MaxConn = &n
	}
	return h
}

// handover returns every placement.
func (k *sticky) handover() []HandoverEntry {
	var list []HandoverEntry
	for _, first := range k.memory.first {
		for r := first; r != noEntry; r = k.memory.at(r).sibling {
			list = append(list, HandoverEntry{uint32(r), k.memory.at(r).Placement})
		}
	}
	return list
}

// Restore takes over the state of another process's pool, before p is used. It
// leaves out servers whose identity differs here, and placements whose server is
// not here. Times after now count as now. It returns the entries of
// the sticky memory here by their names there.
func (p *Pool) Restore(h Handover, now int64) (entries map[uint32]uint32) {
	p.balancer.queue.peak.Store(h.QueuedPeak)
	for _, known := range h.Servers {
		if s := identified(p.Servers(), known.Identity); s != nil {
			s.restore(known)
			s.sessions.restore(known.Sessions, now)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.balancer
	b.advance(now)
	for _, known := range h.Servers {
		if s := identified(p.Servers(), known.Identity); s != nil {
			b.slowStart.restore(b.members.of(s), known.SlowStart)
		}
	}
	return b.sticky.restore(h.Sticky, b.members.named(h.Names))
}

func (s *Server) restore(known HandoverServer) {
	known.State.Degraded = false // the next check decides
	s.commit(func(st *State) {
		*st = known.State
		if disabled := s.conf.Disabled; disabled != known.Disabled {
			st.disable(disabled, time.Now())
		}
	})
	s.adjust(func() {
		if known.Weight != nil {
			s.weight.Store(*known.Weight)
		}
		if known.MaxConn != nil {
			s.maxConn.Store(*known.MaxConn)
		}
		s.peak.Store(known.Peak)
	})
}

// restore makes an entry of every placement of list, without connections for
// now, and returns the entries by their names in list. members has the members
// here by their numbers there.
func (k *sticky) restore(list []HandoverEntry, members []int32) map[uint32]uint32 {
	made := map[uint32]uint32{}
	slices.SortFunc(list, func(a, b HandoverEntry) int { return cmp.Compare(a.Left, b.Left) })
	for i := range list {
		if r := k.restoreEntry(&list[i].Placement, members); r != noEntry {
			made[list[i].Ref] = uint32(r)
		}
	}
	return made
}

// restoreEntry makes one entry, noEntry if its server is not here or the memory is
// full.
func (k *sticky) restoreEntry(placement *Placement, members []int32) ref {
	if i := placement.Server; i < 0 || int(i) >= len(members) || members[i] == none {
		return noEntry
	}
	server := members[placement.Server]
	source := sourceKey(netip.AddrFrom16(placement.Source))
	r := k.find(source, server)
	if r != noEntry {
		return r
	}
	if r = k.memory.insert(source); r == noEntry {
		return noEntry
	}
	e := k.memory.at(r)
	e.Server, e.Left = server, min(placement.Left, k.now)
	e.Displaced, e.handedOver = placement.Displaced, true
	k.members.all[server].entries++
	k.memory.idle(r)
	return r
}

// Reinstate takes a slot of s for a connection that has one already, in the old
// process, whether one is free or not. entry is what Restore returned for the
// slot's entry; 0 = none.
func (p *Pool) Reinstate(s *Server, entry uint32) Slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.setConns(s.conns.Load() + 1)
	if m := p.balancer.members.of(s); m != nil {
		m.conns++
	}
	if entry != 0 {
		p.balancer.sticky.connect(ref(entry))
	}
	return Slot{server: s, entry: ref(entry)}
}

// Attribute makes a slot that of a connection of another entry: see Reinstate.
func (p *Pool) Attribute(s *Slot, entry uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.balancer.sticky.disconnect(s.entry)
	if s.entry = ref(entry); entry != 0 {
		p.balancer.sticky.connect(s.entry)
	}
}

// Identified returns the server that id names, for clients who were connected to
// it by the old process: one of the pool's, or one that the pool does not have
// any more, which takes no clients and is Leaving until its last one has gone.
func (p *Pool) Identified(id Identity) *Server {
	if s := identified(p.Servers(), id); s != nil {
		return s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := identified(p.leaving, id); s != nil {
		return s
	}
	s := p.newServer(id, nil)
	s.gone.Store(true)
	p.leaving = append(p.leaving, s)
	return s
}

// identified finds a server in a list, nil if it is not there.
func identified(servers []*Server, id Identity) *Server {
	if i := slices.IndexFunc(servers, func(s *Server) bool { return s.id == id }); i >= 0 {
		return servers[i]
	}
	return nil
}
