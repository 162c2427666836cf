package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Status codes of a Close frame (RFC 6455, section 7.4.1, and the IANA registry
// it establishes).
const (
	CloseNormal        uint16 = 1000
	CloseGoingAway     uint16 = 1001 // the balancer or the server stops
	CloseProtocolError uint16 = 1002
	ClosePolicy        uint16 = 1008 // for example over a rate
	CloseTooLarge      uint16 = 1009
	CloseInternalError uint16 = 1011
	CloseTryAgainLater uint16 = 1013
)

// maxCloseReason is the most bytes that fit into a control frame after the
// code.
const maxCloseReason = maxControl - 2

// AppendClose appends a Close frame from a server to its client, with a code
// that may be sent (RFC 6455, section 7.4) and a reason, which is truncated to
// the 123 bytes allowed. Invalid UTF-8 in it becomes U+FFFD. The frame may be
// inserted where FrameMeter.AtBoundary is true. AppendClose allocates only to
// let dst grow.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	dst = append(dst, frameFIN|opcodeClose, 0)
	return appendClosePayload(dst, code, reason, 0)
}

// AppendMaskedClose appends a Close frame from a client to its server, masked
// with key, which must be unpredictable; see AppendClose.
func AppendMaskedClose(dst []byte, code uint16, reason string, key [maskKeyLength]byte) []byte {
	dst = append(dst, frameFIN|opcodeClose, 0)
	dst = append(dst, key[:]...)
	payload := len(dst)
	dst = appendClosePayload(dst, code, reason, len(key))
	dst[payload-len(key)-1] |= frameMasked
	for i := range dst[payload:] {
		dst[payload+i] ^= key[i%len(key)]
	}
	return dst
}

// appendClosePayload appends code and reason, and writes their length into the
// second byte of the header, which is followed by key bytes of mask.
func appendClosePayload(dst []byte, code uint16, reason string, key int) []byte {
	payload := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, code)
	for _, r := range reason {
		if len(dst)-payload-2+utf8.RuneLen(r) > maxCloseReason {
			break
		}
		dst = utf8.AppendRune(dst, r)
	}
	dst[payload-key-1] = byte(len(dst) - payload)
	return dst
}
