package backend

import (
	"math"
	"net/netip"
	"slices"
)

// Handover is what a pool knows, for the process that takes its place: all but
// the slots in use, which move one by one (Reinstate). It is fit for encoding.
type Handover struct {
	Servers    []HandoverServer
	Sticky     []HandoverEntry // siblings in their order
	QueuedPeak int64
}

// HandoverServer is one server.
type HandoverServer struct {
	Identity
	State   State
	Weight  *int32 // as set at run time; nil = as configured
	MaxConn *int32
	Peak    int32
	Ramp    int64 // nanoseconds since its slow start began; 0 = none is under way
}

// Identity is what makes a server of a pool the same one in another process.
type Identity struct {
	Name      string
	Addresses [4]netip.AddrPort // by endpoint; invalid where it has none
}

// HandoverEntry is where some connections of a source belong.
type HandoverEntry struct {
	Ref              uint32 // what leases name it by (Lease.Entry)
	Source           [16]byte
	Home, Refuge     string // servers; "" = none
	Age              int64  // nanoseconds since it was left by a connection
	Peak             int32
	Peers, Allowance int32
}

// Suspend stops the giving away of slots, until Thaw: whoever asks is queued, as
// if every server were full. Slots may be given back. Requests that Stay are the
// exception: for them every server keeps back as many free slots as spare says,
// if it has a limit and so many; it returns how many that are.
func (p *Pool) Suspend(spare int) (kept map[*Server]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
	kept = map[*Server]int{}
	for i := range p.slots {
		sl := &p.slots[i]
		if sl.server == nil || sl.limit == math.MaxInt32 {
			continue
		}
		if free := min(int32(spare), sl.limit-sl.conns); free > 0 {
			kept[sl.server] = int(free)
			sl.limit = sl.conns + free
		} else {
			sl.limit = min(sl.limit, sl.conns)
		}
	}
	return kept
}

// Resume gives slots away again, to those who wait first.
func (p *Pool) Resume() {
	p.mu.Lock()
	p.frozen = false
	for _, s := range p.Servers() {
		p.refresh(s)
	}
	grants := p.grantAll()
	p.mu.Unlock()
	tellAll(grants)
}

// Entry is what the sticky memory knows the lease's connection by; 0 = nothing.
func (l *Slot) Entry() uint32 { return uint32(l.entry) }

// Handover returns what the pool knows.
func (p *Pool) Handover(now int64) Handover {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(now)
	c := Handover{QueuedPeak: p.queuedPeak.Load()}
	for _, s := range p.Servers() {
		carried := HandoverServer{Identity: s.Identity(), State: s.State(), Peak: s.peak.Load()}
		if n := s.weight.Load(); n != clamp(s.conf.Weight) {
			carried.Weight = &n
		}
		if n := s.maxConn.Load(); n != clamp(s.conf.MaxConn) {
			carried.MaxConn = &n
		}
		if sl := &p.slots[s.slot]; sl.ramp != 0 {
			carried.Ramp = max(p.clock-sl.ramp, 1)
		}
		c.Servers = append(c.Servers, carried)
	}
	for _, first := range p.memory.first {
		for r := first; r != noEntry; r = p.memory.at(r).sibling {
			c.Sticky = append(c.Sticky, p.carryEntry(r))
		}
	}
	return c
}

// Identity returns the server's identity.
func (s *Server) Identity() Identity { return Identity{s.name, s.addrs} }

func (p *Pool) carryEntry(r ref) HandoverEntry {
	e := p.memory.at(r)
	carried := HandoverEntry{
		Ref: uint32(r), Source: e.source, Home: p.names[e.home],
		Age: p.clock - e.left, Peak: e.peak, Peers: e.peers, Allowance: e.allowance,
	}
	if e.refuge != none {
		carried.Refuge = p.names[e.refuge]
	}
	return carried
}

