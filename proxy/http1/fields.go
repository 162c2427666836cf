package http1

import "bytes"

// Fields are the fields (headers) of one head, in the order they came. They
// refer to the bytes that were parsed. Fields are embedded in RequestHead and
// ResponseHead; the zero value has none.
type Fields struct {
	p           []byte // what was parsed
	seen        HeaderSet
	twice       HeaderSet // seen more than once
	underscores bool      // a name unknown here has a "_"
	size        int       // how many fields
	start       int       // where the first begins in p
	end         int       // where the empty line behind the last begins
	first       [64]uint8 // by HeaderID: the first such field, if it was seen
	field       [MaxFields]field
}

// field is one line: from name to the next field's name, by offsets into
// Fields.p.
type field struct {
	name, colon, end uint32 // end is where its CRLF begins
	id               HeaderID
	dropped          bool // not to be passed on, though its id does not say so
}

// NumFields returns how many fields there are; their indices begin at 0.
func (f *Fields) NumFields() int { return f.size }

// ID returns the HeaderID of field i.
func (f *Fields) ID(i int) HeaderID { return f.field[i].id }

// Name returns the name of field i as it was written.
func (f *Fields) Name(i int) []byte {
	return f.p[f.field[i].name:f.field[i].colon]
}

// Value returns the value of field i, without white space around it.
func (f *Fields) Value(i int) []byte {
	start, end := int(f.field[i].colon)+1, int(f.field[i].end)
	for start < end && is(f.p[start], isSpace) {
		start++
	}
	for start < end && is(f.p[end-1], isSpace) {
		end--
	}
	return f.p[start:end]
}

// Dropped reports whether field i is not to be passed on: it is hop-by-hop by
// its nature or because Connection names it, or is what Drop took out.
func (f *Fields) Dropped(i int) bool {
	return f.field[i].dropped || HopByHop.Has(f.field[i].id)
}

// Drop takes field i out of what AppendFields writes. It is still found by
// all other methods.
func (f *Fields) Drop(i int) { f.field[i].dropped = true }

// Has reports whether there is a field id.
func (f *Fields) Has(id HeaderID) bool { return f.seen.Has(id) }

// Several reports whether there is more than one field id.
func (f *Fields) Several(id HeaderID) bool { return f.twice.Has(id) }

// Get returns the value of the first field id; nil when there is none.
func (f *Fields) Get(id HeaderID) []byte {
	if !f.seen.Has(id) {
		return nil
	}
	return f.Value(int(f.first[id%64]))
}

// Find returns the index of the first field id at or behind index from, or
// -1. All fields of one id:
//
//	for i := f.Find(id, 0); i >= 0; i = f.Find(id, i+1) {
func (f *Fields) Find(id HeaderID, from int) int {
	if !f.seen.Has(id) {
		return -1
	}
	if first := int(f.first[id%64]); from <= first {
		return first
	}
	if !f.twice.Has(id) {
		return -1
	}
	for i := from; i < f.size; i++ {
		if f.field[i].id == id {
			return i
		}
	}
	return -1
}

// AppendFields appends, as they came, the lines of all fields that are to be
// passed on (see Dropped) and are not in without. The empty line that ends a
// head is not among them.
func (f *Fields) AppendFields(dst []byte, without HeaderSet) []byte {
	without |= HopByHop
	from := f.start // where the lines not yet copied begin
	for i := range f.size {
		line := &f.field[i]
		if !line.dropped && !without.Has(line.id) {
			continue
		}
		dst = append(dst, f.p[from:line.name]...)
		from = int(line.end) + len("\r\n")
	}
	return append(dst, f.p[from:f.end]...)
}

// parseFields reads the fields of p from index i on to the empty line, and
// returns the index behind that; 0 when p does not reach so far.
func (f *Fields) parseFields(p []byte, i int) (int, Reason) {
	f.p, f.seen, f.twice, f.underscores, f.size, f.start = p, 0, 0, false, 0, i
	for {
		id, colon := knownAt(p, i)
		if id == HeaderOther {
			var r Reason
			if i < len(p) && p[i] == '\r' {
				f.end = i
				return lineEnd(p, i, ReasonBareCR)
			}
			if id, colon, r = f.parseName(p, i, colon); colon == 0 {
				return 0, r
			}
		}
		end := skipPrintable(p, colon+1)
		if end+1 >= len(p) || p[end] != '\r' || p[end+1] != '\n' {
			var r Reason
			if end, r = valueEnd(p, end); end == 0 {
				return 0, r
			}
		}
		if f.size >= MaxFields {
			return 0, ReasonFieldCount
		}
		line := &f.field[f.size]
		line.name, line.colon, line.end = uint32(i), uint32(colon), uint32(end)
		line.id, line.dropped = id, false
		f.note(id)
		i = end + 2
	}
}

// parseName reads the name at p[i:], known or not, and returns the index of
// the colon behind it: 0 when p ends before. What stands before the index
// unknown is not a known name (see knownAt).
func (f *Fields) parseName(p []byte, i, unknown int) (HeaderID, int, Reason) {
	colon := skip(p, i, isToken)
	switch {
	case colon == len(p):
		return HeaderOther, 0, ReasonNone
	case colon == i || p[colon] != ':':
		return HeaderOther, 0, nameReason(p[colon], colon > i)
	}
	name := p[i:colon]
	if bytes.IndexByte(name, '_') >= 0 {
		f.underscores = true
	}
	if colon == unknown {
		return HeaderOther, colon, ReasonNone
	}
	return headerID(name), colon, ReasonNone
}

