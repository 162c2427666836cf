//go:build linux

package l7

import (
	"strconv"
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/mcp"
)

// Why is the reason for an answer of the balancer's own. Each is counted, and
// its String is the label in statistics and logs.
type Why uint8

// The reasons.
const (
	BadRequest     Why = iota // 400 and the like: the request is malformed (http1.Reason says how)
	OriginRefused             // 403: Origin is not among allowed_origins
	SessionGone               // 404: the server of the MCP session is gone
	RequestTimeout            // 408: no whole request within timeout_http_request, no body within timeout_client
	BodyTooLarge              // 413: a body over max_body
	RateLimited               // 429: over the source's rate
	BadResponse               // 502: the server's answer is malformed
	ServerGone                // 502: the server ended the connection without an answer
	NoServer                  // 503: no server is usable
	QueueFull                 // 503: no slot was free for timeout_queue
	ConnectFailed             // 503: no server could be connected to
	ServerTimeout             // 504: no answer within timeout_server, no connection within timeout_connect
	own                       // how many there are
)

var answers = [own]struct {
	status int
	word   string
	text   string
}{
	BadRequest:     {400, "bad_request", "the request is malformed"},
	OriginRefused:  {403, "origin_refused", "this origin is not allowed here"},
	SessionGone:    {404, "session_gone", "the session's server is gone: initialize again"},
	RequestTimeout: {408, "request_timeout", "the request did not come in time"},
	BodyTooLarge:   {413, "body_too_large", "the request body is larger than allowed"},
	RateLimited:    {429, "rate_limited", "too many requests"},
	BadResponse:    {502, "bad_response", "the server's answer is malformed"},
	ServerGone:     {502, "server_gone", "the server ended the connection without an answer"},
	NoServer:       {503, "no_server", "no server is available"},
	QueueFull:      {503, "queue_timeout", "no server had room in time"},
	ConnectFailed:  {503, "connect_failed", "no server could be reached"},
	ServerTimeout:  {504, "server_timeout", "the server did not answer in time"},
}

func (w Why) String() string { return answers[w].word }

// answer gives the client an answer of the balancer's own.
type answer struct {
	why        Why
	status     int           // where it is another than why's
	text       string        // likewise
	retryAfter time.Duration // 0 = not told
}

// append writes the answer. A JSON-RPC request gets a JSON-RPC error with its
// id; id is nil where there is none to be had, and plain says that the request
// was no JSON-RPC at all.
func (a *answer) append(dst, date, id []byte, plain, keepAlive, head bool) []byte {
	of := answers[a.why]
	if a.status != 0 {
		of.status = a.status
	}
	if a.text != "" {
		of.text = a.text
	}
	written := http1.Answer{Status: of.status, KeepAlive: keepAlive, Head: head, Date: date}
	if a.retryAfter > 0 {
		seconds := int64((a.retryAfter + time.Second - 1) / time.Second)
		written.Fields = http1.AppendField(nil, "Retry-After", strconv.FormatInt(seconds, 10))
	}
	if plain {
		written.ContentType = "text/plain; charset=utf-8"
		written.Body = []byte(of.text + "\n")
	} else {
		written.ContentType = "application/json"
		written.Body = mcp.AppendError(nil, id, rpcCode(a.why, of.status), of.text, a.retryAfter)
	}
	return http1.AppendAnswer(dst, written)
}

// rpcCode is the JSON-RPC error code that goes with an answer: -32001 is the
// one by which clients know a lost session; otherwise the HTTP status, which
// is outside the range that JSON-RPC keeps for itself.
func rpcCode(why Why, status int) int {
	if why == SessionGone {
		return -32001
	}
	return status
}
