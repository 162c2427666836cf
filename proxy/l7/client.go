//go:build linux

package l7

import (
	"net/netip"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// client is one client connection of a frontend, from accept to its end, and
// the one exchange (request and response) that it may have under way.
// Everything of it runs on its loop's goroutine, but for Granted.
//
//	state       event                               next
//	reading     a whole head, a slot and a kept-    exchanging
//	            alive connection to its server
//	reading     a whole head, a slot                connecting
//	reading     a whole head, every server is full  queued
//	reading     malformed, refused, too late        closing, with an answer
//	reading     the client ends                     finished
//	queued      Granted                             exchanging, or connecting
//	queued      timeout_queue                       closing: 503
//	connecting  connected                           exchanging
//	connecting  failed, attempts are left           reading's choice of a server again,
//	                                                or pausing when all were tried
//	connecting  failed, none are left               closing: 503, 504
//	pausing     timer                               connecting
//	exchanging  request and response complete       reading, or closing
//	exchanging  the server fails before its answer  another attempt, or closing: 502, 504
//	exchanging  the server fails within its answer  finished, with RST: visibly cut
//	exchanging  101                                 tunnelling
//	exchanging  the client goes                     finished; the server sees RST
//	tunnelling  the relay ends                      finished
//	closing     the client ends, or timer           finished
type client struct {
	conn     *reactor.Conn
	worker   *worker
	frontend *Frontend
	loop     *reactor.Loop
	counters *Counters
	source   *ratelimit.Source // nil: not limited
	from     netip.AddrPort
	timer    reactor.Timer
	since    int64 // when the present wait began, or something last moved
	resume   int64 // the next request is not read before; 0 = it is

	pending  reactor.Kept // read and not used yet: part of a head, a request that waits, what follows it
	scan     http1.Scan
	state    state
	ready    bool // pending may hold a whole head
	limited  bool // the limiter was asked about this connection, source is valid
	closes   bool // this is the last exchange
	halfOpen bool // the client had finished sending when its request was read
	requests int

	exchange exchange
	tunnel   *tunnel
}

// exchange is one request and its response.
type exchange struct {
	pool     *backend.Pool
	lease    backend.Lease
	upstream *upstream
	request  body
	response body
	replay   reactor.Kept // the request as it was read, as long as no answer has begun: to send again, or to find its id
	began    int64        // when its head was complete
	attempts int
	tried    []*backend.Server
	endpoint uint8
	method   http1.Method
	flags    exchangeFlags
}

type exchangeFlags uint16

const (
	answered      exchangeFlags = 1 << iota // the response head has gone to the client
	reused                                  // on a kept-alive connection
	replayable                              // replay holds the whole request
	rpc                                     // a JSON-RPC request: errors carry its id
	modern                                  // of the stateless era: no session, no cookie
	setCookie                               // the cookie is to be inserted
	websocket                               // an upgrade was asked for
	oldClient                               // HTTP/1.0: never sent chunks, nor 1xx
	unframed                                // chunks are taken off for an HTTP/1.0 client
	upstreamClose                           // the upstream connection must not be used again
	tagEndpoint                             // an event stream of the deprecated transport
)

type state uint8

const (
	reading state = iota
	queued
	connecting
	pausing
	exchanging
	tunnelling
	closing
	finished
)

const (
	lingerTime = 5 * time.Second // to read what the client still sends, so that it can read our answer
	retryPause = time.Second     // before a server is tried again
)

// start asks the limits, and then for a request.
func (c *client) start() {
	source, verdict := c.frontend.limiter.Admit(c.from.Addr(), c.loop.Now())
	if verdict != ratelimit.Admitted {
		c.conn.Reset()
		c.finish(l4.RefusalOf(verdict))
		return
	}
	c.source = source
	now := c.loop.Now()
	c.since = now
	if pause := source.Delay(0, now); pause > 0 {
		c.resume = now + int64(pause)
	}
	c.arm()
}

// Ready implements reactor.Handler for the client's connection.
func (c *client) Ready(*reactor.Conn) {
	if c.conn.Failed() {
		c.gone()
		return
	}
	switch c.state {
	case reading:
		c.read()
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
// that had finished sending before its request was read merely waits.
func (c *client) checkGone() {
	switch c.state {
	case queued, connecting, pausing, exchanging:
		if c.conn.HungUp() && !c.halfOpen && (c.state != exchanging || c.exchange.request.done) {
			c.gone()
		}
	}
}

// gone ends the client because it is no longer there.
func (c *client) gone() {
	c.conn.Reset()
	reason := l4.ClientReset
	switch c.state {
	case queued, connecting, pausing:
		reason = l4.ClientGone
	case reading, closing:
		reason = l4.ClientClosed
	}
	c.finish(reason)
}

// read takes in requests until there are no more bytes, or one is under way.
func (c *client) read() {
	for c.state == reading {
		if c.resume != 0 {
			if c.loop.Now() < c.resume {
				c.arm()
				return
			}
			c.resume = 0
		}
		if c.ready {
			c.ready = false
			c.readHead(c.pending.Bytes(), true)
			continue
		}
		if !c.conn.Readable() {
			c.arm()
			return
		}
		p := c.loop.Scratch()
		n, errno := c.conn.Read(p)
		switch {
		case errno == unix.EAGAIN:
		case errno != 0:
			c.gone()
		case n == 0:
			c.ended()
		default:
			c.took(n)
			c.readHeadFrom(p[:n])
		}
	}
}

// took counts bytes from the client.
func (c *client) took(n int) {
	c.counters.Taken.BytesIn.Add(uint64(n))
}

// ended ends a client that sends nothing more and waits for nothing.
func (c *client) ended() {
	c.finish(l4.ClientClosed)
}

// readHeadFrom goes on with what was just read, behind what was read before.
func (c *client) readHeadFrom(p []byte) {
	if c.pending.Len() == 0 {
		c.since = c.loop.Now() // the first byte of a head
		c.readHead(p, false)
		return
	}
	c.loop.Keep(&c.pending, p)
	c.readHead(c.pending.Bytes(), true)
}

// readHead reads a request head at the beginning of p; kept says that p is
// what is pending.
func (c *client) readHead(p []byte, kept bool) {
	settings := c.frontend.Settings()
	head := &c.worker.request
	n, reason := head.Parse(p, &c.scan, int(settings.Frontend.MaxHeader))
	switch {
	case reason != http1.ReasonNone:
		c.refuse(answer{why: BadRequest, status: reason.Status(), text: reason.Text()})
	case n == 0:
		if !kept {
			c.loop.Keep(&c.pending, p)
		}
		c.arm()
	default:
		c.begin(settings, p, n, kept)
	}
}

// begin begins the exchange of the request whose head is p[:n].
func (c *client) begin(settings *Settings, p []byte, n int, kept bool) {
	c.counters.Requests.Add(1)
	c.counters.Taken.MessagesIn.Add(1)
	c.requests++
	x := &c.exchange
	x.began = c.loop.Now()
	x.attempts, x.flags = 0, 0
	c.halfOpen = c.conn.HungUp()
	c.note(settings)
	if refusal, ok := c.permit(settings, p[n:]); !ok {
		c.refuseWith(refusal, p, n)
		return
	}
	route := settings.route(c.worker.request.Path())
	x.pool, x.endpoint = route.Pool, endpointNumber(route.Endpoint)
	request, refusal, ok := c.affinity(settings, route)
	if !ok {
		c.refuseWith(refusal, p, n)
		return
	}
	c.acquire(&request, p, n, kept)
}

// note keeps what is known of the request for when its head is gone.
func (c *client) note(settings *Settings) {
	head, x := &c.worker.request, &c.exchange
	x.method = head.Method
	x.request.begin(head.Framing, head.Length)
	c.closes = !head.KeepAlive || c.frontend.draining.Load() ||
		settings.Frontend.RequestsPerConnection > 0 && c.requests >= settings.Frontend.RequestsPerConnection
	if head.Minor == 0 {
		x.flags |= oldClient
	}
	if head.WebSocket {
		x.flags |= websocket
	}
	if head.UnexpectedBody {
		x.flags |= upstreamClose
	}
	if head.Method == http1.MethodPost && isJSON(head.Get(http1.HeaderContentType)) {
		x.flags |= rpc
	}
	if mcp.EraOf(head.Get(http1.HeaderMcpProtocolVersion)) == mcp.EraStateless {
		x.flags |= modern
		c.counters.Modern.Add(1)
	}
}

// isJSON tells whether a Content-Type is application/json, with or without
// parameters.
func isJSON(value []byte) bool {
	const json = "application/json"
	return len(value) >= len(json) && http1.EqualFold(value[:len(json)], json) &&
		(len(value) == len(json) || value[len(json)] == ';' || value[len(json)] == ' ')
}

// permit asks the limits about the request; rest is what came behind its head.
func (c *client) permit(settings *Settings, rest []byte) (refusal answer, ok bool) {
	head := &c.worker.request
	if max := settings.Frontend.MaxBody; max > 0 && head.Framing == http1.FramingLength && head.Length > max {
		return answer{why: BodyTooLarge}, false
	}
	if !originAllowed(settings.Frontend.AllowedOrigins, head.Get(http1.HeaderOrigin)) {
		return answer{why: OriginRefused}, false
	}
	return c.meter()
}

// originAllowed tells whether a request with this Origin may pass; one without
// comes from no browser page.
func originAllowed(allowed []string, origin []byte) bool {
	if len(allowed) == 0 || origin == nil {
		return true
	}
	for _, one := range allowed {
		if http1.EqualFold(origin, one) {
			return true
		}
	}
	return false
}

// finish ends the client and releases what it holds, exactly once.
func (c *client) finish(reason l4.Reason) {
	if c.state == finished {
		return
	}
	if c.state == queued {
		c.exchange.pool.Cancel(c) // a grant under way finds the client finished
	}
	c.state = finished
	c.loop.Disarm(&c.timer)
	c.abandon(backend.ClientAbort)
	if c.conn != nil {
		c.conn.Close()
	}
	c.loop.Drop(&c.pending)
	c.source.Release()
	c.counters.Taken.Ended[reason].Add(1)
	c.frontend.current.Add(-1)
	c.loop.AddLoad(-1)
	c.frontend.gate.Left()
}

// Abort ends the client for a reason of the balancer's own; it sees RST.
func (c *client) Abort(reason l4.Reason) {
	if c.state == finished {
		return
	}
	if c.state == tunnelling {
		c.tunnel.relay.Abort(reason)
		return
	}
	if c.conn != nil {
		c.conn.Reset()
	}
	c.finish(reason)
}

// Server is the server whose slot the client holds, nil when it has none.
func (c *client) Server() *backend.Server { return c.exchange.lease.Server() }

// ServerDown tells the client that its server went down. A request that waits
// for a connection is given another server; one under way is cut, unless the
// policy is to keep it.
func (c *client) ServerDown(policy conf.OnDown) {
	switch c.state {
	case connecting, pausing:
		c.dropUpstream(false)
		c.failed(unix.ECONNRESET)
	case exchanging:
		if policy == conf.OnDownClose {
			c.refuseExchange(answer{why: ServerGone})
		}
	case tunnelling:
		if policy == conf.OnDownClose {
			c.Abort(l4.ServerDown)
		}
	}
}

// Drain ends a client that waits for nothing.
func (c *client) Drain() {
	if c.state == reading && c.pending.Len() == 0 {
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
