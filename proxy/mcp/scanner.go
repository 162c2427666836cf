package mcp

import (
	"bytes"
	"encoding/json"
)

// maxID is the longest id that is kept, in bytes of raw JSON. Real ones are
// counters and UUIDs.
const maxID = 128

// IDScanner reads one JSON-RPC message, fed in any pieces, and finds its
// top-level "id" without keeping the message. The zero value is ready for the
// first byte of a message; Reset makes it so again.
//
// For a message that is valid JSON its answers are exact, whatever the names
// are escaped like; of several ids the last counts, as with encoding/json and
// most other readers. What is not valid JSON may give an id or none, but never
// one that is not valid JSON by itself. An array (a batch, of protocol version
// 2025-03-26 only) has no id.
//
// The states of the scan:
//
//	state       byte               next
//	start       {                  first
//	first       "                  name
//	            }                  end
//	name        " unescaped        colon
//	colon       :                  value
//	value       "                  text; of "method": methodText
//	            { [                nested, depth 1
//	            , : } ]            failed
//	            any other          scalar
//	text        " unescaped        after
//	methodText  " unescaped        after
//	scalar      , } ] white space  as in after
//	nested      "                  nestedText
//	            { [                nested, depth + 1
//	            } ]                nested, depth - 1; at depth 0 after
//	nestedText  " unescaped        nested
//	after       ,                  next
//	            }                  end
//	next        "                  name
//	end, failed                    (final)
//
// White space stays where it is in start, first, colon, value, after, next and
// end; in these, what is not listed leads to failed. In name, text, methodText,
// scalar, nested and nestedText, what is not listed is content and stays.
type IDScanner struct {
	depth int // of nested

	id     [maxID]byte
	idSize int  // bytes of id; more than maxID: too long to be kept
	inID   bool // the value being read is that of "id"

	word     [maxMethodName]byte // the beginning of the name or method being read, unescaped
	wordSize uint8               // bytes of word; more than it holds: longer than any looked for
	method   Method              // MethodNone until there was a "method"

	state   scanState
	escaped bool   // in a string, after a backslash
	hex     uint8  // in a word, hexadecimal digits to come of \uXXXX
	unit    uint16 // in a word, what those so far make
}

// The names looked for.
const (
	nameID     = "id"
	nameMethod = "method"
)

type scanState uint8

const (
	scanStart scanState = iota
	scanFirst
	scanName
	scanColon
	scanValue
	scanText
	scanMethodText
	scanScalar
	scanNested
	scanNestedText
	scanAfter
	scanNext
	scanEnd
	scanFailed
)

// Reset makes the scanner ready for another message.
func (s *IDScanner) Reset() { *s = IDScanner{} }

// Feed takes the next bytes of the message. Nothing of p is kept but the id.
func (s *IDScanner) Feed(p []byte) {
	for len(p) > 0 && s.state != scanFailed {
		p = p[s.feedSome(p):]
	}
}

// feedSome takes some of p, which is not empty, up to the end of what p begins
// with or is in the midst of, and returns how much. It may take nothing when it
// changes the state.
func (s *IDScanner) feedSome(p []byte) int {
	switch s.state {
	case scanName, scanMethodText:
		return s.feedWord(p)
	case scanText, scanNestedText:
		return s.feedText(p)
	case scanScalar:
		return s.feedScalar(p)
	case scanNested:
		return s.feedNested(p)
	default:
		s.state = s.step(p[0])
		return 1
	}
}

// ID returns the id of the message as raw JSON: a string with its quotes, a
// number, or null. It returns nil if the message has no id, one of another
// type or of more than 128 bytes, is not an object, or has not ended yet. The
// slice is good until the next call of Feed or Reset.
func (s *IDScanner) ID() []byte {
	if s.state != scanEnd {
		return nil
	}
	return s.rawID()
}

// Request reports whether the message names a method: with an id it is then a
// request, without one a notification. A message without a method is an answer,
// or none of JSON-RPC.
func (s *IDScanner) Request() bool { return s.method != MethodNone }

// Method returns the method of the message: MethodNone if it has none or none
// was read yet, MethodOther if that is not known or not a string.
func (s *IDScanner) Method() Method { return s.method }

// rawID returns the id read last, nil if it cannot be one.
func (s *IDScanner) rawID() []byte {
	if s.idSize == 0 || s.idSize > maxID {
		return nil
	}
	id := s.id[:s.idSize]
	switch b := id[0]; {
	case b == '"', b == '-', b == 'n', '0' <= b && b <= '9':
	default: // true and false
		return nil
	}
	if !json.Valid(id) {
		return nil
	}
	return id
}

// step is the table's part for white space and punctuation at the top level.
func (s *IDScanner) step(b byte) scanState {
	if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
		return s.state
	}
	switch s.state {
	case scanStart:
		return only(b, '{', scanFirst)
	case scanFirst:
		if b == '}' {
			return scanEnd
		}
		return s.beginName(b)
	case scanNext:
		return s.beginName(b)
	case scanColon:
		return only(b, ':', scanValue)
	case scanValue:
		return s.beginValue(b)
	case scanAfter:
		if b == '}' {
			return scanEnd
		}
		return only(b, ',', scanNext)
	default: // more after the end
		return scanFailed
	}
}

// only returns then if b is what was wanted, and failed otherwise.
func only(b, wanted byte, then scanState) scanState {
	if b == wanted {
		return then
	}
	return scanFailed
}

func (s *IDScanner) beginName(b byte) scanState {
	s.wordSize = 0
	return only(b, '"', scanName)
}

