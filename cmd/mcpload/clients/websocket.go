package clients

import (
	"encoding/binary"
	"math/rand/v2"

	"mcplb/proxy/http1"
)

// Opcodes and bits of frames (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
	frameFinal     = 0x80
	frameMasked    = 0x80
)

// wsTransport is the transport of WS: a WebSocket (RFC 6455) with the subprotocol
// mcp, one message per text frame.
type wsTransport struct {
	wire     wire
	response response
	framed   bool // the handshake is complete; frames follow
}

// handshakeKey is the Sec-WebSocket-Key of every client. The nonce protects against
// caches, of which there are none here.
const handshakeKey = "dGhlIHNhbXBsZSBub25jZQ=="

func (t *wsTransport) open() {
	t.close()
	t.wire.dial()
}

func (t *wsTransport) ready() bool { return t.framed }

func (t *wsTransport) close() {
	t.wire.close()
	t.framed = false
	t.response = response{asked: http1.RequestContext{Method: http1.MethodGet, WebSocket: true}}
}

func (t *wsTransport) onConnect(*wire) {
	w := t.wire.client.worker
	request := w.appendGet(w.request[:0], w.options.WSPath)
	request = append(request, http1.FieldsWebSocket...)
	w.request = append(request, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Key: "+handshakeKey+"\r\n\r\n"...)
	t.wire.send(w.request)
}

func (t *wsTransport) send(message []byte) { t.sendFrame(opText, message) }

// sendFrame sends one masked frame (section 5.3).
func (t *wsTransport) sendFrame(opcode byte, payload []byte) {
	w := t.wire.client.worker
	out := append(w.request[:0], frameFinal|opcode)
	switch n := len(payload); {
	case n < 126:
		out = append(out, frameMasked|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, frameMasked|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, frameMasked|127), uint64(n))
	}
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	out = append(out, key[:]...)
	begin := len(out)
	out = append(out, payload...)
	for i := range payload {
		out[begin+i] ^= key[i%4]
	}
	w.request = out
	t.wire.send(out)
}

func (t *wsTransport) onData(w *wire, p []byte) {
	if !t.framed {
		t.response.feed(w, p, t)
		return
	}
	t.readFrames(w, p)
}

func (t *wsTransport) onEOF(*wire) { t.wire.client.lose(closedByServer) }

func (t *wsTransport) onHead(head *http1.ResponseHead, follows []byte) bool {
	if head.Status != 101 {
		t.wire.client.lose(statusReason(head.Status))
		return false
	}
	t.wire.keep(nil)
	t.framed = true
	t.wire.client.connected()
	if t.wire.up && len(follows) > 0 {
		t.readFrames(&t.wire, follows)
	}
	return false
}

func (t *wsTransport) onMessage(_, _ []byte) {}
func (t *wsTransport) onEnd(bool)            {}

// readFrames reads the frames in p.
func (t *wsTransport) readFrames(w *wire, p []byte) {
	rest := w.withPending(p)
	for w.up {
		opcode, payload, n, fault := nextFrame(rest)
		if fault != "" {
			w.client.lose(fault)
			return
		}
		if n == 0 {
			break
		}
		rest = rest[n:]
		switch opcode {
		case opText:
			w.client.received(payload)
		case opPing:
			t.sendFrame(opPong, payload)
		case opClose:
			w.client.lose(closedByServer)
		}
	}
	if w.up {
		w.keep(rest)
	}
}

// nextFrame splits the first frame off p; n is 0 if it is incomplete. It accepts
// what an MCP server sends: frames without a mask, and messages without
// fragmentation.
func nextFrame(p []byte) (opcode byte, payload []byte, n int, fault string) {
	if len(p) < 2 {
		return 0, nil, 0, ""
	}
	opcode = p[0] & 0x0f
	head, size := 2, uint64(p[1]&0x7f)
	switch {
	case p[1]&frameMasked != 0:
		return 0, nil, 0, "masked frame of the server"
	case p[0]&frameFinal == 0 || opcode == opContinuation || opcode == opBinary:
		return 0, nil, 0, "frame that is no whole text"
	case size == 126:
		if head = 4; len(p) >= head {
			size = uint64(binary.BigEndian.Uint16(p[2:]))
		}
	case size == 127:
		if head = 10; len(p) >= head {
			size = binary.BigEndian.Uint64(p[2:])
		}
	}
	switch {
	case len(p) < head:
		return 0, nil, 0, ""
	case size > MaxMessage:
		return 0, nil, 0, answerTooLong
	case uint64(len(p)) < uint64(head)+size:
		return 0, nil, 0, ""
	}
	n = head + int(size)
	return opcode, p[head:n], n, ""
}
