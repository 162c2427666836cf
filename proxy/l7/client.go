package l7

import (
	"net/netip"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// client is one client connection of a frontend, from accept to its end, and
// the one exchange (request and response) that it may have under way.
// Everything of it runs on its loop's goroutine, but for Granted.
//
//	state       event                               next
//	header      a whole PROXY header                securing, or reading
//	header      garbage, too late                   finished: refused
//	securing    the TLS handshake is complete       reading
//	securing    it fails, too late                  finished: refused
//	reading     a whole head, a slot and a kept-    exchanging
//	            alive connection to its server
//	reading     a whole head, a slot                connecting
//	reading     a whole head, every server is full  queued
//	reading     a whole head, refused               reading or closing, with an answer; refusing
//	                                                where the answer waits for the request's end
//	reading     malformed, too late                 closing, with an answer
//	reading     the client ends                     finished
//	refusing    the request's end                   reading or closing, with an answer
//	refusing    timer, or the request is too long   closing, with an answer
//	queued      Granted                             exchanging, or connecting
//	queued      timeout_queue                       closing: 503
//	connecting  connected                           exchanging
//	connecting  failed, attempts are left           reading's choice of a server again,
//	                                                or pausing when all were tried
//	connecting  failed, none are left               closing: 503, 504
//	pausing     timer                               connecting
//	exchanging  request and response complete       reading, or closing
//	exchanging  the server fails before its answer  another attempt, or closing: 502, 504
//	exchanging  the server fails within its answer  finished: visibly cut
//	exchanging  101                                 tunnelling
//	tunnelling  the relay ends                      finished
//	closing     the client ends, or timer           finished
//	any         the client goes                     finished; the server sees RST
type client struct {
	conn     *reactor.Conn
	worker   *worker
	frontend *Frontend
	counters *Counters
	source   *ratelimit.Source // nil: not limited
	tunnel   *tunnel           // in state tunnelling
	from     netip.AddrPort
	timer    reactor.Timer
	since    int64 // when the present wait began, or something last moved
	resume   int64 // the next request is not read before; 0 = it is

	pending  reactor.PendingBuffer // read and not used yet: part of a head, a request that waits, what follows it
	scan     http1.Scan
	requests uint32
	state    state
	ready    bool // pending may hold a whole head
	closes   bool // this is the last exchange
	halfOpen bool // the client had finished sending when its request was read
	told     bool // in state closing: FIN was sent

	exchange exchange
	log      *accesslog.Record // of the exchange; nil = none is kept
}

type state uint8

const (
	header state = iota
	securing
	reading
	refusing
	queued
	connecting
	pausing
	exchanging
	tunnelling
	closing
	finished
)

// start begins with the PROXY header where one is expected.
func (c *client) start() {
	settings := c.frontend.Settings()
	c.since = c.worker.loop.Now()
	switch {
	case !settings.Frontend.AcceptProxy:
		c.admit()
	case !settings.trusts(c.from.Addr()):
		c.cut(l4.UntrustedProxy)
	default:
		c.arm()
	}
}

// readProxyHeader waits for the PROXY header, and goes on with the client that
// it names.
func (c *client) readProxyHeader() {
	from, done, refusal := l4.ReadProxyHeader(c.conn)
	switch {
	case !done:
		return
	case refusal != 0:
		c.cut(refusal)
		return
	case from.IsValid():
		c.from = from
	}
	c.admit()
}

// admit asks the limits: before TLS, whose handshakes cost much.
func (c *client) admit() {
	now := c.worker.loop.Now()
	source, verdict := c.frontend.limiter.Admit(c.from.Addr(), now)
	if verdict != ratelimit.Admitted {
		c.cut(l4.RefusalOf(verdict))
		return
	}
	c.source = source
	c.worker.loop.Disarm(&c.timer)
	if tls := c.frontend.Settings().TLS; tls != nil {
		c.state, c.since = securing, now
		tls.Secure(c.conn)
		c.arm()
		c.shake()
		return
	}
	c.greet()
}

// shake goes on with the TLS handshake.
func (c *client) shake() {
	done, refusal := l4.Shake(c.conn)
	switch {
	case !done:
	case refusal != 0:
		c.finish(refusal) // without RST, which could overtake the alert
	default:
		c.worker.loop.Disarm(&c.timer)
		c.greet()
	}
}

// greet begins to wait for the first request. A client that comes back does
// not leave behind what its source owes.
func (c *client) greet() {
	c.state, c.since = reading, c.worker.loop.Now()
	if pause := c.source.Delay(0, c.since); pause > 0 {
		c.resume = c.since + int64(pause)
	}
	c.arm()
	if c.conn.Readable() {
		c.read() // what came behind the header, or the handshake
	}
}

// Ready implements reactor.Handler for the client's connection.
func (c *client) Ready(*reactor.Conn) {
	if c.conn.Failed() {
		c.gone()
		return
	}
	switch c.state {
	case header:
		c.readProxyHeader()
	case securing:
		c.shake()
	case reading:
		c.read()
	case refusing:
		c.absorb()
	case exchanging:
		c.sendBody()
		if c.state == exchanging {
			c.receive()
		}
		c.checkGone()
	case queued, connecting, pausing:
		c.checkGone()
	case closing:
		c.discard()
	}
}

// checkGone ends an exchange whose client has gone: closing its connection is
// how a client cancels (MCP 2026-07-28), so the server must know at once. One
// that had finished sending when its request was read merely waits. Where a
// body is still to come, its end is found behind it.
func (c *client) checkGone() {
	if !c.conn.HungUp() || c.halfOpen {
		return
	}
	switch c.state {
	case queued, connecting, pausing:
		c.gone()
	case exchanging:
		if c.exchange.request.done {
			c.gone()
		}
	}
}

// gone ends the client because it is no longer there.
func (c *client) gone() {
	reason := l4.ClientReset
	switch c.state {
	case header, securing, queued, connecting, pausing:
		reason = l4.ClientGone
	case reading, refusing, closing:
		reason = l4.ClientClosed
	}
	c.cut(reason)
}

// read takes in a request, as far as it has come: one a turn of the loop, though
// it be refused at once. While the client does not read the answers it has,
// nothing more is read from it.
func (c *client) read() {
	for before := c.requests; c.state == reading && c.requests == before; {
		switch {
		case c.worker.loop.Now() < c.resume, c.conn.Blocked():
			c.arm()
			return
		case !c.ready && !c.conn.Readable():
			c.arm() // where the frontend is draining, it is told with its next answer
			return
		case c.ready:
			c.resume, c.ready = 0, false
			c.readHead(c.pending.Bytes(), true)
		default:
			c.resume = 0
			c.readMore()
		}
	}
}

// readMore reads once.
func (c *client) readMore() {
	p := c.worker.loop.Scratch()
	n, errno := c.conn.Read(p)
	switch {
	case errno == unix.EAGAIN:
	case errno != 0:
		c.gone()
	case n == 0:
		c.finish(l4.ClientClosed)
	case c.pending.Len() > 0:
		c.took(n)
		c.worker.loop.Append(&c.pending, p[:n])
		c.readHead(c.pending.Bytes(), true)
	default:
		c.took(n)
		c.since = c.worker.loop.Now() // the first byte of a head
		c.readHead(p[:n], false)
	}
}

// took counts bytes from the client.
func (c *client) took(n int) { c.counters.Taken.BytesIn.Add(uint64(n)) }

// readHead reads a request head at the beginning of p; kept says that p is
// what is pending.
func (c *client) readHead(p []byte, kept bool) {
	settings := c.frontend.Settings()
	n, reason := c.worker.request.Parse(p, &c.scan, int(settings.Frontend.MaxHeader))
	switch {
	case reason != http1.ReasonNone:
		c.counters.Malformed[reason].Add(1)
		c.refuseHead(answer{why: BadRequest, malformed: reason})
	case n == 0:
		c.keep(p, kept)
		c.arm()
	default:
		c.begin(settings, p, n, kept)
	}
}

// keep has p pending, where it is not already.
func (c *client) keep(p []byte, kept bool) {
	if !kept {
		c.worker.loop.Append(&c.pending, p)
	}
}

// begin begins the exchange of the request whose head is p[:n].
func (c *client) begin(settings *Settings, p []byte, n int, kept bool) {
	c.requests++
	c.note(settings)
	c.countRequest(&c.worker.request)
	c.logRequest(n)
	if refusal, ok := c.permit(settings); !ok {
		c.refuseWith(refusal, p, n, kept)
		return
	}
	x := &c.exchange
	route := settings.route(c.worker.request.Path())
	x.pool, x.endpoint = route.Pool, endpointNumber(route.Endpoint)
	c.choose(settings, route, p, n, kept)
}

// next goes on to the next request: the exchange is over.
func (c *client) next() {
	c.state, c.since = reading, c.worker.loop.Now()
	if c.ready || c.conn.Readable() {
		c.conn.Yield() // it has come already
	}
	c.arm()
}

// close ends the client's connection behind what was sent to it. What it still
// sends is thrown away for a while: a close with unread bytes would destroy
// the answer on its way.
func (c *client) close() {
	c.state, c.since = closing, c.worker.loop.Now()
	c.worker.loop.Drop(&c.pending)
	c.arm()
	c.discard()
}

// discard throws away what a closing client sends, until it ends.
func (c *client) discard() {
	if c.conn.Parked() > 0 {
		return
	}
	if !c.told {
		c.told = true
		c.conn.CloseWrite()
		c.since = c.worker.loop.Now()
		c.arm()
		if c.conn.Parked() > 0 {
			return // a layer's last word
		}
	}
	for range 16 {
		if !c.conn.Readable() {
			return
		}
		n, errno := c.conn.Read(c.worker.loop.Scratch())
		if n == 0 && errno != unix.EAGAIN {
			c.finish(l4.ServerClosed)
			return
		}
	}
	c.conn.Yield()
}

// cut ends the client so that it cannot take a part of an answer for the whole:
// by FIN within an answer that tells its own end, or where that was sent
// already, otherwise with RST.
func (c *client) cut(reason l4.Reason) {
	if c.conn != nil && c.state != finished {
		if c.told || c.state == exchanging && c.exchange.tellsEnd() {
			c.conn.Cut()
		} else {
			c.conn.Reset()
		}
	}
	c.finish(reason)
}

// finish ends the client and releases what it holds, exactly once.
func (c *client) finish(reason l4.Reason) {
	if c.state == finished {
		return
	}
	if c.state == queued {
		c.exchange.pool.Cancel(c) // a grant under way finds the client finished
	}
	c.logFinish(reason)
	c.state = finished
	loop := c.worker.loop
	loop.Disarm(&c.timer)
	c.abandon(l4.OutcomeOf(reason))
	if c.conn != nil {
		c.conn.Close()
	}
	loop.Drop(&c.pending)
	c.counters.Taken.Ended[reason].Add(1)
	c.leaveFrontend()
}

// Abort ends the client for a reason of the balancer's own; it sees that it was
// cut off.
func (c *client) Abort(reason l4.Reason) {
	if c.state == tunnelling {
		c.tunnel.relay.Abort(reason)
		return
	}
	c.cut(reason)
}

// stateNames are what Info calls the states.
var stateNames = [...]string{
	reading: "reading", refusing: "refusing", queued: "queued", connecting: "connecting", pausing: "pausing",
	exchanging: "exchanging", tunnelling: "tunnelling", closing: "closing", finished: "finished",
}

// Info tells of the client.
func (c *client) Info() l4.Info {
	return l4.Info{
		Frontend: c.frontend.Settings().Frontend.Name, Client: c.from,
		State: stateNames[c.state], Since: c.since, Requests: uint64(c.requests),
	}
}

// Server is the server whose slot the client holds, nil when it has none.
func (c *client) Server() *backend.Server { return c.exchange.lease.Server() }

// ServerDown tells the client that its server may not be used any more: it went
// down or into maintenance, or a reload took it away. A request that waits for a
// connection is given another server; one under way is ended, unless the policy
// is to keep it.
func (c *client) ServerDown(policy conf.OnDown) {
	switch c.state {
	case connecting, pausing:
		c.dropUpstream(false)
		c.failed(unix.ECONNRESET)
	case exchanging:
		if policy == conf.OnDownClose {
			c.end(answer{why: ServerGone}, l4.DownOf(c.Server()))
		}
	case tunnelling:
		if policy == conf.OnDownClose {
			c.Abort(l4.DownOf(c.Server()))
		}
	}
}

// Drain ends a client that waits for nothing. A request that is on its way, as
// far as is known, is answered first.
func (c *client) Drain() {
	switch {
	case c.state != reading || c.pending.Len() > 0 || c.conn.Readable():
	case c.conn.Parked() > 0:
		c.close()
	default:
		c.finish(l4.ServerClosed)
	}
}

// Session is a client's connection, as the balancer as a whole deals with it.
// Its methods run on its loop's goroutine.
type Session interface {
	Server() *backend.Server
	ServerDown(policy conf.OnDown)
	Drain()
	Abort(reason l4.Reason)
	Info() l4.Info
	Holds() (*backend.Slot, *ratelimit.Source)
	Detach() (*Carried, l4.Detached, bool)
	Gone(*l4.Detached)
	Back(*Carried, *l4.Detached)
}

// Of returns the session that a client's connection belongs to, for
// reactor.Loop.Sweep: nil for a connection to a server, and for one that is no
// http client's.
func Of(conn *reactor.Conn) Session {
	switch handler := conn.Handler().(type) {
	case *client:
		return handler
	case *l4.Relay:
		if t, ok := handler.Owner().(*tunnel); ok && handler.Client() == conn {
			return t.client
		}
	}
	return nil
}

const (
	lingerTime = 5 * time.Second // to read what the client still sends, so that it can read our answer
	retryPause = time.Second     // before a server is tried again
)
