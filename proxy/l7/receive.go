package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

const (
	// mostResponseHead is the largest head that a server may answer with.
	mostResponseHead = 48 << 10

	// mostReceived is how much of an answer is read at once. What becomes of it
	// on the way (chunks, a head rewritten) should fit what a connection parks.
	mostReceived = reactor.ReadSize - 4<<10
)

// receive relays the server's answer as it comes.
func (c *client) receive() {
	x := &c.exchange
	for moved := 0; c.state == exchanging; {
		u := x.upstream
		if c.conn.Blocked() {
			return
		}
		if !u.conn.Readable() {
			c.flush()
			return
		}
		if moved >= reactor.Budget {
			u.conn.Yield()
			return
		}
		p := c.worker.loop.Scratch()[:mostReceived]
		n, errno := u.conn.Read(p)
		switch {
		case errno == unix.EAGAIN:
			continue
		case errno != 0:
			c.serverBroken(backend.ServerReset)
			return
		case n == 0:
			c.serverEnded()
			return
		}
		c.since = c.worker.loop.Now()
		x.origin.counters.BytesOut.Add(uint64(n))
		if x.flags&answered != 0 {
			c.relay(p[:n])
		} else {
			c.receiveHead(p[:n])
		}
		moved += n
	}
}

// receiveHead goes on with the answer's head; interim ones are passed on.
func (c *client) receiveHead(p []byte) {
	x := &c.exchange
	u := x.upstream
	if u.head.Len() > 0 {
		c.worker.loop.Append(&u.head, p)
		p = u.head.Bytes()
	}
	head := &c.worker.response
	asked := http1.RequestContext{Method: x.method, WebSocket: x.flags&toWebSocket != 0}
	for c.state == exchanging {
		n, reason := head.Parse(p, &u.scan, mostResponseHead, asked)
		switch {
		case reason != http1.ReasonNone:
			c.end(answer{why: BadResponse, malformed: reason}, l4.ServerReset)
		case n == 0:
			c.keepHead(u, p)
			return
		case head.Interim():
			c.passInterim()
			p = p[n:]
		case head.Status == 101:
			c.upgrade(p, n)
			return
		default:
			c.beginAnswer(p, n)
			return
		}
	}
}

// keepHead keeps the part of a head that has come; p may be what is kept
// already, or the end of it.
func (c *client) keepHead(u *upstream, p []byte) {
	if kept := u.head.Len(); kept > 0 {
		c.worker.loop.Consume(&u.head, kept-len(p))
		return
	}
	c.worker.loop.Append(&u.head, p)
}

// passInterim sends an interim answer on (100, 103), but not to a client of
// HTTP/1.0. The request is no longer one of which nothing came back.
func (c *client) passInterim() {
	x := &c.exchange
	x.flags &^= replayable
	if x.flags&oldClient != 0 {
		return
	}
	head := &c.worker.response
	out := head.AppendStatusLine(c.worker.out[:0])
	out = head.AppendFields(out, 0)
	out = append(out, "\r\n"...)
	c.worker.out = out[:0]
	c.send(out)
}

// send sends to the client; where that fails, the client is gone.
func (c *client) send(p []byte) bool {
	c.counters.Taken.BytesOut.Add(uint64(len(p)))
	if c.log != nil {
		c.log.BytesOut += uint64(len(p))
	}
	if errno := c.conn.Send(p); errno != 0 {
		c.gone()
		return false
	}
	return true
}

// beginAnswer sends the answer's head, p[:n], and what of its body is there.
func (c *client) beginAnswer(p []byte, n int) {
	x := &c.exchange
	head := &c.worker.response
	x.response.begin(head.Framing, head.Length)
	x.set(upstreamClose, !head.KeepAlive)
	x.flags |= answered
	c.countAnswer(head)
	form := c.plan(p[n:])
	if form.closes || !x.request.done || c.frontend.draining.Load() {
		c.closes = true
	}
	out := c.appendResponse(c.worker.out[:0], form)
	out, size, reason := c.appendBody(out, p[n:])
	c.worker.out = out[:0]
	extra := n+size < len(p)
	c.worker.loop.Drop(&x.replay)
	c.worker.loop.Drop(&x.upstream.head) // p may be in there
	if c.send(out) {
		c.relayed(extra, reason)
	}
	if c.state == exchanging {
		c.arm() // a stream has the client's time, too
	}
}

