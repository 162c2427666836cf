package websocket

import (
	"crypto/sha1"
	"encoding/base64"
)

// AcceptSize is the length of a Sec-WebSocket-Accept.
const AcceptSize = 28

// acceptGUID is appended to the key (RFC 6455, section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// AcceptOf returns the Sec-WebSocket-Accept for key, the value of a request's
// Sec-WebSocket-Key (RFC 6455, section 4.2.2). ok is false if key is not 16
// bytes in base64: the handshake is invalid. It allocates nothing.
func AcceptOf(key []byte) (accept [AcceptSize]byte, ok bool) {
	const keySize, encodedKeySize = 16, 24
	var decoded [encodedKeySize / 4 * 3]byte
	if len(key) != encodedKeySize {
		return accept, false
	}
	if n, err := base64.StdEncoding.Decode(decoded[:], key); err != nil || n != keySize {
		return accept, false
	}
	var input [encodedKeySize + len(acceptGUID)]byte
	copy(input[copy(input[:], key):], acceptGUID)
	sum := sha1.Sum(input[:])
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept, true
}
