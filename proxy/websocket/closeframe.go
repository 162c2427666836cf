package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Status codes of a Close frame (RFC 6455, section 7.4.1, and the IANA registry
// that it founds).
const (
	CloseNormal        uint16 = 1000
	CloseGoingAway     uint16 = 1001 // the balancer or the server stops
	CloseProtocolError uint16 = 1002
	ClosePolicy        uint16 = 1008 // over a rate, say
	CloseTooLarge      uint16 = 1009
	CloseInternalError uint16 = 1011
	CloseTryAgainLater uint16 = 1013
)

// maxCloseReason is what a control frame has room for behind the code.
const maxCloseReason = maxControl - 2

// AppendClose appends a Close frame as a server sends it to its client, with a
// code that may be sent (RFC 6455, section 7.4) and a reason, which is cut to
// the 123 bytes it may have. Of it, what is not UTF-8 becomes U+FFFD. It may
// stand where FrameMeter.AtBoundary is true. It allocates only to let dst grow.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	dst = append(dst, frameFIN|opcodeClose, 0)
	return appendClosePayload(dst, code, reason, 0)
}

// AppendMaskedClose appends a Close frame as a client sends it to its server,
// masked with key, which no peer can foresee; see AppendClose.
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

// appendClosePayload appends code and reason and writes their length into the
// header's second byte, behind which the mask key has its bytes.
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