// relay relays a piece of the answer's body.
func (c *client) relay(p []byte) {
	x := &c.exchange
	if x.recoder != nil {
		out, size, reason := c.appendBody(c.worker.out[:0], p)
		c.worker.out = out[:0]
		if len(out) == 0 || c.send(out) {
			c.relayed(size < len(p), reason)
		}
		return
	}
	size, reason := x.response.pass(p)
	if size == 0 || c.send(p[:size]) {
		c.relayed(size < len(p), reason)
	}
}

// appendBody appends what of p belongs to the answer's body, in the form in
// which the client gets it, and tells how many bytes of p that were. A reason
// says that what follows them breaks the body.
func (c *client) appendBody(dst, p []byte) (out []byte, size int, reason http1.Reason) {
	x := &c.exchange
	if x.recoder != nil {
		return x.recoder.append(c.worker, dst, &x.response, p)
	}
	size, reason = x.response.pass(p)
	return append(dst, p[:size]...), size, reason
}

// flush sends what a recoder holds back, since the server pauses.
func (c *client) flush() {
	r := c.exchange.recoder
	if r == nil || !r.holds {
		return
	}
	out := r.flush(c.worker, c.worker.out[:0])
	c.worker.out = out[:0]
	if len(out) > 0 {
		c.send(out)
	}
}

// relayed sees whether the answer is complete; bytes behind it, and malformed
// ones within, end the upstream connection.
func (c *client) relayed(extra bool, reason http1.Reason) {
	x := &c.exchange
	switch {
	case reason != http1.ReasonNone:
		c.cut(l4.ServerReset)
	case x.response.done:
		x.set(upstreamClose, extra)
		c.complete()
	}
}

// serverEnded handles the end of the upstream connection.
func (c *client) serverEnded() {
	x := &c.exchange
	if x.flags&answered == 0 || x.response.framing != http1.FramingClose {
		c.serverBroken(backend.ServerReset)
		return
	}
	x.response.done = true
	x.flags |= upstreamClose
	if x.recoder != nil {
		out := x.recoder.end(c.worker, c.worker.out[:0])
		c.worker.out = out[:0]
		if len(out) > 0 && !c.send(out) {
			return
		}
	}
	c.complete()
}

// serverBroken handles a server that ends before its answer is complete. A
// request on a kept-alive connection that the server closed meanwhile is sent
// again, if it is idempotent and nothing came back: a POST is never sent twice.
func (c *client) serverBroken(outcome backend.Outcome) {
	x := &c.exchange
	nothing := x.flags&answered == 0 && x.upstream.head.Len() == 0
	switch {
	case x.flags&answered != 0:
		c.cut(l4.ServerReset)
	case nothing && x.flags&(reused|replayable) == reused|replayable:
		c.resend()
	default:
		if nothing && x.flags&reused != 0 {
			outcome = backend.Aborted // its keep-alive time was over: no fault of the server's
		}
		c.release(outcome)
		c.end(answer{why: ServerGone}, l4.ServerReset)
	}
}

// resend sends the request again, on a new connection to the same server.
func (c *client) resend() {
	x := &c.exchange
	loop := c.worker.loop
	c.dropUpstream(true)
	x.flags &^= reused | replayable
	// The request goes before what is pending behind it.
	var both reactor.PendingBuffer
	loop.Append(&both, x.replay.Bytes())
	loop.Append(&both, c.pending.Bytes())
	loop.Drop(&x.replay)
	loop.Drop(&c.pending)
	c.pending = both
	x.origin.counters.Retries.Add(1)
	c.log.Retried()
	if _, _, ok := c.reparse(); ok {
		x.request.begin(c.worker.request.Framing, c.worker.request.Length)
		c.connect()
	}
}

// complete ends an exchange whose answer is complete.
func (c *client) complete() {
	x := &c.exchange
	u := x.upstream
	whole := x.request.done
	x.origin.counters.MessagesIn.Add(1)
	x.origin.counters.MessagesOut.Add(1)
	if whole && x.flags&(upstreamClose|toWebSocket) == 0 {
		x.upstream = nil
		x.origin.put(u, x.pool.InForce().MaxIdle)
	} else {
		c.dropUpstream(!whole)
	}
	c.logDone()
	c.release(backend.Completed)
	c.tidy()
	if c.closes || !whole {
		c.close()
		return
	}
	c.next()
}
