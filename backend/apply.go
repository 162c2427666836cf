package backend

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"mcplb/conf"
)

// Apply puts a new configuration of the same backend in force, in place. It
// resolves every address by resolve; if that fails, it changes nothing.
//
// A server that was there before (the same name and addresses) stays the same
// *Server with its state, counters and slots. Its weight and maxconn are set
// only where the configuration changed them, so that what the operator set at
// run time survives. What is new starts unchecked; one that takes over a name
// with another address keeps what the operator said of it (ready, drain, maint). What is no longer there is
// returned: it takes nobody any more, and its leases live on until released.
//
// Sources keep their homes: the sticky memory goes by the server's name, so a
// server of a new address gets the sources of the one that it replaces.
func (p *Pool) Apply(c conf.Backend, resolve func(hostport string) (netip.AddrPort, error)) ([]*Server, error) {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	before := p.Servers()
	after, err := p.resolveServers(before, c, resolve)
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", c.Name, err)
	}
	gone := missing(before, after)
	p.mu.Lock()
	p.install(c, gone, after)
	grants := p.grantAll()
	p.mu.Unlock()
	tellAll(grants)
	return gone, nil
}

// resolveServers returns the servers of c in their order: those of before that
// have the same identity, and new ones.
func (p *Pool) resolveServers(before []*Server, c conf.Backend, resolve func(string) (netip.AddrPort, error)) ([]*Server, error) {
	byName := make(map[string]*Server, len(before))
	for _, s := range before {
		byName[s.name] = s
	}
	seen := make(map[string]bool, len(c.Servers))
	after := make([]*Server, len(c.Servers))
	for i, sc := range c.Servers {
		if seen[sc.Name] {
			return nil, fmt.Errorf("server %s: two servers have this name", sc.Name)
		}
		seen[sc.Name] = true
		addrs, err := resolveAddresses(sc, resolve)
		if err != nil {
			return nil, err
		}
		if after[i] = byName[sc.Name]; after[i] == nil || after[i].addrs != addrs {
			after[i] = p.newServer(sc.Name, addrs, byName[sc.Name])
		}
	}
	return after, nil
}

// missing returns the servers of before that are not in after.
func missing(before, after []*Server) []*Server {
	stays := make(map[*Server]bool, len(after))
	for _, s := range after {
		stays[s] = true
	}
	var gone []*Server
	for _, s := range before {
		if !stays[s] {
			gone = append(gone, s)
		}
	}
	return gone
}

// install makes c the configuration in force, takes the servers that are gone
// out of their slots and gives every new one a slot.
func (p *Pool) install(c conf.Backend, gone, after []*Server) {
	p.balance = c.Balance
	p.factor = c.BalanceFactor
	p.sticky = int64(c.StickyTime)
	p.slowStart = int64(c.SlowStart)
	for _, s := range gone {
		p.evict(s)
	}
	p.leaving = append(stillLeaving(p.leaving), gone...)
	p.seat(after)
	for i, s := range after {
		p.adopt(s)
		p.configure(s, c.Servers[i])
	}
	p.config.Store(&c)
	p.servers.Store(&after)
}

// evict empties the slot of s but for what sources remember.
func (p *Pool) evict(s *Server) {
	p.queue.unbind(s)
	p.stopRamp(s.slot)
	sl := &p.slots[s.slot]
	*sl = slot{hash: sl.hash, attributed: sl.attributed, residents: sl.residents}
	s.slot = removed
	s.gone.Store(true)
}

// stillLeaving returns those of servers that have connections left.
func stillLeaving(servers []*Server) []*Server {
	return slices.DeleteFunc(servers, func(s *Server) bool { return s.Conns() == 0 })
}

// Leaving returns the servers that reloads took away while clients were
// connected to them, for as long as they are.
func (p *Pool) Leaving() []*Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = stillLeaving(p.leaving)
	return slices.Clone(p.leaving)
}

// Retire says that a reload took the whole backend away: its servers are
// Removed. Clients that use them or wait for them are served all the same.
func (p *Pool) Retire() {
	for _, s := range p.Servers() {
		s.gone.Store(true)
	}
}

// seat gives a slot to every server without one: the empty slot of its name if
// sources remember that, else one that nobody remembers, else a new one.
func (p *Pool) seat(servers []*Server) {
	remembered := make(map[string]int)
	var forgotten []int
	for i := range p.slots {
		switch sl := &p.slots[i]; {
		case sl.server != nil:
		case sl.residents.entries > 0 || sl.residents.guests > 0:
			remembered[p.names[i]] = i
		default:
			forgotten = append(forgotten, i)
		}
	}
	for _, s := range servers {
		if s.slot != removed {
			continue
		}
		i, ok := remembered[s.name]
		if !ok && len(forgotten) > 0 {
			i, ok = forgotten[0], true
			forgotten = forgotten[1:]
		}
		if !ok {
			i = len(p.slots)
			p.slots, p.names = append(p.slots, slot{residents: &residents{}}), append(p.names, "")
		}
		sl := &p.slots[i]
		sl.server, sl.hash, sl.endpoints = s, xxhash.Sum64String(s.name), s.endpoints
		p.names[i] = s.name
		s.slot = i
	}
	p.homes = slices.Grow(p.homes[:0], len(p.slots))
	p.others = slices.Grow(p.others[:0], len(p.slots))
}

// configure puts into force what c changes of the server's numbers.
func (p *Pool) configure(s *Server, c conf.Server) {
	if c.Weight != s.conf.Weight {
		s.weight.Store(clamp(c.Weight))
	}
	if c.MaxConn != s.conf.MaxConn {
		s.maxConn.Store(clamp(c.MaxConn))
	}
	s.conf = c
	p.refresh(s)
}

// newServer makes a server that is in no slot yet. What belongs to the name it
// has from the server before, if there is one; that may change meanwhile, and
// so adopt must follow.
func (p *Pool) newServer(name string, addrs addresses, before *Server) *Server {
	s := &Server{
		pool:      p,
		name:      name,
		addrs:     addrs,
		endpoints: addrs.endpoints(),
		slot:      removed,
		before:    before,
	}
	if before != nil {
		s.counters = before.counters
	} else {
		s.counters = make([]Counters, p.loops)
	}
	s.state.Store(&State{Since: time.Now()})
	return s
}

// adopt takes over what the operator said of the server before, which had the
// name of s.
func (p *Pool) adopt(s *Server) {
	before := s.before
	if before == nil {
		return
	}
	s.before = nil
	s.conf = before.conf
	s.weight.Store(before.weight.Load())
	s.maxConn.Store(before.maxConn.Load())
	was := before.State()
	s.state.Store(&State{Admin: was.Admin, AdminReason: was.AdminReason, Since: s.State().Since})
}
