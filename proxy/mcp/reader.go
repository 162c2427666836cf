package mcp

// maxDepth is how deep arrays and objects may be nested: the bound of Go's
// encoding/json. Other readers stop earlier, or nowhere.
const maxDepth = 10_000

// Reader reads the body of an HTTP request and finds what its JSON-RPC messages
// ask for, so that a rule can decide about them before their server reads them. It
// is strict, since a rule must see what any server might see: a body that two
// readers could understand differently has all their readings in Calls, or a
// Fault. Duplicate keys, keys in another case, escapes, batches and every way of
// splitting the body are covered; see Calls.
//
// A body that does not begin as JSON can (a form, an upload) has no calls and no
// fault, as long as no reader of JSON could take it for a message. The zero value
// is ready for the first byte of a body; Reset prepares it for the next one, and
// keeps its memory: some 100 bytes, one bit for each level of nesting, and at most
// 64 KiB of methods and names.
//
//	state     byte                       next
//	start     { [                        as in value
//	          control, not ASCII, / # '  failed
//	          any other                  foreign
//	value     "                          text
//	          { [                        firstKey, firstItem
//	          - 0 1-9                    minus, zero, digits
//	          t f n                      literal
//	firstItem ]                          after; any other as in value
//	firstKey  }                          after; any other as in key
//	key       "                          text
//	colon     :                          value
//	after     ,                          key, in an array value
//	          } ]                        after; at depth 0 end
//	text      "                          colon behind a key, after behind a value
//	          \                          escape
//	escape    u                          hex, then text; another letter: text
//	minus     0 1-9                      zero, digits
//	zero      . e E                      point, exponent
//	digits    . e E                      point, exponent
//	point     0-9                        fraction
//	fraction  e E                        exponent
//	exponent  + -                        sign; 0-9: power
//	sign      0-9                        power
//	literal   the rest of its word       after
//	end       white space                end
//	foreign   any                        foreign
//
// A number ends in zero, digits, fraction and power before any other byte, which is
// read as in after. White space keeps start, value, firstItem, firstKey, key, colon
// and after. Every other byte leads to failed, with a Fault.
type Reader struct {
	state   readState
	fault   Fault
	closed  bool // a message has ended
	literal string

	levels []uint64 // a bit for each level: 1 = an object
	depth  int

	text     wordReader
	field    field // of the value that comes next
	inParams bool  // within the params of the message
	calls    calls
}

type readState uint8

const (
	readStart readState = iota
	readValue
	readFirstItem
	readFirstKey
	readKey
	readColon
	readAfter
	readText
	readEscape
	readHex
	readMinus
	readZero
	readDigits
	readPoint
	readFraction
	readExponent
	readSign
	readPower
	readLiteral
	readEnd
	readForeign
	readFailed
)

// Fault is why a body is refused. The zero value is none.
type Fault uint8

// The faults.
const (
	FaultNone      Fault = iota
	FaultEncoding        // it is not UTF-8 without a byte order mark
	FaultSyntax          // it begins like JSON and is not valid
	FaultTrailing        // something follows the message
	FaultDepth           // it is nested deeper than 10,000 levels
	FaultAmbiguous       // a method or name has too many readings, or a NUL
	FaultTooMany         // a batch asks for too many different things
	FaultCoding          // its Content-Encoding cannot be read, or is not what it says
	NumFaults            // their number
)

var faultNames = [NumFaults]struct{ word, text string }{
	FaultNone:      {"none", ""},
	FaultEncoding:  {"encoding", "the body is not UTF-8 without a byte order mark"},
	FaultSyntax:    {"syntax", "the body is not valid JSON"},
	FaultTrailing:  {"trailing", "the body has something behind its JSON value"},
	FaultDepth:     {"depth", "the body is nested too deeply"},
	FaultAmbiguous: {"ambiguous", "the body's method or name can be read in too many ways: name each key once"},
	FaultTooMany:   {"too_many", "the batch has too many different messages: send fewer at a time"},
	FaultCoding:    {"coding", "the body's Content-Encoding cannot be read: send it as it is, in gzip or in deflate"},
}

// String returns the fault as one word, for logs and labels.
func (f Fault) String() string { return faultNames[min(f, NumFaults-1)].word }

// Text says what is wrong, for the client.
func (f Fault) Text() string { return faultNames[min(f, NumFaults-1)].text }

