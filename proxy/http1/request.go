package http1

import (
	"bytes"
	"encoding/binary"
)

// RequestHead is the head of a request (RFC 9112 section 3). Parse fills it;
// its fields are read-only, and valid once Parse has returned a complete head.
// The zero value is ready for Parse, and a head may be used again.
type RequestHead struct {
	Fields

	Method Method
	Minor  uint8 // of the version: 1, or 0 for HTTP/1.0

	Framing Framing // of the body; never FramingClose
	Length  int64   // with FramingLength: bytes; otherwise 0

	KeepAlive      bool // the client wants the connection to persist
	ExpectContinue bool // the client waits for 100 before it sends the body
	WebSocket      bool // a GET of HTTP/1.1 without a body that asks for an upgrade to websocket

	// UnexpectedBody reports a body with a method that defines none. A server
	// that does not read it takes it for the next request: its connection must
	// not be reused.
	UnexpectedBody bool

	methodStart, methodEnd int
	targetStart, targetEnd int
	hostStart, hostEnd     int // the target's authority; empty except in absolute form
	pathStart, pathEnd     int // the target's path, without the query

	host []byte // from Host, otherwise from the target
}

// Parse reads a request head at the beginning of p and returns its length,
// including the empty line. It returns 0 and ReasonNone if the head is not
// complete: call it again with the same bytes and more, and the same scan. A
// reason refuses the request: respond with its Status, and close.
//
// A head may have at most max bytes (max must be positive): a longer one is
// refused, with ReasonLineSize if not even the request line ends within them.
// The reason does not depend on the pieces in which a head arrives; but between
// its first piece and its end only a bare LF is noticed.
func (h *RequestHead) Parse(p []byte, scan *Scan, max int) (int, Reason) {
	max = min(max, MaxHead)
	if !scan.shouldParse(p, max) {
		return 0, ReasonNone
	}
	n, r := h.parse(p[:min(len(p), max)])
	if n == 0 && r == ReasonNone {
		return 0, scan.needMore(p, max, h.tooLarge())
	}
	*scan = 0
	return n, r
}

// MethodName returns the method as the client wrote it.
func (h *RequestHead) MethodName() []byte { return h.p[h.methodStart:h.methodEnd] }

// Target returns the request target as the client wrote it.
func (h *RequestHead) Target() []byte { return h.p[h.targetStart:h.targetEnd] }

// Path returns the target's path without the query, as the client wrote it: "/"
// if the target is a URI without a path, "*" for a request to the server
// itself.
func (h *RequestHead) Path() []byte {
	if h.pathStart == h.pathEnd {
		return rootPath
	}
	return h.p[h.pathStart:h.pathEnd]
}

// Query returns the part of the target behind "?"; nil if there is none.
func (h *RequestHead) Query() []byte {
	if h.pathEnd == h.targetEnd {
		return nil
	}
	return h.p[h.pathEnd+1 : h.targetEnd]
}

// Host returns the host, with the port if one was given: from Host, or from the
// target if an HTTP/1.0 client sent no Host; empty if there is neither.
func (h *RequestHead) Host() []byte { return h.host }

// AppendTarget appends the target in the form for a server: a path and a query
// (RFC 9112 section 3.2.1), or "*".
func (h *RequestHead) AppendTarget(dst []byte) []byte {
	if h.pathStart == h.pathEnd {
		if h.Method == MethodOptions && h.pathEnd == h.targetEnd {
			return append(dst, '*') // RFC 9112 section 3.2.4
		}
		dst = append(dst, '/')
	}
	return append(dst, h.p[h.pathStart:h.targetEnd]...)
}

// AppendRequestLine appends the request line for a server: the method, the
// target of AppendTarget, HTTP/1.1 and CRLF.
func (h *RequestHead) AppendRequestLine(dst []byte) []byte {
	dst = append(dst, h.MethodName()...)
	dst = append(dst, ' ')
	dst = h.AppendTarget(dst)
	return append(dst, " HTTP/1.1\r\n"...)
}

var rootPath = []byte("/")

// parse reads a complete head: first its syntax, then its meaning.
func (h *RequestHead) parse(p []byte) (int, Reason) {
	h.start = 0
	i, r := h.parseLine(p)
	if i == 0 {
		return 0, r
	}
	n, r := h.parseFields(p, i)
	if n == 0 {
		return 0, r
	}
	if r := h.interpret(); r != ReasonNone {
		return 0, r
	}
	return n, ReasonNone
}

