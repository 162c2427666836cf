package mcp

import (
	"encoding/binary"
	"errors"
)

// The state of meters, filters and rewriters can be marshalled
// (encoding.BinaryMarshaler), so that another process can continue the stream.
// It has a bounded size.

// errState says that the bytes are not a valid state.
var errState = errors.New("the state of a stream of messages is malformed")

// MarshalBinary implements encoding.BinaryMarshaler.
func (m Meter) MarshalBinary() ([]byte, error) {
	return append(binary.BigEndian.AppendUint64(nil, uint64(m.length)), bit(m.text)), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (m *Meter) UnmarshalBinary(p []byte) error {
	if len(p) != 9 || int64(binary.BigEndian.Uint64(p)) < 0 {
		return errState
	}
	*m = Meter{length: int64(binary.BigEndian.Uint64(p)), text: p[8] != 0}
	return nil
}

// Transferable reports whether the filter's state can be marshalled: not in the
// middle of a message that it removes.
func (f *Filter) Transferable() bool { return f.state != refusing }

// MarshalBinary implements encoding.BinaryMarshaler, while Movable.
func (f Filter) MarshalBinary() ([]byte, error) { return []byte{bit(f.state == passing)}, nil }

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (f *Filter) UnmarshalBinary(p []byte) error {
	if len(p) != 1 {
		return errState
	}
	*f = Filter{}
	if p[0] != 0 {
		f.state = passing
	}
	return nil
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *EndpointRewriter) MarshalBinary() ([]byte, error) {
	p := append([]byte(nil), r.tag[:]...)
	p = binary.BigEndian.AppendUint16(p, r.watched)
	p = append(p, uint8(r.state), bit(r.watching), bit(r.begun), bit(r.passing), bit(r.tagged))
	return append(p, r.held...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (r *EndpointRewriter) UnmarshalBinary(p []byte) error {
	const fixed = len(Tag{}) + 7
	if len(p) < fixed || len(p) > fixed+maxEvent {
		return errState
	}
	s := p[len(r.tag)+2 : fixed]
	state := streamState(s[0])
	if state > streamNext {
		return errState
	}
	*r = EndpointRewriter{
		held: append(r.held[:0], p[fixed:]...), watched: binary.BigEndian.Uint16(p[len(r.tag):]),
		state: state, watching: s[1] != 0, begun: s[2] != 0, passing: s[3] != 0, tagged: s[4] != 0,
	}
	copy(r.tag[:], p)
	return nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
