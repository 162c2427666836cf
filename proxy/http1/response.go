package http1

// RequestContext holds the properties of a request on which the response head
// depends (RFC 9112 section 6.3).
type RequestContext struct {
	Method    Method
	WebSocket bool // the request request for an upgrade to websocket: otherwise 101 is refused
}

// ResponseHead is the head of a response (RFC 9112 section 4). Parse fills it;
// its fields are read-only, and valid once Parse has returned a complete head.
// The zero value is ready for Parse, and a head may be used again.
type ResponseHead struct {
	Fields

	Status int   // 100 to 999
	Minor  uint8 // of the version: 1, or 0 for HTTP/1.0

	Framing Framing // of the body
	Length  int64   // with FramingLength: bytes; otherwise 0

	// KeepAlive reports whether the connection can be used again after this
	// response: the server keeps it open, and no byte of this response can
	// follow. Never with FramingClose, after 101, and after a response without
	// a body whose fields announce one.
	KeepAlive bool

	phraseStart, phraseEnd int
}

// Parse reads a response head at the beginning of p, and returns the same as
// RequestHead.Parse. Whatever the reason, a refused response becomes a 502, and
// the connection must be closed. A request has one response that is not
// Interim, and any number of Interim ones before it.
func (h *ResponseHead) Parse(p []byte, scan *Scan, max int, request RequestContext) (int, Reason) {
	max = min(max, MaxHead)
	if !scan.shouldParse(p, max) {
		return 0, ReasonNone
	}
	n, r := h.parse(p[:min(len(p), max)], request)
	if n == 0 && r == ReasonNone {
		return 0, scan.needMore(p, max, ReasonHeadSize)
	}
	*scan = 0
	return n, r
}

// Interim reports whether another head follows for the same request: the status
// is 1xx, but not 101.
func (h *ResponseHead) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Phrase returns the reason phrase as the server wrote it; it may be empty.
func (h *ResponseHead) Phrase() []byte { return h.p[h.phraseStart:h.phraseEnd] }

// AppendStatusLine appends the status line for a client: HTTP/1.1, whatever the
// server's version (RFC 9112 section 2.3), status, phrase and CRLF.
func (h *ResponseHead) AppendStatusLine(dst []byte) []byte {
	if h.Minor == 1 && h.phraseStart == len("HTTP/1.1 200 ") {
		return append(dst, h.p[:h.start]...) // the line is already in this form
	}
	return appendStatusLine(dst, h.Status, h.Phrase())
}

// parse reads a complete head: first its syntax, then its meaning.
func (h *ResponseHead) parse(p []byte, request RequestContext) (int, Reason) {
	i, r := h.parseLine(p)
	if i == 0 {
		return 0, r
	}
	n, r := h.parseFields(p, i)
	if n == 0 {
		return 0, r
	}
	if r := h.interpret(request); r != ReasonNone {
		return 0, r
	}
	return n, ReasonNone
}

// parseLine reads the status line and returns the index after it.
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
	if h.Status < 100 { // three digits
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

// interpret derives the meaning of status and fields for this request, and
// refuses contradictions.
func (h *ResponseHead) interpret(request RequestContext) Reason {
	o, r := h.connection()
	if r != ReasonNone {
		return r
	}
	announced := false
	if h.hasNoBody(request.Method) {
		announced = h.ignoreFraming(request.Method)
	} else if h.Framing, h.Length, r = h.framing(h.Minor, FramingClose); r != ReasonNone {
		return r
	}
	if h.Status == 101 && !(request.WebSocket && h.Minor == 1 && o.upgrade && h.namesWebSocket()) {
		return ReasonUnaskedUpgrade
	}
	h.KeepAlive = !o.close && (h.Minor == 1 || o.keepAlive) && h.Framing != FramingClose && h.Status != 101 && !announced
	return ReasonNone
}

// hasNoBody reports whether the response ends with its head, whatever its fields
// say (RFC 9112 section 6.3, the first rule).
func (h *ResponseHead) hasNoBody(request Method) bool {
	return h.Status < 200 || h.Status == 204 || h.Status == 304 || request == MethodHead
}

// ignoreFraming drops the framing fields of a response that has no body: no
// reader can find another end, even if they are malformed or contradict each
// other. A good Content-Length stays in a response to HEAD and with 304, where
// it describes the response to a GET (RFC 9110 section 8.6). announced reports
// fields that announce a body: a server that sends it nevertheless would have it
// taken for the next response.
func (h *ResponseHead) ignoreFraming(request Method) (announced bool) {
	h.Framing, h.Length = FramingNone, 0
	if h.seen&framingFields == 0 {
		return false
	}
	n, r := int64(0), ReasonLengthCoding
	if !h.Has(HeaderTransferEncoding) {
		n, r = h.readLength()
	}
	describes := h.Status == 304 || request == MethodHead && h.Status >= 200 && h.Status != 204
	if r != ReasonNone || !describes {
		h.dropAll(HeaderContentLength)
		h.rewritten = 0
	}
	return r != ReasonNone || n > 0
}
