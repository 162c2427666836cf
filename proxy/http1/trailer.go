package http1

import "bytes"

// Trailers says which trailers of a chunked body are passed on (RFC 9110 section
// 6.5). Those that are not are left out; the body stays complete.
type Trailers uint8

// The values of Trailers.
const (
	// TrailersPass passes all but those that frame, route or authorize a message
	// or say how its body is read: a reader that merges trailers into the head
	// would be deceived.
	TrailersPass Trailers = iota
	// TrailersOfChanged leaves out those that describe the bytes of the body, too:
	// the body is changed on its way.
	TrailersOfChanged
	// TrailersDrop passes none.
	TrailersDrop
)

// neverTrailing are the known fields that are not passed on as trailers, beside
// those with one of neverTrailingPrefixes, and of the family of X-Forwarded.
const neverTrailing = HopByHop | Forwarding |
	1<<HeaderContentLength | 1<<HeaderTrailer | 1<<HeaderExpect | // framing
	1<<HeaderContentEncoding | 1<<HeaderContentRange | // how the body is read
	1<<HeaderHost | 1<<HeaderOrigin | // routing
	1<<HeaderAuthorization | 1<<HeaderProxyAuthorization | 1<<HeaderProxyAuthenticate | 1<<HeaderCookie | 1<<HeaderSetCookie // credentials

// neverTrailingPrefixes begin the names, in lower case, of further such fields.
var neverTrailingPrefixes = []string{"proxy-auth", "mcp-", "sec-websocket-", "cookie2", "set-cookie2", "www-authenticate"}

// Passes reports whether a trailer with that name is passed on. All punctuation counts
// as "-" (see FoldName).
func (t Trailers) Passes(name []byte) bool {
	return t.passes(name[:min(len(name), maxName)], len(name) > maxName)
}

// passes is Passes for a name that begins with start; longer says that this is not
// all of it. No name that matters is longer than maxName.
func (t Trailers) passes(start []byte, longer bool) bool {
	var b [maxName]byte
	start = b[:copy(b[:], start)]
	for i, c := range start {
		start[i] = FoldName(c)
	}
	if !longer {
		if id := headerID(start); id != HeaderOther && neverTrailing.Has(id) ||
			t == TrailersOfChanged && (id == HeaderETag || describesBytes(id, start)) {
			return false
		}
	}
	if forwarding(start) {
		return false
	}
	for _, prefix := range neverTrailingPrefixes {
		if bytes.HasPrefix(start, []byte(prefix)) {
			return false
		}
	}
	return t != TrailersDrop
}

// describesBytes reports whether a field with that id or name holds a digest of the
// bytes of a message or is signed (RFC 9530, RFC 9421, RFC 3230, RFC 1864).
func describesBytes(id HeaderID, name []byte) bool {
	if id != HeaderOther {
		return id == HeaderContentDigest
	}
	for _, one := range [...]string{"repr-digest", "digest", "content-md5", "signature", "signature-input"} {
		if EqualFold(name, one) {
			return true
		}
	}
	return false
}

// DescribesBytes reports whether a field, or a trailer that Trailer announces,
// describes the bytes of the body: they must not be changed.
func (f *Fields) DescribesBytes() bool {
	if f.Has(HeaderContentDigest) {
		return true
	}
	for i := f.Find(HeaderOther, 0); i >= 0; i = f.Find(HeaderOther, i+1) {
		if describesBytes(HeaderOther, f.Name(i)) {
			return true
		}
	}
	for i := f.Find(HeaderTrailer, 0); i >= 0; i = f.Find(HeaderTrailer, i+1) {
		for name, rest := nextMember(f.Value(i)); name != nil; name, rest = nextMember(rest) {
			if describesBytes(headerID(name), name) {
				return true
			}
		}
	}
	return false
}

// DropDescriptions drops the fields that describe the bytes of the body.
func (f *Fields) DropDescriptions() {
	for i := range f.size {
		if describesBytes(f.ID(i), f.Name(i)) {
			f.Drop(i)
		}
	}
}

// Trailers says which trailers of the message are passed on: none if Connection
// names fields, since those must be removed from the trailers, too (RFC 9110
// section 7.6.1).
func (f *Fields) Trailers() Trailers {
	if f.named {
		return TrailersDrop
	}
	return TrailersPass
}

