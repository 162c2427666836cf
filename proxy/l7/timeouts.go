package l7

import (
	"time"

	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// arm sets the timer for the present state's deadline, unless it runs out
// earlier anyway: then it is set again when it does.
func (c *client) arm() {
	deadline := c.deadline()
	if deadline == 0 || c.Timer.Armed() && c.Timer.When() <= deadline {
		return
	}
	c.loop().Arm(&c.Timer, c, deadline)
}

// deadline is when the present state ends unless something happens; 0 = never.
func (c *client) deadline() int64 {
	if c.state == reading && c.Resume != 0 {
		return c.Resume
	}
	if limit, since := c.limit(); limit > 0 {
		return since + int64(limit)
	}
	return 0
}

// limit is how long the present state may last, and since when; 0 = forever.
//
//	state       limit                                     since
//	header      session.HeaderTimeout                     accept
//	handshake   timeout_http_request                      admission
//	reading     timeout_keepalive                         the last answer
//	            timeout_http_request, while draining      the TLS handshake
//	            timeout_http_request, once a byte came    the first byte, or the last answer
//	            timeout_client, while answers are unread  the last answer
//	refusing    timeout_http_request                      its head
//	queued      timeout_queue                             it was queued
//	connecting  timeout_connect                           the attempt began
//	pausing     a second                                  the attempt failed
//	exchanging  while the request comes: the shorter of   a byte moved
//	            timeout_client and timeout_server
//	            before the answer: timeout_server         the request was forwarded
//	            within the answer: the shorter one again  a byte moved
//	closing     timeout_client, while answers are unread  the last answer
//	            lingerTime                                FIN was sent
func (c *client) limit() (limit time.Duration, since int64) {
	f := &c.settings().Frontend
	switch c.state {
	case entering:
		return c.Limit(f), c.Since
	case reading:
		switch {
		case c.Conn.Parked() > 0:
			return f.TimeoutClient, c.Since
		case c.pending.Len() > 0, c.frontend.draining.Load():
			return f.TimeoutHTTPRequest, c.Since
		}
		return f.TimeoutKeepalive, c.Since
	case busy:
		return c.exchange.limit(f)
	case closing:
		if c.Conn.Parked() > 0 {
			return f.TimeoutClient, c.Since
		}
		return lingerTime, c.Since
	}
	return 0, 0
}

// Expired implements reactor.Expirer. The timer may have been set for a state
// that is over.
func (c *client) Expired(*reactor.Timer) {
	deadline := c.deadline()
	if deadline == 0 || c.loop().Now() < deadline {
		c.arm()
		return
	}
	switch c.state {
	case entering:
		c.cut(c.TooLate())
	case reading:
		c.readTooLate()
	case busy:
		c.exchange.expired()
	case closing:
		c.finish(session.ServerClosed)
	}
}

// readTooLate ends a pause, or a client that did not send a complete request in
// time. One that sent nothing is closed silently.
func (c *client) readTooLate() {
	switch {
	case c.Resume != 0:
		c.Resume = 0
		c.Since = c.loop().Now()
		c.read()
	case c.Conn.Parked() > 0:
		c.cut(session.IdleTimeout)
	case c.pending.Len() > 0:
		c.exchange.origin = c.worker.origins.ofRefused(c.pending.Bytes())
		c.exchange.refuseHead(generated{why: RequestTimeout})
	default:
		c.finish(session.IdleTimeout)
	}
}
