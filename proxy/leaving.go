package proxy

import (
	"slices"
	"strings"

	"mcplb/backend"
	"mcplb/proxy/admin"
)

// leaving are the frontends and backends that a reload removed while clients were
// connected. They are shown until those have gone. What they counted stays in the
// balancer's totals.
type leaving struct {
	frontends map[string]*layered
	pools     []*pool
	forgotten admin.Frontend // the counters of frontends that have lost their last client
}

// pruneFrontends forgets the frontends without clients, but not their counters.
func (l *leaving) pruneFrontends() {
	for name, f := range l.frontends {
		if f.current() == 0 {
			f.show(&l.forgotten)
			delete(l.frontends, name)
		}
	}
}

// prunePools forgets the pools without clients, except those still in use by a
// frontend.
func (l *leaving) prunePools(used func(*pool) bool) {
	l.pools = slices.DeleteFunc(l.pools, func(b *pool) bool {
		return b.Queued() == 0 && len(b.Leaving()) == 0 && !used(b) &&
			!slices.ContainsFunc(b.Servers(), func(s *backend.Server) bool { return s.Conns() > 0 })
	})
}

// counted returns what frontends that have left or are leaving have counted, as far
// as the balancer's totals have it.
func (l *leaving) counted() admin.Frontend {
	var sum admin.Frontend
	for _, f := range l.frontends {
		f.show(&sum)
	}
	addCounts(&sum.Refused, l.forgotten.Refused)
	sum.Connections.Total += l.forgotten.Connections.Total
	sum.MessagesDelayed += l.forgotten.MessagesDelayed
	sum.MessagesRejected += l.forgotten.MessagesRejected
	return sum
}

// showFrontends shows the frontends that have clients.
func (l *leaving) showFrontends() (shown []admin.LeavingFrontend) {
	for name, f := range l.frontends {
		if n := f.current(); n > 0 {
			shown = append(shown, admin.LeavingFrontend{Name: name, Connections: int64(n)})
		}
	}
	slices.SortFunc(shown, func(a, b admin.LeavingFrontend) int { return strings.Compare(a.Name, b.Name) })
	return shown
}

// showLeavingServers shows those of a backend's servers that have clients.
func showLeavingServers(backend string, servers []*backend.Server) (shown []admin.LeavingServer) {
	for _, server := range servers {
		if n := server.Conns(); n > 0 {
			shown = append(shown, admin.LeavingServer{
				Backend: backend, Name: server.Name(), Addresses: serverAddresses(server), Connections: int64(n),
			})
		}
	}
	return shown
}

// showLeaving shows what is leaving: frontends, backends, and servers of backends
// that stay.
func (p view) showLeaving() admin.Leaving {
	shown := admin.Leaving{Frontends: p.leaving.showFrontends()}
	for _, c := range p.config.Backends {
		shown.Servers = append(shown.Servers, showLeavingServers(c.Name, p.backends[c.Name].Leaving())...)
	}
	for _, b := range p.leaving.pools {
		shown.Servers = append(shown.Servers, showLeavingServers(b.Name(), slices.Concat(b.Servers(), b.Leaving()))...)
	}
	return shown
}
