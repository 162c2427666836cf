package websocket

// FrameMeter reads one direction of a WebSocket connection, chunk by chunk,
// from the first byte after the handshake: it counts messages and frames,
// checks every frame's header against RFC 6455, section 5, and knows where
// another frame may be inserted. It never examines a payload, so a chunk
// without a header costs almost nothing. It does not check whether text is
// UTF-8 or interpret a Close: that is up to the endpoints.
//
// ClientFrames and ServerFrames return one; the zero value is
// ServerFrames(false). It has 24 bytes.
//
// The state transitions:
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
// The frames of a client have a mask. At end, which an empty payload reaches at
// once, the frame is counted and the state is first again. A fault is final.
type FrameMeter struct {
	left       uint64 // payload bytes of the frame still to come; while its length is read, the value so far
	size       uint64 // payload bytes of the current message, including those still to come of the frame
	state      frameState
	need       uint8 // bytes of the length or the mask still to come
	first      uint8 // the frame's first byte
	open       bool  // a message has begun and its last frame has not
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
	frameControl  = 0x08 // the bit of control opcodes
	opcodeMore    = 0x0  // continuation
	opcodeBinary  = 0x2
	opcodeClose   = 0x8
	opcodePong    = 0xa
	length16      = 126
	length64      = 127
	maxControl    = 125 // bytes of payload, section 5.5
	maskKeyLength = 4
)

// ClientFrames returns a meter for the frames of a client. extensions says that
// the handshake agreed on an extension (Sec-WebSocket-Extensions in the
// response).
func ClientFrames(extensions bool) FrameMeter {
	return FrameMeter{masked: true, extensions: extensions}
}

// ServerFrames returns a meter for the frames of a server; see ClientFrames.
func ServerFrames(extensions bool) FrameMeter {
	return FrameMeter{extensions: extensions}
}

// Frames is the result of FrameMeter.Count.
type Frames struct {
	Messages int // data messages that ended: text or binary frames with FIN, or the last continuation
	Data     int // data frames that ended, including all fragments
	Control  int // Close, Ping and Pong frames that ended
	Valid    int // bytes that may be passed on: all, or those before the frame with the fault
	Fault    FrameFault
}

// Count reads the next bytes of the stream. The sums do not depend on how the
// stream is split into chunks. limit is the most payload bytes of one message,
// as sent (possibly compressed), and may change from call to call; 0 = no
// limit. A message that is too large is a fault at the header that exceeds the
// limit, before that frame's payload passes.
//
// The stream ends at the first fault: Count reads nothing after it, and every
// later call returns it again with Valid = 0. If the faulty frame began in an
// earlier chunk, bytes of it have passed, and Valid is 0 as well.
func (m *FrameMeter) Count(p []byte, limit int64) Frames { return m.CountUpTo(p, limit, len(p)) }

// CountUpTo is Count, but reads on only to the end of the first n frames that begin
// in p: Valid is where the next one would begin.
func (m *FrameMeter) CountUpTo(p []byte, limit int64, n int) Frames {
	var found Frames
	begun := 0 // where in p the frame began
	for at := 0; at < len(p) && m.fault == FrameOK; {
		switch m.state {
		case framePayload:
			size := min(uint64(len(p)-at), m.left)
			m.left -= size
			at += int(size)
		case frameFirst:
			if n == 0 {
				found.Valid = at
				return found
			}
			n--
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

// Begun returns how many frames began in what led from the state before to this one
// and was found meanwhile: what a rate limiter charges, a faulty frame included.
func (m *FrameMeter) Begun(before FrameMeter, found Frames) int {
	begun := found.Data + found.Control
	if !m.AtBoundary() {
		begun++
	}
	if !before.AtBoundary() {
		begun--
	}
	return begun
}

// AtBoundary reports whether the last byte read ended a frame, or none was read
// yet: only there may a control frame be inserted into the stream, possibly
// within a fragmented message.
func (m *FrameMeter) AtBoundary() bool { return m.state == frameFirst && m.fault == FrameOK }

// feedFirst reads a frame's first byte and checks it against the frames before.
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

// feedHeader reads one byte of a frame's length.
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

// skipMask skips the part of the mask within the next n bytes, and returns its
// length.
func (m *FrameMeter) skipMask(n int) int {
	n = min(n, int(m.need))
	m.need -= uint8(n)
	if m.need == 0 {
		m.state = framePayload
	}
	return n
}

// feedSecond reads the frame's second byte.
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

// endLength checks an extended length, which must not fit into a shorter form,
// nor have its top bit set (section 5.2).
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

// beginPayload checks the frame's length and begins its mask or payload.
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
