package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// The character classes of the grammar, as bits of class.
const (
	isToken  = 1 << iota // tchar, RFC 9110 section 5.6.2
	isTarget             // visible ASCII but "#"
	isValue              // HTAB, SP, visible ASCII, obs-text: RFC 9110 section 5.5
	isHost               // names and IPv4 addresses
	isSpace              // OWS: SP, HTAB
	isDigit
	isHex
	isBase64
)

// class holds the classes of each byte.
var class = classes()

func classes() (table [256]uint8) {
	for i := range table {
		c := byte(i)
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		visible := c > ' ' && c < 0x7f
		set := func(yes bool, bit uint8) {
			if yes {
				table[i] |= bit
			}
		}
		set(letter || digit || contains(c, "!#$%&'*+-.^_`|~"), isToken)
		set(visible && c != '#', isTarget)
		set(visible || c == ' ' || c == '\t' || c >= 0x80, isValue)
		set(letter || digit || contains(c, "-._~"), isHost)
		set(c == ' ' || c == '\t', isSpace)
		set(digit, isDigit)
		set(digit || c|0x20 >= 'a' && c|0x20 <= 'f', isHex)
		set(letter || digit || contains(c, "+/"), isBase64)
	}
	return table
}

func contains(c byte, set string) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

// FoldName returns a byte of a field name as servers may read it that pass fields as
// environment variables: letters of both cases are one, and so is all punctuation.
// CGI and WSGI write "_" for "-", and some servers (lighttpd) for everything else that
// a token may have.
func FoldName(c byte) byte {
	if isPlain(c) {
		return lower(c)
	}
	return '-'
}

// isPlain reports whether c is a letter, a digit or "-", as in the names of all fields
// that matter to a proxy.
func isPlain(c byte) bool { return c|0x20-'a' < 26 || c-'0' < 10 || c == '-' }

// isPlainName reports whether all bytes of name are plain.
func isPlainName(name []byte) bool {
	for _, c := range name {
		if !isPlain(c) {
			return false
		}
	}
	return true
}

// is reports whether c is in one of the classes of mask.
func is(c byte, mask uint8) bool { return class[c]&mask != 0 }

// skip returns the index of the first byte of p[i:] that is in none of the
// classes of mask, or len(p).
func skip(p []byte, i int, mask uint8) int {
	for k, c := range p[i:] {
		if class[c]&mask == 0 {
			return i + k
		}
	}
	return len(p)
}

// all reports whether every byte of p is in one of the classes of mask.
func all(p []byte, mask uint8) bool { return skip(p, 0, mask) == len(p) }

const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// skipValue is skip for isValue, eight bytes at a time.
func skipValue(p []byte, i int) int {
	for {
		i = skipPrintable(p, i)
		if i == len(p) || !is(p[i], isValue) {
			return i
		}
		i++ // HTAB or obs-text
	}
}

// skipPrintable returns the index of the first byte of p[i:] that is neither
// SP nor visible ASCII, or len(p).
func skipPrintable(p []byte, i int) int {
	q := p[i:]
	k := 0
	for ; k <= len(q)-8; k += 8 {
		x := binary.LittleEndian.Uint64(q[k:])
		// The high bit of every byte above 0x7e or below 0x20. Only such a byte
		// causes a carry or borrow, so the lowest bit is right.
		if odd := ((x + ones) | (x - 0x20*ones)) & high; odd != 0 {
			return i + k + bits.TrailingZeros64(odd)>>3
		}
	}
	for k < len(q) && q[k] >= ' ' && q[k] <= '~' {
		k++
	}
	return i + k
}

// find returns a word with the high bit set of the lowest byte of x equal to c,
// and perhaps of higher bytes; zero if no byte is.
func find(x uint64, c byte) uint64 {
	x ^= uint64(c) * ones
	return (x - ones) &^ x & high
}

// below returns a mask of the bytes below the lowest byte with a bit in found.
func below(found uint64) uint64 { return (found ^ (found - 1)) >> 8 }

// trim returns p without white space (SP, HTAB) at its ends.
func trim(p []byte) []byte {
	for len(p) > 0 && is(p[0], isSpace) {
		p = p[1:]
	}
	for len(p) > 0 && is(p[len(p)-1], isSpace) {
		p = p[:len(p)-1]
	}
	return p
}

// lower returns c in lower case if it is an ASCII letter.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// text is bytes or a string.
type text interface{ ~[]byte | ~string }

// EqualFold reports whether a and b are equal except for the case of ASCII
// letters, as tokens, field names and host names are compared.
func EqualFold[A, B text](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	if string(a) == string(b) {
		return true // usually: the common spelling
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// indexOr returns the index of the first c in p, or len(p).
func indexOr(p []byte, c byte) int {
	if i := bytes.IndexByte(p, c); i >= 0 {
		return i
	}
	return len(p)
}
