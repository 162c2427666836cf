package http1

import "bytes"

// Fields holds the fields (headers) of one head, in their order. It refers to
// the parsed bytes. Fields is embedded in RequestHead and ResponseHead; the
// zero value has no fields.
type Fields struct {
	p         []byte // the parsed bytes
	seen      HeaderSet
	twice     HeaderSet // seen more than once
	rewritten HeaderSet // dropped: AppendFields writes one canonical line instead
	length    int64     // the Content-Length to write, if that is rewritten
	odd       bool      // an unknown name has other punctuation than "-"
	named     bool      // Connection names fields that are unknown
	size      int       // how many fields
	start     int       // where the first begins in p
	end       int       // where the empty line after the last begins
	first     [64]uint8 // by HeaderID: index of the first such field, if seen
	field     [MaxFields]field
}

// field is one line: from name to the next field's name, by offsets into
// Fields.p.
type field struct {
	name, colon, end uint32 // end is where its CRLF begins
	id               HeaderID
	dropped          bool // not passed on, for another reason than its id
}

// NumFields returns the number of fields; their indices begin at 0.
func (f *Fields) NumFields() int { return f.size }

// ID returns the HeaderID of field i.
func (f *Fields) ID(i int) HeaderID { return f.field[i].id }

// Name returns the name of field i as the sender wrote it.
func (f *Fields) Name(i int) []byte {
	return f.p[f.field[i].name:f.field[i].colon]
}

// Value returns the value of field i, without white space around it.
func (f *Fields) Value(i int) []byte {
	line := &f.field[i]
	value := f.p[line.colon+1 : line.end]
	if len(value) > 1 && value[0] == ' ' {
		value = value[1:] // as nearly all senders write it
	}
	if len(value) > 0 && value[0] > ' ' && value[len(value)-1] > ' ' {
		return value
	}
	return trim(value)
}

// Dropped reports whether field i is not passed on: it is hop-by-hop,
// Connection names it, or Drop has removed it.
func (f *Fields) Dropped(i int) bool {
	return f.field[i].dropped || HopByHop.Has(f.field[i].id)
}

// Drop removes field i from the output of AppendFields. All other methods still
// find it.
func (f *Fields) Drop(i int) { f.field[i].dropped = true }

// Has reports whether there is a field with that id.
func (f *Fields) Has(id HeaderID) bool { return f.seen.Has(id) }

// Repeated reports whether there is more than one field with that id.
func (f *Fields) Repeated(id HeaderID) bool { return f.twice.Has(id) }

// Get returns the value of the first field with that id; nil if there is none.
func (f *Fields) Get(id HeaderID) []byte {
	if !f.seen.Has(id) {
		return nil
	}
	return f.Value(int(f.first[id%64]))
}

// Find returns the index of the first field with that id from index from on, or
// -1. To visit all fields with one id:
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

// AppendFields appends the unchanged lines of all fields that are passed on
// (see Dropped) and are not in without. Where Content-Length or Expect is written
// in a way that only some readers accept (leading zeros, repetitions), it appends
// one canonical line instead. It does not append the empty line that ends a head.
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
	dst = append(dst, f.p[from:f.end]...)
	if f.rewritten&^without == 0 {
		return dst
	}
	return f.appendRewritten(dst, without)
}

// appendRewritten appends the canonical lines.
func (f *Fields) appendRewritten(dst []byte, without HeaderSet) []byte {
	if f.rewritten.Has(HeaderContentLength) && !without.Has(HeaderContentLength) {
		dst = AppendLength(dst, f.length)
	}
	if f.rewritten.Has(HeaderExpect) && !without.Has(HeaderExpect) {
		dst = append(dst, fieldExpect...)
	}
	return dst
}

// Keep passes field i on after all, if it was dropped because Connection names it,
// or by Drop. Fields that some servers would take for others stay dropped.
func (f *Fields) Keep(i int) {
	line := &f.field[i]
	if line.id == HeaderOther && isPlainName(f.Name(i)) {
		line.dropped = false
	}
}

