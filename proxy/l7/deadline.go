//go:build linux

package l7

import (
	"time"

	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// arm sets the timer for the present state's deadline, unless it fires earlier
// anyway: then it is set again when it does.
func (c *client) arm() {
	deadline := c.deadline()
	if deadline == 0 || c.timer.Armed() && c.timer.When() <= deadline {
		return
	}
	c.loop.Arm(&c.timer, c, deadline)
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

// limit is how long the present state may last.
func (c *client) limit() time.Duration {
	f := &c.frontend.Settings().Frontend
	switch c.state {
	case reading:
		if c.pending.Len() > 0 {
			return f.TimeoutHTTPRequest
		}
		return f.TimeoutKeepalive
	case queued:
		return c.exchange.pool.InForce().TimeoutQueue
	case connecting:
		return c.exchange.pool.InForce().TimeoutConnect
	case pausing:
		return retryPause
	case exchanging:
		return idle(f.TimeoutClient, c.exchange.pool.InForce().TimeoutServer)
	case closing:
		return lingerTime
	}
	return 0
}

// Expired implements reactor.Expirer. The timer may have been set for a state
// that is over.
func (c *client) Expired(*reactor.Timer) {
	deadline := c.deadline()
	if deadline == 0 || c.loop.Now() < deadline {
		c.arm()
		return
	}
	switch c.state {
	case reading:
		c.readTooLate()
	case queued:
		if c.exchange.pool.Cancel(c) {
			c.refuseExchange(answer{why: QueueFull})
		} // else it was granted meanwhile: Granted's post is on its way
	case connecting:
		c.dropUpstream(false)
		c.failed(unix.ETIMEDOUT)
	case pausing:
		c.connect()
	case exchanging:
		c.silent()
	case closing:
		c.finish(l4.ClientClosed)
	}
}

// readTooLate ends a pause, or a client that did not send a whole request in
// time. One that sent nothing is closed without a word.
func (c *client) readTooLate() {
	switch {
	case c.resume != 0:
		c.resume = 0
		c.since = c.loop.Now()
		c.read()
	case c.pending.Len() > 0:
		c.refuse(answer{why: RequestTimeout})
	default:
		c.finish(l4.IdleTimeout)
	}
}

// silent ends an exchange in which nothing has moved for too long.
func (c *client) silent() {
	switch {
	case c.exchange.flags&answered != 0:
		c.conn.Reset()
		c.finish(l4.IdleTimeout)
	case !c.exchange.request.done:
		c.refuseExchange(answer{why: RequestTimeout})
	default:
		c.refuseExchange(answer{why: ServerTimeout})
	}
}
