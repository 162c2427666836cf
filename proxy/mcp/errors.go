package mcp

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The codes of the errors with which the balancer itself answers.
//
// JSON-RPC 2.0, section 5.1, reserves -32768 to -32000. Of that, MCP 2026-07-28
// (Base Protocol, Error Codes) closes -32000 to -32019 to new codes, keeps
// -32020 to -32099 for itself, and sends everybody else outside. So what is a
// fault of the message has the code that JSON-RPC gives it, and what is not has
// the number of the HTTP status that mode http answers in the same case.
//
// CodeSessionNotFound alone stands in the closed range: it is what servers of
// the session era answer, the TypeScript SDK's among them, and is sent in that
// era only.
const (
	CodeInvalidRequest  = -32600 // the message is too long, or its request malformed
	CodeSessionNotFound = -32001 // the session's server is gone: initialize anew
	CodeRateLimited     = 429    // over the rate of its source
	CodeNoServer        = 503    // no server can take the connection or request
)

// httpError says what JSON-RPC error goes with the HTTP statuses that the
// balancer itself answers a JSON-RPC request with. Any other status is its own
// code.
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

// What is said in every mode.
const (
	textRateLimited = "rate limit exceeded"
	textNoServer    = "no server available"
)

// AppendHTTPError appends the body of an answer of status, a JSON-RPC error as
// of AppendError with the code and message that httpError's table has for the
// status. reason, if it is not empty, follows the message after a colon: what
// exactly is wrong, and what to do. id is that of the request, as BodyScanner
// finds it; nil is null. retryAfter, if above zero, is what the Retry-After
// header says too, in finer units.
//
// Status 404 is for a session of the session era whose server is gone; in the
// stateless era it would mean an unknown method.
func AppendHTTPError(dst []byte, status int, id []byte, reason string, retryAfter time.Duration) []byte {
	code, message := httpError(status)
	return appendError(dst, id, code, message, reason, retryAfter)
}

// AppendTooLong appends the error for a message of more than limit bytes. Its
// id is null, as section 5 of JSON-RPC 2.0 wants it where the id could not be
// read.
func AppendTooLong(dst []byte, limit int64) []byte {
	message := "message longer than " + strconv.FormatInt(limit, 10) + " bytes"
	return AppendError(dst, nil, CodeInvalidRequest, message, 0)
}

// AppendRateLimited appends the error for a message over its source's rate,
// which has a chance again in retryAfter.
func AppendRateLimited(dst, id []byte, retryAfter time.Duration) []byte {
	return AppendError(dst, id, CodeRateLimited, textRateLimited, retryAfter)
}

// AppendNoServer appends the error for what no server can take now.
func AppendNoServer(dst, id []byte) []byte {
	return AppendError(dst, id, CodeNoServer, textNoServer, 0)
}

// AppendError appends a JSON-RPC 2.0 error response to dst: one line of valid
// JSON with its newline, which is white space in every other framing. id is
// the raw JSON of the request's id, as IDScanner finds it; nil is null. Of
// message, what is not UTF-8 becomes U+FFFD. A retryAfter above zero is sent
// as error.data.retryAfterMs, in whole milliseconds, rounded up. It allocates
// only to let dst grow.
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

// milliseconds rounds up, so that who waits that long has waited long enough.
func milliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d > time.Duration(ms)*time.Millisecond {
		ms++
	}
	return ms
}

// appendText appends text as the inside of a JSON string (RFC 8259, section 7).
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