// NamesFields reports whether Connection names fields, so that there may be some
// for Keep.
func (f *Fields) NamesFields() bool { return f.named }

// dropAll drops all fields with that id.
func (f *Fields) dropAll(id HeaderID) {
	for i := f.Find(id, 0); i >= 0; i = f.Find(id, i+1) {
		f.Drop(i)
	}
}

// rewrite replaces all fields with that id with one canonical line.
func (f *Fields) rewrite(id HeaderID) {
	f.dropAll(id)
	f.rewritten |= 1 << id
}

// parseFields reads the fields of p from index i to the empty line, and returns
// the index after it; 0 if p ends before.
func (f *Fields) parseFields(p []byte, i int) (int, Reason) {
	f.p, f.seen, f.twice, f.rewritten, f.size, f.start = p, 0, 0, 0, 0, i
	f.odd, f.named = false, false
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
		f.record(id)
		i = end + 2
	}
}

// parseName reads the name at p[i:], known or not, and returns the index of the
// colon after it; 0 if p ends before. The bytes before index unknown are not a
// known name (see knownAt).
func (f *Fields) parseName(p []byte, i, unknown int) (HeaderID, int, Reason) {
	colon := skip(p, i, isToken)
	switch {
	case colon == len(p):
		return HeaderOther, 0, ReasonNone
	case colon == i || p[colon] != ':':
		return HeaderOther, 0, nameReason(p[colon], colon > i)
	}
	name := p[i:colon]
	if !isPlainName(name) {
		f.odd = true
	}
	if colon == unknown {
		return familyOf(name), colon, ReasonNone
	}
	return HeaderOf(name), colon, ReasonNone
}

// valueEnd returns the index of the CRLF that ends the value at p[i:]; 0 if p
// ends before.
func valueEnd(p []byte, i int) (int, Reason) {
	i = skipValue(p, i)
	next, r := lineEnd(p, i, ReasonControl)
	if next == 0 {
		return 0, r
	}
	return i, ReasonNone
}

// record counts the field just read, and indexes it by its id.
func (f *Fields) record(id HeaderID) {
	bit := HeaderSet(1) << (id % 64)
	if f.seen&bit == 0 {
		f.seen |= bit
		f.first[id%64] = uint8(f.size)
	} else {
		f.twice |= bit
	}
	f.size++
}

// lineEnd returns the index after the CRLF at p[i:]; 0 if p ends before. Any
// other byte is refused: for other, if it is neither CR nor LF.
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

// bareLFOr returns the reason for a misplaced byte c: a bare LF, or other.
func bareLFOr(c byte, other Reason) Reason {
	if c == '\n' {
		return ReasonBareLF
	}
	return other
}

// nameReason returns why c is refused in or after a field name. inside says
// that bytes of a name came before.
func nameReason(c byte, inside bool) Reason {
	switch {
	case is(c, isSpace) && inside:
		return ReasonSpace
	case is(c, isSpace):
		return ReasonFold
	}
	return bareLFOr(c, ReasonName)
}

// options holds what the Connection fields of a head say about the connection.
type options struct {
	close, keepAlive, upgrade bool
}

// connection reads the Connection fields (RFC 9110 section 7.6.1) and drops the
// unknown fields that they name: a known field is either dropped anyway, or the
// sender must not be able to remove it (CVE-2021-33197). Parameters of an option
// have no meaning; a member that is not a token is ignored, as all others do.
func (f *Fields) connection() (o options, r Reason) {
	named := 0
	for i := f.Find(HeaderConnection, 0); i >= 0; i = f.Find(HeaderConnection, i+1) {
		switch string(f.Value(i)) { // usually one of these
		case "keep-alive":
			o.keepAlive = true
			continue
		case "close":
			o.close = true
			continue
		}
		for member, rest := nextMember(f.Value(i)); member != nil; member, rest = nextMember(rest) {
			option := trim(member[:indexOr(member, ';')])
			switch id := headerID(option); {
			case id == HeaderKeepAlive:
				o.keepAlive = true
			case id == HeaderUpgrade:
				o.upgrade = true
			case id != HeaderOther:
			case EqualFold(option, "close"):
				o.close = true
			case len(option) < len(member), !all(option, isToken):
			case named == maxOptions:
				return o, ReasonOptionCount
			default:
				named++
				f.named = true
				f.dropNamed(option)
			}
		}
	}
	return o, ReasonNone
}

