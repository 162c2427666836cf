package http2

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"mcplb/proxy/http1"
)

// The pseudo-header fields of requests.
const (
	pseudoMethod = iota
	pseudoScheme
	pseudoPath
	pseudoAuthority
	pseudoProtocol
	numPseudo
)

// headReader makes the text of an HTTP/1.1 head of the fields of a request, in their
// order, or that of trailers. All connections of a loop use the same one: it is reset for
// each block.
//
// A block is read to its end whatever is wrong with it, or the table of HPACK would be
// out of step: the first reason counts.
type headReader struct {
	text    []byte // the head so far
	cookies []byte // the crumbs of Cookie, joined
	pseudo  []byte // the values of the pseudo-header fields, until the request line is written
	spans   [numPseudo]span
	seen    uint8 // pseudo-header fields, as bits
	line    bool  // the request line is written
	host    span  // in text: the value of Host
	length  int64 // Content-Length; -1: none
	max     int   // bytes of text allowed
	connect bool  // extended CONNECT is served
	trailer bool  // these are trailers
	socket  bool  // an extended CONNECT to websocket
	reason  Reason
}

// span is where something stands.
type span struct{ start, end int }

func (s span) of(p []byte) []byte { return p[s.start:s.end] }

// begin begins a block.
func (r *headReader) begin(max int, connect, trailer bool) {
	*r = headReader{
		text: r.text[:0], cookies: r.cookies[:0], pseudo: r.pseudo[:0],
		max: max, connect: connect, trailer: trailer, line: trailer, length: -1,
	}
}

// refuse notes what is wrong; the first reason stays.
func (r *headReader) refuse(why Reason) {
	if r.reason == ReasonNone {
		r.reason = why
	}
}

// add adds a field.
func (r *headReader) add(f Field) {
	switch {
	case r.reason == ReasonHeadSize:
		r.addOrigin(f)
	case r.reason != ReasonNone:
	case len(r.text)+len(r.cookies)+len(r.pseudo)+len(f.Name)+len(f.Value) > r.max:
		r.refuse(ReasonHeadSize)
		r.addOrigin(f)
	case !all(f.Value, isValue) || !isTrimmed(f.Value):
		r.refuse(ReasonValue)
	case len(f.Name) > 0 && f.Name[0] == ':':
		r.addPseudo(f)
	default:
		r.addField(f)
	}
}

// mostLate is how much of a head is kept past its limit, for its Origin.
const mostLate = 1 << 10

// addOrigin keeps the Origin of a head that is too large: the page that has sent it is to
// read the response.
func (r *headReader) addOrigin(f Field) {
	if string(f.Name) == "origin" && len(r.text)+len(f.Value) < r.max+mostLate && all(f.Value, isValue) {
		r.text = append(append(append(r.text, "origin: "...), f.Value...), "\r\n"...)
	}
}

// addPseudo adds a pseudo-header field.
func (r *headReader) addPseudo(f Field) {
	which := -1
	switch string(f.Name) {
	case ":method":
		which = pseudoMethod
	case ":scheme":
		which = pseudoScheme
	case ":path":
		which = pseudoPath
	case ":authority":
		which = pseudoAuthority
	case ":protocol":
		if r.connect {
			which = pseudoProtocol
		}
	}
	switch {
	case r.line:
		r.refuse(ReasonPseudoLate)
	case which < 0:
		r.refuse(ReasonPseudoUnknown)
	case r.has(which):
		r.refuse(ReasonPseudoRepeated)
	default:
		r.seen |= 1 << which
		start := len(r.pseudo)
		r.pseudo = append(r.pseudo, f.Value...)
		r.spans[which] = span{start, len(r.pseudo)}
	}
}

// has reports whether a pseudo-header field has come.
func (r *headReader) has(which int) bool { return r.seen&(1<<which) != 0 }

// value returns that of a pseudo-header field; empty if it has not come.
func (r *headReader) value(which int) []byte { return r.spans[which].of(r.pseudo) }

