package main

import (
	"encoding/binary"
	"math/rand/v2"

	"mcplb/proxy/http1"
)

// Opcodes of frames (RFC 6455, section 5.2).
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

// socket is the transport of kindWS: a WebSocket (RFC 6455) of subprotocol
// mcp, one message a text frame.
type socket struct {
	wire     wire
	response response
	framed   bool // the handshake is over: frames from here on
}

// handshakeKey is the Sec-WebSocket-Key of every client: the nonce guards
// against caches, of which there are none here.
const handshakeKey = "dGhlIHNhbXBsZSBub25jZQ=="

func (s *socket) open() {
	s.close()
	s.wire.dial()
}

func (s *socket) ready() bool { return s.framed }

func (s *socket) close() {
	s.wire.close()
	s.framed = false
	s.response = response{asked: http1.RequestContext{Method: http1.MethodGet, WebSocket: true}}
}

func (s *socket) connected(*wire) {
	w := s.wire.client.worker
	request := w.appendGet(w.request[:0], w.options.wsPath)
	request = append(request, http1.FieldsWebSocket...)
	w.request = append(request, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Key: "+handshakeKey+"\r\n\r\n"...)
	s.wire.send(w.request)
}

func (s *socket) send(message []byte) { s.frame(opText, message) }

// frame sends one masked frame (section 5.3).
func (s *socket) frame(opcode byte, payload []byte) {
	w := s.wire.client.worker
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
	s.wire.send(out)
}

func (s *socket) arrived(w *wire, p []byte) {
	if !s.framed {
		s.response.feed(w, p, s)
		return
	}
	s.frames(w, p)
}

func (s *socket) ended(*wire) { s.wire.client.lose("closed by the server") }

func (s *socket) headed(head *http1.ResponseHead, follows []byte) bool {
	if head.Status != 101 {
		s.wire.client.lose(statusReason(head.Status))
		return false
	}
	s.wire.keep(nil)
	s.framed = true
	s.wire.client.carries()
	if s.wire.up && len(follows) > 0 {
		s.frames(&s.wire, follows)
	}
	return false
}

func (s *socket) received(_, _ []byte) {}
func (s *socket) finished(bool)        {}

// frames reads on in p frame by frame.
func (s *socket) frames(w *wire, p []byte) {
	rest := w.whole(p)
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
			s.frame(opPong, payload)
		case opClose:
			w.client.lose("closed by the server")
		}
	}
	if w.up {
		w.keep(rest)
	}
}

// nextFrame takes the first frame off p; n is 0 when it is not complete. A
// server's frame is not masked, and mcpload's servers do not fragment.
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
	case size > maxMessage:
		return 0, nil, 0, "answer too long"
	case uint64(len(p)) < uint64(head)+size:
		return 0, nil, 0, ""
	}
	n = head + int(size)
	return opcode, p[head:n], n, ""
}
