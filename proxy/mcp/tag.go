package mcp

import "github.com/cespare/xxhash/v2"

// Tag identifies a server in the session's id that a client sends back: the
// balancer appends it to the id on the way to the client, and removes it on the
// way in to find the server. It is a hash of the server's name only, so it is
// the same on every balancer of a fleet, after every restart and in every
// version of this program. It is not secret and proves nothing: it can only
// choose among the servers that any client may reach.
//
// Its 8 bytes are text: 40 bits in base32, lower case (RFC 4648, section 6), of
// which 32 are the hash and 8 a checksum, so that only 1 of 256 texts in the
// form of a tag is valid. The zero value is not a tag of any server.
type Tag [8]byte

// TagSize is how many bytes a tag adds to an id: a dot and the tag. All of them
// are unreserved in URIs (RFC 3986, section 2.3), so no library escapes them.
const TagSize = 1 + len(Tag{})

const (
	tagSeparator = '.'
	tagAlphabet  = "abcdefghijklmnopqrstuvwxyz234567"
	tagDigitBits = 5
)

// TagOf returns the tag of the server called name.
func TagOf(name string) Tag {
	hash := uint32(xxhash.Sum64String(name))
	bits := uint64(hash)<<8 | uint64(tagCheck(hash))
	var t Tag
	for i := len(t) - 1; i >= 0; i-- {
		t[i] = tagAlphabet[bits&(1<<tagDigitBits-1)]
		bits >>= tagDigitBits
	}
	return t
}

// tagCheck returns the checksum of a tag's hash (multiplicative hashing: Knuth,
// TAOCP volume 3, section 6.4).
func tagCheck(hash uint32) uint8 { return uint8(hash * 2654435761 >> 24) }

// ParseTag reads the text of a tag, such as the value of a cookie. ok is false
// if TagOf cannot return such a tag; true does not mean that a server has it.
func ParseTag(text []byte) (t Tag, ok bool) {
	if len(text) != len(t) {
		return Tag{}, false
	}
	var bits uint64
	var seen uint8
	for _, b := range (*Tag)(text) {
		digit := tagDigits[b]
		seen |= digit
		bits = bits<<tagDigitBits | uint64(digit)
	}
	if seen&noTagDigit != 0 || tagCheck(uint32(bits>>8)) != uint8(bits) {
		return Tag{}, false
	}
	return Tag(text), true
}

// noTagDigit is the value of bytes that are not in tagAlphabet.
const noTagDigit = 1 << 7

// tagDigits has the value of every byte as a digit of a tag.
var tagDigits = func() (digits [256]uint8) {
	for b := range digits {
		digits[b] = noTagDigit
	}
	for value, b := range []byte(tagAlphabet) {
		digits[b] = uint8(value)
	}
	return digits
}()

// String returns the text of the tag.
func (t Tag) String() string { return string(t[:]) }

// Collision returns two of the servers with the same tag, whose sessions could
// not be distinguished: one of them needs another name. Among 1,000 names the
// probability of a collision is 1 in 8,600.
func Collision(servers []string) (first, second string, found bool) {
	owner := make(map[Tag]string, len(servers))
	for _, server := range servers {
		t := TagOf(server)
		if other, taken := owner[t]; taken {
			return other, server, true
		}
		owner[t] = server
	}
	return "", "", false
}

// AppendTagged appends a session's id followed by the tag: "<id>.<tag>", the
// value of Mcp-Session-Id for the client. The id may be anything, including one
// tagged by another balancer. An empty id is not a session and gets no tag.
func AppendTagged(dst, id []byte, t Tag) []byte {
	dst = append(dst, id...)
	if len(id) == 0 {
		return dst
	}
	return t.appendTo(dst)
}

// appendTo appends the dot and the tag.
func (t *Tag) appendTo(dst []byte) []byte {
	dst = append(dst, tagSeparator)
	return append(dst, t[:]...)
}

// SplitTagged removes the outermost tag from a session's id that a client sent.
// If value does not end with a valid tag, or is nothing but a tag, ok is false
// and id is value: the id comes from a server without any mcplb in between. id
// shares value's memory. SplitTagged is the inverse of AppendTagged:
//
//	SplitTagged(AppendTagged(nil, id, t)) = id, t, len(id) > 0
func SplitTagged(value []byte) (id []byte, t Tag, ok bool) {
	n := len(value) - TagSize
	if n < 1 || value[n] != tagSeparator {
		return value, Tag{}, false
	}
	t, ok = ParseTag(value[n+1:])
	if !ok {
		return value, Tag{}, false
	}
	return value[:n], t, true
}
