package l7

import (
	"sync/atomic"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
)

// upstreamPool holds one loop's kept-alive connections to a server that no exchange
// uses at the moment.
type upstreamPool struct {
	worker   *worker
	server   *backend.Server
	tag      mcp.Tag // its name in sessions and cookies
	counters *backend.Counters
	// idle has the connection used last at the end. It is taken from there, so
	// that those that are not needed grow old at the front and expire.
	idle   [len(endpoints)][]*upstream
	waits  atomic.Int32 // the number of idle connections, for other goroutines
	gone   bool         // a reload removed the server
	dialed int          // connection attempts, to use source addresses in turn
}

// freshFor is how long a kept-alive connection is taken to be alive without a
// check: the loop's next turn would have reported its end.
const freshFor = int64(100 * time.Millisecond)

// take returns a kept-alive connection to an endpoint of the server, made under the TLS
// in force, or nil.
func (p *upstreamPool) take(endpoint uint8, tls session.ServerTLS) *upstream {
	for list := p.idle[endpoint]; len(list) > 0; list = p.idle[endpoint] {
		last := len(list) - 1
		u := list[last]
		list[last] = nil
		p.idle[endpoint] = list[:last]
		p.waits.Add(-1)
		if u.tls == tls && (p.worker.loop.Now()-u.since < freshFor || u.silent()) {
			return u
		}
		u.close()
	}
	return nil
}

// put keeps a connection for the next request to its server, as long as the backend
// allows. It closes it when enough are kept already, the server must not be used, or
// other TLS is in force.
func (p *upstreamPool) put(u *upstream, settings *conf.Backend, tls session.ServerTLS) {
	if int(p.waits.Load()) >= p.worker.share(settings.MaxIdle) || p.gone || u.tls != tls || p.server.Removed() || !p.server.State().TakesBound() || !u.quiet() {
		u.close()
		return
	}
	u.exchange, u.since, u.expires = nil, p.worker.loop.Now(), 0
	p.idle[u.endpoint] = append(p.idle[u.endpoint], u)
	p.waits.Add(1)
	if settings.TimeoutIdle == 0 {
		return
	}
	u.expires = u.since + int64(settings.TimeoutIdle)
	if !u.timer.Armed() || u.expires < u.timer.When() {
		p.worker.loop.Arm(&u.timer, u, u.expires)
	}
}

// drop closes an idle connection: it cannot be used any more.
func (p *upstreamPool) drop(u *upstream) {
	list := p.idle[u.endpoint]
	for i, other := range list {
		if other == u {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = nil
			p.idle[u.endpoint] = list[:len(list)-1]
			p.waits.Add(-1)
			break
		}
	}
	u.close()
}

// closeOldest closes up to most idle connections, and returns how many: those of each
// endpoint that were used the longest ago.
func (p *upstreamPool) closeOldest(most int) (closed int) {
	for e, list := range p.idle {
		n := min(len(list), most-closed)
		for _, u := range list[:n] {
			u.close()
		}
		kept := copy(list, list[n:])
		clear(list[kept:])
		p.idle[e] = list[:kept]
		p.waits.Add(-int32(n))
		closed += n
	}
	return closed
}

// closeIdle closes every connection that no exchange uses.
func (p *upstreamPool) closeIdle() {
	for e, list := range p.idle {
		p.idle[e] = nil
		p.waits.Add(-int32(len(list)))
		for _, u := range list {
			u.close()
		}
	}
}
