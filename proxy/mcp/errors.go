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
const (
	CodeInvalidRequest = -32600 // the message is too long
	CodeRateLimited    = 429    // over the rate of its source
	CodeNoServer       = 503    // no server can take the connection or request
)

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
	return AppendError(dst, id, CodeRateLimited, "rate limit exceeded", retryAfter)
}

// AppendNoServer appends the error for what no server can take now.
func AppendNoServer(dst, id []byte) []byte {
	return AppendError(dst, id, CodeNoServer, "no server available", 0)
}

// AppendError appends a JSON-RPC 2.0 error response to dst: one line of valid
// JSON with its newline, which is white space in every other framing. id is
// the raw JSON of the request's id, as IDScanner finds it; nil is null. Of
// message, what is not UTF-8 becomes U+FFFD. A retryAfter above zero is sent
// as error.data.retryAfterMs, in whole milliseconds, rounded up. It allocates
// only to let dst grow.
func AppendError(dst, id []byte, code int, message string, retryAfter time.Duration) []byte {
	if id == nil {
		id = []byte("null")
	}
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	dst = appendString(dst, message)
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

// appendString appends text as a JSON string (RFC 8259, section 7).
func appendString(dst []byte, text string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
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
	return append(dst, '"')
}
