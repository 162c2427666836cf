//go:build linux

package l7

import (
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// refuse answers a request of which not even the head is good, and closes.
func (c *client) refuse(a answer) {
	c.closes = true
	c.exchange.flags = 0
	c.answer(a, nil)
	c.close()
}

// refuseWith answers a request whose head is p[:n] before it was forwarded.
// The connection goes on if the whole request lies in p.
func (c *client) refuseWith(a answer, p []byte, n int) {
	x := &c.exchange
	c.state = reading
	c.release(backend.Aborted)
	c.dropUpstream(true)
	size, reason := 0, http1.ReasonNone
	if !x.request.done {
		size, reason = x.request.pass(p[n:])
	}
	if !x.request.done || reason != http1.ReasonNone || a.why == BadRequest {
		c.closes = true
	}
	var id []byte
	if x.flags&rpc != 0 {
		id = idOf(p[n : n+size])
	}
	if !c.answer(a, id) {
		return
	}
	if c.closes {
		c.close()
		return
	}
	kept := c.pending.Len() > 0
	c.leave(p, n+size, kept)
	c.since = c.loop.Now()
	c.arm()
	c.conn.Again()
}

// refuseExchange answers a request that waits for a server, or for its answer.
// The connection closes: what of the request is still to come is not waited for.
func (c *client) refuseExchange(a answer) {
	x := &c.exchange
	if x.flags&answered != 0 {
		c.cut()
		return
	}
	p := x.replay.Bytes()
	if p == nil {
		p = c.pending.Bytes()
	}
	var id []byte
	if x.flags&rpc != 0 {
		var scan http1.Scan
		if n, _ := c.worker.request.Parse(p, &scan, http1.MaxHead); n > 0 {
			id = idOf(p[n:])
		}
	}
	c.closes = true
	if !c.answer(a, id) {
		return
	}
	c.abandon(outcomeOf(a.why))
	c.close()
}

// outcomeOf says what an answer of ours tells of the server.
func outcomeOf(why Why) backend.Outcome {
	switch why {
	case ServerGone:
		return backend.ServerReset
	case ServerTimeout:
		return backend.ServerTimeout
	}
	return backend.Aborted
}

// idOf finds the id of the JSON-RPC request in a body, as far as it has come.
func idOf(p []byte) []byte {
	var scanner mcp.IDScanner
	scanner.Feed(p)
	return scanner.ID()
}

// answer sends an answer of the balancer's own. It returns false when the
// client is gone.
func (c *client) answer(a answer, id []byte) bool {
	x := &c.exchange
	status := answers[a.why].status
	if a.status != 0 {
		status = a.status
	}
	c.counters.Own[a.why].Add(1)
	c.counters.Status[status/100].Add(1)
	plain := x.flags&rpc == 0
	out := a.append(c.worker.out[:0], c.worker.now(), id, plain, !c.closes, x.method == http1.MethodHead)
	return c.send(out)
}

// meter charges the request to its source: over the rate, the next one is read
// later, or this one is refused.
func (c *client) meter() (refusal answer, ok bool) {
	now := c.loop.Now()
	if c.frontend.limiter.OverMessage() == conf.Reject {
		allowed, wait := c.source.Allow(now)
		if !allowed {
			c.counters.Taken.Rejected.Add(1)
			return answer{why: RateLimited, retryAfter: max(wait, time.Second)}, false
		}
		return answer{}, true
	}
	if pause := c.source.Delay(1, now); pause > 0 {
		c.counters.Taken.Delayed.Add(1)
		c.resume = now + int64(pause)
	}
	return answer{}, true
}
