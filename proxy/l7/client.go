package l7

import (
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/http2"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// client is one client connection of a frontend, from accept to its end: it reads
// requests, one after the other, and each begins the exchange. It implements
// session.Session. Everything of it runs on its loop's goroutine.
//
//	state     event                               next
//	entering  the client has entered              reading
//	entering  it is refused                       finished
//	reading   a head, over the rate               reading: it is read again later (Resume)
//	reading   a complete head                     busy, with the exchange
//	reading   malformed, too late                 closing, with a generated response
//	reading   the client ends                     finished
//	busy      the exchange is over                reading, or closing
//	busy      it cannot end well                  finished: visibly cut
//	closing   the client ends, or timer           finished
//	any       the client goes                     finished; the server sees RST
type client struct {
	session.Client
	RequestState
	worker   *worker
	frontend *Frontend
	stream   *stream // of HTTP/2, which carries its one request; nil = it has a connection

	forwarded *forwarded            // nil: the client has connected itself
	pending   reactor.PendingBuffer // read and not used yet: part of a head, a request that waits, what follows it
	turn      ratelimit.Turn        // among those whose messages wait for the rate
	scan      http1.Scan
	state     state
	ready     bool // pending may hold a complete head
	finSent   bool // in state closing
	exchange  exchange
}

// RequestState is what a new process needs of a client between two requests.
type RequestState struct {
	Resume   int64  // the head that is pending is over the rate, and not read again before, on the loops' clock; 0 = none is
	Requests uint32 // read so far
	Closes   bool   // this is the last exchange
	HalfOpen bool   // the client had finished sending when its request was read
}

type state uint8

const (
	entering state = iota // see session.Client
	reading
	busy // see exchange
	closing
	finished
	states // their number
)

// lingerTime is how long what a client still sends is read, so that it can read
// the answer.
const lingerTime = 5 * time.Second

// loop is the client's loop.
func (c *client) loop() *reactor.Loop { return c.worker.loop }

// settings are those in force.
func (c *client) settings() *Settings { return c.frontend.Settings() }

// counters are what the client's loop counts for its frontend.
func (c *client) counters() *Counters { return c.frontend.Counters(c.worker.number) }

// entered continues with what has become of the client's way in.
func (c *client) entered(done bool, refusal session.Reason) {
	switch {
	case !done:
		c.arm()
	case refusal != 0:
		c.Refuse(refusal)
		c.finish(refusal)
	default:
		c.awaitRequest()
	}
}

// awaitRequest begins to wait for the first request.
func (c *client) awaitRequest() {
	c.state, c.Since = reading, c.loop().Now()
	if session.Protocol(c.Conn) == conf.ProtocolHTTP2 {
		c.multiplex(nil)
		return
	}
	c.arm()
	if c.down().Readable() {
		c.read() // what came behind the header, or the handshake
	}
}

// Ready implements reactor.Handler for the client's connection.
func (c *client) Ready(*reactor.Conn) {
	if c.down().Failed() {
		c.gone()
		return
	}
	switch c.state {
	case entering:
		settings := c.settings()
		c.entered(c.Enter(&settings.Settings, c.frontend.Limiter))
	case reading:
		if c.Resume != 0 && c.down().HungUp() && !c.HalfOpen {
			c.gone() // and is neither forwarded nor charged
			return
		}
		c.read()
	case busy:
		c.exchange.clientReady()
	case closing:
		c.discard()
	}
}

// gone ends the client because it is no longer there.
func (c *client) gone() {
	if s := c.stream; s != nil && !s.Began {
		s.cancelled()
	}
	reason := session.ClientClosed
	switch {
	case c.state == entering:
		reason = c.Left()
	case c.state == busy && c.exchange.state == dispatching:
		reason = session.ClientGone
	case c.state == busy && c.exchange.state != refusing:
		reason = session.ClientReset
	}
	c.cut(reason)
}

// read takes in a request, as far as it has come: one a turn of the loop, even if
// it is refused at once. While the client does not read the answers it has,
// nothing more is read from it.
func (c *client) read() {
	for before := c.Requests; c.state == reading && c.Requests == before; {
		switch {
		case c.loop().Now() < c.Resume, c.down().Blocked():
			c.arm()
			return
		case !c.ready && !c.down().Readable():
			c.arm() // where the frontend is draining, its next answer says so
			return
		case c.ready:
			c.Resume, c.ready = 0, false
			c.readHead(c.pending.Bytes(), true)
		default:
			c.Resume = 0
			c.readMore()
		}
	}
}

// readMore reads once.
func (c *client) readMore() {
	p := c.loop().Scratch()
	n, errno := c.down().Read(p)
	switch {
	case errno == unix.EAGAIN:
	case errno != 0:
		c.gone()
	case n == 0:
		c.finish(session.ClientClosed)
	case c.pending.Len() > 0:
		c.countIn(n)
		c.loop().Append(&c.pending, p[:n])
		c.readHead(c.pending.Bytes(), true)
	default:
		c.countIn(n)
		c.Since = c.loop().Now() // the first byte of a head
		c.readHead(p[:n], false)
	}
}

// readHead reads a request head at the beginning of p, and charges it; pending says
// that p is what is pending.
func (c *client) readHead(p []byte, pending bool) {
	w := c.worker
	if c.Requests == 0 && c.stream == nil && c.isPreface(p, pending) {
		return
	}
	n, reason := w.request.Parse(p, &c.scan, int(c.settings().Frontend.MaxHeader))
	w.input = input{of: c, p: p, n: n, pending: pending}
	if n == 0 && reason == http1.ReasonNone {
		c.keepInput()
		c.arm()
		return
	}
	rate := requester{c}.admit(reason)
	switch {
	case rate.waits:
		requester{c}.hold(rate.wait)
	case reason == http1.ReasonNone && c.stream == nil && !c.settings().Frontend.TakesHTTP1():
		c.exchange.refuseHead(generated{why: HTTP2Only, fields: upgradeFields})
	case reason == http1.ReasonNone:
		c.Requests++
		c.state = busy
		c.exchange.begin(rate)
	default:
		c.exchange.origin = w.origins.ofRefused(p)
		c.malformed(reason, rate)
	}
}

// isPreface reports whether p is the preface of HTTP/2, where that is taken without TLS, or
// its beginning: then the head is not read, or not yet.
func (c *client) isPreface(p []byte, pending bool) bool {
	if !c.settings().Frontend.HTTP2 || c.Conn.HasTransport() {
		return false
	}
	switch http2.MatchPreface(p) {
	case http2.MatchYes:
		c.multiplex(p)
		return true
	case http2.MatchPartial:
		c.worker.input = input{of: c, p: p, pending: pending}
		c.keepInput()
		c.arm()
		return true
	}
	return false
}

// upgradeFields name the protocol to clients of another (RFC 9110 section 15.5.22).
var upgradeFields = []byte("Upgrade: HTTP/2.0\r\n")

// malformed answers a head that is malformed.
func (c *client) malformed(reason http1.Reason, rate verdict) {
	if rate.refused {
		c.exchange.refuseHead(rate.limited())
		return
	}
	c.counters().Malformed[reason].Add(1)
	c.exchange.refuseHead(generated{why: BadRequest, malformed: reason})
}

// keepInput makes the input of the parsed head pending, unless it is already. The input
// may be another client's by now: then this one waits already, and what it sent is pending.
func (c *client) keepInput() {
	if in := &c.worker.input; in.of == c && !in.pending {
		c.loop().Append(&c.pending, in.p)
		in.p, in.pending = c.pending.Bytes(), true
	}
}

// keepBody is keepInput for a request whose body is collected, within a limit that it has: a
// client of HTTP/2 may send more of it.
func (c *client) keepBody() {
	c.keepInput()
	if c.stream != nil {
		c.stream.pay()
	}
}

// leave makes pending what stands behind the first n bytes of in: the next
// request.
func (c *client) leave(in *input, n int) {
	if in.pending {
		c.loop().Consume(&c.pending, n)
	} else {
		c.loop().Append(&c.pending, in.p[n:])
	}
	c.ready = c.pending.Len() > 0
	c.scan = 0
	if c.stream != nil {
		c.stream.pay()
	}
}

// readBody reads what has come of a request's body; nil where nothing has, or the
// client is gone.
func (c *client) readBody() []byte {
	p := c.loop().Scratch()
	n, errno := c.down().Read(p)
	switch {
	case errno == unix.EAGAIN:
		return nil
	case errno != 0 || n == 0:
		c.gone()
		return nil
	}
	c.countIn(n)
	return p[:n]
}

// send sends to the client; where that fails, the client is gone.
func (c *client) send(p []byte) bool {
	c.counters().Taken.BytesOut.Add(uint64(len(p)))
	if log := c.exchange.log; log != nil {
		log.BytesOut += uint64(len(p))
	}
	if errno := c.down().Send(p); errno != 0 {
		c.gone()
		return false
	}
	return true
}

// next continues with the next request: the exchange is over.
func (c *client) next() {
	requester{c}.unidentify()
	c.state, c.Since = reading, c.loop().Now()
	if c.ready || c.down().Readable() {
		c.down().Yield() // it has come already
	}
	c.arm()
}

// close ends the client's connection behind what was sent to it. What it still
// sends is thrown away for a while: a close with unread bytes would destroy
// the answer on its way.
func (c *client) close() {
	requester{c}.unidentify()
	c.state, c.Since = closing, c.loop().Now()
	c.loop().Drop(&c.pending)
	c.arm()
	c.discard()
}

// discard throws away what a closing client sends, until it ends.
func (c *client) discard() {
	if c.down().Parked() > 0 {
		return
	}
	if !c.finSent {
		c.finSent = true
		c.down().CloseWrite()
		c.Since = c.loop().Now()
		c.arm()
		if c.down().Parked() > 0 {
			return // a transport's last word
		}
	}
	if c.drained() {
		c.finish(session.ServerClosed)
	}
}

// drained throws away what the client has sent, and reports whether it has ended.
func (c *client) drained() bool {
	if c.stream != nil {
		return c.stream.http2.RequestDone()
	}
	return c.Discard()
}

// cut ends the client so that it cannot take a part of an answer for all of it:
// by FIN within an answer that shows its own end, or where FIN was sent already,
// otherwise with RST.
func (c *client) cut(reason session.Reason) {
	if c.Conn != nil && c.state != finished {
		if c.finSent || c.exchange.state == exchanging && c.exchange.showsEnd() {
			c.down().Cut()
		} else {
			c.down().Reset()
		}
	}
	c.finish(reason)
}

// finish ends the client and releases what it holds, exactly once.
func (c *client) finish(reason session.Reason) {
	if c.state == finished {
		return
	}
	c.logFinish(reason)
	if s := c.stream; s != nil {
		s.granted = c.exchange.dispatch.State() == session.Queued
	}
	c.exchange.dispatch.End(&c.exchange)
	c.state = finished
	c.loop().Disarm(&c.Timer)
	c.exchange.abandon(reason.Outcome())
	c.exchange.forget()
	if c.Conn != nil {
		c.down().Close()
	}
	c.loop().Drop(&c.pending)
	c.Source.Leave(&c.turn)
	if c.stream != nil {
		requester{c}.unidentify()
		c.stream.recycle()
		return
	}
	c.counters().Taken.Ended[reason].Add(1)
	c.frontend.Leave(c.Source, c.loop())
}
