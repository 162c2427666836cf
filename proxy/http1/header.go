package http1

import (
	"encoding/binary"
	"math/bits"
)

// HeaderID is a field name that a proxy knows. Parse finds it, so that no name
// is compared later. The zero value, HeaderOther, stands for every other name.
type HeaderID uint8

// The known field names.
const (
	HeaderOther HeaderID = iota
	HeaderAccept
	HeaderAcceptEncoding
	HeaderAcceptRanges
	HeaderAuthorization
	HeaderCacheControl
	HeaderConnection
	HeaderContentDigest
	HeaderContentEncoding
	HeaderContentLength
	HeaderContentRange
	HeaderContentType
	HeaderCookie
	HeaderDate
	HeaderETag
	HeaderExpect
	HeaderForwarded
	HeaderHost
	HeaderHTTP2Settings
	HeaderKeepAlive
	HeaderLastEventID
	HeaderLocation
	HeaderMcpMethod
	HeaderMcpName
	HeaderMcpProtocolVersion
	HeaderMcpSessionID
	HeaderOrigin
	HeaderProxyAuthenticate
	HeaderProxyAuthorization
	HeaderProxyConnection
	HeaderRetryAfter
	HeaderSecWebSocketAccept
	HeaderSecWebSocketExtensions
	HeaderSecWebSocketKey
	HeaderSecWebSocketProtocol
	HeaderSecWebSocketVersion
	HeaderServer
	HeaderSetCookie
	HeaderTE
	HeaderTrailer
	HeaderTransferEncoding
	HeaderUpgrade
	HeaderUserAgent
	HeaderVary
	HeaderXForwardedFor
	HeaderXForwardedHost
	HeaderXForwardedPort
	HeaderXForwardedProto
	HeaderXForwardedServer
	HeaderXRealIP

	// NumHeaders is the number of HeaderIDs, HeaderOther included.
	NumHeaders
)

// HeaderXForwardedOther stands for every other name that begins with
// "X-Forwarded-", such as X-Forwarded-Prefix. It has no name of its own.
const HeaderXForwardedOther = NumHeaders

var headerNames = [NumHeaders]string{
	HeaderAccept:                 "Accept",
	HeaderAcceptEncoding:         "Accept-Encoding",
	HeaderAcceptRanges:           "Accept-Ranges",
	HeaderAuthorization:          "Authorization",
	HeaderCacheControl:           "Cache-Control",
	HeaderConnection:             "Connection",
	HeaderContentDigest:          "Content-Digest",
	HeaderContentEncoding:        "Content-Encoding",
	HeaderContentLength:          "Content-Length",
	HeaderContentRange:           "Content-Range",
	HeaderContentType:            "Content-Type",
	HeaderCookie:                 "Cookie",
	HeaderDate:                   "Date",
	HeaderETag:                   "ETag",
	HeaderExpect:                 "Expect",
	HeaderForwarded:              "Forwarded",
	HeaderHost:                   "Host",
	HeaderHTTP2Settings:          "HTTP2-Settings",
	HeaderKeepAlive:              "Keep-Alive",
	HeaderLastEventID:            "Last-Event-ID",
	HeaderLocation:               "Location",
	HeaderMcpMethod:              "Mcp-Method",
	HeaderMcpName:                "Mcp-Name",
	HeaderMcpProtocolVersion:     "MCP-Protocol-Version",
	HeaderMcpSessionID:           "Mcp-Session-Id",
	HeaderOrigin:                 "Origin",
	HeaderProxyAuthenticate:      "Proxy-Authenticate",
	HeaderProxyAuthorization:     "Proxy-Authorization",
	HeaderProxyConnection:        "Proxy-Connection",
	HeaderRetryAfter:             "Retry-After",
	HeaderSecWebSocketAccept:     "Sec-WebSocket-Accept",
	HeaderSecWebSocketExtensions: "Sec-WebSocket-Extensions",
	HeaderSecWebSocketKey:        "Sec-WebSocket-Key",
	HeaderSecWebSocketProtocol:   "Sec-WebSocket-Protocol",
	HeaderSecWebSocketVersion:    "Sec-WebSocket-Version",
	HeaderServer:                 "Server",
	HeaderSetCookie:              "Set-Cookie",
	HeaderTE:                     "TE",
	HeaderTrailer:                "Trailer",
	HeaderTransferEncoding:       "Transfer-Encoding",
	HeaderUpgrade:                "Upgrade",
	HeaderUserAgent:              "User-Agent",
	HeaderVary:                   "Vary",
	HeaderXForwardedFor:          "X-Forwarded-For",
	HeaderXForwardedHost:         "X-Forwarded-Host",
	HeaderXForwardedPort:         "X-Forwarded-Port",
	HeaderXForwardedProto:        "X-Forwarded-Proto",
	HeaderXForwardedServer:       "X-Forwarded-Server",
	HeaderXRealIP:                "X-Real-IP",
}

// String returns the name in its usual spelling; "" for HeaderOther.
func (id HeaderID) String() string {
	if id >= NumHeaders {
		return ""
	}
	return headerNames[id]
}

// HeaderSet is a set of HeaderIDs: 1<<HeaderDate | 1<<HeaderVary.
type HeaderSet uint64

// Has reports whether id is in s.
func (s HeaderSet) Has(id HeaderID) bool { return s>>(id%64)&1 != 0 }

