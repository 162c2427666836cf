package accesslog

import "errors"

// A record moves to another process with the connection that it describes: its
// exported fields, and so what encoding/gob encodes of it. Its times are on the
// system's monotonic clock, which both processes share.

// errTarget reports a malformed encoding.
var errTarget = errors.New("malformed target of an access log record")

// targetHeader is the part of an encoded target before its text: the length of
// the method, and whether the path was cut.
const targetHeader = 2

// MarshalBinary implements encoding.BinaryMarshaler.
func (t *Target) MarshalBinary() ([]byte, error) {
	p := make([]byte, targetHeader, targetHeader+int(t.method+t.path))
	p[0] = byte(t.method)
	if t.cut {
		p[1] = 1
	}
	return append(p, t.text[:t.method+t.path]...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (t *Target) UnmarshalBinary(p []byte) error {
	if len(p) < targetHeader || len(p) > targetHeader+maxText || int(p[0]) > min(maxMethod, len(p)-targetHeader) {
		return errTarget
	}
	*t = Target{method: uint16(p[0]), path: uint16(len(p) - targetHeader - int(p[0])), cut: p[1] != 0}
	copy(t.text[:], p[targetHeader:])
	return nil
}

// Adopt returns a record that continues one of another process. It returns nil
// while the log is off, and for nil: the log was off there.
func (b *Buffer) Adopt(noted *Record) *Record {
	if noted == nil {
		return nil
	}
	r := b.Begin()
	if r != nil {
		id, name := r.RequestID, r.Name
		*r = *noted
		r.RequestID, r.Name = append(id[:0], noted.RequestID...), append(name[:0], noted.Name...)
	}
	return r
}

// Drop takes back a record that another process continues. It does nothing on
// nil.
func (b *Buffer) Drop(r *Record) {
	if r != nil {
		b.discard(r)
	}
}
