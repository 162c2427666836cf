package mcp

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The codes of the errors that the balancer generates.
//
// JSON-RPC 2.0, section 5.1, reserves -32768 to -32000. Of these, MCP
// 2026-07-28 (Base Protocol, Error Codes) closes -32000 to -32019 to new codes,
// keeps -32020 to -32099 for itself, and wants all other codes outside the
// range. So a fault of the message has its JSON-RPC code, and any other error
// the number of the HTTP status that mode http sends in the same case.
//
// Only CodeSessionNotFound is in the closed range: servers of the session era
// send it, including those of the TypeScript SDK, and so does the balancer in
// that era.
const (
	CodeInvalidRequest  = -32600 // the message is too long, or the request malformed
	CodeSessionNotFound = -32001 // the session's server is gone: initialize again
	CodeInvalidParams   = -32602 // the server of a task is gone: what servers say of a task that they do not know (SEP-2663)
	CodeRateLimited     = 429    // over the rate of its source
	CodeNoServer        = 503    // no server can accept the connection or request
)

// httpError returns the JSON-RPC error for an HTTP status that the balancer
// generates in response to a JSON-RPC request.
//
//	status  code    message
//	400     -32600  invalid request
//	403     403     forbidden
//	404     -32001  session not found
//	408     408     request timed out
//	413     -32600  request too large
//	429     429     rate limit exceeded
//	502     502     bad gateway
//	503     503     no server available
//	504     504     server timed out
//	other   status  request failed
func httpError(status int) (code int, message string) {
	switch status {
	case 400:
		return CodeInvalidRequest, "invalid request"
	case 403:
		return status, "forbidden"
	case 404:
		return CodeSessionNotFound, "session not found"
	case 408:
		return status, "request timed out"
	case 413:
		return CodeInvalidRequest, "request too large"
	case 429:
		return CodeRateLimited, textRateLimited
	case 502:
		return status, "bad gateway"
	case 503:
		return CodeNoServer, textNoServer
	case 504:
		return status, "server timed out"
	}
	return status, "request failed"
}

// Messages used in every mode.
const (
	textRateLimited = "rate limit exceeded"
	textNoServer    = "no server available"
)

// AppendHTTPError appends the body of a response with that status: a JSON-RPC
// error as written by AppendError, with the code and message in httpError's
// table. reason, if not empty, follows the message after a colon: what exactly
// is wrong, and what to do. id is the id of the request, as BodyScanner finds
// it; nil means null. retryAfter, if above zero, is the time of the Retry-After
// header in finer units.
//
// Status 404 means a session of the session era whose server is gone; in the
// stateless era it would mean an unknown method.
func AppendHTTPError(dst []byte, status int, id []byte, reason string, retryAfter time.Duration) []byte {
	code, message := httpError(status)
	return appendError(dst, id, code, message, reason, retryAfter)
}

// AppendTaskGone appends the error for a request for a task whose server is gone for
// good, which the reason says.
func AppendTaskGone(dst, id []byte, reason string) []byte {
	return appendError(dst, id, CodeInvalidParams, "task not found", reason, 0)
}

// AppendTooLong appends the error for a message of more than limit bytes. Its
// id is null, as section 5 of JSON-RPC 2.0 requires when the id could not be
// read.
func AppendTooLong(dst []byte, limit int64) []byte {
	message := "message longer than " + strconv.FormatInt(limit, 10) + " bytes"
	return AppendError(dst, nil, CodeInvalidRequest, message, 0)
}

// AppendRateLimited appends the error for a message over its source's rate,
// which may be retried after retryAfter.
func AppendRateLimited(dst, id []byte, retryAfter time.Duration) []byte {
	return AppendError(dst, id, CodeRateLimited, textRateLimited, retryAfter)
}

// AppendNoServer appends the error for a message that no server can accept now.
func AppendNoServer(dst, id []byte) []byte {
	return AppendError(dst, id, CodeNoServer, textNoServer, 0)
}

// AppendError appends a JSON-RPC 2.0 error response to dst: one line of valid
// JSON with a newline, which is white space in every other framing. id is the
// raw JSON of the request's id, as IDScanner finds it; nil means null. Invalid
// UTF-8 in message becomes U+FFFD. A retryAfter above zero is sent as
// error.data.retryAfterMs, in whole milliseconds, rounded up. AppendError
// allocates only to let dst grow.
func AppendError(dst, id []byte, code int, message string, retryAfter time.Duration) []byte {
	return appendError(dst, id, code, message, "", retryAfter)
}

// appendError is AppendError with a reason, which may be empty.
func appendError(dst, id []byte, code int, message, reason string, retryAfter time.Duration) []byte {
	if id == nil {
		id = []byte("null")
	}
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":"`...)
	dst = appendText(dst, message)
	if reason != "" {
		dst = append(dst, ": "...)
		dst = appendText(dst, reason)
	}
	dst = append(dst, '"')
	if retryAfter > 0 {
		dst = append(dst, `,"data":{"retryAfterMs":`...)
		dst = strconv.AppendInt(dst, milliseconds(retryAfter), 10)
		dst = append(dst, '}')
	}
	return append(dst, "}}\n"...)
}

// milliseconds rounds up, so that a client that waits that long has waited long
// enough.
func milliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d > time.Duration(ms)*time.Millisecond {
		ms++
	}
	return ms
}

// appendText appends text as the content of a JSON string (RFC 8259, section
// 7).
func appendText(dst []byte, text string) []byte {
	const digits = "0123456789abcdef"
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
