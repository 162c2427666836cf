package clienthello

import "encoding/binary"

// Status says what Parse has found.
type Status uint8

// The values of Status.
const (
	Incomplete Status = iota // so far it is a ClientHello, and its end is missing
	Complete                 // it begins with a ClientHello
	None                     // it does not
)

// MostLength is the length of the longest ClientHello, in bytes, without the headers of
// message and records. Those of clients in use have up to 2,000 bytes; crypto/tls and
// OpenSSL accept more.
const MostLength = 16 << 10

// Sizes and numbers of RFC 8446, sections 4 and 5.
const (
	recordHeader     = 5
	recordHandshake  = 22
	longestRecord    = 16 << 10
	mostMajor        = 0x0f // of a record's version: what crypto/tls takes from a client that it does not know yet
	messageHeader    = 4
	clientHello      = 1
	randomLength     = 32
	extServerName    = 0 // RFC 6066, section 3
	nameTypeHostName = 0 // likewise
	legacyVersion    = 2 // bytes
)

// Parse looks for a ClientHello at the beginning of p, which is all that a client has
// sent so far, and returns the server name in it as the client has written it: it may
// have any length and bytes. A message in several records is put together within p, so
// that p is overwritten; name is a part of it.
func Parse(p []byte) (name []byte, status Status) {
	hello, status := message(p)
	if status != Complete {
		return nil, status
	}
	name, ok := serverName(hello)
	if !ok {
		return nil, None
	}
	return name, Complete
}

// message returns the body of the ClientHello that p begins with. The payloads of
// several records are moved to the beginning of p.
func message(p []byte) (body []byte, status Status) {
	n := 0 // bytes of the message that stand at p[:n]
	for rest := p; ; {
		payload, whole, ok := record(rest)
		if !ok {
			return nil, None
		}
		n += copy(p[n:], payload)
		length, known := messageLength(p[:n])
		switch {
		case !known:
			return nil, None
		case n >= messageHeader && n >= messageHeader+length:
			return p[messageHeader : messageHeader+length], Complete
		case !whole:
			return nil, Incomplete
		}
		rest = rest[recordHeader+len(payload):]
	}
}

// record returns what is there of the payload of the record that p begins with; whole
// says that it is all there. ok is false if it cannot be a part of a ClientHello.
func record(p []byte) (payload []byte, whole, ok bool) {
	if len(p) > 0 && p[0] != recordHandshake || len(p) > 1 && p[1] > mostMajor {
		return nil, false, false
	}
	if len(p) < recordHeader {
		return nil, false, true
	}
	length := int(binary.BigEndian.Uint16(p[3:]))
	if length == 0 || length > longestRecord {
		return nil, false, false
	}
	payload = p[recordHeader:min(len(p), recordHeader+length)]
	return payload, len(payload) == length, true
}

// messageLength returns the length of the message that p begins with, as far as it is
// there; ok is false if that is no ClientHello, or too long a one.
func messageLength(p []byte) (length int, ok bool) {
	if len(p) > 0 && p[0] != clientHello {
		return 0, false
	}
	if len(p) < messageHeader {
		return 0, true
	}
	length = int(p[1])<<16 | int(p[2])<<8 | int(p[3])
	return length, length <= MostLength
}

// serverName returns the server name in a ClientHello; ok is false if that is malformed
// (RFC 8446, section 4.1.2).
func serverName(hello []byte) (name []byte, ok bool) {
	r := reader{rest: hello}
	r.take(legacyVersion + randomLength)
	r.vector8()  // session id
	r.vector16() // cipher suites
	r.vector8()  // compression methods
	if r.failed || len(r.rest) == 0 {
		return nil, !r.failed // TLS 1.2 and before know messages without extensions
	}
	extensions := reader{rest: r.vector16()}
	if r.failed || len(r.rest) > 0 {
		return nil, false
	}
	found := false
	for len(extensions.rest) > 0 {
		kind, content := extensions.uint16(), extensions.vector16()
		if extensions.failed {
			return nil, false
		}
		if kind != extServerName {
			continue
		}
		if name, ok = hostName(content); !ok || found {
			return nil, false
		}
		found = true
	}
	return name, true
}

// hostName returns the name of the first and only entry of type host_name; those of
// other types are skipped.
func hostName(extension []byte) (name []byte, ok bool) {
	r := reader{rest: extension}
	list := reader{rest: r.vector16()}
	if r.failed || len(list.rest) == 0 {
		return nil, false
	}
	for len(list.rest) > 0 {
		kind, entry := list.uint8(), list.vector16()
		switch {
		case list.failed || len(entry) == 0:
			return nil, false
		case kind != nameTypeHostName:
		case name != nil:
			return nil, false
		default:
			name = entry
		}
	}
	return name, true
}