// addField adds an ordinary field.
func (r *headReader) addField(f Field) {
	if !r.line {
		if r.writeLine(); r.reason != ReasonNone {
			return
		}
	}
	if why := checkName(f.Name); why != ReasonNone {
		r.refuse(why)
		return
	}
	switch http1.HeaderOf(f.Name) {
	case http1.HeaderConnection, http1.HeaderKeepAlive, http1.HeaderProxyConnection, http1.HeaderTransferEncoding, http1.HeaderUpgrade:
		r.refuse(ReasonConnection)
		return
	case http1.HeaderTE:
		if !http1.EqualFold(f.Value, "trailers") {
			r.refuse(ReasonTE)
			return
		}
	case http1.HeaderContentLength:
		if !r.trailer {
			r.addLength(f.Value)
			return
		}
	case http1.HeaderHost:
		if !r.trailer {
			r.addHost(f.Value)
			return
		}
	case http1.HeaderCookie:
		if !r.trailer {
			r.addCookie(f.Value)
			return
		}
	case http1.HeaderSecWebSocketKey:
		if r.socket {
			return // the key is made here
		}
	}
	r.text = append(append(append(append(r.text, f.Name...), ": "...), f.Value...), "\r\n"...)
}

// checkName says what is wrong with a field name.
func checkName(name []byte) Reason {
	for _, c := range name {
		switch {
		case class[c]&isName != 0:
		case class[c]&isCapital != 0:
			return ReasonUpperCase
		default:
			return ReasonName
		}
	}
	if len(name) == 0 {
		return ReasonName
	}
	return ReasonNone
}

// addLength reads Content-Length: repetitions must be equal. It is written as one line at
// the end, in canonical form.
func (r *headReader) addLength(value []byte) {
	digits := bytes.TrimLeft(value, "0")
	if len(value) == 0 || len(digits) > 18 || !all(value, isDigit) {
		r.refuse(ReasonLength)
		return
	}
	n := int64(0)
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	if r.length >= 0 && r.length != n {
		r.refuse(ReasonLength)
	}
	r.length = n
}

// addHost reads Host: it must say the same as :authority, and stands for it where that is
// missing.
func (r *headReader) addHost(value []byte) {
	if r.host.end == 0 {
		r.writeHost(value)
		return
	}
	host := r.host.of(r.text)
	if !r.has(pseudoAuthority) || !http1.EqualFold(withoutPort(host, r.port()), withoutPort(value, r.port())) {
		r.refuse(ReasonHostMismatch)
	}
	r.seen &^= 1 << pseudoAuthority // another Host is one too many
}

// port is the default port of the request's scheme.
func (r *headReader) port() string {
	if string(r.value(pseudoScheme)) == "https" {
		return ":443"
	}
	return ":80"
}

// withoutPort returns a host without the port, if it ends with that.
func withoutPort(host []byte, port string) []byte {
	if name := len(host) - len(port); name > 0 && string(host[name:]) == port {
		return host[:name]
	}
	return host
}

// writeHost writes the line of Host.
func (r *headReader) writeHost(value []byte) {
	r.text = append(r.text, "host: "...)
	r.host.start = len(r.text)
	r.text = append(r.text, value...)
	r.host.end = len(r.text)
	r.text = append(r.text, "\r\n"...)
}

// addCookie joins the crumbs of Cookie (RFC 9113 section 8.2.3).
func (r *headReader) addCookie(value []byte) {
	if len(r.cookies) > 0 {
		r.cookies = append(r.cookies, "; "...)
	} else {
		r.cookies = append(r.cookies, "cookie: "...)
	}
	r.cookies = append(r.cookies, value...)
}

