package l7

import (
	"slices"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
)

// exchange is one request and its response: a stream, in HAProxy's terms.
type exchange struct {
	pool     *backend.Pool
	lease    backend.Slot
	bound    *backend.Server // whom its session or cookie names; nil = nobody
	origin   *origin         // the server of the lease
	upstream *upstream
	recoder  *recoder // of an answer that cannot pass as it comes; nil = it can
	refusal  *refusal // an answer of our own that waits for the end of the request
	request  body
	response body
	replay   reactor.PendingBuffer // the beginning of the request as it was read, until an answer begins: to send again, or to find its id
	began    int64                 // when its head was complete
	sent     int64                 // when it was forwarded
	tried    []*backend.Server
	attempts uint16 // connection attempts
	flags    exchangeFlags
	endpoint uint8 // of the server, as in endpoints
	method   http1.Method
}

type exchangeFlags uint16

const (
	answered      exchangeFlags = 1 << iota // the response head has gone to the client
	reused                                  // on a kept-alive connection
	replayable                              // replay holds the whole request, and it may be sent twice
	rpc                                     // a JSON-RPC request: errors carry its id
	modern                                  // of the stateless era: no session, no cookie
	sessioned                               // it bears an MCP session
	setCookie                               // the cookie is to be inserted
	toWebSocket                             // an upgrade was asked for
	oldClient                               // HTTP/1.0: never sent chunks, nor 1xx
	upstreamClose                           // the upstream connection must not be used again
	acceptsGzip                             // the client takes answers in gzip
	waiting                                 // the client waits for 100 before it sends the body
)

// endpoints are the addresses of a server that requests may go to, so that an
// exchange needs one byte to name one.
var endpoints = [...]conf.Endpoint{conf.EndpointHTTP, conf.EndpointWS, conf.EndpointSSE}

func endpointNumber(e conf.Endpoint) uint8 {
	return uint8(max(slices.Index(endpoints[:], e), 0))
}

// note keeps what is known of the request for when its head is gone.
func (c *client) note(settings *Settings) {
	head, x := &c.worker.request, &c.exchange
	x.began = c.worker.loop.Now()
	x.attempts, x.flags, x.method = 0, 0, head.Method
	x.request.begin(head.Framing, head.Length)
	c.halfOpen = c.conn.HungUp()
	c.closes = !head.KeepAlive || c.frontend.draining.Load() ||
		settings.Frontend.RequestsPerConnection > 0 && int(c.requests) >= settings.Frontend.RequestsPerConnection
	x.set(oldClient, head.Minor == 0)
	x.set(toWebSocket, head.WebSocket)
	x.set(upstreamClose, head.UnexpectedBody)
	x.set(waiting, head.ExpectContinue)
	x.set(rpc, head.Method == http1.MethodPost && isMediaType(head.Get(http1.HeaderContentType), "application/json"))
	x.set(modern, mcp.EraOf(head.Get(http1.HeaderMcpProtocolVersion)) == mcp.EraStateless)
	x.set(acceptsGzip, len(settings.Frontend.Compress) > 0 && acceptsCoding(head, "gzip"))
}

func (x *exchange) set(flag exchangeFlags, yes bool) {
	if yes {
		x.flags |= flag
	}
}

// isMediaType tells whether a Content-Type is of the media type, with or
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

// acceptsCoding tells whether a request's Accept-Encoding has the coding.
func acceptsCoding(head *http1.RequestHead, coding string) bool {
	for i := head.Find(http1.HeaderAcceptEncoding, 0); i >= 0; i = head.Find(http1.HeaderAcceptEncoding, i+1) {
		if http1.AcceptsCoding(head.Value(i), coding) {
			return true
		}
	}
	return false
}
