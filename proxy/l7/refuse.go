package l7

import (
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
)

// permit asks the limits about the request.
func (c *client) permit(settings *Settings) (refusal answer, ok bool) {
	head := &c.worker.request
	if most := settings.Frontend.MaxBody; most > 0 && head.Framing == http1.FramingLength && head.Length > most {
		return answer{why: BodyTooLarge}, false
	}
	if !originAllowed(settings.Frontend.AllowedOrigins, head) {
		return answer{why: OriginRefused}, false
	}
	return c.meter()
}

// permitBody judges a piece of the request's body: reason is what its coding
// broke.
func (c *client) permitBody(reason http1.Reason) (refusal answer, ok bool) {
	if reason != http1.ReasonNone {
		c.counters.Malformed[reason].Add(1)
		return answer{why: BadRequest, malformed: reason}, false
	}
	if most := c.frontend.Settings().Frontend.MaxBody; most > 0 && c.exchange.request.size() > most {
		return answer{why: BodyTooLarge}, false
	}
	return answer{}, true
}

// originAllowed tells whether a request with its Origin may pass: one of those
// allowed, exactly as browsers write it. One without comes from no browser
// page; one with several from none that is honest.
func originAllowed(allowed []string, head *http1.RequestHead) bool {
	if len(allowed) == 0 || !head.Has(http1.HeaderOrigin) {
		return true
	}
	if head.Repeated(http1.HeaderOrigin) {
		return false
	}
	origin := head.Get(http1.HeaderOrigin)
	for _, one := range allowed {
		if http1.EqualFold(origin, one) {
			return true
		}
	}
	return false
}

// meter charges the request to its source: over the rate, the next one is read
// later, or this one is refused.
func (c *client) meter() (refusal answer, ok bool) {
	now := c.worker.loop.Now()
	if c.frontend.limiter.OverMessage() == conf.Reject {
		allowed, wait := c.source.Allow(now)
		if !allowed {
			c.counters.Taken.Rejected.Add(1)
			return answer{why: RateLimited, retryAfter: max(wait, time.Millisecond)}, false
		}
		return answer{}, true
	}
	if pause := c.source.Delay(1, now); pause > 0 {
		c.counters.Taken.Delayed.Add(1)
		c.resume = now + int64(pause)
	}
	return answer{}, true
}

// refuseHead answers a request of which not even the head is good, or whole,
// and closes.
func (c *client) refuseHead(a answer) {
	c.exchange.flags, c.exchange.method = 0, http1.MethodOther
	c.closes = true
	c.respond(a, nil)
}

// refuseWith answers a request whose head is p[:n] before it was forwarded. The
// connection goes on if the whole request is there; for the end of a JSON-RPC
// request, which is about to come, the answer waits, for its id.
func (c *client) refuseWith(a answer, p []byte, n int, kept bool) {
	x := &c.exchange
	c.release(backend.Aborted)
	size, reason := x.request.pass(p[n:])
	scanner := c.scanned(p[n : n+size])
	switch {
	case reason != http1.ReasonNone:
		c.closes = true
	case x.request.done:
		c.leave(p, n+size, kept)
	case c.waitsFor(a):
		x.refusal = &refusal{answer: a, scanner: *scanner, taken: size}
		c.leave(p, n+size, kept)
		c.state, c.since = refusing, c.worker.loop.Now()
		c.arm()
		c.absorb()
		return
	default:
		c.closes = true
	}
	c.respond(a, scanner.ID())
}

// refusal is an answer that waits for the end of its request.
type refusal struct {
	answer
	scanner mcp.BodyScanner
	taken   int // bytes of the body
}

// waitsFor tells whether an answer is to wait for the end of the request that
// is parsed: a JSON-RPC request, not larger than is looked at, whose client
// sends it unasked.
func (c *client) waitsFor(a answer) bool {
	head := &c.worker.request
	return c.exchange.flags&(rpc|waiting) == rpc && a.why != BodyTooLarge &&
		(head.Framing != http1.FramingLength || head.Length <= mcp.MaxBodyScan)
}

// scanned looks for the id of a JSON-RPC request in the beginning of its body,
// as it came behind the head that is parsed. The scanner is good until the next
// call.
func (c *client) scanned(p []byte) *mcp.BodyScanner {
	scanner := &c.worker.scanner
	scanner.Reset()
	if c.exchange.flags&rpc != 0 {
		var again body // its data is wanted now, without the chunks
		again.begin(c.worker.request.Framing, c.worker.request.Length)
		again.scan(p, scanner)
	}
	return scanner
}

// scan has scanner look at the data of a piece of the body, and tells how many
// bytes of p belong to the body.
func (b *body) scan(p []byte, scanner *mcp.BodyScanner) (size int, reason http1.Reason) {
	for size < len(p) && !b.done && reason == http1.ReasonNone {
		var data []byte
		var n int
		data, n, reason = b.next(p[size:])
		scanner.Feed(data)
		size += n
	}
	return size, reason
}

// absorb takes in the rest of a request that is refused, and then answers.
func (c *client) absorb() {
	x := &c.exchange
	for c.state == refusing {
		if !c.conn.Readable() {
			return
		}
		p := c.readBody()
		if p == nil {
			return
		}
		r := x.refusal
		size, reason := x.request.scan(p, &r.scanner)
		r.taken += size
		switch {
		case reason != http1.ReasonNone || !x.request.done && r.taken > mcp.MaxBodyScan:
			c.closes = true
		case !x.request.done:
			continue
		default:
			c.leave(p, size, false)
		}
		c.respond(r.answer, r.scanner.ID())
	}
}

// giveUp answers a request that is kept for a server which it will not get.
func (c *client) giveUp(a answer) {
	if p, n, ok := c.reparse(); ok {
		c.refuseWith(a, p, n, true)
	}
}

// end ends the exchange under way by an answer of our own; where the server's
// has begun, it is cut off for the reason given. What of the request is still to
// come is not waited for.
func (c *client) end(a answer, reason l4.Reason) {
	x := &c.exchange
	if x.flags&answered != 0 {
		c.cut(reason)
		return
	}
	var id []byte
	if p := x.replay.Bytes(); x.flags&rpc != 0 {
		var scan http1.Scan
		if n, _ := c.worker.request.Parse(p, &scan, http1.MaxHead); n > 0 {
			id = c.scanned(p[n:]).ID()
		}
	}
	c.closes = c.closes || !x.request.done
	c.abandon(backend.Aborted)
	c.respond(a, id)
}

// respond sends an answer of the balancer's own, and goes on to the next
// request, or closes.
func (c *client) respond(a answer, id []byte) {
	x := &c.exchange
	c.logOwn(&a)
	c.counters.Own[a.why].Add(1)
	c.counters.Status[a.code()/100].Add(1)
	of := addressee{
		id: id, head: x.method == http1.MethodHead, keepAlive: !c.closes,
		// The client of a lost session looks for this error, whatever it asked.
		plain: x.flags&rpc == 0 && a.why != SessionGone,
	}
	out := a.append(c.worker.out[:0], c.worker.now(), of)
	c.worker.out = out[:0]
	c.state = reading // where an error of the connection is the client's end
	if !c.send(out) {
		return
	}
	c.logEnded()
	c.tidy()
	if c.closes {
		c.close()
		return
	}
	c.next()
}
