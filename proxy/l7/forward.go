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

// choose asks the backend for a slot of the server that the request is for;
// p[:n] is the request's head.
func (c *client) choose(settings *Settings, route *Route, p []byte, n int, kept bool) {
	c.log.Routed(c.exchange.pool.Name())
	request, refusal, ok := c.affinity(settings, route)
	if !ok {
		c.refuseWith(refusal, p, n, kept)
		return
	}
	c.state = queued // Granted may come before Acquire returns
	lease, result := c.exchange.pool.Acquire(&request, c)
	switch result {
	case backend.Granted:
		c.exchange.lease = lease
		c.use(p, n, kept)
	case backend.Queued:
		c.keep(p, kept)
		c.since = c.worker.loop.Now()
		c.arm()
	default:
		c.refuseWith(answer{why: NoServer}, p, n, kept)
	}
}

// Granted implements backend.Waiter: a slot has become free. Any goroutine
// may call it.
func (c *client) Granted(lease backend.Slot) {
	posted := c.worker.loop.Post(func() {
		if c.state != queued {
			lease.Release(backend.Aborted, c.worker.loop.Now())
			return
		}
		waited := c.worker.loop.Now() - c.since
		c.counters.Taken.Queue.Add(waited)
		c.log.Queued(time.Duration(waited))
		c.exchange.lease = lease
		if p, n, ok := c.reparse(); ok {
			c.use(p, n, true)
		}
	})
	if !posted {
		lease.Release(backend.Aborted, 0)
	}
}

// reparse parses the head of the request that is kept. It was good when it
// came, so it is good now; should it not be, the client is told so.
func (c *client) reparse() (p []byte, n int, ok bool) {
	p = c.pending.Bytes()
	c.scan = 0
	n, reason := c.worker.request.Parse(p, &c.scan, http1.MaxHead)
	if n == 0 || reason != http1.ReasonNone {
		c.abandon(backend.Aborted)
		c.refuseHead(answer{why: BadRequest})
		return nil, 0, false
	}
	return p, n, true
}

// use forwards the request over a kept-alive connection to the server of the
// lease, or connects first. A server that has just failed is given a moment.
func (c *client) use(p []byte, n int, kept bool) {
	x := &c.exchange
	if x.astray() {
		c.refuseWith(answer{why: SessionGone}, p, n, kept)
		return
	}
	server := x.lease.Server()
	x.origin = c.worker.origin(server)
	c.log.Sent(x.pool.Name(), server.Name())
	if len(x.tried) > 0 {
		c.countAttempt(server)
	}
	if x.flags&toWebSocket == 0 {
		if u := x.origin.take(x.endpoint); u != nil {
			u.client, x.upstream = c, u
			x.flags |= reused
			c.forward(p, n, kept)
			return
		}
	}
	c.keep(p, kept)
	if slices.Contains(x.tried, server) {
		c.state, c.since = pausing, c.worker.loop.Now()
		c.arm()
		return
	}
	c.connect()
}

// countAttempt counts another attempt, behind one that failed.
func (c *client) countAttempt(server *backend.Server) {
	x := &c.exchange
	if slices.Contains(x.tried, server) {
		x.origin.counters.Retries.Add(1)
		return
	}
	failed := x.tried[len(x.tried)-1]
	failed.Counters(c.worker.loop.ID()).Redispatches.Add(1)
}

// connect begins a connection to the server.
func (c *client) connect() {
	x := &c.exchange
	c.state, c.since = connecting, c.worker.loop.Now()
	x.attempts++
	x.flags &^= reused
	c.log.Dialing(c.since)
	u := &upstream{origin: x.origin, client: c, endpoint: x.endpoint}
	conn, errno := u.dial(x.pool.InForce())
	if errno != 0 {
		c.failed(errno)
		return
	}
	u.conn, x.upstream = conn, u
	c.arm()
}

