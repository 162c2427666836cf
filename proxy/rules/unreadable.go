package rules

import "mcplb/proxy/http1"

// Unreadable is why a path is refused: servers read it in ways that no rule can
// foresee.
type Unreadable uint8

// The reasons.
const (
	Readable  Unreadable = iota // it is not refused
	BadEscape                   // a "%" that begins no escape
	Control                     // an escaped control byte
	Overlong                    // overlong UTF-8
	Backslash                   // a backslash
	Ambiguous                   // long, and with very many readings
)

var unreadable = [...]struct{ word, text string }{
	Readable:  {},
	BadEscape: {"path_escape", `the path has a "%" that begins no escape`},
	Control:   {"path_control", "the path has an escaped control character"},
	Overlong:  {"path_overlong", "the path has a character in overlong UTF-8"},
	Backslash: {"path_backslash", "the path has a backslash"},
	Ambiguous: {"path_ambiguous", "the path can be read in too many ways"},
}

// Text says what is wrong with the path, for the client; "" for Readable.
func (u Unreadable) Text() string { return unreadable[u].text }

// String returns u as one stable word, for logs; "" for Readable.
func (u Unreadable) String() string { return unreadable[u].word }

// inspect finds out whether a path may be read at all, and which questions it asks.
// twice, it is judged as servers read it that decode it twice, too: that matters
// where there are denials.
func (s *Scratch) inspect(path []byte, again bool) (found signs, wrong Unreadable) {
	if http1.IsCanonicalPath(path) {
		return inspectCanonical(path)
	}
	found, wrong = inspectEscapes(path, false)
	if wrong != Readable || found&twice == 0 || !again {
		return found, wrong
	}
	s.decoded = reading{}.decode(s.decoded[:0], path)
	nested, wrong := inspectEscapes(s.decoded, true)
	return found | nested, wrong
}

// inspectCanonical is inspect for a path without escapes, dot segments and empty
// segments.
func inspectCanonical(path []byte) (found signs, wrong Unreadable) {
	for _, c := range path {
		switch c {
		case ';':
			found |= parameters
		case '\\':
			return 0, Backslash
		}
	}
	return found, Readable
}

// inspectEscapes is inspect for any path. Where it is decoded already, a "%" may be
// itself, and a backslash was escaped.
func inspectEscapes(path []byte, decoded bool) (found signs, wrong Unreadable) {
	found = unmerged // or it is not canonical for another reason
	before := byte(0)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			c = hexValue(path[i+1])<<4 | hexValue(path[i+2])
			if c < ' ' || c == 0x7f {
				return 0, Control
			}
			found |= meaning(c, true)
			i += 2
		case c == '%' && !decoded:
			return 0, BadEscape
		case c == '\\' && !decoded:
			return 0, Backslash
		default:
			found |= meaning(c, false)
		}
		if overlong(before, c) {
			return 0, Overlong
		}
		before = c
	}
	return found, Readable
}

// meaning is the question that a character asks.
func meaning(c byte, escaped bool) signs {
	switch {
	case c == '.':
		return dots
	case c == ';' && escaped:
		return escapedParameter
	case c == ';':
		return parameters
	case c == '/' && escaped:
		return slash
	case c == '\\':
		return backslash
	case c == '%' && escaped:
		return twice
	}
	return 0
}

// overlong reports whether a byte, or the two together, begin a character in more
// bytes than it needs: careless decoders take them for one that rules look for, such
// as a slash. No byte of text in UTF-8 is C0 or C1.
func overlong(before, c byte) bool {
	switch before {
	case 0xe0:
		return c&0xe0 == 0x80
	case 0xf0:
		return c&0xf0 == 0x80
	case 0xf8:
		return c&0xf8 == 0x80
	case 0xfc:
		return c&0xfc == 0x80
	}
	return c == 0xc0 || c == 0xc1
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hexValue is the value of a hexadecimal digit.
func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&7 + 9
}
