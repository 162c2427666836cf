package proxy

import (
	"slices"
	"strings"

	"mcplb/backend"
	"mcplb/proxy/admin"
)

// leaving is what reloads took out of the configuration while clients were
// connected. It is shown until they have gone; what it counted is not lost for
// the sums over the whole balancer.
type leaving struct {
	frontends map[string]*layered
	pools     []*pool
	forgotten admin.Frontend // the counters of frontends that have gone
}

// prune forgets what nobody is connected by any more. While a process before
// has clients that may come, it forgets nothing.
func (p *Proxy) prune() {
	l := &p.leaving
	if p.gate.other.Load() > 0 || len(l.frontends)+len(l.pools) == 0 {
		return
	}
	p.everywhere() // who is on the way to a loop is counted there
	for name, f := range l.frontends {
		if f.current() == 0 {
			f.show(&l.forgotten)
			delete(l.frontends, name)
		}
	}
	used := map[string]bool{}
	for _, f := range p.allFrontends() {
		for _, layer := range f.layers() {
			for _, name := range backendsOf(layer.config()) {
				used[name] = true
			}
		}
	}
	l.pools = slices.DeleteFunc(l.pools, func(b *pool) bool {
		return b.Queued() == 0 && len(b.Leaving()) == 0 && !(used[b.Name()] && p.backends[b.Name()] == nil) &&
			!slices.ContainsFunc(b.Servers(), func(s *backend.Server) bool { return s.Conns() > 0 })
	})
}

// sessions returns how many sessions there have been, and adds those refused by
// reason.
func (l *leaving) sessions(refused map[string]uint64) uint64 {
	var sum admin.Frontend
	for _, f := range l.frontends {
		f.show(&sum)
	}
	addCounts(&refused, sum.Refused)
	addCounts(&refused, l.forgotten.Refused)
	return sum.Connections.Total + l.forgotten.Connections.Total
}

// showLeaving shows what is leaving.
func (p *Proxy) showLeaving() admin.Leaving {
	var shown admin.Leaving
	for name, f := range p.leaving.frontends {
		if n := f.current(); n > 0 {
			shown.Frontends = append(shown.Frontends, admin.LeavingFrontend{Name: name, Connections: int64(n)})
		}
	}
	slices.SortFunc(shown.Frontends, func(a, b admin.LeavingFrontend) int { return strings.Compare(a.Name, b.Name) })
	show := func(backend string, servers []*backend.Server) {
		for _, server := range servers {
			if n := server.Conns(); n > 0 {
				shown.Servers = append(shown.Servers, admin.LeavingServer{
					Backend: backend, Name: server.Name(), Addresses: serverAddresses(server), Connections: int64(n),
				})
			}
		}
	}
	for _, c := range p.config.Backends {
		show(c.Name, p.backends[c.Name].Leaving())
	}
	for _, b := range p.leaving.pools {
		show(b.Name(), b.Servers())
		show(b.Name(), b.Leaving())
	}
	return shown
}
