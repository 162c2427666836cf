package l7

import (
	"strconv"
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// Why is the reason for a generated response. Each is counted, and its String is
// the label in statistics and logs.
type Why uint8

// The reasons.
const (
	BadRequest      Why = iota // 400 and the like: the request is malformed (http1.Reason says how)
	Banned                     // 403: the client that a trusted proxy names is banned
	AccessDenied               // 403: the frontend's allow or deny refuses the client's address
	OriginRefused              // 403: Origin is not among allowed_origins
	SessionGone                // 404: the server of the MCP session is gone
	RequestTimeout             // 408: no complete request within timeout_http_request, no body within timeout_client
	BodyTooSlow                // 408: a body that comes slower than min_body_rate
	BodyTooLarge               // 413: a body over max_body
	RateLimited                // 429: over the source's rate
	BadResponse                // 502: the server's answer is malformed
	ServerGone                 // 502: the server ended the connection without an answer, or went down
	NoServer                   // 503: no server is usable
	QueueTimeout               // 503: no slot was free for timeout_queue
	ConnectFailed              // 503: no server could be connected to
	NoResources                // 503: the balancer had no descriptor, port or memory for it
	ServerTimeout              // 504: no answer within timeout_server, no connection within timeout_connect
	Preflight                  // 204: what a page of another origin may ask for
	Denied                     // 403: by a route
	Redirected                 // 3xx: by a route
	Responded                  // what a route responds
	LimitRefused               // 429: over a limit of a route
	TaskGone                   // 404: the server of the task is no longer there
	TaskUnreachable            // 503: the server of the task is down, or in maintenance
	HTTP2Only                  // 426: the frontend speaks no HTTP/1.1
	own                        // how many there are
)

var responses = [own]struct {
	status int
	word   string
	text   string
}{
	BadRequest:     {400, "bad_request", "the request is malformed"},
	Banned:         {403, "banned", "this address is banned"},
	AccessDenied:   {403, "access_denied", "this address is not allowed here"},
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
	Denied:         {403, "denied", "this request is not allowed here"},
	Redirected:     {308, "redirected", ""},
	Responded:      {200, "responded", ""},
	LimitRefused:   {429, "limit_refused", "too many requests of this kind"},

	TaskGone:        {404, "task_gone", "its server is no longer there: call the tool again"},
	TaskUnreachable: {503, "task_unreachable", "the server of this task is down or in maintenance: ask for the task later"},
	HTTP2Only:       {426, "http2_only", "only HTTP/2 is spoken here: offer h2 by ALPN"},
}

func (w Why) String() string { return responses[w].word }

// generated is a response that the balancer generates itself.
type generated struct {
	why        Why
	malformed  http1.Reason  // what is wrong with the request, or with the server's answer
	text       string        // where it is another than why's
	detail     string        // for the log, where malformed says nothing
	retryAfter time.Duration // 0 = not said
	fields     []byte        // of a Preflight and of a redirect, which have no body
	status     int           // of a redirect
	answer     *conf.Respond // what a route responds
}

// code is the response's status.
func (g *generated) code() int {
	switch {
	case g.why == BadRequest && g.malformed != http1.ReasonNone:
		return g.malformed.Status()
	case g.why == Redirected:
		return g.status
	case g.why == Responded:
		return g.answer.Status
	}
	return responses[g.why].status
}

// isKept reports whether caches may keep what a route answers, although nothing says for
// how long (RFC 9110 section 15.1). What one got for a link, it would give to a page of
// another origin, too, which could not read it, if nothing said that the origin matters.
func (g *generated) isKept() bool {
	if g.why != Redirected && g.why != Responded {
		return false
	}
	switch g.code() {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
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
	exchange  *exchange // for the edits of its route
	cors      *cors
	pages     pages
	origin    string // of the page; "" = of none
	id        []byte // of the JSON-RPC request; nil = not known
	plain     bool   // it was no JSON-RPC request: plain text, or an error page
	keepAlive bool   // the connection lives on
	head      bool   // of a HEAD request: no body
}

// content is the body of a generated response, and its media type. Without a type
// there is no body, not even an empty one.
type content struct {
	media string
	body  []byte
}

// content returns what the response says.
func (g *generated) content(to *recipient) content {
	switch {
	case g.why == Preflight:
		return content{}
	case g.why == Redirected:
		return content{body: []byte{}}
	case g.why == Responded && (g.answer.Status == 204 || g.answer.Status == 304):
		return content{}
	case g.why == Responded:
		return content{g.answer.ContentType, []byte(g.answer.Body)}
	case !to.plain && g.why == TaskGone:
		return content{"application/json", mcp.AppendTaskGone(nil, to.id, g.reason())}
	case !to.plain:
		return content{"application/json", mcp.AppendHTTPError(nil, g.code(), to.id, g.reason(), g.retryAfter)}
	}
	if page := to.pages.of(g.code()); page != nil {
		return content{page.ContentType, page.Body}
	}
	return content{"text/plain; charset=utf-8", []byte(g.reason() + "\n")}
}

// append appends the complete response. A JSON-RPC request gets a JSON-RPC error
// with its id.
func (g *generated) append(dst, date []byte, to recipient) []byte {
	c := g.content(&to)
	dst = http1.AppendStatusLine(dst, g.code())
	fields := len(dst)
	dst = http1.AppendField(dst, "Date", date)
	if c.media != "" {
		dst = http1.AppendField(dst, "Content-Type", c.media)
	}
	if c.body != nil {
		dst = http1.AppendLength(dst, int64(len(c.body)))
	}
	if g.retryAfter > 0 {
		seconds := int64((g.retryAfter + time.Second - 1) / time.Second)
		dst = http1.AppendField(dst, "Retry-After", strconv.FormatInt(seconds, 10))
	}
	dst = append(dst, g.fields...)
	if g.why != Preflight {
		dst = to.cors.appendFields(dst, to.origin)
	}
	dst = router{to.exchange}.edited(dst, fields)
	if to.cors.allows(to.origin) && g.why != Preflight || to.cors.on && g.isKept() {
		dst = http1.AppendField(dst, "Vary", "Origin")
	}
	// An HTTP/1.0 client that asked for keep-alive must be answered with it; for
	// others it does no harm.
	if to.keepAlive {
		dst = append(dst, http1.FieldKeepAlive...)
	} else {
		dst = append(dst, http1.FieldClose...)
	}
	dst = append(dst, "\r\n"...)
	if to.head {
		return dst
	}
	return append(dst, c.body...)
}
