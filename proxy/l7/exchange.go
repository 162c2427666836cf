package l7

import (
	"slices"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// exchange is one request and its response: a stream, in HAProxy's terms. It
// implements session.Stream. A client has one at a time, which is used again for
// each request.
//
//	state        event                                   next
//	idle         a complete head, a kept-alive           exchanging
//	             connection to its server
//	idle         a complete head                         dispatching
//	idle         a complete head, refused                idle, with a generated response; refusing
//	                                                     where that waits for the request's end
//	idle         a complete head, its body decides       inspecting, unless the body is complete, too
//	idle         a complete head, slots are scarce       collecting
//	idle         a complete head, over a limit           delaying, or idle: 429
//	inspecting   the body is complete                    as with a complete head
//	inspecting   it is denied, unreadable, too slow      idle: 403, 400, 408
//	delaying     its turn has come                       as with a complete head
//	collecting   enough of the body                      dispatching
//	collecting   it comes too slowly                     idle: 408
//	refusing     the request's end                       idle, with a generated response
//	refusing     timer, or the request is too long       idle, with a generated response
//	dispatching  a server is connected                   exchanging
//	dispatching  none can be had                         idle: 503, 504
//	exchanging   request and response complete           idle
//	exchanging   the body comes too slowly               idle: 408, or the client is visibly cut
//	exchanging   the server fails before its answer      another attempt, or idle: 502, 504
//	exchanging   the server fails within its answer      idle: the client is visibly cut
//	exchanging   101                                     tunnelling
//	tunnelling   the relay ends                          idle
type exchange struct {
	ExchangeState
	client       *client
	dispatch     session.Dispatch
	bound        *backend.Server // that its session or cookie names; nil = none
	upstreamPool *upstreamPool   // of the slot's server
	upstream     *upstream
	encoder      *bodyEncoder      // of an answer that cannot pass as it comes; nil = it can
	refusal      *refusal          // a generated response that waits for the end of the request
	log          *accesslog.Record // nil = none is kept
	route        *Route            // from the end of its head to that of the exchange; nil before, and after a hand-over
	ruling       *ruling           // what the route needs later; nil = nothing
	call         *call             // what it calls, and its limits; nil = not known, and none
	request      Body
	pace         *pace                 // of the request's body, where that is still to come
	replay       reactor.PendingBuffer // the beginning of the request as it was read, until an answer begins: to send again, or to find its id
	origin       string                // of the page that has sent the request; "" = of none, as far as is known
}

// ExchangeState is what a new process needs of an answer that is under way. Times
// are on the loops' clock.
type ExchangeState struct {
	Sent     int64 // when the request was forwarded
	Response Body
	Timeouts Timeouts           // of its route
	Session  backend.SessionKey // that it belongs to; 0 = none
	Flags    exchangeFlags
	Endpoint uint8 // of the server, as in endpoints
	Method   http1.Method
	state    exchangeState // does not move: it follows from Place
}

type exchangeState uint8

const (
	idle exchangeState = iota
	refusing
	collecting  // the beginning of the body: see intake
	inspecting  // all of the body, for the rules: see router.inspect
	delaying    // for the limits of its route
	dispatching // see session.Dispatch
	exchanging
	tunnelling
	exchangeStates // their number
)

// stateName is what Info calls the state.
func (x *exchange) stateName() string {
	if x.state == dispatching {
		return x.dispatch.State().String()
	}
	return [...]string{idle: "reading", refusing: "refusing", collecting: "collecting", inspecting: "inspecting", delaying: "delaying", exchanging: "exchanging", tunnelling: "tunnelling"}[x.state]
}

type exchangeFlags uint32

const (
	answered      exchangeFlags = 1 << iota // the response head has gone to the client
	reused                                  // on a kept-alive connection
	replayable                              // replay holds the complete request, and it may be sent twice
	rpc                                     // a JSON-RPC request: errors carry its id
	modern                                  // of the stateless era: no session, no cookie
	sessioned                               // it bears an MCP session
	setCookie                               // the cookie is to be inserted
	toWebSocket                             // an upgrade was asked for
	oldClient                               // HTTP/1.0: never sent chunks, nor 1xx
	upstreamClose                           // the upstream connection must not be used again
	acceptsGzip                             // the client takes answers in gzip, and may get them
	overTLS                                 // with acceptsGzip: over TLS
	waiting                                 // the client waits for 100 before it sends the body
	continued                               // it got it from here
	headerSession                           // it bears Mcp-Session-Id: not the deprecated transport
	streaming                               // the response is an event stream
	interim                                 // the server has sent an interim response
	resent                                  // the request was sent once more
	bodyIsRPC                               // its body, which was read for the rules, is JSON-RPC, whatever Content-Type says
	mayCreateTask                           // its result may be a task
	forTask                                 // it is for a task, or several
	tagged                                  // with forTask: their ids have the tag of the server that it is bound to
)

// endpoints are the addresses of a server that requests may go to, so that an
// exchange needs one byte to name one.
var endpoints = [...]conf.Endpoint{conf.EndpointHTTP, conf.EndpointWS, conf.EndpointSSE}

func endpointNumber(e conf.Endpoint) uint8 {
	return uint8(max(slices.Index(endpoints[:], e), 0))
}

// loop is the exchange's loop.
func (x *exchange) loop() *reactor.Loop { return x.client.worker.loop }

// has reports whether any of the flags is set.
func (x *exchange) has(flags exchangeFlags) bool { return x.Flags&flags != 0 }

func (x *exchange) set(flag exchangeFlags, yes bool) {
	if yes {
		x.Flags |= flag
	}
}

// begin begins the exchange of the request whose head is parsed, and about which the
// rate has decided.
func (x *exchange) begin(rate verdict) {
	settings := x.client.settings()
	x.note(settings)
	recorder{x}.countRequest()
	recorder{x}.logRequest()
	router{x}.begin(settings, rate)
}

// note keeps what is needed of the request once its head is gone.
func (x *exchange) note(settings *Settings) {
	c := x.client
	head := &c.worker.request
	x.Flags, x.Session, x.Method, x.origin = 0, 0, head.Method, c.worker.origins.of(head)
	x.dispatch.Restart()
	router{x}.beginBody()
	c.HalfOpen = c.down().HungUp()
	c.Closes = !head.KeepAlive || c.stream != nil || c.ending(settings) ||
		settings.Frontend.RequestsPerConnection > 0 && int(c.Requests) >= settings.Frontend.RequestsPerConnection
	x.set(oldClient, head.Minor == 0)
	x.set(toWebSocket, head.WebSocket)
	x.set(upstreamClose, head.UnexpectedBody)
	x.set(waiting, head.ExpectContinue)
	x.set(rpc, head.Method == http1.MethodPost && isMediaType(head.Get(http1.HeaderContentType), "application/json"))
	x.set(modern, eraOf(head) == mcp.EraStateless)
	x.set(headerSession, len(head.Get(http1.HeaderMcpSessionID)) > 0)
	tasks{x}.note(settings)
}

// eraOf is the era of a request, whose version counts if it stands in one line.
func eraOf(head *http1.RequestHead) mcp.Era {
	if head.Repeated(http1.HeaderMcpProtocolVersion) {
		return mcp.EraSession
	}
	return mcp.EraOf(head.Get(http1.HeaderMcpProtocolVersion))
}

// clientReady handles what has changed on the client's connection.
func (x *exchange) clientReady() {
	switch x.state {
	case refusing:
		refuser{x}.drainBody()
	case collecting:
		intake{x}.collectMore()
	case inspecting:
		router{x}.inspectMore()
	case exchanging:
		upload{x}.sendBody()
		if x.state == exchanging {
			download{x}.receive()
		}
		x.checkGone()
	case dispatching, delaying:
		x.checkGone()
	case tunnelling:
		x.client.stream.tunnel.pump()
	}
}

// checkGone ends an exchange whose client has gone: closing its connection is
// how a client cancels (MCP 2026-07-28), so the server must know at once. One
// that had finished sending when its request was read merely waits. Where a
// body is still to come, its end is found behind it.
func (x *exchange) checkGone() {
	c := x.client
	if !c.down().HungUp() || c.HalfOpen {
		return
	}
	if x.state == dispatching || x.state == delaying || x.state == exchanging && x.request.Done {
		c.gone()
	}
}

// abandon ends what the exchange has under way.
func (x *exchange) abandon(outcome backend.Outcome) {
	x.Disconnect(true)
	x.dispatch.Release(x.loop(), outcome)
	x.tidy()
	x.loop().Drop(&x.replay)
}

// forget lets go of everything when the exchange is over, and its response sent.
func (x *exchange) forget() {
	x.tidy()
	if x.ruling != nil {
		x.client.worker.rulings.put(x.ruling)
	}
	x.route, x.ruling, x.state = nil, nil, idle
}

// tidy lets go of what an exchange does not need that is over but for its response.
func (x *exchange) tidy() {
	x.endCall()
	sessionUse{x}.keepSession()
	x.dispatch.Forget()
	x.refusal, x.bound, x.upstreamPool = nil, nil, nil
	if x.pace != nil {
		x.client.worker.paces.put(x.pace)
		x.pace = nil
	}
	if x.encoder != nil {
		tasks{x}.count()
		x.client.worker.encoders.put(x.encoder)
		x.encoder = nil
	}
}

// isMediaType reports whether a Content-Type is of the media type, with or
// without parameters.
func isMediaType(value []byte, media string) bool {
	if len(value) < len(media) || !http1.EqualFold(value[:len(media)], media) {
		return false
	}
	if len(value) == len(media) {
		return true
	}
	switch value[len(media)] {
	case ';', ' ', '\t':
		return true
	}
	return false
}

// acceptsCoding reports whether a request's Accept-Encoding has the coding.
func acceptsCoding(head *http1.RequestHead, coding string) bool {
	for i := head.Find(http1.HeaderAcceptEncoding, 0); i >= 0; i = head.Find(http1.HeaderAcceptEncoding, i+1) {
		if http1.AcceptsCoding(head.Value(i), coding) {
			return true
		}
	}
	return false
}
