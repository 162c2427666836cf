package mcp

import "github.com/cespare/xxhash/v2"

// Tag names a server in what a client sends back: it is put behind a session's
// id on the way to the client, and taken off on the way in to find the server.
// It is a hash of the server's name and of nothing else, so it is the same on
// every balancer of a fleet, after every restart and in every version of this
// program. It is no secret and proves nothing: it can only choose among the
// servers that the balancer would send anybody to.
//
// Its 8 bytes are its text: 40 bits in base32, lower case (RFC 4648, section
// 6), of which 32 are the hash and 8 check them, so that what merely looks like
// a tag is one for 1 in 256 only. The zero value is no server's tag.
type Tag [8]byte

// TagSize is how many bytes a tag adds to an id: a dot and the tag. All of them
// are unreserved in URIs (RFC 3986, section 2.3), so nothing ever escapes them.
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

// tagCheck returns the bits that check a tag's hash (multiplicative hashing:
// Knuth, TAOCP volume 3, section 6.4).
func tagCheck(hash uint32) uint8 { return uint8(hash * 2654435761 >> 24) }

// ParseTag reads the text of a tag, such as the value of a cookie. ok is false
// if TagOf can return no such tag; that a server of that tag exists is not said.
func ParseTag(text []byte) (t Tag, ok bool) {
	if len(text) != len(t) {
		return Tag{}, false
	}
	var bits uint64
	for _, b := range text {
		digit, ok := tagDigit(b)
		if !ok {
			return Tag{}, false
		}
		bits = bits<<tagDigitBits | uint64(digit)
	}
	if tagCheck(uint32(bits>>8)) != uint8(bits) {
		return Tag{}, false
	}
	return Tag(text), true
}

func tagDigit(b byte) (digit uint8, ok bool) {
	switch {
	case 'a' <= b && b <= 'z':
		return b - 'a', true
	case '2' <= b && b <= '7':
		return b - '2' + 26, true
	}
	return 0, false
}

// String returns the text of the tag.
func (t Tag) String() string { return string(t[:]) }

// Collision returns two of the servers that have the same tag, so that their
// sessions could not be told apart: one of them must get another name. Among
// 1,000 names it is found once in 8,600 times.
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

// AppendTagged appends a session's id with the tag behind it: "<id>.<tag>", the
// value of Mcp-Session-Id for the client. The id may be anything, a tagged one
// of another balancer included. An empty id is no session and gets no tag.
func AppendTagged(dst, id []byte, t Tag) []byte {
	dst = append(dst, id...)
	if len(id) == 0 {
		return dst
	}
	return t.appendTo(dst)
}

// appendTo appends what goes behind an id.
func (t *Tag) appendTo(dst []byte) []byte {
	dst = append(dst, tagSeparator)
	return append(dst, t[:]...)
}

// SplitTagged takes the outermost tag off a session's id that a client sent.
// If value ends with no valid tag, or is nothing else, ok is false and id is
// value: the id is a server's own, and not of this or any other mcplb's making.
// id shares value's memory. It undoes AppendTagged:
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
