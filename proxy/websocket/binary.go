package websocket

import (
	"encoding/binary"
	"errors"
)

// errState says that the bytes are not a valid state.
var errState = errors.New("the state of a WebSocket stream is malformed")

// MarshalBinary implements encoding.BinaryMarshaler, so that another process
// can continue the stream.
func (m FrameMeter) MarshalBinary() ([]byte, error) {
	p := binary.BigEndian.AppendUint64(nil, m.left)
	p = binary.BigEndian.AppendUint64(p, m.size)
	return append(p, uint8(m.state), m.need, m.first, bit(m.open), bit(m.masked), bit(m.extensions), uint8(m.fault)), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (m *FrameMeter) UnmarshalBinary(p []byte) error {
	if len(p) != 23 || frameState(p[16]) > framePayload {
		return errState
	}
	*m = FrameMeter{
		left: binary.BigEndian.Uint64(p), size: binary.BigEndian.Uint64(p[8:]),
		state: frameState(p[16]), need: p[17], first: p[18],
		open: p[19] != 0, masked: p[20] != 0, extensions: p[21] != 0, fault: FrameFault(p[22]),
	}
	return nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
