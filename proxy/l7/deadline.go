package l7

import (
	"time"

	"mcplb/backend"
	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// shorter is the smaller of two limits of which 0 means none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// arm sets the timer for the present state's deadline, unless it runs out
// earlier anyway: then it is set again when it does.
func (c *client) arm() {
	deadline := c.deadline()
	if deadline == 0 || c.timer.Armed() && c.timer.When() <= deadline {
		return
	}
	c.worker.loop.Arm(&c.timer, c, deadline)
}

// deadline is when the present state ends unless something happens; 0 = never.
func (c *client) deadline() int64 {
	if c.state == reading && c.resume != 0 {
		return c.resume
	}
	if limit := c.limit(); limit > 0 {
		return c.since + int64(limit)
	}
	return 0
}

// limit is how long the present state may last, from c.since on; 0 = forever.
//
//	state       limit                                     since
//	header      l4.HeaderTimeout                          accept
//	securing    timeout_http_request                      the limits let it pass
//	reading     timeout_keepalive                         the last answer
//	            timeout_http_request, while draining      the TLS handshake
//	            timeout_http_request, once a byte came    the first byte, or the last answer
//	            timeout_client, while answers are unread  the last answer
//	refusing    timeout_http_request                      its head
//	queued      timeout_queue                             it was queued
//	connecting  timeout_connect                           the attempt began
//	pausing     retryPause                                the attempt failed
//	exchanging  while the request comes: the shorter of   a byte moved
//	            timeout_client and timeout_server
//	            before the answer: timeout_server         the request was forwarded
//	            within the answer: the shorter one again  a byte moved
//	closing     timeout_client, while answers are unread  the last answer
//	            lingerTime                                FIN was sent
func (c *client) limit() time.Duration {
	f, x := &c.frontend.Settings().Frontend, &c.exchange
	switch c.state {
	case header:
		return l4.HeaderTimeout
	case securing:
		return f.TimeoutHTTPRequest
	case reading:
		switch {
		case c.conn.Parked() > 0:
			return f.TimeoutClient
		case c.pending.Len() > 0, c.frontend.draining.Load():
			return f.TimeoutHTTPRequest
		}
		return f.TimeoutKeepalive
	case refusing:
		return f.TimeoutHTTPRequest
	case queued:
		return x.pool.InForce().TimeoutQueue
	case connecting:
		return x.pool.InForce().TimeoutConnect
	case pausing:
		return retryPause
	case exchanging:
		server := x.pool.InForce().TimeoutServer
		if x.request.done && x.flags&answered == 0 {
			return server
		}
		return shorter(f.TimeoutClient, server)
	case closing:
		if c.conn.Parked() > 0 {
			return f.TimeoutClient
		}
		return lingerTime
	}
	return 0
}

// Expired implements reactor.Expirer. The timer may have been set for a state
// that is over.
func (c *client) Expired(*reactor.Timer) {
	deadline := c.deadline()
	if deadline == 0 || c.worker.loop.Now() < deadline {
		c.arm()
		return
	}
	x := &c.exchange
	switch c.state {
	case header:
		c.cut(l4.ProxyHeaderTimeout)
	case securing:
		c.cut(l4.TLSTimeout)
	case reading:
		c.readTooLate()
	case refusing:
		c.closes = true
		c.respond(x.refusal.answer, x.refusal.scanner.ID())
	case queued:
		if x.pool.Cancel(c) {
			c.giveUp(answer{why: QueueTimeout})
		} // else it was granted meanwhile: Granted's post is on its way
	case connecting:
		c.dropUpstream(false)
		c.failed(unix.ETIMEDOUT)
	case pausing:
		c.connect()
	case exchanging:
		c.still()
	case closing:
		c.finish(l4.ServerClosed)
	}
}

// readTooLate ends a pause, or a client that did not send a whole request in
// time. One that sent nothing is closed without a word.
func (c *client) readTooLate() {
	switch {
	case c.resume != 0:
		c.resume = 0
		c.since = c.worker.loop.Now()
		c.read()
	case c.conn.Parked() > 0:
		c.cut(l4.IdleTimeout)
	case c.pending.Len() > 0:
		c.refuseHead(answer{why: RequestTimeout})
	default:
		c.finish(l4.IdleTimeout)
	}
}

// still ends an exchange in which nothing has moved for too long.
func (c *client) still() {
	x := &c.exchange
	if x.request.done || x.upstream.conn.Blocked() {
		if x.flags&answered == 0 {
			c.release(backend.ServerTimeout)
		}
		c.end(answer{why: ServerTimeout}, l4.IdleTimeout)
		return
	}
	c.end(answer{why: RequestTimeout}, l4.IdleTimeout)
}
