// Package http1 is the syntax of HTTP/1.1 (RFC 9110, RFC 9112) as a front
// proxy needs it: heads, the framing of bodies, the chunked coding, as pure
// functions on bytes.
//
// It guarantees that a message it accepts has exactly one meaning: where it
// ends, whom it is for, whether the connection lives on. What two readers
// could understand differently is refused with a Reason, never repaired. It
// also guarantees that nothing here panics whatever the bytes, that no work
// grows faster than the bytes, and that nothing allocates.
//
//	RequestHead   one request head: line, fields, framing, persistence
//	ResponseHead  one response head
//	Chunked       checks a chunked body of any size in pieces of any size
//	Append...     writes heads, fields, chunks and whole answers
//	NextElement, NextCookie, ... read field values
//
// A head is parsed where it lies:
//
//	n, reason := head.Parse(p, &conn.scan, maxHead)
//	switch {
//	case reason != http1.ReasonNone: // answer reason.Status(), close
//	case n == 0:                     // incomplete: call again with more
//	default:                         // p[:n] was the head, p[n:] is what follows
//	}
//
// What a head returns are parts of p: they are valid as long as p's bytes stay
// what they are, and a head is reused for the next message. A head is large
// (a few KB) and belongs to an event loop; Scan and Chunked are small and
// belong to a connection. Nothing here is safe for use by several goroutines
// at once.
//
// What it decides where the standard leaves a choice:
//
//   - One empty line (CRLF) before a request is skipped (RFC 9112 section
//     2.2), a second is refused; before a response none is allowed.
//   - A target is any visible ASCII but "#". It is neither decoded nor
//     normalized.
//   - Host and authority are what names and addresses are made of: letters,
//     digits, "-._~", or an IPv6 address in brackets; then at most a port. The
//     rest of RFC 3986's grammar (percent-encoding, "!$&'()*+,;=", user
//     information, an empty port) is refused.
//   - Content-Length is 1 to 18 digits without leading zeros.
//   - The names of codings and connection options have no case. This is safe,
//     because Connection and Transfer-Encoding are never passed on, but written
//     anew.
//   - A status line may lack the space before an absent reason phrase.
//   - Connection cannot take away a field that has a HeaderID: only the
//     hop-by-hop fields themselves and fields unknown here.
//   - A field whose name differs from a known one in "_" for "-" is not passed
//     on to a server.
//   - A semicolon ends a cookie, quotes or not.
//
// It does no I/O, knows no time and no limits but those of syntax, and does
// not look into bodies.
package http1
