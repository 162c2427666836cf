package l7

import (
	"net/netip"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/proxy/websocket"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// A client goes to another process as an l4 session does: Detach, and then
// Gone, or Back.
//
//	state       may move when                            and begins there
//	header      always                                   header
//	reading     always, be it within a head              reading
//	queued      it still waits                           its request is read again, and waits
//	exchanging  the request has been forwarded whole,    exchanging: a stream, or the rest of
//	            the answer has begun, and nothing of it  an answer
//	            is held back (not while it is
//	            compressed)
//	tunnelling  its relay may                            tunnelling
//	others      never: they do not last
//
// A connection with TLS is not Movable.

// Carried is what there is to know of a client, its sockets aside. It is fit for
// encoding. Times are relative to the moment of Detach.
type Carried struct {
	From     netip.AddrPort
	State    uint8
	Waited   int64 // nanoseconds since Client.since
	Resume   int64 // nanoseconds until the next request is read; 0 = now
	Pending  []byte
	Requests uint32
	Closes   bool
	HalfOpen bool
	Exchange CarriedExchange
	Tunnel   *CarriedTunnel
	ToClient []byte // parked
	Log      *accesslog.Record
}

// CarriedExchange is an answer that is under way, or what a tunnel came of.
type CarriedExchange struct {
	Began, Sent int64 // nanoseconds ago
	Attempts    uint16
	Flags       uint16
	Endpoint    uint8
	Method      uint8
	Framing     uint8
	Left        int64
	Chunked     http1.Chunked
	Rewriter    *mcp.EndpointRewriter // of a recoder that does not compress; nil = none
	Chunks      bool
	ToServer    []byte // parked
}

// CarriedTunnel is a WebSocket connection.
type CarriedTunnel struct {
	Relay    l4.CarriedRelay
	Up, Down websocket.FrameMeter
}

// Holds are the slot and the source that the client holds.
func (c *client) Holds() (*backend.Slot, *ratelimit.Source) { return &c.exchange.lease, c.source }

// Detach takes the client off its loop, if it can move now.
func (c *client) Detach() (carried *Carried, d l4.Detached, ok bool) {
	if !c.movable() || c.state == queued && !c.exchange.pool.Cancel(c) {
		return nil, d, false
	}
	carried = c.carry()
	loop := c.worker.loop
	loop.Disarm(&c.timer)
	if t := c.tunnel; t != nil {
		carried.Tunnel = &CarriedTunnel{Up: t.up, Down: t.down}
		carried.Tunnel.Relay, d, ok = t.relay.Detach()
		return carried, d, ok
	}
	d = l4.Detached{Client: c.conn.Detach(), Server: reactor.Detached{FD: -1}}
	carried.ToClient = d.Client.Parked
	if u := c.exchange.upstream; u != nil {
		loop.Disarm(&u.timer)
		d.Server = u.conn.Detach()
		carried.Exchange.ToServer = d.Server.Parked
	}
	return carried, d, true
}

// movable tells whether the client may be detached.
func (c *client) movable() bool {
	switch c.state {
	case tunnelling:
		return c.tunnel.relay.Movable()
	case header, reading, queued:
		return c.conn.Detachable()
	case exchanging:
		x := &c.exchange
		r := x.recoder
		return x.request.done && x.flags&answered != 0 && x.upstream.head.Len() == 0 &&
			(r == nil || r.zip == nil) &&
			c.conn.Detachable() && x.upstream.conn.Detachable()
	}
	return false
}

// carry puts down what there is to know.
func (c *client) carry() *Carried {
	x, now := &c.exchange, c.worker.loop.Now()
	carried := &Carried{
		From: c.from, State: uint8(c.state), Waited: now - c.since,
		Pending: append([]byte(nil), c.pending.Bytes()...), Requests: c.requests,
		Closes: c.closes, HalfOpen: c.halfOpen, Log: c.log,
	}
	if c.resume != 0 {
		carried.Resume = max(c.resume-now, 1)
	}
	if c.state == exchanging || c.state == tunnelling {
		carried.Exchange = CarriedExchange{
			Began: now - x.began, Sent: now - x.sent, Attempts: x.attempts, Flags: uint16(x.flags),
			Endpoint: x.endpoint, Method: uint8(x.method),
			Framing: uint8(x.response.framing), Left: x.response.left, Chunked: x.response.chunked,
		}
		if r := x.recoder; r != nil {
			endpoint := r.endpoint
			carried.Exchange.Rewriter, carried.Exchange.Chunks = &endpoint, r.chunks
		}
	}
	return carried
}

// Gone ends a detached client here, without a word: it lives on elsewhere.
func (c *client) Gone(d *l4.Detached) {
	d.Close()
	loop, x := c.worker.loop, &c.exchange
	c.worker.log.Drop(c.log)
	c.log = nil
	c.state, c.tunnel, x.upstream = finished, nil, nil
	x.lease.Release(backend.Completed, loop.Now())
	c.tidy()
	loop.Drop(&x.replay)
	loop.Drop(&c.pending)
	c.leaveFrontend()
}

// Back puts a detached client on its loop again.
func (c *client) Back(carried *Carried, d *l4.Detached) { c.goOn(carried, d) }

// leaveFrontend lets go of what every client holds to its end.
func (c *client) leaveFrontend() {
	c.source.Release()
	c.frontend.current.Add(-1)
	c.worker.loop.AddLoad(-1)
	c.frontend.gate.Left()
}

// goOn puts a client on its loop, in the state in which it was detached.
func (c *client) goOn(carried *Carried, d *l4.Detached) {
	if !c.attach(carried, d) {
		c.conn = nil
		c.exchange.upstream = nil
		c.finish(l4.NoResources)
		return
	}
	c.state = state(carried.State)
	switch c.state {
	case tunnelling:
		return
	case queued:
		c.state = reading
		c.again(carried)
		return
	}
	c.arm()
	c.conn.Yield()
}

// attach adopts the connections.
func (c *client) attach(carried *Carried, d *l4.Detached) bool {
	loop := c.worker.loop
	if t := c.tunnel; t != nil {
		if t.relay.Attach(loop, &carried.Tunnel.Relay, d) != 0 {
			return false
		}
		c.conn = t.relay.Client()
		return true
	}
	conn, errno := loop.Attach(d.Client, c)
	if errno != 0 {
		if d.Server.FD >= 0 {
			unix.Close(d.Server.FD)
		}
		return false
	}
	c.conn = conn
	u := c.exchange.upstream
	if u == nil {
		return true
	}
	if u.conn, errno = loop.Attach(d.Server, u); errno != 0 {
		c.conn.Reset()
		return false
	}
	return true
}

// again asks for a slot once more, for a request that was counted, charged and
// queued before.
func (c *client) again(carried *Carried) {
	p, n, ok := c.reparse()
	if !ok {
		return
	}
	settings := c.frontend.Settings()
	c.note(settings)
	c.halfOpen, c.closes = carried.HalfOpen, carried.Closes
	x := &c.exchange
	route := settings.route(c.worker.request.Path())
	x.pool, x.endpoint = route.Pool, endpointNumber(route.Endpoint)
	c.choose(settings, route, p, n, true)
}

// Adopt goes on with a client that another process has detached, on its loop.
// The source and, where it has one, the lease, which is of the pool, are as it
// held them there. The loop's load counts it already.
func (f *Frontend) Adopt(loop *reactor.Loop, carried *Carried, d *l4.Detached, source *ratelimit.Source, lease backend.Slot, pool *backend.Pool) {
	f.count(f.current.Add(1))
	w := f.workers[loop.ID()]
	now := loop.Now()
	c := &client{
		frontend: f, worker: w, counters: &f.counters[loop.ID()], from: carried.From, source: source,
		since: now - carried.Waited, requests: carried.Requests, closes: carried.Closes, halfOpen: carried.HalfOpen,
		log: w.log.Adopt(carried.Log),
	}
	if carried.Resume > 0 {
		c.resume = now + carried.Resume
	}
	loop.Append(&c.pending, carried.Pending)
	c.ready = c.pending.Len() > 0
	c.adoptExchange(&carried.Exchange, lease, pool)
	if t := carried.Tunnel; t != nil {
		c.tunnel = &tunnel{client: c, up: t.Up, down: t.Down}
		c.tunnel.relay.Serve(c.tunnel, &c.counters.Taken, c.exchange.origin.counters, c.log)
		c.exchange.upstream = nil
	}
	c.goOn(carried, d)
}

// adoptExchange goes on with an answer under way, where there is one.
func (c *client) adoptExchange(carried *CarriedExchange, lease backend.Slot, pool *backend.Pool) {
	x, now := &c.exchange, c.worker.loop.Now()
	server := lease.Server()
	if server == nil {
		return
	}
	x.pool, x.lease, x.origin = pool, lease, c.worker.origin(server)
	x.began, x.sent = now-carried.Began, now-carried.Sent
	x.attempts, x.flags, x.method = carried.Attempts, exchangeFlags(carried.Flags), http1.Method(carried.Method)
	x.endpoint = carried.Endpoint
	x.request.done = true
	x.response = body{framing: http1.Framing(carried.Framing), left: carried.Left, chunked: carried.Chunked}
	x.upstream = &upstream{origin: x.origin, client: c, endpoint: x.endpoint}
	if carried.Rewriter != nil {
		x.recoder = c.worker.recoders.plain()
		x.recoder.endpoint, x.recoder.chunks = *carried.Rewriter, carried.Chunks
	}
}

// Counters are what one loop counts for the frontend.
func (f *Frontend) Counters(loop int) *Counters { return &f.counters[loop] }

// RestorePeak takes over the most there have been in another process.
func (f *Frontend) RestorePeak(n int) { f.count(int64(n)) }

// Parked is what was not taken yet by the client and by the server.
func (c *Carried) Parked() (toClient, toServer []byte) {
	if c.Tunnel != nil {
		return c.Tunnel.Relay.ToClient, c.Tunnel.Relay.ToServer
	}
	return c.ToClient, c.Exchange.ToServer
}
