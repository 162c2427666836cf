package backend

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mcplb/conf"
)

// Apply puts a new configuration of the same backend in force, in place. It
// resolves every address by resolve; if that fails, it changes nothing. A server
// whose address resolves to an invalid one, without an error, has no such endpoint.
//
// A server that was there before (the same name and addresses) stays the same
// *Server with its state, counters and slots. Its weight and maxconn are set
// only where the configuration changed them, so that what the operator set at
// run time survives; so it is with disabled, and the command ready. A new server
// starts unchecked, in maintenance if it is disabled; one that takes over a name with
// another address keeps the operator's settings (ready, drain, maint). Apply
// returns the servers that are no longer there: they take no clients any more,
// and their slots stay valid until released.
//
// Sources keep their servers: hash and sticky memory go by the server's name, so
// a server with a new address gets the sources of the one that it replaces.
func (p *Pool) Apply(c conf.Backend, resolve func(hostport string) (netip.AddrPort, error)) ([]*Server, error) {
	addresses, err := resolveAll(c, resolve)
	if err != nil {
		return nil, err
	}
	return p.ApplyAt(c, addresses)
}

// ApplyAt is Apply with the servers' addresses, in their order, instead of a way to
// resolve them.
func (p *Pool) ApplyAt(c conf.Backend, addresses []Addresses) ([]*Server, error) {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	before := p.Servers()
	after, err := p.identify(before, c, addresses)
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", c.Name, err)
	}
	gone := missing(before, after)
	p.mu.Lock()
	p.install(c, gone, after)
	grants := p.balancer.grantAll()
	p.mu.Unlock()
	p.changes.deliver()
	deliver(grants)
	return gone, nil
}

// identify returns the servers of c in their order: those of before that have the
// same identity, and new ones.
func (p *Pool) identify(before []*Server, c conf.Backend, addresses []Addresses) ([]*Server, error) {
	byName := make(map[string]*Server, len(before))
	for _, s := range before {
		byName[s.id.Name] = s
	}
	seen := make(map[string]bool, len(c.Servers))
	after := make([]*Server, len(c.Servers))
	for i, sc := range c.Servers {
		if seen[sc.Name] {
			return nil, fmt.Errorf("server %s: two servers have this name", sc.Name)
		}
		seen[sc.Name] = true
		id := Identity{sc.Name, addresses[i]}
		if after[i] = byName[sc.Name]; after[i] == nil || after[i].id != id {
			after[i] = p.newServer(id, byName[sc.Name])
			after[i].startDisabled(sc.Disabled)
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

// install puts c in force: it takes the servers that are gone out of the
// balancer and gives every new one a member there.
func (p *Pool) install(c conf.Backend, gone, after []*Server) {
	p.balancer.configure(&c)
	for _, s := range gone {
		p.balancer.remove(s)
		s.gone.Store(true)
	}
	p.leaving = append(stillLeaving(p.leaving), gone...)
	p.balancer.seat(after)
	for i, s := range after {
		s.succeed()
		s.configure(c.Servers[i])
		p.balancer.refresh(s)
	}
	p.config.Store(&c)
	p.servers.Store(&after)
}

// stillLeaving reduces servers to those that have connections left.
func stillLeaving(servers []*Server) []*Server {
	return slices.DeleteFunc(servers, func(s *Server) bool { return s.Conns() == 0 })
}

// Retire marks every server as Removed, after a reload removed the backend.
// Clients that use the servers or wait for them are served all the same.
func (p *Pool) Retire() {
	for _, s := range p.Servers() {
		s.gone.Store(true)
	}
}

// newServer makes a server that has no member yet. It shares counters and sessions with
// its predecessor, if that is not nil, and takes over the settings that may still
// change there later, by succeed.
func (p *Pool) newServer(id Identity, predecessor *Server) *Server {
	s := &Server{pool: p, id: id, member: removed, predecessor: predecessor}
	if predecessor != nil {
		s.counters, s.sessions = predecessor.counters, predecessor.sessions
	} else {
		s.counters, s.sessions = make([]Counters, p.loops), new(sessions)
	}
	s.state.Store(&State{Since: time.Now()})
	return s
}

// startDisabled makes a server that has no predecessor start in maintenance.
func (s *Server) startDisabled(disabled bool) {
	if !disabled || s.predecessor != nil {
		return
	}
	s.conf.Disabled = true
	now := s.State().Since
	s.state.Store(&State{Admin: Maint, AdminReason: reasonDisabled, AdminSince: now, Since: now})
}

// succeed takes over the operator's settings of the predecessor, if there is one.
func (s *Server) succeed() {
	old := s.predecessor
	if old == nil {
		return
	}
	s.predecessor = nil
	s.conf = old.conf
	s.weight.Store(old.weight.Load())
	s.maxConn.Store(old.maxConn.Load())
	was := old.State()
	since := s.State().Since
	s.state.Store(&State{
		Admin: was.Admin, AdminReason: was.AdminReason, AdminSince: was.AdminSince, Since: since, Withdrawn: was.Withdrawn,
		Outages: Outages{Count: was.Outages.Count, Last: was.Outages.Last, Ended: was.Downtime(since)},
	})
}

// configure puts in force what c changes of the server, and whether it is withdrawn.
// The caller holds pool.mu, and has changes delivered.
func (s *Server) configure(c conf.Server) {
	if c.Weight != s.conf.Weight {
		s.weight.Store(clamp(c.Weight))
	}
	if c.MaxConn != s.conf.MaxConn {
		s.maxConn.Store(clamp(c.MaxConn))
	}
	disabled := s.conf.Disabled
	s.conf = c
	if s.State().Withdrawn != c.NoNewClients {
		s.change(func(st *State) { st.Withdrawn = c.NoNewClients })
	}
	if c.Disabled != disabled {
		s.change(func(st *State) { st.disable(c.Disabled, time.Now()) })
	}
}
