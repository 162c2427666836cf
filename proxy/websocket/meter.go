package websocket

import (
	"crypto/sha1"
	"encoding/base64"
)

// FrameMeter walks one direction of a WebSocket connection, chunk by chunk,
// from the first byte behind the handshake: it counts messages and frames,
// checks what RFC 6455, section 5, asks of every frame's header, and knows
// where a frame of one's own may be put between. It never looks at a payload,
// so a chunk without a header costs next to nothing, and does not know whether
// text is UTF-8 or what a Close says: that is the endpoints' business.
//
// ClientFrames and ServerFrames make one; the zero value is that of
// ServerFrames(false). It holds 24 bytes.
//
// The states, and what a byte leads to:
//
//	state     byte                        next
//	first     FIN, RSV, opcode            second
//	second    MASK, length 126            length2
//	          MASK, length 127            length8
//	          MASK, other length          mask, payload or end
//	length2   the second                  mask, payload or end
//	length8   the eighth                  mask, payload or end
//	mask      the fourth                  payload or end
//	payload   the last                    end
//
// The frames of a client have a mask. An end, which is where a payload of no
// bytes begins, counts the frame and is first again. A fault is final.
type FrameMeter struct {
	left       uint64 // payload bytes to come of the frame; of its length, what was read so far
	size       uint64 // payload bytes of the message under way, those to come of the frame included
	state      frameState
	need       uint8 // bytes to come of the length or the mask
	first      uint8 // the frame's first byte
	open       bool  // a message has begun in a frame that was not its last
	masked     bool
	extensions bool
	fault      FrameFault
}

type frameState uint8

const (
	frameFirst frameState = iota
	frameSecond
	frameLength2
	frameLength8
	frameMask
	framePayload
)

// A frame's first two bytes (RFC 6455, section 5.2).
const (
	frameFIN      = 0x80
	frameRSV      = 0x70
	frameOpcode   = 0x0f
	frameMasked   = 0x80
	frameLength   = 0x7f
	frameControl  = 0x08 // the bit that makes an opcode one of a control frame
	opcodeMore    = 0x0  // continuation
	opcodeBinary  = 0x2
	opcodeClose   = 0x8
	opcodePong    = 0xa
	length16      = 126
	length64      = 127
	maxControl    = 125 // bytes of payload, section 5.5
	maskKeyLength = 4
)

// ClientFrames returns the meter of what a client sends. extensions says that
// the handshake agreed on an extension (Sec-WebSocket-Extensions in the answer).
func ClientFrames(extensions bool) FrameMeter {
	return FrameMeter{masked: true, extensions: extensions}
}

// ServerFrames returns the meter of what a server sends; see ClientFrames.
func ServerFrames(extensions bool) FrameMeter {
	return FrameMeter{extensions: extensions}
}

// Frames is what FrameMeter.Count found.
type Frames struct {
	Messages int // data messages that ended: text or binary frames with FIN, or the last continuation
	Data     int // data frames that ended, those and all other fragments
	Control  int // Close, Ping and Pong frames that ended
	Valid    int // the bytes that may be passed on: all, but for a fault those before its frame
	Fault    FrameFault
}

// Count takes the next bytes of the stream. How it is cut into chunks does not
// change the sums. limit is the most payload bytes of one message, compressed as
// they may be, and may change from call to call; 0 is no limit. A message too
// large is a fault at the header that makes it so, before its payload passes.
//
// At the first fault the stream ends: nothing behind it is looked at, and
// every later call returns it again with Valid = 0. If the faulty frame began
// in an earlier chunk, then bytes of it have passed, and Valid is 0 as well.
func (m *FrameMeter) Count(p []byte, limit int64) Frames {
	var found Frames
	begun := 0 // where in p the frame began
	for at := 0; at < len(p) && m.fault == FrameOK; {
		switch m.state {
		case framePayload:
			n := min(uint64(len(p)-at), m.left)
			m.left -= n
			at += int(n)
		case frameFirst:
			begun = at
			m.feedFirst(p[at])
			at++
		case frameMask:
			at += m.skipMask(len(p) - at)
		default:
			m.feedHeader(p[at], limit)
			at++
		}
		if m.state == framePayload && m.left == 0 && m.fault == FrameOK {
			m.endFrame(&found)
		}
	}
	found.Fault = m.fault
	found.Valid = len(p)
	if m.fault != FrameOK {
		found.Valid = begun
	}
	return found
}

// AtBoundary reports whether the last byte seen ended a frame, or none was seen
// yet: only there may a control frame of one's own be put into the stream. It
// may stand in the midst of a fragmented message.
func (m *FrameMeter) AtBoundary() bool { return m.state == frameFirst && m.fault == FrameOK }

// feedFirst takes a frame's first byte and checks it against what came before.
func (m *FrameMeter) feedFirst(b byte) {
	m.first = b
	m.state = frameSecond
	opcode := b & frameOpcode
	switch {
	case b&frameRSV != 0 && !m.extensions:
		m.fault = FrameReserved
	case opcode > opcodePong, opcodeBinary < opcode && opcode < opcodeClose:
		m.fault = FrameOpcode
	case m.control():
		if b&frameFIN == 0 {
			m.fault = FrameFragmentedControl
		}
	case opcode == opcodeMore && !m.open:
		m.fault = FrameNothingToContinue
	case opcode != opcodeMore && m.open:
		m.fault = FrameInterleaved
	}
}