// Reset makes the reader ready for another body.
func (r *Reader) Reset() {
	*r = Reader{
		levels: r.levels[:0],
		text:   wordReader{word: r.text.word[:0]},
		calls:  calls{list: r.calls.list[:0], text: r.calls.text[:0]},
	}
}

// Fault returns what is wrong with the body as far as it was read.
func (r *Reader) Fault() Fault { return r.fault }

// Feed reads the next bytes of the body, and returns how many of them a server may
// get before the body is judged: all until a message is complete, and none from the
// byte that completes it on, so that no server, not even one that reads a stream of
// values, has a message that was not judged. It keeps nothing of p.
func (r *Reader) Feed(p []byte) (pass int) {
	if !r.closed {
		pass = len(p)
	}
	for n := 0; n < len(p) && r.state < readForeign; {
		open := !r.closed
		size := r.some(p[n:])
		if open && r.closed {
			pass = n
		}
		n += size
	}
	return pass
}

// End reads the end of the body, and returns what is wrong with it.
func (r *Reader) End() Fault {
	switch r.state {
	case readStart, readEnd, readForeign, readFailed:
	case readZero, readDigits, readFraction, readPower:
		if r.depth > 0 {
			r.fail(FaultSyntax)
		}
	default:
		r.fail(FaultSyntax)
	}
	return r.fault
}

// fail ends reading.
func (r *Reader) fail(f Fault) { r.state, r.fault = readFailed, f }

// some reads some bytes of p, which is not empty, and returns how many: perhaps
// none, if it changes the state.
func (r *Reader) some(p []byte) int {
	switch b := p[0]; r.state {
	case readText:
		return r.readText(p)
	case readEscape:
		r.readEscape(b)
	case readHex:
		r.readHex(b)
	case readLiteral:
		r.readLiteral(b)
	case readMinus, readZero, readDigits, readPoint, readFraction, readExponent, readSign, readPower:
		return r.readNumber(p)
	default:
		r.punctuation(b)
	}
	return 1
}

// punctuation reads a byte between texts, numbers and literals.
func (r *Reader) punctuation(b byte) {
	if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
		return
	}
	switch r.state {
	case readStart:
		r.begin(b)
	case readValue:
		r.beginValue(b)
	case readFirstItem:
		if b == ']' {
			r.leave(b)
			return
		}
		r.beginValue(b)
	case readFirstKey:
		if b == '}' {
			r.leave(b)
			return
		}
		r.beginKey(b)
	case readKey:
		r.beginKey(b)
	case readColon:
		r.state = readValue
		if b != ':' {
			r.fail(FaultSyntax)
		}
	case readAfter:
		r.after(b)
	case readEnd:
		r.fail(FaultTrailing)
	}
}

// begin reads the first byte that is not white space. What no reader of JSON takes
// for a message is foreign; not so a byte order mark, another encoding, a comment,
// other quotes, or white space of other languages.
func (r *Reader) begin(b byte) {
	switch {
	case b == '{' || b == '[':
		r.beginValue(b)
	case b < ' ' || b >= 0x7f:
		r.fail(FaultEncoding)
	case b == '/' || b == '#' || b == '\'':
		r.fail(FaultSyntax)
	default:
		r.state = readForeign
	}
}

// beginKey reads what must be the first byte of a key.
func (r *Reader) beginKey(b byte) {
	if b != '"' {
		r.fail(FaultSyntax)
		return
	}
	kind := keyUnread
	if r.atMessage() || r.atParams() {
		kind = keyRead
	}
	r.state = readText
	r.text.begin(kind)
}

// beginValue reads the first byte of a value, whose field is known.
func (r *Reader) beginValue(b byte) {
	f := r.field
	r.field = noField
	switch {
	case b == '{' || b == '[':
		r.enter(b, f)
	case b == '"':
		kind := valueUnread
		if f.isText() {
			kind = valueRead
			r.field = f
		}
		r.state = readText
		r.text.begin(kind)
	default:
		r.beginScalar(b)
	}
}

// after reads what follows a complete value.
func (r *Reader) after(b byte) {
	switch {
	case b == '}' || b == ']':
		r.leave(b)
	case b != ',':
		r.fail(FaultSyntax)
	case r.inObject():
		r.state = readKey
	default:
		r.state = readValue
	}
}
