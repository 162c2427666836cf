//go:build linux

package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// receive relays the server's answer as it comes.
func (c *client) receive() {
	x := &c.exchange
	for moved := 0; c.state == exchanging; {
		u := x.upstream
		if c.conn.Blocked() || !u.conn.Readable() {
			return
		}
		if moved >= reactor.Budget {
			u.conn.Again()
			return
		}
		p := c.loop.Scratch()
		n, errno := u.conn.Read(p)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			c.serverBroken()
			return
		case n == 0:
			c.serverEnded()
			return
		}
		c.since = c.loop.Now()
		c.served(u.server).BytesOut.Add(uint64(n))
		if x.flags&answered != 0 {
			c.relayBody(p[:n])
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
		c.loop.Keep(&u.head, p)
		p = u.head.Bytes()
	}
	head := &c.worker.response
	asked := http1.Asked{Method: x.method, WebSocket: x.flags&websocket != 0}
	for c.state == exchanging {
		n, reason := head.Parse(p, &u.scan, mostResponseHead, asked)
		switch {
		case reason != http1.ReasonNone:
			c.release(backend.Completed)
			c.refuseExchange(answer{why: BadResponse, text: "the server's answer is malformed: " + reason.Text()})
			return
		case n == 0:
			c.keepHead(u, p)
			return
		case head.Interim():
			c.passInterim()
			p = p[n:]
			continue
		case head.Status == 101:
			c.upgrade(p, n)
			return
		}
		c.beginAnswer(p, n)
		c.loop.Drop(&u.head)
		return
	}
}

// mostResponseHead is the largest head that a server may answer with.
const mostResponseHead = 48 << 10

// keepHead keeps the part of a head that has come; p may be what is kept
// already, or the end of it.
func (c *client) keepHead(u *upstream, p []byte) {
	if kept := u.head.Len(); kept > 0 {
		c.loop.Consume(&u.head, kept-len(p))
		return
	}
	c.loop.Keep(&u.head, p)
}

// passInterim sends an interim answer on (100, 103), but not to a client of
// HTTP/1.0.
func (c *client) passInterim() {
	if c.exchange.flags&oldClient != 0 {
		return
	}
	head := &c.worker.response
	out := head.AppendStatusLine(c.worker.out[:0])
	out = head.AppendFields(out, 0)
	out = append(out, "\r\n"...)
	c.send(out)
}

// send sends to the client; where that fails, the client is gone.
func (c *client) send(p []byte) bool {
	c.counters.Taken.BytesOut.Add(uint64(len(p)))
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
	if !head.KeepAlive {
		x.flags |= upstreamClose
	}
	x.flags |= answered
	c.loop.Drop(&x.replay)
	c.counters.Status[head.Status/100].Add(1)
	c.counters.Taken.MessagesOut.Add(1)
	if head.Framing == http1.FramingClose || !x.request.done {
		c.closes = true
	}
	if x.flags&oldClient != 0 && head.Framing == http1.FramingChunked {
		x.flags |= unframed
		c.closes = true
	}
	out := c.appendResponse(c.worker.out[:0])
	size, reason := x.response.pass(p[n:])
	if x.flags&unframed == 0 {
		out = append(out, p[n:n+size]...)
	}
	c.worker.out = out[:0]
	if !c.send(out) {
		return
	}
	if x.flags&unframed != 0 {
		x.response.begin(http1.FramingChunked, 0)
		c.relayBody(p[n:])
		return
	}
	c.relayed(p[n:], size, reason)
}

// relayBody relays a piece of the answer's body.
func (c *client) relayBody(p []byte) {
	x := &c.exchange
	if x.flags&unframed != 0 {
		c.relayData(p)
		return
	}
	size, reason := x.response.pass(p)
	if size > 0 && !c.send(p[:size]) {
		return
	}
	c.relayed(p, size, reason)
}

// relayData relays the data of a chunked body without the chunks, to a client
// of HTTP/1.0.
func (c *client) relayData(p []byte) {
	x := &c.exchange
	for len(p) > 0 && !x.response.done {
		data, n, reason := x.response.chunked.Next(p)
		if len(data) > 0 && !c.send(data) {
			return
		}
		p = p[n:]
		x.response.done = x.response.chunked.Done()
		if reason != http1.ReasonNone {
			c.cut()
			return
		}
	}
	c.relayed(p, 0, http1.ReasonNone)
}

