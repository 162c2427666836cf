package proxy

import (
	"sync"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// disconnector notifies sessions of servers that they may not use any more. One
// pass over all sessions covers every server that was lost before it began: a
// thousand servers lost together cost hardly more than one.
//
//	state     event                       next
//	idle      a server is lost            passing
//	passing   a server is lost            passing; noted for the next pass
//	passing   every loop is done          passing if any is noted, else idle
type disconnector struct {
	engine *reactor.Engine

	mu      sync.Mutex
	noted   map[*backend.Server]conf.OnDown // guarded by mu: lost since the pass under way began
	passing bool                            // guarded by mu
}

// add has the sessions of a lost server notified, soon, with the policy for those
// connected to it. Any goroutine may call it.
func (d *disconnector) add(server *backend.Server, policy conf.OnDown) {
	d.mu.Lock()
	if d.noted == nil {
		d.noted = map[*backend.Server]conf.OnDown{}
	}
	d.noted[server] = policy
	idle := !d.passing
	d.passing = true
	d.mu.Unlock()
	if idle {
		d.pass()
	}
}

// underWay reports whether sessions may still have to be notified.
func (d *disconnector) underWay() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passing
}

// pass begins a pass for the servers that are noted.
func (d *disconnector) pass() {
	d.mu.Lock()
	lost := d.noted
	d.noted = nil
	d.passing = len(lost) > 0
	d.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	eachSession(d.engine, func(s session.Session) {
		if server := s.Server(); server != nil {
			if policy, found := lost[server]; found {
				s.ServerDown(policy)
			}
		}
	}, d.pass)
}