// dial connects, from one source address after the other where there are
// several: each has ports of its own.
func (u *upstream) dial(settings *conf.Backend) (*reactor.Conn, unix.Errno) {
	u.origin.dialed++
	return u.loop().DialFrom(reactor.DialOptions{
		To:          u.origin.server.Addr(endpoints[u.endpoint]),
		UserTimeout: int(settings.TimeoutTCPUser / time.Millisecond),
	}, settings.Source, u.origin.dialed, u)
}

// serverReady handles what has changed on the upstream connection.
func (c *client) serverReady() {
	switch c.state {
	case connecting:
		c.connected()
		if c.state == exchanging {
			c.receive() // a server may speak at once, and the kernel tells of it once
		}
	case exchanging:
		c.receive()
		if c.state == exchanging {
			c.sendBody()
		}
	}
}

// connected ends a connection attempt.
func (c *client) connected() {
	x := &c.exchange
	done, errno := x.upstream.conn.Connected()
	if !done {
		return
	}
	if errno == 0 && !x.origin.server.State().TakesBound() {
		errno = unix.ECONNRESET // it went down meanwhile
	}
	if errno != 0 {
		c.dropUpstream(false)
		c.failed(errno)
		return
	}
	took := c.worker.loop.Now() - c.since
	c.counters.Taken.Connect.Add(took)
	x.origin.counters.Connections.Add(1)
	x.origin.counters.Connect.Add(took)
	c.log.Connected(c.worker.loop.Now())
	if p, n, ok := c.reparse(); ok {
		c.forward(p, n, true)
	}
}

// dropUpstream closes the upstream connection, if there is one; broken shows
// the server RST.
func (c *client) dropUpstream(broken bool) {
	u := c.exchange.upstream
	if u == nil {
		return
	}
	c.exchange.upstream = nil
	if broken {
		u.reset()
	} else {
		u.close()
	}
}

// failed gives the slot back after a failed attempt, of which not a byte was
// forwarded, and tries another server while attempts are left.
func (c *client) failed(errno unix.Errno) {
	x := &c.exchange
	server := x.lease.Server()
	outcome, why := attempt(errno)
	c.release(outcome)
	if outcome == backend.Aborted || int(x.attempts) > x.pool.InForce().Retries {
		c.giveUp(answer{why: why})
		return
	}
	if !slices.Contains(x.tried, server) {
		x.tried = append(x.tried, server)
	}
	if p, n, ok := c.reparse(); ok {
		settings := c.frontend.Settings()
		c.choose(settings, settings.route(c.worker.request.Path()), p, n, true)
	}
}

// attempt says what a failed attempt means for the server, and for the client
// should it have been the last.
func attempt(errno unix.Errno) (backend.Outcome, Why) {
	switch errno {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL, unix.EADDRINUSE:
		return backend.Aborted, NoResources // of our own
	case unix.ECONNREFUSED:
		return backend.Refused, ConnectFailed
	case unix.ETIMEDOUT:
		return backend.ConnectTimeout, ServerTimeout
	}
	return backend.Unreachable, ConnectFailed
}

// release gives the slot back, where the exchange has one.
func (c *client) release(outcome backend.Outcome) {
	x := &c.exchange
	server := x.lease.Server()
	if server == nil {
		return
	}
	if outcome != backend.Completed {
		server.Counters(c.worker.loop.ID()).CountOutcome(outcome)
	}
	x.lease.Release(outcome, c.worker.loop.Now())
}

// abandon ends what the exchange has under way.
func (c *client) abandon(outcome backend.Outcome) {
	x := &c.exchange
	c.dropUpstream(true)
	c.release(outcome)
	c.tidy()
	c.worker.loop.Drop(&x.replay)
}

// tidy lets go of what an exchange that is over does not need.
func (c *client) tidy() {
	x := &c.exchange
	x.tried, x.refusal, x.bound, x.origin = nil, nil, nil, nil
	if x.recoder != nil {
		c.worker.recoders.put(x.recoder)
		x.recoder = nil
	}
}