// relayed sees whether the answer is complete; bytes behind it, and malformed
// ones within, end the upstream connection.
func (c *client) relayed(p []byte, size int, reason http1.Reason) {
	x := &c.exchange
	if reason != http1.ReasonNone {
		c.cut()
		return
	}
	if !x.response.done {
		return
	}
	if size < len(p) {
		x.flags |= upstreamClose
	}
	c.complete()
}

// cut ends an answer that cannot be finished: the client sees RST, so that it
// cannot take the part for the whole.
func (c *client) cut() {
	c.release(backend.ServerReset)
	c.conn.Reset()
	c.finish(l4.ServerReset)
}

// serverEnded handles the end of the upstream connection.
func (c *client) serverEnded() {
	x := &c.exchange
	if x.flags&answered == 0 {
		c.serverBroken()
		return
	}
	if x.response.framing == http1.FramingClose {
		x.response.done = true
		x.flags |= upstreamClose
		c.complete()
		return
	}
	c.cut()
}

// serverBroken handles a server that ends before its answer is complete. A
// request on a kept-alive connection that the server closed meanwhile is sent
// again, if it is idempotent and nothing came back: a POST is never sent twice.
func (c *client) serverBroken() {
	x := &c.exchange
	if x.flags&answered != 0 {
		c.cut()
		return
	}
	if x.flags&(reused|replayable) == reused|replayable && x.upstream.head.Len() == 0 {
		c.resend()
		return
	}
	c.release(backend.ServerReset)
	c.refuseExchange(answer{why: ServerGone})
}

// resend sends the request again, on a new connection to the same server.
func (c *client) resend() {
	x := &c.exchange
	c.dropUpstream(true)
	x.flags &^= reused | replayable
	// The request goes before what is pending behind it.
	var both reactor.Kept
	c.loop.Keep(&both, x.replay.Bytes())
	c.loop.Keep(&both, c.pending.Bytes())
	c.loop.Drop(&x.replay)
	c.loop.Drop(&c.pending)
	c.pending = both
	c.served(x.lease.Server()).Retries.Add(1)
	head := &c.worker.request
	c.scan = 0
	if n, reason := head.Parse(c.pending.Bytes(), &c.scan, http1.MaxHead); n == 0 || reason != http1.ReasonNone {
		c.refuseExchange(answer{why: ServerGone})
		return
	}
	x.request.begin(head.Framing, head.Length)
	c.connect()
}

// complete ends an exchange whose answer is complete.
func (c *client) complete() {
	x := &c.exchange
	u := x.upstream
	finished := x.request.done
	c.served(u.server).MessagesOut.Add(1)
	c.served(u.server).MessagesIn.Add(1)
	if finished && x.flags&upstreamClose == 0 && x.flags&websocket == 0 && x.endpoint == 0 {
		x.upstream = nil
		u.served++
		c.worker.put(u, x.pool.InForce().MaxIdle)
	} else {
		c.dropUpstream(!finished)
	}
	c.release(backend.Completed)
	x.tried = nil
	if c.closes || !finished {
		c.close()
		return
	}
	c.state, c.since = reading, c.loop.Now()
	c.halfOpen = false
	if c.ready || c.conn.Readable() {
		c.conn.Again() // the next request has come already
	}
	c.arm()
}

// close ends the client's connection behind what was sent to it. What it still
// sends is thrown away for a while: a close with unread bytes would destroy
// the answer on its way.
func (c *client) close() {
	c.state, c.since = closing, c.loop.Now()
	c.loop.Drop(&c.pending)
	c.arm()
	c.discard()
}

// discard throws away what a closing client sends, until it ends.
func (c *client) discard() {
	if c.conn.Parked() > 0 {
		return
	}
	c.conn.CloseWrite()
	for range 16 {
		if !c.conn.Readable() {
			return
		}
		n, errno := c.conn.Read(c.loop.Scratch())
		if n == 0 && errno != unix.EAGAIN {
			c.finish(l4.ServerClosed)
			return
		}
	}
	c.conn.Again()
}
