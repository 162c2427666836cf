package l7

import (
	"strconv"
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// Why is the reason for a generated response. Each is counted, and its String is
// the label in statistics and logs.
type Why uint8

// The reasons.
const (
	BadRequest     Why = iota // 400 and the like: the request is malformed (http1.Reason says how)
	Banned                    // 403: the client that a trusted proxy names is banned
	Denied                    // 403: a route with deny
	OriginRefused             // 403: Origin is not among allowed_origins
	SessionGone               // 404: the server of the MCP session is gone
	RequestTimeout            // 408: no complete request within timeout_http_request, no body within timeout_client
	BodyTooSlow               // 408: a body that comes slower than min_body_rate
	BodyTooLarge              // 413: a body over max_body
	RateLimited               // 429: over the source's rate
	BadResponse               // 502: the server's answer is malformed
	ServerGone                // 502: the server ended the connection without an answer, or went down
	NoServer                  // 503: no server is usable
	QueueTimeout              // 503: no slot was free for timeout_queue
	ConnectFailed             // 503: no server could be connected to
	NoResources               // 503: the balancer had no descriptor, port or memory for it
	ServerTimeout             // 504: no answer within timeout_server, no connection within timeout_connect
	Preflight                 // 204: what a page of another origin may ask for
	own                       // how many there are
)

var responses = [own]struct {
	status int
	word   string
	text   string
}{
	BadRequest:     {400, "bad_request", "the request is malformed"},
	Banned:         {403, "banned", "this address is banned"},
	Denied:         {403, "denied", "this request is not allowed here"},
	OriginRefused:  {403, "origin_refused", "this origin is not allowed here"},
	SessionGone:    {404, "session_gone", "the server of this session is gone: initialize again"},
	RequestTimeout: {408, "request_timeout", "the request did not come in time"},
	BodyTooSlow:    {408, "body_too_slow", "the request body came too slowly"},
	BodyTooLarge:   {413, "body_too_large", "the request body is larger than allowed"},
	RateLimited:    {429, "rate_limited", "too many requests from this address"},
	BadResponse:    {502, "bad_response", "the server's answer is malformed"},
	ServerGone:     {502, "server_gone", "the server ended the connection without an answer"},
	NoServer:       {503, "no_server", "no server is available"},
	QueueTimeout:   {503, "queue_timeout", "no server had room in time"},
	ConnectFailed:  {503, "connect_failed", "no server could be reached"},
	NoResources:    {503, "no_resources", "the balancer is out of descriptors, ports or memory"},
	ServerTimeout:  {504, "server_timeout", "the server did not answer in time"},
	Preflight:      {204, "preflight", ""},
}

func (w Why) String() string { return responses[w].word }

// generated is a response that the balancer generates itself.
type generated struct {
	why        Why
	malformed  http1.Reason  // what is wrong with the request, or with the server's answer
	text       string        // where it is another than why's
	retryAfter time.Duration // 0 = not said
	fields     []byte        // of a Preflight, which has no body
}

// code is the response's status.
func (g *generated) code() int {
	if g.why == BadRequest && g.malformed != http1.ReasonNone {
		return g.malformed.Status()
	}
	return responses[g.why].status
}

// reason says what is wrong, and what to do.
func (g *generated) reason() string {
	switch {
	case g.text != "":
		return g.text
	case g.malformed == http1.ReasonNone:
		return responses[g.why].text
	case g.why == BadResponse:
		return responses[g.why].text + ": " + g.malformed.Text()
	}
	return g.malformed.Text()
}

// recipient is what the client of a generated response needs.
type recipient struct {
	cors      *cors
	origin    string // of the page; "" = of none
	id        []byte // of the JSON-RPC request; nil = not known
	plain     bool   // it was no JSON-RPC request: plain text
	keepAlive bool   // the connection lives on
	head      bool   // of a HEAD request: no body
}

// append appends the complete response. A JSON-RPC request gets a JSON-RPC error
// with its id.
func (g *generated) append(dst, date []byte, to recipient) []byte {
	if g.why == Preflight {
		return g.appendPreflight(dst, date, to.keepAlive)
	}
	written := http1.Response{Status: g.code(), KeepAlive: to.keepAlive, Head: to.head, Date: date}
	if g.retryAfter > 0 {
		seconds := int64((g.retryAfter + time.Second - 1) / time.Second)
		written.Fields = http1.AppendField(nil, "Retry-After", strconv.FormatInt(seconds, 10))
	}
	written.Fields = to.cors.appendFields(written.Fields, to.origin)
	if to.plain {
		written.ContentType = "text/plain; charset=utf-8"
		written.Body = []byte(g.reason() + "\n")
	} else {
		written.ContentType = "application/json"
		written.Body = mcp.AppendHTTPError(nil, g.code(), to.id, g.reason(), g.retryAfter)
	}
	return http1.AppendResponse(dst, written)
}

// appendPreflight appends the response to a preflight.
func (g *generated) appendPreflight(dst, date []byte, keepAlive bool) []byte {
	dst = http1.AppendStatusLine(dst, g.code())
	dst = http1.AppendField(dst, "Date", date)
	dst = append(dst, g.fields...)
	if keepAlive {
		dst = append(dst, http1.FieldKeepAlive...)
	} else {
		dst = append(dst, http1.FieldClose...)
	}
	return append(dst, "\r\n"...)
}
