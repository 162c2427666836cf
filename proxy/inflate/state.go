package inflate

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
)

// savedState is a Decoder's state as another process gets it.
type savedState struct {
	Position position
	Window   []byte // its beginning, as far as it is filled
}

var errState = errors.New("the state of a decoder is malformed")

// MarshalBinary implements encoding.BinaryMarshaler. It has at most 34 KiB.
func (d *Decoder) MarshalBinary() ([]byte, error) {
	var out bytes.Buffer
	saved := savedState{d.position, d.window[:min(d.Made, windowSize)]}
	if err := gob.NewEncoder(&out).Encode(saved); err != nil {
		return nil, fmt.Errorf("encoding the state of a decoder: %w", err)
	}
	return out.Bytes(), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. The other process may be
// faulty: a state that does not fit together is an error.
func (d *Decoder) UnmarshalBinary(p []byte) error {
	var saved savedState
	if err := gob.NewDecoder(bytes.NewReader(p)).Decode(&saved); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if !saved.Position.valid() || uint64(len(saved.Window)) != min(saved.Position.Made, windowSize) {
		return errState
	}
	*d = Decoder{position: saved.Position}
	copy(d.window[:], saved.Window)
	built := true
	switch d.Stage {
	case lengths:
		built = d.literal.build(d.Block.Coding[:])
	case symbols:
		built = d.buildCodes()
	}
	if !built {
		return errState
	}
	return nil
}

// valid reports whether p is one that a Decoder may have.
func (p *position) valid() bool {
	most := 1 << 16 // of Count, which nothing depends on in the other stages
	switch p.Stage {
	case codeLengths:
		most = p.Block.Codes - 1
	case lengths:
		most = p.Block.Literals + p.Block.Distances - 1
	}
	fits := p.Format <= Deflate && p.Stage <= over && p.NumBits <= 64 && p.Count >= 0 && p.Count <= most && p.Left >= 0 &&
		p.Block.Literals >= 0 && p.Block.Literals <= numLiterals && p.Block.Distances >= 0 && p.Block.Distances <= numDistances && p.Block.Codes <= numLengths
	for _, size := range p.Block.Sizes {
		fits = fits && size <= maxCodeLength
	}
	for _, size := range p.Block.Coding {
		fits = fits && size <= 7
	}
	return fits
}