// tooLarge returns which limit an incomplete head has exceeded.
func (h *RequestHead) tooLarge() Reason {
	if h.start == 0 {
		return ReasonLineSize
	}
	return ReasonHeadSize
}

// parseLine reads the request line and returns the index after it.
func (h *RequestHead) parseLine(p []byte) (int, Reason) {
	i := 0
	if len(p) > 0 && p[0] == '\r' { // one empty line before it
		next, r := lineEnd(p, 0, ReasonBareCR)
		if next == 0 {
			return 0, r
		}
		i = next
	}
	end, r := part(p, i, isToken)
	if end == 0 {
		return 0, r
	}
	h.methodStart, h.methodEnd = i, end
	h.Method = methodOf(p[i:end])
	if h.Method == MethodOther && string(p[i:end]) == "CONNECT" {
		return 0, ReasonConnect
	}
	i = end + 1
	if end, r = part(p, i, isTarget); end == 0 {
		return 0, r
	}
	if r := h.parseTarget(p, i, end); r != ReasonNone {
		return 0, r
	}
	minor, end, r := parseVersion(p, end+1)
	if end == 0 {
		return 0, r
	}
	h.Minor = minor
	return lineEnd(p, end, ReasonVersion)
}

// part returns the index of the space that ends the part of the request line at
// p[i:], which consists of at least one byte in mask; 0 if p ends before.
func part(p []byte, i int, mask uint8) (int, Reason) {
	end := skip(p, i, mask)
	switch {
	case end == len(p):
		return 0, ReasonNone
	case p[end] == ' ' && end > i:
		return end, ReasonNone
	case p[end] == '\n':
		return 0, ReasonBareLF
	case mask == isToken:
		return 0, ReasonMethod
	case p[end] == '\r':
		return 0, ReasonNoVersion
	case p[end] == '#':
		return 0, ReasonFragment
	}
	return 0, ReasonTarget
}

// parseTarget splits the target p[start:end] (RFC 9112 section 3.2).
func (h *RequestHead) parseTarget(p []byte, start, end int) Reason {
	h.targetStart, h.targetEnd = start, end
	h.hostStart, h.hostEnd = start, start
	h.pathStart, h.pathEnd = start, end
	switch {
	case p[start] == '/':
	case p[start] == '*' && end == start+1 && h.Method == MethodOptions:
		return ReasonNone
	default:
		if r := h.parseAuthority(p, start, end); r != ReasonNone {
			return r
		}
	}
	if query := bytes.IndexByte(p[h.pathStart:end], '?'); query >= 0 {
		h.pathEnd = h.pathStart + query
	}
	return ReasonNone
}

// parseAuthority reads the scheme and authority of a target in absolute form.
func (h *RequestHead) parseAuthority(p []byte, start, end int) Reason {
	target := p[start:end]
	switch {
	case len(target) >= 7 && EqualFold(target[:7], "http://"):
		h.hostStart = start + 7
	case len(target) >= 8 && EqualFold(target[:8], "https://"):
		h.hostStart = start + 8
	default:
		return ReasonForm
	}
	h.hostEnd = h.hostStart
	for h.hostEnd < end && p[h.hostEnd] != '/' && p[h.hostEnd] != '?' {
		h.hostEnd++
	}
	h.pathStart = h.hostEnd
	if !validHost(p[h.hostStart:h.hostEnd]) {
		return ReasonHost
	}
	return ReasonNone
}

// "HTTP/1.1" and "HTTP/1.0" as little-endian words.
const (
	version11 = 'H' | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48 | '1'<<56
	version10 = version11 ^ ('1'^'0')<<56
)

// parseVersion reads HTTP/1.0 or HTTP/1.1 at p[i:] and returns the index after
// it; 0 if p ends before.
func parseVersion(p []byte, i int) (minor uint8, next int, r Reason) {
	if i+8 <= len(p) {
		switch binary.LittleEndian.Uint64(p[i:]) {
		case version11:
			return 1, i + 8, ReasonNone
		case version10:
			return 0, i + 8, ReasonNone
		}
	}
	const form = "HTTP/0.0" // 0 stands for any digit
	for at, want := range []byte(form) {
		if i+at == len(p) {
			return 0, 0, ReasonNone
		}
		c := p[i+at]
		if want == '0' && !is(c, isDigit) || want != '0' && c != want {
			return 0, 0, bareLFOr(c, ReasonVersion)
		}
	}
	return 0, 0, ReasonUnsupported
}