// feedHeader takes one byte of a frame's length.
func (m *FrameMeter) feedHeader(b byte, limit int64) {
	switch m.state {
	case frameSecond:
		m.fault = m.feedSecond(b, limit)
	case frameLength2, frameLength8:
		m.left = m.left<<8 | uint64(b)
		if m.need--; m.need == 0 {
			m.fault = m.endLength(limit)
		}
	}
}

// skipMask takes what there is of the mask in n bytes and returns its length.
func (m *FrameMeter) skipMask(n int) int {
	n = min(n, int(m.need))
	m.need -= uint8(n)
	if m.need == 0 {
		m.state = framePayload
	}
	return n
}

// feedSecond takes the frame's second byte.
func (m *FrameMeter) feedSecond(b byte, limit int64) FrameFault {
	if masked := b&frameMasked != 0; masked != m.masked {
		if m.masked {
			return FrameUnmasked
		}
		return FrameMasked
	}
	length := b & frameLength
	if length > maxControl && m.control() {
		return FrameLongControl
	}
	m.left = 0
	switch length {
	case length16:
		m.state, m.need = frameLength2, 2
	case length64:
		m.state, m.need = frameLength8, 8
	default:
		m.left = uint64(length)
		return m.beginPayload(limit)
	}
	return FrameOK
}

// endLength checks an extended length, which must not have fitted a shorter
// form, nor have its top bit set (section 5.2).
func (m *FrameMeter) endLength(limit int64) FrameFault {
	least := uint64(length16)
	if m.state == frameLength8 {
		least = 1 << 16
	}
	if m.left < least || m.left>>63 != 0 {
		return FrameLength
	}
	return m.beginPayload(limit)
}

// beginPayload knows the frame's length.
func (m *FrameMeter) beginPayload(limit int64) FrameFault {
	if !m.control() {
		m.size += m.left
		if limit > 0 && m.size > uint64(limit) {
			return FrameTooLarge
		}
	}
	m.state = framePayload
	if m.masked {
		m.state, m.need = frameMask, maskKeyLength
	}
	return FrameOK
}

// endFrame counts the frame and begins the next.
func (m *FrameMeter) endFrame(found *Frames) {
	m.state = frameFirst
	if m.control() {
		found.Control++
		return
	}
	found.Data++
	m.open = m.first&frameFIN == 0
	if !m.open {
		m.size = 0
		found.Messages++
	}
}

// control reports whether the frame is a control frame.
func (m *FrameMeter) control() bool { return m.first&frameControl != 0 }

// FrameFault is what is wrong with a frame. The zero value, FrameOK, is
// nothing. It is a small number, so counters can be an array of NumFrameFaults.
type FrameFault uint8

// The faults, each with the section of RFC 6455 that it breaks.
const (
	FrameOK                FrameFault = iota
	FrameReserved                     // RSV bits without an extension: 5.2
	FrameOpcode                       // a reserved opcode: 5.2
	FrameUnmasked                     // a client's frame without mask: 5.1
	FrameMasked                       // a server's frame with one: 5.1
	FrameLength                       // a length not in its shortest form, or its top bit set: 5.2
	FrameFragmentedControl            // a control frame without FIN: 5.5
	FrameLongControl                  // a control frame of more than 125 bytes: 5.5
	FrameNothingToContinue            // a continuation of nothing: 5.4
	FrameInterleaved                  // a new message before the end of the last: 5.4
	FrameTooLarge                     // a message larger than the limit: 10.4

	// NumFrameFaults is the number of faults, FrameOK included.
	NumFrameFaults
)

var frameFaults = [NumFrameFaults]struct {
	word string
	text string
}{
	FrameOK:                {"none", "nothing is wrong"},
	FrameReserved:          {"reserved_bits", "reserved bits without an extension"},
	FrameOpcode:            {"opcode", "reserved opcode"},
	FrameUnmasked:          {"unmasked", "a client's frame without mask"},
	FrameMasked:            {"masked", "a server's frame with a mask"},
	FrameLength:            {"length", "malformed length"},
	FrameFragmentedControl: {"fragmented_control", "fragmented control frame"},
	FrameLongControl:       {"long_control", "control frame longer than 125 bytes"},
	FrameNothingToContinue: {"nothing_to_continue", "continuation without a message"},
	FrameInterleaved:       {"interleaved", "new message before the end of the last"},
	FrameTooLarge:          {"too_large", "message larger than allowed"},
}

// String returns f as one stable word, for counters and logs.
func (f FrameFault) String() string { return frameFaults[min(f, NumFrameFaults-1)].word }

// Error returns f as a phrase that fits a Close frame's reason.
func (f FrameFault) Error() string { return frameFaults[min(f, NumFrameFaults-1)].text }

// CloseCode returns the status code with which to close the connection.
func (f FrameFault) CloseCode() uint16 {
	if f == FrameTooLarge {
		return CloseTooLarge
	}
	return CloseProtocolError
}

// AcceptSize is the length of a Sec-WebSocket-Accept.
const AcceptSize = 28

// acceptGUID is appended to the key (RFC 6455, section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// AcceptOf returns the Sec-WebSocket-Accept that answers key, the value of a
// request's Sec-WebSocket-Key (RFC 6455, section 4.2.2). ok is false if key is
// not 16 bytes in base64: no handshake. It allocates nothing.
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
