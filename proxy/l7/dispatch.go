package l7

import (
	"net/netip"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// The exchange's way to a server: session.Stream. While it waits, its request is
// pending; reparse makes that the input again.

// Loop implements session.Stream.
func (x *exchange) Loop() *reactor.Loop { return x.client.worker.loop }

// Log implements session.Stream.
func (x *exchange) Log() *accesslog.Record { return x.log }

// Counters implements session.Stream.
func (x *exchange) Counters() *session.Counters { return &x.client.counters().Taken }

// Granted implements backend.Waiter. Any goroutine may call it.
func (x *exchange) Granted(slot backend.Slot) { x.dispatch.Granted(x, slot) }

// Wanted implements session.Stream: the server that the request is for.
func (x *exchange) Wanted(again bool) (r backend.Request, ok bool) {
	if again && !x.reparse() {
		return r, false
	}
	settings := x.client.settings()
	if !again {
		x.dispatch.Pool, x.Endpoint = x.route.Pool, endpointNumber(x.route.Endpoint)
	}
	x.log.Routed(x.dispatch.Pool.Name())
	a := affinity{exchange: x, settings: settings, route: x.route}
	refusal, ok := a.choose()
	if !ok {
		x.refuse(refusal)
	}
	return a.request, ok
}

// reparse parses the head of the request that is pending. It was good when it
// came, so it is good now; if it is not, the client is refused.
func (x *exchange) reparse() bool {
	c := x.client
	p := c.pending.Bytes()
	c.scan = 0
	n, reason := c.worker.request.Parse(p, &c.scan, http1.MaxHead)
	c.worker.input = input{of: c, p: p, n: n, pending: true}
	if n == 0 || reason != http1.ReasonNone {
		x.abandon(backend.Aborted)
		x.refuseHead(generated{why: BadRequest})
		return false
	}
	return true
}

// Assigned implements session.Stream: it forwards the request over a kept-alive
// connection to the slot's server, where there is one.
func (x *exchange) Assigned(waited bool) (connect bool) {
	if waited && !x.reparse() {
		return false
	}
	if refusal, gone := x.misassigned(); gone {
		x.refuse(refusal)
		return false
	}
	x.upstreamPool = x.client.worker.upstreams(x.dispatch.Slot.Server())
	x.dispatch.Note(x)
	if !x.has(toWebSocket) {
		if u := x.upstreamPool.take(x.Endpoint, session.TLSOf(x.dispatch.Pool)); u != nil {
			u.exchange, x.upstream = x, u
			x.Flags |= reused
			upload{x}.forward()
			return false
		}
	}
	x.client.keepInput()
	return true
}

// Waits implements session.Stream.
func (x *exchange) Waits() {
	if x.dispatch.State() == session.Queued {
		x.client.keepInput()
	}
	x.client.arm()
}

// Dial implements session.Stream: from one source address after the other where
// there are several, since each has its own ports.
func (x *exchange) Dial(liveness reactor.Liveness, sources []netip.Addr) unix.Errno {
	x.Flags &^= reused
	pool := x.upstreamPool
	pool.dialed++
	u := &upstream{pool: pool, exchange: x, endpoint: x.Endpoint, tls: session.TLSOf(x.dispatch.Pool)}
	to := reactor.DialOptions{To: pool.server.Addr(endpoints[x.Endpoint]), Liveness: liveness}
	conn, errno := x.loop().DialFrom(to, sources, pool.dialed, u)
	if errno == 0 {
		u.conn, x.upstream = conn, u
	}
	return errno
}

// Target implements session.Stream.
func (x *exchange) Target() conf.Endpoint { return endpoints[x.Endpoint] }

// Preface implements session.Stream.
func (x *exchange) Preface() unix.Errno { return 0 }

// Established implements session.Stream.
func (x *exchange) Established() {
	if x.reparse() {
		upload{x}.forward()
	}
}

// Disconnect implements session.Stream: it closes the upstream connection, if
// there is one.
func (x *exchange) Disconnect(reset bool) {
	u := x.upstream
	if u == nil {
		return
	}
	x.upstream = nil
	if reset {
		u.reset()
	} else {
		u.close()
	}
}

// whyUnserved is what a client is answered that gets no server.
var whyUnserved = map[session.Reason]Why{
	session.NoServer: NoServer, session.QueueTimeout: QueueTimeout, session.NoResources: NoResources,
	session.ConnectRefused: ConnectFailed, session.ConnectFailed: ConnectFailed, session.ConnectTimeout: ServerTimeout,
}

// Unserved implements session.Stream.
func (x *exchange) Unserved(reason session.Reason) {
	if reason == session.NoServer || x.reparse() { // that is known at once: the request is still the input
		x.refuse(generated{why: whyUnserved[reason]})
	}
}

// serverReady handles what has changed on the upstream connection.
func (x *exchange) serverReady() {
	switch x.state {
	case dispatching:
		x.dispatch.Ready(x, x.upstream.conn)
		if x.state == exchanging {
			download{x}.receive() // a server may speak at once, and the kernel reports it once
		}
	case exchanging:
		download{x}.receive()
		if x.state == exchanging {
			upload{x}.sendBody()
		}
	case tunnelling:
		x.client.stream.tunnel.pump()
	}
}
