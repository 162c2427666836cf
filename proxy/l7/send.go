package l7

import (
	"mcplb/backend"
	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// mostReplay is how many bytes of a request are kept until its answer begins, to
// be sent again or to find its id.
const mostReplay = 16 << 10

// forward sends the request whose head is p[:n], and what of its body is
// there. What follows it stays pending.
func (c *client) forward(p []byte, n int, kept bool) {
	x := &c.exchange
	size, reason := x.request.pass(p[n:])
	if refusal, ok := c.permitBody(reason); !ok {
		c.abandon(backend.Aborted)
		c.closes = true
		c.respond(refusal, c.scanned(p[n:n+size]).ID())
		return
	}
	end := n + size
	out := c.appendRequest(c.worker.out[:0])
	out = append(out, p[n:end]...)
	c.worker.out = out[:0]
	if errno := x.upstream.conn.Send(out); errno != 0 {
		c.unsent(p, kept, errno)
		return
	}
	c.state, c.since = exchanging, c.worker.loop.Now()
	x.sent = c.since
	c.countSent(size)
	c.remember(p[:end])
	c.leave(p, end, kept)
	c.arm()
	c.sendBody()
}

// unsent handles a connection that had ended before a byte of the request was
// written to it: a kept-alive one that the server closed meanwhile. So the
// request may go over another, whatever its method.
func (c *client) unsent(p []byte, kept bool, errno unix.Errno) {
	x := &c.exchange
	x.request.begin(c.worker.request.Framing, c.worker.request.Length)
	c.keep(p, kept)
	c.dropUpstream(false)
	if x.flags&reused != 0 {
		c.connect()
		return
	}
	c.failed(errno)
}

// remember keeps what is to be known of the request until its answer begins: a
// request that may be sent twice whole, a WebSocket's for the key that the
// answer must fit, one of JSON-RPC for its id.
func (c *client) remember(p []byte) {
	x := &c.exchange
	switch {
	case x.flags&toWebSocket != 0:
		c.worker.loop.Append(&x.replay, p)
		return
	case x.request.done && x.method.Idempotent() && len(p) <= mostReplay:
		x.flags |= replayable
	case x.flags&rpc == 0:
		return
	}
	c.worker.loop.Append(&x.replay, p[:min(len(p), mostReplay)])
}

// leave keeps what stands behind the first n bytes of p: the next request.
func (c *client) leave(p []byte, n int, kept bool) {
	if kept {
		c.worker.loop.Consume(&c.pending, n)
	} else {
		c.worker.loop.Append(&c.pending, p[n:])
	}
	c.ready = c.pending.Len() > 0
	c.scan = 0
}

// sendBody forwards the request's body as it comes.
func (c *client) sendBody() {
	x := &c.exchange
	for moved := 0; c.state == exchanging && !x.request.done; {
		if !c.conn.Readable() || x.upstream.conn.Blocked() {
			return
		}
		if moved >= reactor.Budget {
			c.conn.Yield()
			return
		}
		p := c.readBody()
		if p == nil {
			return
		}
		c.sendPiece(p)
		moved += len(p)
	}
}

// readBody reads what has come of a request's body; nil where nothing has, or the
// client is gone.
func (c *client) readBody() []byte {
	p := c.worker.loop.Scratch()
	n, errno := c.conn.Read(p)
	switch {
	case errno == unix.EAGAIN:
		return nil
	case errno != 0 || n == 0:
		c.gone()
		return nil
	}
	c.took(n)
	return p[:n]
}

// sendPiece forwards one piece of the request's body; what follows the body
// stays pending.
func (c *client) sendPiece(p []byte) {
	x := &c.exchange
	size, reason := x.request.pass(p)
	if refusal, ok := c.permitBody(reason); !ok {
		c.end(refusal, l4.ClientReset)
		return
	}
	c.since = c.worker.loop.Now()
	c.countSent(size)
	if x.flags&(rpc|answered) == rpc && x.replay.Len() < mostReplay {
		c.worker.loop.Append(&x.replay, p[:min(size, mostReplay-x.replay.Len())])
	}
	c.leave(p, size, false)
	if x.request.done {
		c.halfOpen = c.conn.HungUp()
	}
	if errno := x.upstream.conn.Send(p[:size]); errno != 0 {
		c.untaken()
	}
}

// untaken handles a server that takes no more of the request. It may have
// answered before: the answer is read, and says so. The rest of the request is
// thrown away behind it.
func (c *client) untaken() {
	x := &c.exchange
	x.flags |= upstreamClose
	x.request.done = true
	c.closes = true
	x.upstream.conn.RetryRead()
}