// Restore takes over what the pool of another process knew, before this one is
// used. Servers that are others by now, and what is remembered of them, are
// left out. It returns what the entries of the sticky memory are called here.
func (p *Pool) Restore(c Handover, now int64) (entries map[uint32]uint32) {
	p.queuedPeak.Store(c.QueuedPeak)
	ramps := map[*Server]int64{}
	for _, carried := range c.Servers {
		if s := identified(p.Servers(), carried.Identity); s != nil {
			p.restoreServer(s, carried)
			ramps[s] = carried.Ramp
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(now)
	for s, age := range ramps {
		p.restoreRamp(s, age)
	}
	return p.restoreEntries(c.Sticky)
}

// restoreRamp goes on with a slow start that began so long ago.
func (p *Pool) restoreRamp(s *Server, age int64) {
	sl := &p.slots[s.slot]
	if age == 0 || age >= p.slowStart || sl.tier == unusable {
		return
	}
	if sl.ramp == 0 {
		p.ramping++
	}
	sl.ramp = max(p.clock-age, 1)
	p.setEffective(sl)
}

func (p *Pool) restoreServer(s *Server, carried HandoverServer) {
	carried.State.Suspect = false // the next check tells
	p.commit(s, func(st *State) { *st = carried.State })
	p.adjust(s, func() {
		if carried.Weight != nil {
			s.weight.Store(*carried.Weight)
		}
		if carried.MaxConn != nil {
			s.maxConn.Store(*carried.MaxConn)
		}
		s.peak.Store(carried.Peak)
	})
}

// restoreEntries makes entries, all of them idle for now.
func (p *Pool) restoreEntries(list []HandoverEntry) map[uint32]uint32 {
	slots := map[string]int32{}
	for i, name := range p.names {
		slots[name] = int32(i)
	}
	made := map[uint32]uint32{}
	var order []ref
	// insert puts a sibling right behind the first, so the others come in
	// reverse: a source's entries are next to each other in the list.
	for begin := 0; begin < len(list); {
		end := begin + 1
		for end < len(list) && list[end].Source == list[begin].Source {
			end++
		}
		slices.Reverse(list[begin+1 : end])
		for _, carried := range list[begin:end] {
			if r := p.restoreEntry(carried, slots); r != noEntry {
				made[carried.Ref] = uint32(r)
				order = append(order, r)
			}
		}
		begin = end
	}
	slices.SortFunc(order, func(a, b ref) int { return int(min(max(p.memory.at(a).left-p.memory.at(b).left, -1), 1)) })
	for _, r := range order {
		p.memory.idle(r)
	}
	return made
}

// restoreEntry makes one entry, not yet in the idle list, if its home is here.
func (p *Pool) restoreEntry(carried HandoverEntry, slots map[string]int32) ref {
	home, known := slots[carried.Home]
	if !known {
		return noEntry
	}
	r := p.memory.insert(carried.Source)
	if r == noEntry {
		return noEntry
	}
	e := p.memory.at(r)
	e.home, e.refuge, e.left = home, none, p.clock-carried.Age
	e.peak, e.peers, e.allowance = carried.Peak, carried.Peers, carried.Allowance
	if refuge, known := slots[carried.Refuge]; known {
		e.refuge = refuge
	}
	p.count(e, 1)
	return r
}

// Reinstate takes a slot of s for a connection that has one already, elsewhere:
// whether one is free does not matter. entry is what Restore said of the lease's;
// 0 = none.
func (p *Pool) Reinstate(s *Server, entry uint32) Slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.setConns(s.conns.Load() + 1)
	if s.slot != removed {
		p.slots[s.slot].conns++
	}
	if entry != 0 {
		p.connect(ref(entry))
	}
	return Slot{server: s, entry: ref(entry)}
}

// Identified returns the server that id names, for clients who were connected to
// it by another process: one of the pool's, or one that it has no more, which
// takes nobody and is Leaving until they have gone.
func (p *Pool) Identified(id Identity) *Server {
	if s := identified(p.Servers(), id); s != nil {
		return s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := identified(p.leaving, id); s != nil {
		return s
	}
	s := p.newServer(id.Name, id.Addresses, nil)
	s.gone.Store(true)
	p.leaving = append(p.leaving, s)
	return s
}

// identified finds a server in a list, nil if it is not there.
func identified(servers []*Server, id Identity) *Server {
	if i := slices.IndexFunc(servers, func(s *Server) bool { return s.Identity() == id }); i >= 0 {
		return servers[i]
	}
	return nil
}