// AppendTrailer appends a Trailer field that announces those trailers of the
// message's own Trailer fields that are passed on; nothing if there are none.
func (f *Fields) AppendTrailer(dst []byte, t Trailers) []byte {
	if !f.Has(HeaderTrailer) {
		return dst
	}
	return f.appendTrailer(dst, t)
}

func (f *Fields) appendTrailer(dst []byte, t Trailers) []byte {
	separator := "Trailer: "
	for i := f.Find(HeaderTrailer, 0); i >= 0; i = f.Find(HeaderTrailer, i+1) {
		for name, rest := nextMember(f.Value(i)); name != nil; name, rest = nextMember(rest) {
			if !all(name, isToken) || !t.Passes(name) {
				continue
			}
			dst = append(dst, separator...)
			dst = append(dst, name...)
			separator = ", "
		}
	}
	if separator == ", " {
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// emission is what a byte of the trailer section adds to what is passed on.
type emission uint8

const (
	emitNothing emission = iota
	emitByte
	emitName // the beginning of the name, and then the byte
)

// AppendTrailers continues with p, which begins within the trailer section (see
// InTrailers), appends what of it is passed on, and returns how many bytes of p it
// read. Reasons are those of Pass.
func (c *Chunked) AppendTrailers(dst, p []byte) (out []byte, n int, r Reason) {
	for n < len(p) && c.state < chunkDone {
		e, r := c.stepTrailer(p[n])
		if r != ReasonNone {
			c.state, c.reason = chunkFailed, r
			break
		}
		if e == emitName {
			dst = append(dst, c.name[:min(int(c.nameSize), maxName)]...)
		}
		if e != emitNothing {
			dst = append(dst, p[n])
		}
		n++
	}
	return dst, n, c.reason
}

// stepTrailer handles a byte of the trailer section.
func (c *Chunked) stepTrailer(b byte) (e emission, r Reason) {
	if c.trailers++; c.trailers > maxTrailers {
		return emitNothing, ReasonTrailerSize
	}
	switch c.state {
	case trailerLine:
		c.dropped = false
		if b == '\r' {
			c.state = trailerEndLF
			return emitByte, ReasonNone
		}
		c.state, c.nameSize = trailerName, 0
		return c.stepName(b)
	case trailerName:
		return c.stepName(b)
	case trailerValue:
		if b == '\r' {
			c.state = trailerValueLF
		} else if !is(b, isValue) {
			return emitNothing, bareLFOr(b, ReasonControl)
		}
	case trailerValueLF, trailerEndLF:
		if b != '\n' {
			return emitNothing, ReasonBareCR
		}
		if c.state == trailerEndLF {
			c.state = chunkDone
		} else {
			c.state = trailerLine
		}
	}
	return c.emit(emitByte), ReasonNone
}

// emit returns e, unless the trailer that is read is left out.
func (c *Chunked) emit(e emission) emission {
	if c.dropped {
		return emitNothing
	}
	return e
}

// stepName handles a byte of a trailer's name, or the colon after it. The name is
// held back until it is complete, or longer than any that matters.
func (c *Chunked) stepName(b byte) (e emission, r Reason) {
	if is(b, isToken) {
		switch {
		case int(c.nameSize) < maxName:
			c.name[c.nameSize] = b
			c.nameSize++
			return emitNothing, ReasonNone
		case int(c.nameSize) == maxName:
			c.nameSize++
			return c.decide(), ReasonNone
		}
		return c.emit(emitByte), ReasonNone
	}
	if b != ':' || c.nameSize == 0 {
		return emitNothing, nameReason(b, c.nameSize > 0)
	}
	c.state = trailerValue
	if int(c.nameSize) > maxName {
		return c.emit(emitByte), ReasonNone
	}
	return c.decide(), ReasonNone
}

// decide decides whether the trailer with the present name is passed on.
func (c *Chunked) decide() emission {
	c.dropped = !c.Trailers.passes(c.name[:min(int(c.nameSize), maxName)], int(c.nameSize) > maxName)
	return c.emit(emitName)
}
