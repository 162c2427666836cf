package http1

import (
	"encoding/binary"
	"errors"
)

// errChunkedState says that the bytes are not the state of a Chunked.
var errChunkedState = errors.New("the state of a chunked body is malformed")

// MarshalBinary implements encoding.BinaryMarshaler, so that another process
// can continue the body.
func (c Chunked) MarshalBinary() ([]byte, error) {
	p := []byte{uint8(c.state), uint8(c.reason), c.digits, 0, c.nameSize, uint8(c.Trailers)}
	if c.started {
		p[3] |= 1
	}
	if c.dropped {
		p[3] |= 2
	}
	p = append(p, c.name[:]...)
	p = binary.BigEndian.AppendUint16(p, c.extensions)
	p = binary.BigEndian.AppendUint16(p, c.trailers)
	p = binary.BigEndian.AppendUint64(p, uint64(c.left))
	return binary.BigEndian.AppendUint64(p, uint64(c.size)), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (c *Chunked) UnmarshalBinary(p []byte) error {
	const fixed = 6
	if len(p) != fixed+maxName+20 || chunkState(p[0]) > chunkFailed || int(p[4]) > maxName+1 || Trailers(p[5]) > TrailersDrop {
		return errChunkedState
	}
	*c = Chunked{state: chunkState(p[0]), reason: Reason(p[1]), digits: p[2], nameSize: p[4], Trailers: Trailers(p[5])}
	c.started, c.dropped = p[3]&1 != 0, p[3]&2 != 0
	copy(c.name[:], p[fixed:])
	p = p[fixed+maxName:]
	c.extensions, c.trailers = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	c.left, c.size = int64(binary.BigEndian.Uint64(p[4:])), int64(binary.BigEndian.Uint64(p[12:]))
	if c.left < 0 || c.size < 0 {
		return errChunkedState
	}
	return nil
}
