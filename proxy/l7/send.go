package l7

import (
	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// mostReplay is how many bytes of a request are kept until its answer begins, to
// be sent again or to find its id.
const mostReplay = 16 << 10

// upload is the request on its way from the client to the server: a part of its
// exchange.
type upload struct{ *exchange }

// forward sends the request that is the input, and what of its body is there.
// What follows it stays pending.
func (x upload) forward() {
	c := x.client
	in := &c.worker.input
	// Of a body that was collected, the rest follows as the server takes it.
	first := in.p[in.n:min(len(in.p), in.n+reactor.ReadSize)]
	if x.has(tagged) {
		tasks(x).beginSending()
	}
	body, size, reason := x.pass(first)
	end := in.n + size
	if refusal, ok := x.permitBody(reason); !ok {
		x.abandon(backend.Aborted)
		c.Closes = true
		x.respond(refusal, refuser(x).scanned(in.p[in.n:end]).ID())
		return
	}
	heads := x.heads()
	router(x).noteFields(heads.settings)
	out := heads.appendRequest(c.worker.out[:0])
	out = append(out, body...)
	c.worker.out = out[:0]
	if errno := x.upstream.conn.Send(out); errno != 0 {
		x.unsent(errno)
		return
	}
	x.Sent = x.loop().Now()
	x.state, x.dispatch.Since = exchanging, x.Sent
	intake(x).beginPace(0) // what has come already buys no time
	recorder(x).countSent(len(body))
	x.remember(in.p[:end])
	c.leave(in, end)
	c.arm()
	x.sendBody()
}

// pass returns what of p belongs to the request's body, as the server gets it: see
// worker.pass.
func (x upload) pass(p []byte) (out []byte, n int, reason http1.Reason) {
	if x.has(tagged) {
		return tasks(x).pass(p)
	}
	return x.client.worker.pass(&x.request, p)
}

// unsent handles a connection that had ended before a byte of the request was
// written to it: a kept-alive one that the server closed meanwhile. So the
// request may go over another, whatever its method.
func (x upload) unsent(errno unix.Errno) {
	router(x).beginBody()
	x.client.keepInput()
	x.Disconnect(false)
	if x.has(reused) {
		x.dispatch.Connect(x)
		return
	}
	x.dispatch.Failed(x, errno)
}

// remember keeps what is needed of the request until its answer begins: all of a
// request that may be sent twice, a WebSocket's for the key that the answer must
// fit, one of JSON-RPC for its id.
func (x upload) remember(p []byte) {
	switch {
	case x.has(toWebSocket):
		x.loop().Append(&x.replay, p)
		return
	case x.request.Done && x.Method.Idempotent() && len(p) <= mostReplay:
		x.Flags |= replayable
	case !x.has(rpc):
		return
	}
	x.loop().Append(&x.replay, p[:min(len(p), mostReplay)])
}

// sendBody forwards the request's body as it comes.
func (x upload) sendBody() {
	c := x.client
	for moved := 0; x.state == exchanging && !x.request.Done; {
		if !x.mayRead() {
			return
		}
		if moved >= reactor.Budget {
			c.down().Yield()
			return
		}
		p, kept := c.pending.Bytes(), true
		if len(p) == 0 {
			p, kept = c.readBody(), false
		}
		if len(p) == 0 {
			return
		}
		p = p[:min(len(p), reactor.ReadSize)]
		x.sendPiece(p, kept)
		moved += len(p)
	}
}

// mayRead reports whether something of the body may be read now. While the server
// takes no more, that is not the client's fault.
func (x upload) mayRead() bool {
	if x.upstream.conn.Blocked() {
		x.pace.stop(x.loop().Now())
		return false
	}
	if x.pace.proceed(x.loop().Now()) {
		x.client.arm()
	}
	return x.client.pending.Len() > 0 || x.client.down().Readable()
}

// sendPiece forwards one piece of the request's body, which is pending if it is kept;
// what follows the body stays pending.
func (x upload) sendPiece(p []byte, kept bool) {
	c := x.client
	body, size, reason := x.pass(p)
	if refusal, ok := x.permitBody(reason); !ok {
		x.end(refusal, session.ClientReset)
		return
	}
	x.dispatch.Since = x.loop().Now()
	x.pace.got += int64(size)
	recorder(x).countSent(len(body))
	if x.Flags&(rpc|answered) == rpc && x.replay.Len() < mostReplay {
		x.loop().Append(&x.replay, p[:min(size, mostReplay-x.replay.Len())])
	}
	if x.request.Done && !kept {
		c.HalfOpen = c.down().HungUp()
	}
	// Without data, it is the beginning of a trailer's name.
	if len(body) > 0 && x.upstream.conn.Send(body) != 0 {
		x.untaken()
	}
	c.leave(&input{p: p, pending: kept}, size)
}

// untaken handles a server that takes no more of the request. It may have
// answered before: the answer is read, and says so. The rest of the request is
// thrown away behind it.
func (x upload) untaken() {
	x.Flags |= upstreamClose
	x.request.Done = true
	x.client.Closes = true
	x.upstream.conn.RetryRead()
}