// interpret derives the meaning of the fields, and refuses contradictions.
func (h *RequestHead) interpret() Reason {
	if r := h.checkHost(); r != ReasonNone {
		return r
	}
	var r Reason
	if h.Framing, h.Length, r = h.framing(h.Minor, FramingNone); r != ReasonNone {
		return r
	}
	if r := h.checkBody(); r != ReasonNone {
		return r
	}
	o, r := h.connection()
	if r != ReasonNone {
		return r
	}
	h.KeepAlive = !o.close && (h.Minor == 1 || o.keepAlive)
	h.WebSocket = o.upgrade && h.upgradesToWebSocket()
	if h.WebSocket && !h.hasWebSocketKey() {
		return ReasonWebSocketKey
	}
	h.dropLookalikes()
	return h.readExpect()
}

// checkHost ensures that the request addresses exactly one host (RFC 9112
// section 3.2).
func (h *RequestHead) checkHost() Reason {
	authority := h.p[h.hostStart:h.hostEnd]
	h.host = authority
	switch {
	case h.Repeated(HeaderHost):
		return ReasonSeveralHosts
	case !h.Has(HeaderHost) && h.Minor == 0:
		return ReasonNone
	}
	host := h.Get(HeaderHost)
	h.host = host
	switch {
	case len(host) == 0:
		return ReasonNoHost
	case !validHost(host):
		return ReasonHost
	case len(authority) > 0 && !h.sameHost(authority, host):
		return ReasonHostMismatch
	}
	return ReasonNone
}

// checkBody refuses bodies that many servers would not read: with TRACE (RFC
// 9110 section 9.3.8), and in HTTP/1.0 with a method that defines none.
func (h *RequestHead) checkBody() Reason {
	h.UnexpectedBody = h.Framing != FramingNone && !h.Method.expectsBody()
	if h.UnexpectedBody && (h.Method == MethodTrace || h.Minor == 0) {
		return ReasonBody
	}
	return ReasonNone
}

// upgradesToWebSocket reports whether a request with Connection: upgrade asks
// for an upgrade to WebSocket (RFC 6455 section 4.1).
func (h *RequestHead) upgradesToWebSocket() bool {
	return h.Method == MethodGet && h.Minor == 1 && h.Framing == FramingNone && h.namesWebSocket()
}

// namesWebSocket reports whether Upgrade lists the protocol websocket.
func (f *Fields) namesWebSocket() bool {
	for i := f.Find(HeaderUpgrade, 0); i >= 0; i = f.Find(HeaderUpgrade, i+1) {
		if HasToken(f.Value(i), "websocket") {
			return true
		}
	}
	return false
}

// hasWebSocketKey reports whether the key of the handshake is there, once, and
// is 16 bytes in base64 (RFC 6455 section 4.1).
func (f *Fields) hasWebSocketKey() bool {
	key := f.Get(HeaderSecWebSocketKey)
	const digits = 22
	return !f.Repeated(HeaderSecWebSocketKey) && len(key) == digits+2 &&
		all(key[:digits], isBase64) && string(key[digits:]) == "=="
}

// readExpect reads Expect (RFC 9110 section 10.1.1): nothing but 100-continue,
// any number of times. It drops the field where it means nothing: from an
// HTTP/1.0 client, without a body, and where it is empty, as some clients send
// it in order not to wait.
func (h *RequestHead) readExpect() Reason {
	h.ExpectContinue = false
	if !h.Has(HeaderExpect) {
		return ReasonNone
	}
	asks := false
	for i := h.Find(HeaderExpect, 0); i >= 0 && h.Minor == 1; i = h.Find(HeaderExpect, i+1) {
		for e, rest := NextElement(h.Value(i)); e != nil; e, rest = NextElement(rest) {
			if !EqualFold(e, "100-continue") {
				return ReasonExpect
			}
			asks = true
		}
	}
	h.ExpectContinue = asks && h.Framing != FramingNone
	if h.ExpectContinue {
		h.rewrite(HeaderExpect)
	} else {
		h.dropAll(HeaderExpect)
	}
	return ReasonNone
}
