// Package http1 implements the syntax of HTTP/1.1 (RFC 9110, RFC 9112) for a
// front proxy: heads, body framing and the chunked coding, as pure functions on
// bytes.
//
// It guarantees that a message it accepts has exactly one meaning: where it
// ends, which host it addresses, and whether the connection persists. A message
// that two readers could understand differently is refused with a Reason, never
// repaired. No input makes the package panic, its work grows at most linearly
// with the input, and it allocates nothing.
//
//	RequestHead   parses one request head: line, fields, framing, persistence
//	ResponseHead  parses one response head
//	Chunked       checks a chunked body of any size, in pieces of any size
//	Append...     functions that write heads, fields, chunks and complete responses
//	NextElement, NextCookie, ... read field values
//
// A head is parsed in place:
//
//	n, reason := head.Parse(p, &conn.scan, maxHead)
//	switch {
//	case reason != http1.ReasonNone: // respond with reason.Status(), close
//	case n == 0:                     // incomplete: call again with more bytes
//	default:                         // p[:n] is the head, p[n:] follows it
//	}
//
// The slices a head returns are parts of p: they are valid until p changes or
// the head is used for the next message. A head is large (a few KB) and belongs
// to an event loop; Scan and Chunked are small and belong to a connection. No
// value may be used by several goroutines at once.
//
// Where the standard leaves a choice:
//
//   - One empty line (CRLF) before a request is skipped (RFC 9112 section
//     2.2), a second is refused; before a response none is allowed.
//   - A target is any visible ASCII except "#". It is neither decoded nor
//     normalized.
//   - Host and authority consist of a name or address (letters, digits,
//     "-._~", or an IPv6 address in brackets) and an optional port. The rest of
//     RFC 3986's grammar (percent-encoding, "!$&'()*+,;=", user information) is
//     refused. The port may be empty.
//   - Content-Length is a number of up to 18 digits. Leading zeros and equal
//     repetitions are accepted, and one canonical number is passed on.
//   - A response that has no body (1xx, 204, 304, and any to HEAD) has none,
//     whatever its framing fields say; where they announce one, the connection
//     is not used again.
//   - Expect is 100-continue, once or several times, or empty; one is passed on.
//   - Trailers that frame, route or authorize are left out (see Trailers).
//   - Members of Connection that are no tokens, and parameters of options, are
//     ignored.
//   - The names of codings and connection options are case-insensitive. This is
//     safe because Connection and Transfer-Encoding are never passed on: the
//     proxy generates its own.
//   - A status line may lack the space before an absent reason phrase.
//   - Connection cannot remove a field that has a HeaderID: only the hop-by-hop
//     fields themselves and unknown fields.
//   - A field whose name differs from a known one by "_" instead of "-" is not
//     passed on to a server.
//   - A semicolon ends a cookie, quoted or not.
//
// The package does no I/O, has no timeouts, and no limits except those of the
// syntax. It does not interpret bodies.
package http1