// valueEnd returns the index of the CRLF that ends the value at p[i:]; 0 when p
// ends before.
func valueEnd(p []byte, i int) (int, Reason) {
	i = skipValue(p, i)
	next, r := lineEnd(p, i, ReasonControl)
	if next == 0 {
		return 0, r
	}
	return i, ReasonNone
}

// note counts the field just read, and enters it under its id.
func (f *Fields) note(id HeaderID) {
	bit := HeaderSet(1) << (id % 64)
	if f.seen&bit == 0 {
		f.seen |= bit
		f.first[id%64] = uint8(f.size)
	} else {
		f.twice |= bit
	}
	f.size++
}

// lineEnd returns the index behind the CRLF at p[i:]; 0 when p ends before it
// does. What stands there instead is refused, for other when it is neither CR
// nor LF.
func lineEnd(p []byte, i int, other Reason) (int, Reason) {
	if i >= len(p) {
		return 0, ReasonNone
	}
	if p[i] != '\r' {
		return 0, bareLFOr(p[i], other)
	}
	if i+1 == len(p) {
		return 0, ReasonNone
	}
	if p[i+1] != '\n' {
		return 0, ReasonBareCR
	}
	return i + 2, ReasonNone
}

// bareLFOr says what is wrong with c, which has no place where it stands: it
// is a bare LF, or other.
func bareLFOr(c byte, other Reason) Reason {
	if c == '\n' {
		return ReasonBareLF
	}
	return other
}

// nameReason says what is wrong with a field name that c ends. inside tells
// that some of a name came before.
func nameReason(c byte, inside bool) Reason {
	switch {
	case is(c, isSpace) && inside:
		return ReasonSpace
	case is(c, isSpace):
		return ReasonFold
	}
	return bareLFOr(c, ReasonName)
}

// options are what the Connection fields of a head say of the connection.
type options struct {
	close, keepAlive, upgrade bool
}

// connection reads the Connection fields (RFC 9110 section 7.6.1) and drops
// the fields that they name, of those unknown here: what is known is either
// dropped anyway or is not the sender's to take away (CVE-2021-33197).
func (f *Fields) connection() (o options, r Reason) {
	named := 0
	for i := f.Find(HeaderConnection, 0); i >= 0; i = f.Find(HeaderConnection, i+1) {
		switch string(f.Value(i)) { // as a rule it is one of these
		case "keep-alive":
			o.keepAlive = true
			continue
		case "close":
			o.close = true
			continue
		}
		for option, rest := NextElement(f.Value(i)); option != nil; option, rest = NextElement(rest) {
			if !all(option, isToken) {
				return o, ReasonConnection
			}
			switch id := headerID(option); {
			case id == HeaderKeepAlive:
				o.keepAlive = true
			case id == HeaderUpgrade:
				o.upgrade = true
			case id != HeaderOther:
			case EqualFold(option, "close"):
				o.close = true
			case named == maxOptions:
				return o, ReasonOptionCount
			default:
				named++
				f.dropNamed(option)
			}
		}
	}
	return o, ReasonNone
}

// dropNamed drops the fields called name, of those unknown here.
func (f *Fields) dropNamed(name []byte) {
	for i := f.Find(HeaderOther, 0); i >= 0; i = f.Find(HeaderOther, i+1) {
		if EqualFold(f.Name(i), name) {
			f.Drop(i)
		}
	}
}

// dropTwins drops the fields that some servers would take for known ones (see
// twinOf).
func (f *Fields) dropTwins() {
	if !f.underscores {
		return
	}
	for i := f.Find(HeaderOther, 0); i >= 0; i = f.Find(HeaderOther, i+1) {
		name := f.Name(i)
		if bytes.IndexByte(name, '_') >= 0 && twinOf(name) != HeaderOther {
			f.Drop(i)
		}
	}
}

// length reads Content-Length, of which there must be one at most: 1 to 18
// digits without leading zeros.
func (f *Fields) length() (int64, Reason) {
	if f.Several(HeaderContentLength) {
		return 0, ReasonSeveralLengths
	}
	digits := f.Get(HeaderContentLength)
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		return 0, ReasonLength
	}
	n := int64(0)
	for _, c := range digits {
		if !is(c, isDigit) {
			return 0, ReasonLength
		}
		n = n*10 + int64(c-'0')
	}
	return n, ReasonNone
}

// framing returns what Content-Length and Transfer-Encoding say of the body
// (RFC 9112 section 6): FramingNone when the length is zero, absent when
// there is neither.
func (f *Fields) framing(minor uint8, absent Framing) (Framing, int64, Reason) {
	const both HeaderSet = 1<<HeaderContentLength | 1<<HeaderTransferEncoding
	switch f.seen & both {
	case 0:
		return absent, 0, ReasonNone
	case both:
		return 0, 0, ReasonLengthCoding
	case 1 << HeaderContentLength:
		n, r := f.length()
		if n == 0 {
			return FramingNone, 0, r
		}
		return FramingLength, n, r
	}
	switch {
	case minor == 0:
		return 0, 0, ReasonCodingHTTP10
	case f.Several(HeaderTransferEncoding), !EqualFold(f.Get(HeaderTransferEncoding), "chunked"):
		return 0, 0, ReasonCoding
	}
	return FramingChunked, 0, ReasonNone
}
