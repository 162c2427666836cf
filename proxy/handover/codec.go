package handover

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// encoder encodes the payloads of one channel's messages: the state, batches and
// reports. It describes each type once, with its first value, so that a batch of
// connections costs little more than its data. For the same reason the payloads
// are of use only to one decoder, in the order of their encoding. The zero value
// is ready for use, by one goroutine at a time.
type encoder struct {
	out bytes.Buffer
	gob *gob.Encoder
	err error // the first; what follows would lack the descriptions that were lost with it
}

// encode returns the payload for a value.
func (e *encoder) encode(v any) ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	if e.gob == nil {
		e.gob = gob.NewEncoder(&e.out)
	}
	e.out.Reset()
	if err := e.gob.Encode(v); err != nil {
		e.err = fmt.Errorf("encoding what is handed over: %w", err)
		return nil, e.err
	}
	payload := bytes.Clone(e.out.Bytes())
	clear(e.out.Bytes()) // it has secrets of TLS
	return payload, nil
}

// decoder decodes the payloads of one encoder, each exactly once and in order.
// After an error every further payload is refused: the channel must be given up.
// The zero value is ready for use, by one goroutine at a time.
type decoder struct {
	in  bytes.Reader
	gob *gob.Decoder
	err error // the first
}

// decode reads a payload into v, a pointer. A malformed payload is an error; the
// memory it takes is in proportion to its length, provided that v contains no
// map: gob allocates a map for the length that the payload claims.
func (d *decoder) decode(payload []byte, v any) error {
	if d.err != nil {
		return d.err
	}
	if d.gob == nil {
		d.gob = gob.NewDecoder(&d.in)
	}
	d.in.Reset(payload)
	err := d.decodeValue(v)
	if err == nil && d.in.Len() > 0 {
		err = fmt.Errorf("%d bytes too many", d.in.Len())
	}
	if err != nil {
		d.err = fmt.Errorf("decoding what is handed over: %w", err)
	}
	return d.err
}

// decodeValue turns a panic of package gob, which does not promise to withstand
// every input, into an error.
func (d *decoder) decodeValue(v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
	}()
	return d.gob.Decode(v)
}
