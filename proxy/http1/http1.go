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

// The bounds of syntax, in force whatever the configuration says.
const (
	// MaxHead is the largest head in bytes that Parse takes, whatever its max.
	MaxHead = 16 << 20
	// MaxFields is how many fields a head may have.
	MaxFields = 128
	// maxOptions is how many fields unknown here Connection may name: each is
	// looked for among all fields.
	maxOptions = 16
	// maxExtensions is by how many bytes the chunk extensions of a message may
	// exceed its data.
	maxExtensions = 4 << 10
	// maxTrailers is how many bytes the trailer section may have.
	maxTrailers = 8 << 10
)

// Framing says how the end of a message's body is found (RFC 9112 section 6.3).
type Framing uint8

// The values of Framing.
const (
	FramingNone    Framing = iota // no body: the message ends with its head
	FramingLength                 // as many bytes as Length says; at least one
	FramingChunked                // the chunked coding: see Chunked
	FramingClose                  // until the connection ends; responses only
)

// String returns the framing's name, for logs and tests.
func (f Framing) String() string {
	switch f {
	case FramingLength:
		return "length"
	case FramingChunked:
		return "chunked"
	case FramingClose:
		return "close"
	}
	return "none"
}

// Method is a request method (RFC 9110 section 9, RFC 5789).
type Method uint8

// The methods that mean something to a proxy. Every other one is MethodOther;
// CONNECT is refused and has no value. Methods have case: "get" is MethodOther.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodOptions
	MethodTrace
	MethodPatch
)

// methodOf returns the value of a method's name.
func methodOf(name []byte) Method {
	switch string(name) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "PATCH":
		return MethodPatch
	}
	return MethodOther
}

// Idempotent reports whether a request of method m may be sent a second time
// when nothing came back for the first (RFC 9110 section 9.2.2). What is
// unknown is not idempotent.
func (m Method) Idempotent() bool {
	switch m {
	case MethodGet, MethodHead, MethodPut, MethodDelete, MethodOptions, MethodTrace:
		return true
	}
	return false
}

// expectsBody reports whether a server may be relied on to read the body of a
// request of method m: the others have none by their definition.
func (m Method) expectsBody() bool {
	switch m {
	case MethodGet, MethodHead, MethodDelete, MethodOptions, MethodTrace:
		return false
	}
	return true
}
