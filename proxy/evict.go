package proxy

import (
	"sync"
	"sync/atomic"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// evictions tell sessions of the servers that they may not use any more. One
// look at all sessions does for every server that was lost before it began: a
// thousand that are lost together cost hardly more than one.
//
//	state     event                          next
//	idle      a server is lost               looking
//	looking   a server is lost               looking; noted for the next look
//	looking   every loop has looked          looking if any is noted, else idle
type evictions struct {
	engine *reactor.Engine

	mu      sync.Mutex
	noted   map[*backend.Server]conf.OnDown // guarded by mu: not looked for yet
	looking bool                            // guarded by mu
}

// add has the sessions of a server told, soon, with what is to become of those
// that it serves. Any goroutine may call it.
func (e *evictions) add(server *backend.Server, policy conf.OnDown) {
	e.mu.Lock()
	if e.noted == nil {
		e.noted = map[*backend.Server]conf.OnDown{}
	}
	e.noted[server] = policy
	idle := !e.looking
	e.looking = true
	e.mu.Unlock()
	if idle {
		e.look()
	}
}

// underWay reports whether somebody may still have to be told.
func (e *evictions) underWay() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.looking
}

// look begins a look for what is noted.
func (e *evictions) look() {
	e.mu.Lock()
	lost := e.noted
	e.noted = nil
	e.looking = len(lost) > 0
	e.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	each(e.engine, func(s session.Session) {
		if server := s.Server(); server != nil {
			if policy, found := lost[server]; found {
				s.ServerDown(policy)
			}
		}
	}, e.look)
}

// each calls f for every session, on its loop, and then, on one of them or at
// once, done. It returns without waiting.
func each(engine *reactor.Engine, f func(session.Session), done func()) {
	var left atomic.Int32
	left.Store(int32(len(engine.Loops())))
	ended := func() {
		if left.Add(-1) == 0 {
			done()
		}
	}
	visit := func(c *reactor.Conn) {
		if s := session.Of(c); s != nil {
			f(s)
		}
	}
	for _, loop := range engine.Loops() {
		if !loop.Post(func() { loop.Sweep(visit, ended) }) {
			ended()
		}
	}
}
