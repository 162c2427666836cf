package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

const (
	// mostResponseHead is the largest head that a server may answer with.
	mostResponseHead = 48 << 10

	// mostReceived is how much of an answer is read at once. Once encoded, with
	// chunks and a rewritten head, it should fit what a connection parks.
	mostReceived = reactor.ReadSize - 4<<10
)

// download is the response on its way from the server to the client: a part of
// its exchange.
type download struct{ *exchange }

// receive relays the server's answer as it comes.
func (x download) receive() {
	for moved := 0; x.state == exchanging; {
		u := x.upstream
		if x.client.down().Blocked() {
			return
		}
		unread := x.Flags&answered != 0 && u.unread.Len() > 0
		switch {
		case !unread && !u.conn.Readable():
			x.flush()
			return
		case moved >= reactor.Budget:
			u.conn.Yield()
			return
		case unread:
			x.dispatch.Since = x.loop().Now() // the answer moves, if at its client's pace
			x.relay(u.unread.Bytes())
			moved += mostReceived
			continue
		}
		p := x.loop().Scratch()[:x.client.room()]
		n, errno := u.conn.Read(p)
		switch {
		case errno == unix.EAGAIN:
			continue
		case errno != 0:
			x.serverBroken(backend.ServerReset)
			return
		case n == 0:
			x.serverEnded()
			return
		}
		x.dispatch.Since = x.loop().Now()
		x.upstreamPool.counters.BytesOut.Add(uint64(n))
		if x.Flags&answered != 0 {
			x.relay(p[:n])
		} else {
			x.receiveHead(p[:n])
		}
		moved += n
	}
}

// receiveHead continues the answer's head; interim ones are forwarded.
func (x download) receiveHead(p []byte) {
	c := x.client
	u := x.upstream
	if u.unread.Len() > 0 {
		x.loop().Append(&u.unread, p)
		p = u.unread.Bytes()
	}
	head := &c.worker.response
	asked := http1.RequestContext{Method: x.Method, WebSocket: x.Flags&toWebSocket != 0}
	for x.state == exchanging {
		n, reason := head.Parse(p, &u.scan, mostResponseHead, asked)
		switch {
		case reason != http1.ReasonNone:
			x.end(generated{why: BadResponse, malformed: reason}, session.ServerReset)
		case n == 0:
			x.keepHead(u, p)
			return
		case head.Interim():
			x.passInterim()
			p = p[n:]
		case head.Status == 101:
			x.upgrade(p, n)
			return
		case tasks(x).awaitsAnswer(p[n:]):
			x.keepHead(u, p)
			return
		default:
			x.beginAnswer(p, n)
			return
		}
	}
}

// keepHead keeps the part of a head that has come; p may be what is kept
// already, or the end of it.
func (x download) keepHead(u *upstream, p []byte) {
	if kept := u.unread.Len(); kept > 0 {
		x.loop().Consume(&u.unread, kept-len(p))
		return
	}
	x.loop().Append(&u.unread, p)
}

// passInterim sends an interim answer on (100, 103), but not to a client of
// HTTP/1.0. The request can no longer be sent again. Where the answer announces a
// body, what follows may be that, so the upstream connection serves no other request.
func (x download) passInterim() {
	c := x.client
	x.Flags = x.Flags&^replayable | interim
	head := &c.worker.response
	x.set(upstreamClose, !head.KeepAlive)
	if x.Flags&oldClient != 0 || x.Flags&continued != 0 && head.Status == 100 {
		return
	}
	out := head.AppendStatusLine(c.worker.out[:0])
	out = head.AppendFields(out, 0)
	out = append(out, "\r\n"...)
	c.worker.out = out[:0]
	c.send(out)
}

// beginAnswer sends the answer's head, p[:n], and the part of its body that is there.
func (x download) beginAnswer(p []byte, n int) {
	c := x.client
	head := &c.worker.response
	x.Response.begin(head.Framing, head.Length, head.Trailers())
	x.set(upstreamClose, !head.KeepAlive)
	x.Flags |= answered
	recorder(x).countAnswer(head)
	if isMediaType(head.Get(http1.HeaderContentType), eventStream) {
		x.Flags |= streaming
		x.dispatch.Slot.SetUse(backend.Stream)
	}
	f := x.plan(p[n:])
	if f.closes || !x.request.Done || c.ending(c.settings()) {
		c.Closes = true
	}
	out := x.heads().appendResponse(c.worker.out[:0], f)
	sessionUse(x).noteSessionEnd(head.Status)
	out, size, reason := x.appendBody(out, p[n:])
	c.worker.out = out[:0]
	extra := x.keepUnread(p[n+size:], reason)
	x.loop().Drop(&x.replay)
	if c.send(out) {
		x.relayed(extra, reason)
	}
	if x.state == exchanging {
		c.arm() // the client's time limit holds for a stream, too
	}
}

