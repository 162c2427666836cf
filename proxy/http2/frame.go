package http2

import "encoding/binary"

// Preface is what a client of HTTP/2 sends first (RFC 9113 section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Match says whether bytes begin like the preface.
type Match uint8

// The values of Match.
const (
	MatchNo      Match = iota // another protocol
	MatchPartial              // all bytes there are begin the preface
	MatchYes                  // the preface is complete
)

// MatchPreface compares the first bytes of a connection with the preface, so that
// a port can serve HTTP/1.1, too: methods such as PRI and PROPFIND differ from it at
// some byte. No bytes at all match partially.
func MatchPreface(p []byte) Match {
	n := min(len(p), len(Preface))
	switch {
	case string(p[:n]) != Preface[:n]:
		return MatchNo
	case n < len(Preface):
		return MatchPartial
	}
	return MatchYes
}

// FrameType is the type of a frame (RFC 9113 section 6).
type FrameType uint8

// The types of frames.
const (
	FrameData FrameType = iota
	FrameHeaders
	FramePriority
	FrameRSTStream
	FrameSettings
	FramePushPromise
	FramePing
	FrameGoAway
	FrameWindowUpdate
	FrameContinuation
)

// The flags of frames.
const (
	FlagEndStream  = 0x1 // DATA, HEADERS
	FlagAck        = 0x1 // SETTINGS, PING
	FlagEndHeaders = 0x4 // HEADERS, CONTINUATION
	FlagPadded     = 0x8 // DATA, HEADERS
	FlagPriority   = 0x20
)

// Sizes of frames, in bytes.
const (
	FrameHeaderSize = 9
	MaxFrameSize    = 16384 // of a payload: SETTINGS_MAX_FRAME_SIZE, both ways
)

// The identifiers of settings (RFC 9113 section 6.5.2, RFC 8441, RFC 9218).
const (
	settingHeaderTableSize      = 1
	settingEnablePush           = 2
	settingMaxConcurrentStreams = 3
	settingInitialWindowSize    = 4
	settingMaxFrameSize         = 5
	settingMaxHeaderListSize    = 6
	settingEnableConnect        = 8
	settingNoPriorities         = 9
)

// Numbers of the protocol.
const (
	defaultWindow = 65535
	maxWindow     = 1<<31 - 1
	maxStreamID   = 1<<31 - 1
)

// header is a frame's header.
type header struct {
	length int
	kind   FrameType
	flags  uint8
	stream uint32
}

// readHeader reads the nine bytes of p that begin a frame.
func readHeader(p []byte) header {
	_ = p[8]
	return header{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		kind:   FrameType(p[3]),
		flags:  p[4],
		stream: binary.BigEndian.Uint32(p[5:]) & maxStreamID,
	}
}

// has reports whether a flag is set.
func (h *header) has(flag uint8) bool { return h.flags&flag != 0 }

// AppendFrameHeader appends the nine bytes before a payload of length bytes.
func AppendFrameHeader(dst []byte, length int, kind FrameType, flags uint8, stream uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags)
	return binary.BigEndian.AppendUint32(dst, stream)
}

// AppendPing appends a PING with these eight bytes, or the acknowledgement of one.
func AppendPing(dst []byte, data []byte, ack bool) []byte {
	var flags uint8
	if ack {
		flags = FlagAck
	}
	dst = AppendFrameHeader(dst, 8, FramePing, flags, 0)
	return append(dst, data[:8]...)
}

// appendReset appends RST_STREAM.
func appendReset(dst []byte, stream uint32, code ErrorCode) []byte {
	dst = AppendFrameHeader(dst, 4, FrameRSTStream, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// appendGoAway appends GOAWAY with a text for those who debug.
func appendGoAway(dst []byte, last uint32, code ErrorCode, text string) []byte {
	dst = AppendFrameHeader(dst, 8+len(text), FrameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, text...)
}

// appendWindowUpdate appends WINDOW_UPDATE.
func appendWindowUpdate(dst []byte, stream uint32, increment int32) []byte {
	dst = AppendFrameHeader(dst, 4, FrameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(increment))
}

// appendSetting appends one setting of a SETTINGS frame's payload.
func appendSetting(dst []byte, id uint16, value uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, id)
	return binary.BigEndian.AppendUint32(dst, value)
}