// writeLine checks the pseudo-header fields and writes the request line, and Host.
func (r *headReader) writeLine() {
	r.line = true
	if why := r.checkPseudo(); why != ReasonNone {
		r.refuse(why)
		return
	}
	method, path := r.value(pseudoMethod), r.value(pseudoPath)
	switch {
	case r.socket:
		method = methodGet
	case string(method) == "CONNECT":
		path = r.value(pseudoAuthority)
	}
	r.text = append(append(append(append(r.text, method...), ' '), path...), " HTTP/1.1\r\n"...)
	if r.has(pseudoAuthority) {
		r.writeHost(r.value(pseudoAuthority))
	}
}

var methodGet = []byte("GET")

// checkPseudo says what is wrong with the pseudo-header fields (RFC 9113 section 8.3.1,
// RFC 8441 section 4).
func (r *headReader) checkPseudo() Reason {
	const usual = 1<<pseudoMethod | 1<<pseudoScheme | 1<<pseudoPath
	method := r.value(pseudoMethod)
	switch {
	case !r.has(pseudoMethod):
		return ReasonPseudoMissing
	case len(method) == 0 || !all(method, isName|isCapital):
		return ReasonMethod
	case r.has(pseudoAuthority) && !all(r.value(pseudoAuthority), isVisible):
		return ReasonAuthority
	case string(method) == "CONNECT" && !r.has(pseudoProtocol):
		if r.seen != 1<<pseudoMethod|1<<pseudoAuthority || len(r.value(pseudoAuthority)) == 0 {
			return ReasonConnect
		}
		return ReasonNone
	case r.seen&usual != usual:
		return ReasonPseudoMissing
	case r.has(pseudoProtocol) && (string(method) != "CONNECT" || !r.has(pseudoAuthority)):
		return ReasonConnect
	}
	if why := r.checkTarget(); why != ReasonNone {
		return why
	}
	r.socket = r.has(pseudoProtocol) && http1.EqualFold(r.value(pseudoProtocol), "websocket")
	return ReasonNone
}

// checkTarget says what is wrong with :scheme and :path. A fragment is left to http1.
func (r *headReader) checkTarget() Reason {
	path := r.value(pseudoPath)
	if scheme := r.value(pseudoScheme); string(scheme) != "http" && string(scheme) != "https" {
		return ReasonScheme
	}
	switch {
	case len(path) == 0, !all(path, isVisible):
		return ReasonPath
	case path[0] == '/':
	case string(path) != "*", string(r.value(pseudoMethod)) != "OPTIONS":
		return ReasonPath
	}
	return ReasonNone
}

// finish ends the block, which ends the stream or does not, and completes the text.
func (r *headReader) finish(endStream bool) Reason {
	if r.trailer {
		if !endStream {
			r.refuse(ReasonTrailers)
		}
		return r.reason
	}
	if !r.line && r.reason == ReasonNone {
		r.writeLine()
	}
	switch {
	case r.reason != ReasonNone:
	case r.socket && (endStream || r.length >= 0):
		r.refuse(ReasonConnect)
	case endStream && r.length > 0:
		r.refuse(ReasonLengthMismatch)
	}
	if r.reason != ReasonNone {
		return r.reason
	}
	if len(r.cookies) > 0 {
		r.text = append(append(r.text, r.cookies...), "\r\n"...)
	}
	r.writeFraming(endStream)
	return ReasonNone
}

// writeFraming writes the fields that say what follows the head, and the empty line.
func (r *headReader) writeFraming(endStream bool) {
	switch {
	case r.socket:
		r.text = append(r.text, http1.FieldsWebSocket...)
		r.text = append(r.text, "sec-websocket-key: "...)
		var key [16]byte
		binary.NativeEndian.PutUint64(key[:], rand.Uint64())
		binary.NativeEndian.PutUint64(key[8:], rand.Uint64())
		r.text = append(base64.StdEncoding.AppendEncode(r.text, key[:]), "\r\n"...)
	case r.length >= 0:
		r.text = strconv.AppendInt(append(r.text, "content-length: "...), r.length, 10)
		r.text = append(r.text, "\r\n"...)
	case !endStream:
		r.text = append(r.text, http1.FieldChunked...)
	}
	r.text = append(r.text, "\r\n"...)
}
