package mcp

import (
	"bytes"
	"encoding/json"
)

// maxID is the longest id that is kept, in bytes of raw JSON. Typical ids are
// counters and UUIDs.
const maxID = 128

// IDScanner reads one JSON-RPC message in pieces of any size and finds its
// top-level "id", without keeping the message. The zero value is ready for the
// first byte of a message; Reset prepares it for the next message.
//
// For a message that is valid JSON its results are exact, however the names are
// escaped; of several ids the last counts, as with encoding/json and most other
// readers. Invalid JSON may give an id or none, but the id itself is always
// valid JSON. An array (a batch, in protocol version 2025-03-26 only) has no
// id.
//
// The state transitions:
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
// In start, first, colon, value, after, next and end, white space keeps the
// state, and any other byte not listed leads to failed. In name, text,
// methodText, scalar, nested and nestedText, a byte not listed is content and
// keeps the state.
type IDScanner struct {
	depth int // of nested

	id     [maxID]byte
	idSize int  // bytes of id; maxID+1: too long to be kept
	inID   bool // the value being read is that of "id"

	word   knownWord // the name or method being read
	method Method    // MethodNone until "method" was read

	state   scanState
	escaped bool // in a string that is no word, after a backslash
}

// The names the scanner looks for.
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

// Reset prepares the scanner for another message.
func (s *IDScanner) Reset() { *s = IDScanner{} }

// Feed reads the next bytes of the message. It keeps nothing of p but the id.
func (s *IDScanner) Feed(p []byte) {
	for len(p) > 0 && s.state != scanFailed {
		p = p[s.feedSome(p):]
	}
}

// feedSome reads a part of p, which is not empty, up to the end of the current
// element, and returns how many bytes it read: perhaps none, if it changes the
// state.
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
// number, or null. It returns nil if the message has no id, an id of another
// type or of more than 128 bytes, is not an object, or has not ended yet. The
// slice is valid until the next call of Feed or Reset.
func (s *IDScanner) ID() []byte {
	if s.state != scanEnd {
		return nil
	}
	return s.rawID()
}

// Request reports whether the message has a method: with an id it is a request,
// without one a notification. A message without a method is a response, or not
// JSON-RPC.
func (s *IDScanner) Request() bool { return s.method != MethodNone }

// Method returns the method of the message: MethodNone if it has none or none
// was read yet, MethodOther if the method is unknown or not a string.
func (s *IDScanner) Method() Method { return s.method }

// rawID returns the id read last, nil if it is not a valid id.
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

// step implements the table for white space and punctuation at the top level.
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

// only returns then if b is the wanted byte, and scanFailed otherwise.
func only(b, wanted byte, then scanState) scanState {
	if b == wanted {
		return then
	}
	return scanFailed
}

func (s *IDScanner) beginName(b byte) scanState {
	s.word.begin()
	return only(b, '"', scanName)
}

// beginValue handles the first byte of a top-level value, whose name is
// complete.
func (s *IDScanner) beginValue(b byte) scanState {
	s.inID = s.named(nameID)
	if s.inID {
		s.idSize = 0 // the last id counts
	}
	if s.named(nameMethod) {
		s.method = MethodOther
		if b == '"' {
			s.word.begin()
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
func (s *IDScanner) named(want string) bool { return s.word.is(want) }

// keep appends bytes to the id, if the value being read is the id.
func (s *IDScanner) keep(p ...byte) {
	if !s.inID || s.idSize > maxID {
		return
	}
	copy(s.id[s.idSize:], p)
	s.idSize = min(s.idSize+len(p), maxID+1)
}

// feedText reads a string up to and including its closing quote, and returns
// how many bytes it read.
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

// endText changes the state at the closing quote of a string, which the caller
// still keeps.
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
	const few, many = 16, 512 // the first for speed, the second so that many escapes do not cost quadratic time
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

// feedScalar reads a number, true, false or null, without the byte that ends
// it, and returns how many bytes it read.
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

// feedNested reads an array or object up to its end or to the next string in
// it, and returns how many bytes it read.
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
