package l7

import (
	"time"

	"mcplb/conf"
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
	deadline := int64(0)
	if limit, since := c.limit(); limit > 0 {
		deadline = since + int64(limit)
	}
	x := &c.exchange
	return earlier(earlier(deadline, intake{x}.bodyDeadline()), deadlines{x}.commentDue())
}

// earlier is the first of two times of which 0 means never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// limit is how long the present state may last, and since when; 0 = forever.
//
//	state       limit                                     since
//	header      session.HeaderTimeout                     accept
//	handshake   timeout_http_request                      admission
//	reading     timeout_http_request, at first            admission, or the TLS handshake
//	            timeout_http_request, once a byte came    the first byte, or the last answer
//	            timeout_keepalive, otherwise              the last answer
//	            timeout_http_request, while draining      the last answer
//	            timeout_client, while answers are unread  the last answer
//	refusing    timeout_http_request                      its head
//	collecting  bodyWindow                                its head
//	queued      timeout_queue                             it was queued
//	connecting  timeout_connect                           the attempt began
//	pausing     a second                                  the attempt failed
//	exchanging  while the request comes: the shorter of   a byte moved
//	            timeout_client and timeout_server
//	            and bodyWindow, if min_body_rate was not  the last window
//	            reached, or pressedWindow, likewise, while
//	            others wait for the slot
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
		case c.down().Parked() > 0:
			return f.TimeoutClient, c.Since
		case c.pending.Len() > 0, c.frontend.draining.Load(), c.fresh(f):
			return f.TimeoutHTTPRequest, c.Since
		}
		return f.TimeoutKeepalive, c.Since
	case busy:
		return deadlines{&c.exchange}.limit(f)
	case closing:
		if c.down().Parked() > 0 {
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
		deadlines{&c.exchange}.timeOut()
	case closing:
		c.finish(session.ServerClosed)
	}
}

// fresh reports whether timeout_http_request limits the time until the first byte: of
// the first request, for which no answer has shown yet that the client is one.
func (c *client) fresh(f *conf.Frontend) bool { return c.Requests == 0 && f.TimeoutHTTPRequest > 0 }

// readTooLate ends a pause, or a client that did not send a complete request in
// time. One that sent nothing is closed silently: browsers open connections ahead, and
// would take a 408 for the answer to their next request.
func (c *client) readTooLate() {
	switch {
	case c.Resume != 0:
		c.Resume, c.Since = 0, c.loop().Now()
		c.read()
	case c.down().Parked() > 0:
		c.cut(session.IdleTimeout)
	case c.pending.Len() > 0:
		c.Source.Take(&c.turn, 1, c.loop().Now()) // whatever there is: it has waited long enough
		c.Source.Leave(&c.turn)
		c.exchange.origin = c.worker.origins.ofRefused(c.pending.Bytes())
		c.exchange.refuseHead(generated{why: RequestTimeout})
	case c.fresh(&c.settings().Frontend):
		c.finish(session.RequestTimeout)
	default:
		c.finish(session.IdleTimeout)
	}
}