// relay relays a piece of the answer's body.
func (x download) relay(p []byte) {
	c := x.client
	if x.encoder != nil {
		out, size, reason := x.appendBody(c.worker.out[:0], p)
		c.worker.out = out[:0]
		extra := x.keepUnread(p[size:], reason)
		if len(out) == 0 || c.send(out) {
			x.relayed(extra, reason)
		}
		return
	}
	out, size, reason := c.worker.pass(&x.Response, p)
	if len(out) == 0 || c.send(out) {
		x.relayed(size < len(p), reason)
	}
}

// keepUnread keeps rest, which the encoder has left for later, or reports that there
// is some behind the end of the answer: see relayed. rest may be the end of what is
// kept already, which it replaces.
func (x download) keepUnread(rest []byte, reason http1.Reason) (extra bool) {
	u := x.upstream
	switch kept := u.unread.Len(); {
	case x.Response.Done || reason != http1.ReasonNone || len(rest) == 0:
		x.loop().Drop(&u.unread)
		return len(rest) > 0
	case kept > 0:
		x.loop().Consume(&u.unread, kept-len(rest))
	default:
		x.loop().Append(&u.unread, rest)
	}
	return false
}

// appendBody appends what of p belongs to the answer's body, in the form in
// which the client gets it, and returns how many bytes of p that were, as
// bodyEncoder.append does. A reason says that what follows them breaks the body.
func (x download) appendBody(dst, p []byte) (out []byte, size int, reason http1.Reason) {
	c := x.client
	if x.encoder != nil {
		x.encoder.room = c.room()
		return x.encoder.append(c.worker, dst, &x.Response, p)
	}
	passed, size, reason := c.worker.pass(&x.Response, p)
	return append(dst, passed...), size, reason
}

// flush sends what the encoder holds back, since the server pauses.
func (x download) flush() {
	c := x.client
	r := x.encoder
	if r == nil || !r.holds {
		return
	}
	out := r.flush(c.worker, c.worker.out[:0])
	c.worker.out = out[:0]
	if len(out) > 0 {
		c.send(out)
	}
}

// relayed ends the exchange if the answer is complete. Bytes behind the answer, and
// malformed ones within, end the upstream connection.
func (x download) relayed(extra bool, reason http1.Reason) {
	c := x.client
	switch {
	case reason != http1.ReasonNone:
		recorder(x).logDetail(reason)
		c.cut(session.ServerReset)
	case x.Response.Done:
		x.set(upstreamClose, extra)
		x.finish()
	}
}

// serverEnded handles the end of the upstream connection.
func (x download) serverEnded() {
	c := x.client
	if x.Flags&answered == 0 || x.Response.Framing != http1.FramingClose {
		x.serverBroken(backend.ServerReset)
		return
	}
	x.Response.Done = true
	x.Flags |= upstreamClose
	if x.encoder != nil {
		out := x.encoder.end(c.worker, c.worker.out[:0])
		c.worker.out = out[:0]
		if len(out) > 0 && !c.send(out) {
			return
		}
	}
	x.finish()
}

// serverBroken handles a server that ends before its answer is complete. A
// request on a kept-alive connection that the server closed meanwhile is sent
// again, if nothing came back and it is idempotent or only reads: no other POST is
// ever sent twice.
func (x download) serverBroken(outcome backend.Outcome) {
	c := x.client
	nothing := x.Flags&answered == 0 && x.upstream.unread.Len() == 0
	switch {
	case x.Flags&answered != 0:
		c.cut(session.ServerReset)
	case nothing && x.has(reused) && (x.has(replayable) || x.onlyReads()):
		x.resend()
	default:
		if nothing && x.Flags&reused != 0 {
			outcome = backend.Aborted // its keep-alive time was over: not the server's fault
		}
		x.dispatch.Release(x.loop(), outcome)
		x.end(generated{why: ServerGone}, session.ServerReset)
	}
}

// resend sends the request again, on a new connection to the same server.
func (x download) resend() {
	c := x.client
	loop := x.loop()
	x.Disconnect(true)
	x.Flags = x.Flags&^(reused|replayable) | resent
	// The request goes before what is pending behind it.
	var both reactor.PendingBuffer
	loop.Append(&both, x.replay.Bytes())
	loop.Append(&both, c.pending.Bytes())
	loop.Drop(&x.replay)
	loop.Drop(&c.pending)
	c.pending = both
	x.upstreamPool.counters.Retries.Add(1)
	x.log.Retried()
	x.state = dispatching
	if x.reparse() {
		router(x).beginBody()
		x.dispatch.Connect(x)
	}
}

// finish ends an exchange whose answer is complete.
func (x *exchange) finish() {
	c := x.client
	u := x.upstream
	complete := x.request.Done
	x.upstreamPool.counters.MessagesIn.Add(1)
	x.upstreamPool.counters.MessagesOut.Add(1)
	if complete && x.Flags&(upstreamClose|toWebSocket) == 0 {
		x.upstream = nil
		x.upstreamPool.put(u, x.dispatch.Pool.InForce(), session.TLSOf(x.dispatch.Pool))
	} else {
		x.Disconnect(!complete)
	}
	recorder{x}.logDone()
	x.dispatch.Release(x.loop(), backend.Completed)
	x.forget()
	x.state = idle
	if c.Closes || !complete {
		c.close()
		return
	}
	c.next()
}