const (
	// HopByHop are the fields that concern one connection only and are never
	// passed on (RFC 9110 section 7.6.1).
	HopByHop HeaderSet = 1<<HeaderConnection | 1<<HeaderHTTP2Settings | 1<<HeaderKeepAlive |
		1<<HeaderProxyConnection | 1<<HeaderTE | 1<<HeaderTransferEncoding | 1<<HeaderUpgrade

	// Forwarding are the fields in which proxies describe their client: to be
	// believed from trusted proxies only.
	Forwarding HeaderSet = 1<<HeaderForwarded | 1<<HeaderXForwardedFor | 1<<HeaderXForwardedHost |
		1<<HeaderXForwardedPort | 1<<HeaderXForwardedProto | 1<<HeaderXForwardedServer | 1<<HeaderXForwardedOther | 1<<HeaderXRealIP
)

// maxName is the length of the longest known name. Names are compared as
// maxName bytes, padded with zeros.
const maxName = len("Sec-WebSocket-Extensions")

// words holds the first maxName bytes of a name, padded with zeros.
type words [maxName / 8]uint64

// known is a known name. A name equals it if it has its size and, with the bits
// of letters set, equals lower. (Bit 5 is the case of a letter; setting it in
// any other byte would turn one byte into another. The size distinguishes the
// name from one followed by zeros.)
type known struct {
	lower, letters words
	size           int
}

// knownNames and knownIDs are the known names by HeaderID, and the HeaderIDs
// by hash. They never change.
var (
	knownNames = listKnownNames()
	knownIDs   = hashKnownNames()
)

func listKnownNames() (names [64]known) {
	for id := HeaderOther + 1; id < NumHeaders; id++ {
		names[id].size = len(headerNames[id])
		for i, c := range []byte(headerNames[id]) {
			shift := i % 8 * 8
			names[id].lower[i/8] |= uint64(lower(c)) << shift
			if c |= 0x20; c >= 'a' && c <= 'z' {
				names[id].letters[i/8] |= 0x20 << shift
			}
		}
	}
	return names
}

func hashKnownNames() (ids [128]HeaderID) {
	for id := HeaderOther + 1; id < NumHeaders; id++ {
		w := &knownNames[id].lower
		ids[hash(w[0], w[1], w[2])] = id
	}
	return ids
}

// hash maps names that differ only in case to the same number below 128, and no
// two known names to the same: the factor was found by trial, and a test
// verifies it.
func hash(w0, w1, w2 uint64) uint64 {
	const spaces = 0x20 * ones
	return (w0 ^ w1 ^ w2 | spaces) * 0x33f2cc85d5ca69d9 >> 57
}

// lookup returns the HeaderID of the name in these words, of size bytes.
func lookup(w0, w1, w2 uint64, size int) HeaderID {
	id := knownIDs[hash(w0, w1, w2)]
	k := &knownNames[id%64]
	if size != k.size || w0|k.letters[0] != k.lower[0] || w1|k.letters[1] != k.lower[1] || w2|k.letters[2] != k.lower[2] {
		return HeaderOther
	}
	return id
}

// headerID returns the HeaderID of a name.
func headerID(name []byte) HeaderID {
	if len(name) > maxName {
		return HeaderOther
	}
	var b [maxName]byte
	copy(b[:], name)
	return lookup(binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), len(name))
}

// knownAt finds the first colon in p[i:], where a name begins, and returns its
// index and the HeaderID of the bytes before it, HeaderOther for anything but a
// known name. The index is 0 if there is no colon within maxName bytes, or
// fewer bytes than that.
func knownAt(p []byte, i int) (HeaderID, int) {
	if i+maxName > len(p) {
		return HeaderOther, 0
	}
	b := p[i : i+maxName]
	w0, w1, w2, size := binary.LittleEndian.Uint64(b), uint64(0), uint64(0), 0
	colon := find(w0, ':')
	if colon != 0 {
		w0 &= below(colon)
	} else {
		size = 8
		w1 = binary.LittleEndian.Uint64(b[8:])
		if colon = find(w1, ':'); colon != 0 {
			w1 &= below(colon)
		} else {
			size = 16
			w2 = binary.LittleEndian.Uint64(b[16:])
			if colon = find(w2, ':'); colon == 0 {
				return HeaderOther, 0
			}
			w2 &= below(colon)
		}
	}
	size += bits.TrailingZeros64(colon) >> 3
	return lookup(w0, w1, w2, size), i + size
}

// HeaderOf returns the HeaderID of a field name, ignoring case.
func HeaderOf(name []byte) HeaderID {
	if id := headerID(name); id != HeaderOther {
		return id
	}
	return familyOf(name)
}

// familyOf returns the HeaderID of a name that is not known: that of its family, or
// HeaderOther.
func familyOf(name []byte) HeaderID {
	if forwarding(name) && isPlainName(name) {
		return HeaderXForwardedOther
	}
	return HeaderOther
}

// lookalikeOf returns the HeaderID whose name has "-" where name has "_" or other
// punctuation, or HeaderOther: some servers confuse the two (see FoldName).
func lookalikeOf(name []byte) HeaderID {
	if len(name) > maxName || isPlainName(name) {
		return HeaderOther
	}
	var b [maxName]byte
	for i, c := range name {
		b[i] = FoldName(c)
	}
	return headerID(b[:len(name)])
}

// forwarding reports whether servers may take a field of this name for one of the
// family in which proxies describe their client: X-Forwarded, and all that begins
// with X-Forwarded-, all punctuation counting as "-".
func forwarding(name []byte) bool {
	const family = "x-forwarded"
	if len(name) < len(family) || len(name) > len(family) && FoldName(name[len(family)]) != '-' {
		return false
	}
	for i, want := range []byte(family) {
		if FoldName(name[i]) != want {
			return false
		}
	}
	return true
}
