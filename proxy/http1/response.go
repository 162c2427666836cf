package http1

// Asked is what of the request a response head depends on (RFC 9112 section
// 6.3).
type Asked struct {
	Method    Method
	WebSocket bool // an upgrade to websocket was asked for: only then 101 is an answer
}

// ResponseHead is the head of a response (RFC 9112 section 4). Parse fills it;
// its fields are for reading only and hold once Parse has told of a complete
// head. The zero value is ready for Parse; so is one that was used before.
type ResponseHead struct {
	Fields

	Status int   // 100 to 599
	Minor  uint8 // of the version: 1, or 0 for HTTP/1.0

	Framing Framing // of the body
	Length  int64   // with FramingLength: bytes; otherwise 0

	// KeepAlive tells that the server lets the connection live on behind this
	// response; never with FramingClose, nor after 101.
	KeepAlive bool

	phraseStart, phraseEnd int
}

// Parse reads a response head at the beginning of p. It returns what
// RequestHead.Parse returns; whatever the reason, a refused response is a 502
// and an end of that connection. Several heads may answer one request: those
// that are Interim, and one that is not.
func (h *ResponseHead) Parse(p []byte, scan *Scan, max int, asked Asked) (int, Reason) {
	max = min(max, MaxHead)
	if !scan.worthwhile(p, max) {
		return 0, ReasonNone
	}
	n, r := h.parse(p[:min(len(p), max)], asked)
	if n == 0 && r == ReasonNone {
		return 0, scan.wait(p, max, ReasonHeadSize)
	}
	*scan = 0
	return n, r
}

// Interim reports whether another head follows for the same request: a status
// of 1xx, but for 101.
func (h *ResponseHead) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Phrase returns the reason phrase as the server wrote it; it may be empty.
func (h *ResponseHead) Phrase() []byte { return h.p[h.phraseStart:h.phraseEnd] }

// AppendStatusLine appends the status line for a client: HTTP/1.1, whatever
// the server's version (RFC 9112 section 2.3), status, phrase and CRLF.
func (h *ResponseHead) AppendStatusLine(dst []byte) []byte {
	if h.Minor == 1 && h.phraseStart == len("HTTP/1.1 200 ") {
		return append(dst, h.p[:h.start]...) // it is what would be written
	}
	return appendStatusLine(dst, h.Status, h.Phrase())
}

// parse reads a whole head: its syntax first, then what it means.
func (h *ResponseHead) parse(p []byte, asked Asked) (int, Reason) {
	i, r := h.parseLine(p)
	if i == 0 {
		return 0, r
	}
	n, r := h.parseFields(p, i)
	if n == 0 {
		return 0, r
	}
	if r := h.interpret(asked); r != ReasonNone {
		return 0, r
	}
	return n, ReasonNone
}

// parseLine reads the status line and returns the index behind it.
func (h *ResponseHead) parseLine(p []byte) (int, Reason) {
	minor, i, r := parseVersion(p, 0)
	if i == 0 {
		return 0, r
	}
	h.Minor = minor
	h.Status = 0
	for at, want := range []byte(" 000") { // 0 stands for any digit
		if i+at == len(p) {
			return 0, ReasonNone
		}
		c := p[i+at]
		switch {
		case want == '0' && is(c, isDigit):
			h.Status = h.Status*10 + int(c-'0')
		case c != want:
			return 0, bareLFOr(c, ReasonStatusLine)
		}
	}
	if h.Status < 100 || h.Status > 599 {
		return 0, ReasonStatusLine
	}
	i += len(" 000")
	h.phraseStart, h.phraseEnd = i, i
	if i < len(p) && p[i] == ' ' {
		h.phraseStart = i + 1
		h.phraseEnd = skipValue(p, i+1)
	}
	return lineEnd(p, h.phraseEnd, ReasonStatusLine)
}

// interpret derives what status and fields mean together with what was asked,
// and refuses what does not fit together.
func (h *ResponseHead) interpret(asked Asked) Reason {
	o, r := h.connection()
	if r != ReasonNone {
		return r
	}
	if h.Framing, h.Length, r = h.framing(h.Minor, FramingClose); r != ReasonNone {
		return r
	}
	if r := h.withoutBody(asked.Method); r != ReasonNone {
		return r
	}
	if h.Status == 101 && !(asked.WebSocket && h.Minor == 1 && o.upgrade && h.namesWebSocket()) {
		return ReasonUnaskedUpgrade
	}
	h.KeepAlive = !o.close && (h.Minor == 1 || o.keepAlive) && h.Framing != FramingClose && h.Status != 101
	return ReasonNone
}

// withoutBody corrects the framing of responses that have no body, whatever
// their fields say (RFC 9112 section 6.3, the first rule). To HEAD and with
// 304 the fields tell of the response to a GET. With 1xx and 204 they must not
// stand; only a Content-Length of zero, which is common, is dropped instead.
func (h *ResponseHead) withoutBody(asked Method) Reason {
	switch {
	case h.Status < 200 || h.Status == 204:
		if h.Framing == FramingLength || h.Framing == FramingChunked {
			return ReasonBody
		}
		if i := h.Find(HeaderContentLength, 0); i >= 0 {
			h.Drop(i)
		}
	case asked == MethodHead || h.Status == 304:
	default:
		return ReasonNone
	}
	h.Framing, h.Length = FramingNone, 0
	return ReasonNone
}
