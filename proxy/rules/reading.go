package rules

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// A denial holds under every reading that servers have of a path. A reading answers
// the questions that RFC 3986 leaves to the server, or that servers answer in ways
// of their own:
//
//	question                        readings
//	escaped slash, backslash        a slash each, or not
//	";" in a segment                belongs to it, or begins parameters that are no part
//	                                of it; an escaped one likewise
//	escapes                         decoded once, or twice
//	dot segments                    resolved where empty segments are none, resolved where
//	                                they are segments, or left as they are
//
// Only questions that the path asks are answered both ways: an ordinary path has one
// reading. Beside that, a denial compares paths without regard to case, and to dots
// and spaces at a segment's end (see fold).

// signs says which questions a path asks; 0 = none, and it is its only reading.
type signs uint8

const (
	slash            signs = 1 << iota // an escaped slash
	backslash                          // an escaped backslash
	parameters                         // ";"
	escapedParameter                   // "%3B"
	twice                              // it has an escaped "%"
	dots                               // it may have dot segments
	unmerged                           // it may have escapes or empty segments
)

// reading is one answer to each question. The zero value takes nothing for more
// than it must be.
type reading struct {
	slash, backslash bool  // an escaped one is a slash
	parameters       uint8 // 0 = belong to the segment, 1 = taken off, 2 = also where ";" is escaped
	twice            bool
	dots             uint8 // 0 = resolved without empty segments, 1 = with them, 2 = left
}

// questions says how many answers each question has.
type questions struct {
	slash, backslash, parameters, twice, dots uint8
}

// readings are those of a path with these signs.
func (s signs) readings() questions {
	q := questions{1, 1, 1, 1, 1}
	if s&slash != 0 {
		q.slash = 2
	}
	if s&backslash != 0 {
		q.backslash = 2
	}
	if s&(parameters|escapedParameter) != 0 {
		q.parameters = 2
	}
	if s&escapedParameter != 0 {
		q.parameters = 3
	}
	if s&twice != 0 {
		q.twice = 2
	}
	if s&dots != 0 {
		q.dots = 3
	}
	return q
}

// count is the number of readings.
func (q questions) count() int {
	return int(q.slash) * int(q.backslash) * int(q.parameters) * int(q.twice) * int(q.dots)
}

// at is the reading with that number, from 0.
func (q questions) at(number int) (r reading) {
	answer := func(answers uint8) uint8 {
		a := uint8(number % int(answers))
		number /= int(answers)
		return a
	}
	r.slash = answer(q.slash) == 1
	r.backslash = answer(q.backslash) == 1
	r.parameters = answer(q.parameters)
	r.twice = answer(q.twice) == 1
	r.dots = answer(q.dots)
	return r
}

// mostRead is how many bytes are read at the most to find out about denials, all
// readings of a path together: a path that asks every question may have 1,820.
const mostRead = 128 << 10

// Bytes that no path has, since escaped control bytes are refused: what a
// character stands for that is escaped, and means nothing in a reading.
const (
	plainSlash     = 1
	plainSemicolon = 2
)

// plainReading is the reading in which nothing means more than it must: that of the
// paths of routes.
func plainReading(path []byte) []byte {
	if len(path) == 0 {
		return nil
	}
	return bytes.Clone(reading{}.read(new(Scratch), path))
}

// read returns the path in this reading: escapes decoded, without a slash at the
// end. It is in the scratch's memory.
func (r reading) read(s *Scratch, path []byte) []byte {
	if len(path) == 0 || path[0] != '/' {
		return path
	}
	s.decoded = r.decode(s.decoded[:0], path)
	if r.twice {
		s.path = r.decode(s.path[:0], s.decoded)
		s.path, s.decoded = s.decoded, s.path
	}
	s.path = r.resolve(s.path[:0], s.decoded)
	return s.path
}

// decode appends the path with its escapes decoded, once. A "%" that begins no
// escape, as the first decoding may leave it, is itself.
func (r reading) decode(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) {
			c = hexValue(path[i+1])<<4 | hexValue(path[i+2])
			i += 2
			switch {
			case c == '/' && !r.slash:
				c = plainSlash
			case c == '\\' && r.backslash:
				c = '/'
			case c == ';' && r.parameters < 2:
				c = plainSemicolon
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// resolve appends the path with its parameters taken off and its dot segments and
// empty segments resolved, as the reading has it.
func (r reading) resolve(dst, path []byte) []byte {
	start := len(dst)
	for len(path) > 0 {
		end := bytes.IndexByte(path[1:], '/') + 1
		if end == 0 {
			end = len(path)
		}
		segment := path[1:end]
		path = path[end:]
		if r.parameters > 0 {
			segment, _, _ = bytes.Cut(segment, semicolon)
		}
		switch {
		case len(segment) == 0 && r.dots != 1, len(segment) == 1 && segment[0] == '.' && r.dots < 2:
		case len(segment) == 2 && segment[0] == '.' && segment[1] == '.' && r.dots < 2:
			dst = dst[:start+max(bytes.LastIndexByte(dst[start:], '/'), 0)]
		default:
			dst = append(append(dst, '/'), segment...)
		}
	}
	if r.dots == 1 {
		dst = merge(dst, start)
	}
	if len(dst) == start {
		dst = append(dst, '/')
	}
	return dst
}

var semicolon = []byte{';'}

// merge takes the empty segments out of dst[start:].
func merge(dst []byte, start int) []byte {
	kept := start
	for i := start; i < len(dst); i++ {
		if dst[i] == '/' && (i+1 == len(dst) || dst[i+1] == '/') {
			continue
		}
		dst[kept] = dst[i]
		kept++
	}
	return dst[:kept]
}

// fold appends a reading in the form in which denials compare paths: letters that
// differ in case alone are one, and dots and spaces at the end of a segment are
// none, since file systems and frameworks take them so.
func fold(dst, path []byte) []byte {
	start := len(dst)
	for i := 0; i < len(path); {
		c := path[i]
		if c == '/' {
			dst = trimSegment(dst, start)
			start = len(dst)
		}
		if c < utf8.RuneSelf {
			dst = append(dst, lower(c))
			i++
			continue
		}
		r, size := utf8.DecodeRune(path[i:])
		if r == utf8.RuneError {
			dst = append(dst, c)
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		i += size
	}
	if dst = trimSegment(dst, start); len(dst) == 0 {
		dst = append(dst, '/')
	}
	return dst
}

// trimSegment takes dots and spaces off the end of dst, whose last segment begins
// with the slash at start, and the segment with them if it has nothing else. What a
// reading has left of dot segments stays.
func trimSegment(dst []byte, start int) []byte {
	end := len(dst)
	for end > start+1 && (dst[end-1] == '.' || dst[end-1] == ' ') {
		end--
	}
	switch {
	case end > start+1:
		return dst[:end]
	case start == 0 && len(dst) == 1, string(dst[start:]) == "/.", string(dst[start:]) == "/..":
		return dst
	}
	return dst[:start]
}

// foldRune is the same for all letters that differ in case alone.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if least < utf8.RuneSelf {
		return rune(lower(byte(least)))
	}
	return least
}