// dropNamed drops the unknown fields called name. MCP's own stay: a server compares
// them with the body, so that a client must not be able to hide them from it.
func (f *Fields) dropNamed(name []byte) {
	const mcp = "mcp-"
	if len(name) >= len(mcp) && EqualFold(name[:len(mcp)], mcp) {
		return
	}
	for i := f.Find(HeaderOther, 0); i >= 0; i = f.Find(HeaderOther, i+1) {
		if EqualFold(f.Name(i), name) {
			f.Drop(i)
		}
	}
}

// dropLookalikes drops the fields that some servers would take for known ones
// (see lookalikeOf), or for one in which proxies describe their client.
func (f *Fields) dropLookalikes() {
	if !f.odd {
		return
	}
	for i := f.Find(HeaderOther, 0); i >= 0; i = f.Find(HeaderOther, i+1) {
		name := f.Name(i)
		if !isPlainName(name) && (lookalikeOf(name) != HeaderOther || forwarding(name)) {
			f.Drop(i)
		}
	}
}

// readLength reads Content-Length: the same decimal number in every element of
// every field (RFC 9110 section 8.6). Unless it is one number without leading
// zeros and without tabs around it, it is rewritten.
func (f *Fields) readLength() (int64, Reason) {
	first := f.Get(HeaderContentLength)
	n, ok := parseLength(first)
	if ok && (first[0] != '0' || len(first) == 1) && !f.Repeated(HeaderContentLength) && !f.hasTab(HeaderContentLength) {
		return n, ReasonNone
	}
	n = -1
	for i := f.Find(HeaderContentLength, 0); i >= 0; i = f.Find(HeaderContentLength, i+1) {
		for value, more := f.Value(i), true; more; {
			var element []byte
			element, value, more = bytes.Cut(value, comma)
			one, ok := parseLength(trim(element))
			switch {
			case !ok:
				return 0, ReasonLength
			case n >= 0 && one != n:
				return 0, ReasonSeveralLengths
			}
			n = one
		}
	}
	f.rewrite(HeaderContentLength)
	f.length = n
	return n, ReasonNone
}

// hasTab reports whether a tab stands in the first field with that id. RFC 9110
// section 5.6.3 allows it around a value, but there are servers that do not find
// the value behind it.
func (f *Fields) hasTab(id HeaderID) bool {
	line := &f.field[f.first[id%64]]
	return bytes.IndexByte(f.p[line.colon:line.end], '\t') >= 0
}

// parseLength reads a decimal number of at most 18 digits, not counting leading
// zeros.
func parseLength(p []byte) (n int64, ok bool) {
	digits := p
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	if len(p) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if !is(c, isDigit) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// framingFields are the fields that say where a body ends.
const framingFields HeaderSet = 1<<HeaderContentLength | 1<<HeaderTransferEncoding

// framing returns what Content-Length and Transfer-Encoding say about the body
// (RFC 9112 section 6): FramingNone if the length is zero, absent if there is
// neither.
func (f *Fields) framing(minor uint8, absent Framing) (Framing, int64, Reason) {
	switch f.seen & framingFields {
	case 0:
		return absent, 0, ReasonNone
	case framingFields:
		return 0, 0, ReasonLengthCoding
	case 1 << HeaderContentLength:
		n, r := f.readLength()
		if n == 0 {
			return FramingNone, 0, r
		}
		return FramingLength, n, r
	}
	switch {
	case minor == 0:
		return 0, 0, ReasonCodingHTTP10
	case f.Repeated(HeaderTransferEncoding), !EqualFold(f.Get(HeaderTransferEncoding), "chunked"):
		return 0, 0, ReasonCoding
	}
	return FramingChunked, 0, ReasonNone
}