// beginValue looks at the first byte of a top-level value, and at its name,
// which is complete.
func (s *IDScanner) beginValue(b byte) scanState {
	s.inID = s.named(nameID)
	if s.inID {
		s.idSize = 0 // the last one counts
	}
	if s.named(nameMethod) {
		s.method = MethodOther
		if b == '"' {
			s.wordSize = 0
			return scanMethodText
		}
	}
	switch b {
	case '{', '[':
		s.inID = false
		s.depth = 1
		return scanNested
	case ',', ':', '}', ']':
		return scanFailed
	}
	s.keep(b)
	if b == '"' {
		return scanText
	}
	return scanScalar
}

// named reports whether the name just read is want.
func (s *IDScanner) named(want string) bool {
	return int(s.wordSize) == len(want) && string(s.word[:len(want)]) == want
}

// keep adds bytes to the id, if the value being read is the id.
func (s *IDScanner) keep(p ...byte) {
	if !s.inID || s.idSize > maxID {
		return
	}
	copy(s.id[s.idSize:], p)
	s.idSize = min(s.idSize+len(p), maxID+1)
}

// feedText takes what p has of a string, its closing quote included, and
// returns its length.
func (s *IDScanner) feedText(p []byte) int {
	n := 0
	for n < len(p) {
		if s.escaped {
			s.escaped = false
			n++
			continue
		}
		n += plain(p[n:])
		if n == len(p) {
			break
		}
		b := p[n]
		n++
		if b == '"' {
			s.endText()
			break
		}
		s.escaped = b == '\\'
	}
	s.keep(p[:n]...)
	return n
}

// endText is at the closing quote of a string, which is still to be kept.
func (s *IDScanner) endText() {
	if s.state == scanText {
		s.state = scanAfter
	} else {
		s.state = scanNested
	}
}

// plain returns how many bytes at the beginning of p, inside a string, are
// neither a quote nor a backslash; of many, it may return fewer.
func plain(p []byte) int {
	const few, many = 16, 512 // the first for speed, the second lest escapes cost the square of their number
	for i, b := range p[:min(len(p), few)] {
		if b == '"' || b == '\\' {
			return i
		}
	}
	p = p[:min(len(p), many)]
	if quote := bytes.IndexByte(p, '"'); quote >= 0 {
		p = p[:quote]
	}
	if backslash := bytes.IndexByte(p, '\\'); backslash >= 0 {
		p = p[:backslash]
	}
	return len(p)
}

// feedScalar takes what p has of a number, true, false or null, and returns
// its length. What ends it is left.
func (s *IDScanner) feedScalar(p []byte) int {
	n := 0
	for n < len(p) && s.state == scanScalar {
		switch p[n] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			s.state = scanAfter
		default:
			n++
		}
	}
	s.keep(p[:n]...)
	return n
}

// feedNested takes what p has of an array or object up to its end or to the
// next string in it, and returns the length of that.
func (s *IDScanner) feedNested(p []byte) int {
	for i, b := range p {
		switch b {
		case '"':
			s.state = scanNestedText
			return i + 1
		case '{', '[':
			s.depth++
		case '}', ']':
			s.depth--
			if s.depth == 0 {
				s.state = scanAfter
				return i + 1
			}
		}
	}
	return len(p)
}

// feedWord takes what p has of a member's name or of the method, its closing
// quote included, and returns its length.
func (s *IDScanner) feedWord(p []byte) int {
	for n := 0; n < len(p); n++ {
		switch b := p[n]; {
		case s.hex > 0:
			s.feedHex(b)
		case s.escaped:
			s.feedEscape(b)
		case b == '\\':
			s.escaped = true
		case b == '"':
			s.endWord()
			return n + 1
		default:
			size := plain(p[n:])
			s.addWord(p[n : n+size]...)
			n += size - 1
		}
	}
	return len(p)
}

// feedEscape takes the byte after a backslash in a word. Of the escapes of one
// letter, only that of the slash is part of a word looked for.
func (s *IDScanner) feedEscape(b byte) {
	s.escaped = false
	switch b {
	case 'u':
		s.hex, s.unit = 4, 0
	case '/':
		s.addWord('/')
	default:
		s.addWord(0)
	}
}

// endWord is at the closing quote of a name or of the method.
func (s *IDScanner) endWord() {
	if s.state == scanName {
		s.state = scanColon
		return
	}
	s.state = scanAfter
	if n := int(s.wordSize); 0 < n && n <= len(s.word) {
		s.method = MethodOf(s.word[:n])
	}
}

// feedHex takes one digit of \uXXXX in a word.
func (s *IDScanner) feedHex(b byte) {
	digit, ok := hexDigit(b)
	if !ok { // not JSON: the word may be anything, but none looked for
		s.hex = 0
		s.addWord(0)
		return
	}
	s.unit = s.unit<<4 | digit
	s.hex--
	switch {
	case s.hex > 0:
	case s.unit < 0x80:
		s.addWord(byte(s.unit))
	default:
		s.addWord(0) // no word looked for has it
	}
}

func hexDigit(b byte) (digit uint16, ok bool) {
	switch {
	case '0' <= b && b <= '9':
		return uint16(b - '0'), true
	case 'a' <= b && b <= 'f':
		return uint16(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return uint16(b-'A') + 10, true
	}
	return 0, false
}

// addWord adds unescaped bytes to the word being read.
func (s *IDScanner) addWord(p ...byte) {
	size := int(s.wordSize)
	if size < len(s.word) {
		copy(s.word[size:], p)
	}
	s.wordSize = uint8(min(size+len(p), len(s.word)+1))
}
