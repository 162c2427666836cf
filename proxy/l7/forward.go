//go:build linux

package l7

import (
	"slices"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// endpoints are the addresses of a server that requests may go to, so that an
// exchange needs one byte to name one.
var endpoints = [...]conf.Endpoint{conf.EndpointHTTP, conf.EndpointWS, conf.EndpointSSE}

func endpointNumber(e conf.Endpoint) uint8 {
	return uint8(max(slices.Index(endpoints[:], e), 0))
}

// acquire asks the backend for a slot; p[:n] is the request's head.
func (c *client) acquire(request *backend.Request, p []byte, n int, kept bool) {
	c.state = queued // Granted may come before Acquire returns
	lease, result := c.exchange.pool.Acquire(request, c)
	switch result {
	case backend.Granted:
		c.exchange.lease = lease
		c.use(p, n, kept)
	case backend.Queued:
		c.keep(p, kept)
		c.since = c.loop.Now()
		c.arm()
	default:
		c.state = reading
		c.refuseWith(answer{why: NoServer}, p, n)
	}
}

// keep keeps the request for when there is a server for it.
func (c *client) keep(p []byte, kept bool) {
	if !kept {
		c.loop.Keep(&c.pending, p)
	}
}

// Granted implements backend.Waiter: a slot has become free. Any goroutine
// may call it.
func (c *client) Granted(lease backend.Lease) {
	posted := c.loop.Post(func() {
		if c.state != queued {
			lease.Release(backend.Aborted, c.loop.Now())
			return
		}
		c.counters.Taken.Queue.Add(c.loop.Now() - c.since)
		c.exchange.lease = lease
		c.reuse()
	})
	if !posted {
		lease.Release(backend.Aborted, 0)
	}
}

// reuse goes on with the request that was kept.
func (c *client) reuse() {
	p := c.pending.Bytes()
	c.scan = 0
	n, reason := c.worker.request.Parse(p, &c.scan, http1.MaxHead)
	if n == 0 || reason != http1.ReasonNone {
		// It was parsed before: this cannot be.
		c.refuseExchange(answer{why: BadRequest})
		return
	}
	c.use(p, n, true)
}

// use forwards the request over a kept-alive connection to the server, or
// connects first.
func (c *client) use(p []byte, n int, kept bool) {
	x := &c.exchange
	server := x.lease.Server()
	if len(x.tried) > 0 && !slices.Contains(x.tried, server) {
		c.served(x.tried[len(x.tried)-1]).Redispatches.Add(1)
	}
	if x.flags&websocket == 0 && x.endpoint == 0 {
		if u := c.worker.take(server); u != nil {
			u.client = c
			x.upstream = u
			x.flags |= reused
			c.forward(p, n, kept)
			return
		}
	}
	c.keep(p, kept)
	if slices.Contains(x.tried, server) {
		c.served(server).Retries.Add(1)
		c.state, c.since = pausing, c.loop.Now()
		c.arm()
		return
	}
	c.connect()
}

// served are what this loop counts for a server.
func (c *client) served(server *backend.Server) *backend.Counters {
	return server.Counters(c.loop.ID())
}

// connect begins a connection to the server.
func (c *client) connect() {
	x := &c.exchange
	c.state, c.since = connecting, c.loop.Now()
	x.attempts++
	settings := x.pool.InForce()
	u := &upstream{worker: c.worker, server: x.lease.Server(), client: c}
	conn, errno := c.dial(settings, u)
	if errno != 0 {
		c.failed(errno)
		return
	}
	u.conn = conn
	x.upstream = u
	c.arm()
}

// dial connects from one source address after the other where there are
// several: each has ports of its own.
func (c *client) dial(settings *conf.Backend, u *upstream) (*reactor.Conn, unix.Errno) {
	d := reactor.Dialing{
		To:          u.server.Addr(endpoints[c.exchange.endpoint]),
		UserTimeout: int(settings.TimeoutTCPUser / time.Millisecond),
	}
	return c.loop.DialFrom(d, settings.Source, int(c.counters.Requests.Load()), u)
}

// serverReady handles what has changed on the upstream connection.
func (c *client) serverReady() {
	switch c.state {
	case connecting:
		c.connected()
	case exchanging:
		c.receive()
		if c.state == exchanging {
			c.sendBody()
		}
	}
}

// connected ends a connection attempt.
func (c *client) connected() {
	u := c.exchange.upstream
	done, errno := u.conn.Connected()
	if !done {
		return
	}
	if errno == 0 && u.server.State().Health == backend.Down {
		errno = unix.ECONNRESET // it went down meanwhile
	}
	if errno != 0 {
		c.dropUpstream(false)
		c.failed(errno)
		return
	}
	c.counters.Taken.Connect.Add(c.loop.Now() - c.since)
	c.served(u.server).Connections.Add(1)
	p := c.pending.Bytes()
	c.scan = 0
	n, reason := c.worker.request.Parse(p, &c.scan, http1.MaxHead)
	if n == 0 || reason != http1.ReasonNone {
		c.refuseExchange(answer{why: BadRequest})
		return
	}
	c.forward(p, n, true)
}

// dropUpstream closes the upstream connection; broken shows the server RST.
func (c *client) dropUpstream(broken bool) {
	u := c.exchange.upstream
	if u == nil {
		return
	}
	c.exchange.upstream = nil
	u.client = nil
	c.loop.Drop(&u.head)
	if broken {
		u.conn.Reset()
		return
	}
	u.conn.Close()
}

// failed gives the slot back after a failed attempt to connect, and tries
// another server while attempts are left.
func (c *client) failed(errno unix.Errno) {
	x := &c.exchange
	server := x.lease.Server()
	outcome, why := attempt(errno)
	c.release(outcome)
	if outcome == backend.Aborted || x.attempts > x.pool.InForce().Retries {
		c.refuseExchange(answer{why: why})
		return
	}
	if !slices.Contains(x.tried, server) {
		x.tried = append(x.tried, server)
	}
	c.again()
}

// again asks for a server for the request that is kept, another time.
func (c *client) again() {
	p := c.pending.Bytes()
	c.scan = 0
	n, reason := c.worker.request.Parse(p, &c.scan, http1.MaxHead)
	if n == 0 || reason != http1.ReasonNone {
		c.refuseExchange(answer{why: BadRequest})
		return
	}
	settings := c.frontend.Settings()
	request, refusal, ok := c.affinity(settings, settings.route(c.worker.request.Path()))
	if !ok {
		c.refuseExchange(refusal)
		return
	}
	c.acquire(&request, p, n, true)
}

// attempt says what a failed attempt means for the server, and for the client
// should it have been the last.
func attempt(errno unix.Errno) (backend.Outcome, Why) {
	switch errno {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL, unix.EADDRINUSE:
		return backend.Aborted, ConnectFailed // for want of something of our own
	case unix.ECONNREFUSED:
		return backend.Refused, ConnectFailed
	case unix.ETIMEDOUT:
		return backend.ConnectTimeout, ServerTimeout
	}
	return backend.Unreachable, ConnectFailed
}

// release gives the slot back, where the exchange has one.
func (c *client) release(outcome backend.Outcome) {
	server := c.exchange.lease.Server()
	if server == nil {
		return
	}
	counters := c.served(server)
	switch outcome {
	case backend.Refused, backend.Unreachable:
		counters.ConnectErrors.Add(1)
	case backend.ConnectTimeout:
		counters.ConnectTimeouts.Add(1)
	case backend.ServerReset:
		counters.Resets.Add(1)
	case backend.ClientAbort:
		counters.ClientAborts.Add(1)
	case backend.Aborted:
		counters.Aborts.Add(1)
	}
	c.exchange.lease.Release(outcome, c.loop.Now())
}

// abandon ends what the exchange has under way.
func (c *client) abandon(outcome backend.Outcome) {
	c.dropUpstream(true)
	c.release(outcome)
	c.loop.Drop(&c.exchange.replay)
	c.exchange.tried = nil
}

// mostReplay is the largest request that is kept until its answer begins, to be
// sent again or to find its id.
const mostReplay = 16 << 10

// forward sends the request whose head is p[:n], and what of its body is
// there. What follows it stays pending.
func (c *client) forward(p []byte, n int, kept bool) {
	x := &c.exchange
	size, reason := x.request.pass(p[n:])
	if reason != http1.ReasonNone {
		c.refuseWith(answer{why: BadRequest, status: reason.Status(), text: reason.Text()}, p, n)
		return
	}
	end := n + size
	out := c.appendRequest(c.worker.out[:0])
	out = append(out, p[n:end]...)
	c.worker.out = out[:0]
	c.state, c.since = exchanging, c.loop.Now()
	x.response.done = false
	x.upstream.scan = 0
	if end <= mostReplay && x.flags&websocket == 0 {
		c.loop.Keep(&x.replay, p[:end])
		if x.request.done && x.method.Idempotent() {
			x.flags |= replayable
		}
	}
	c.sent(size)
	c.leave(p, end, kept)
	if errno := x.upstream.conn.Send(out); errno != 0 {
		c.serverBroken()
		return
	}
	c.arm()
	if !x.request.done {
		c.sendBody()
	}
}

// leave keeps what stands behind the first n bytes of p: the next request.
func (c *client) leave(p []byte, n int, kept bool) {
	if kept {
		c.loop.Consume(&c.pending, n)
	} else {
		c.loop.Keep(&c.pending, p[n:])
	}
	c.ready = c.pending.Len() > 0
	c.scan = 0
}

// sent counts bytes of a body on their way to the server.
func (c *client) sent(n int) {
	c.served(c.exchange.upstream.server).BytesIn.Add(uint64(n))
}

// sendBody forwards the request's body as it comes.
func (c *client) sendBody() {
	x := &c.exchange
	for moved := 0; c.state == exchanging && !x.request.done; {
		if !c.conn.Readable() || x.upstream.conn.Blocked() {
			return
		}
		if moved >= reactor.Budget {
			c.conn.Again()
			return
		}
		p := c.loop.Scratch()
		n, errno := c.conn.Read(p)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0 || n == 0:
			c.gone()
			return
		}
		c.took(n)
		c.sendPiece(p[:n])
		moved += n
	}
}

// sendPiece forwards one piece of the request's body; what follows the body
// stays pending.
func (c *client) sendPiece(p []byte) {
	x := &c.exchange
	size, reason := x.request.pass(p)
	most := c.frontend.Settings().Frontend.MaxBody
	switch {
	case reason != http1.ReasonNone:
		c.refuseExchange(answer{why: BadRequest, status: reason.Status(), text: reason.Text()})
		return
	case most > 0 && x.request.framing == http1.FramingChunked && x.request.chunked.Size() > most:
		c.refuseExchange(answer{why: BodyTooLarge})
		return
	}
	c.since = c.loop.Now()
	c.sent(size)
	c.leave(p, size, false)
	if errno := x.upstream.conn.Send(p[:size]); errno != 0 {
		// The server takes no more. It may have answered before: its answer
		// is read, and says so.
		x.flags |= upstreamClose
		x.upstream.conn.ReadAgain()
		x.request.done = true
		c.closes = true
	}
}
