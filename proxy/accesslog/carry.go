package accesslog

import (
	"bytes"
	"encoding/gob"
)

// carried holds the unexported fields of a Record.
type carried struct {
	Dialed, Connected int64
	Method, Path      []byte
	Cut               bool
}

// fields is a record without its methods.
type fields Record

// GobEncode implements gob.GobEncoder: a record is handed over with its
// connection or request. Its times are on the system's monotonic clock, which
// both processes share.
func (r *Record) GobEncode() ([]byte, error) {
	var out bytes.Buffer
	e := gob.NewEncoder(&out)
	if err := e.Encode((*fields)(r)); err != nil {
		return nil, err
	}
	err := e.Encode(&carried{r.dialed, r.connected, r.Method(), r.Path(), r.cut})
	return out.Bytes(), err
}

// GobDecode implements gob.GobDecoder.
func (r *Record) GobDecode(p []byte) error {
	d := gob.NewDecoder(bytes.NewReader(p))
	var rest carried
	if err := d.Decode((*fields)(r)); err != nil {
		return err
	}
	if err := d.Decode(&rest); err != nil {
		return err
	}
	r.dialed, r.connected = rest.Dialed, rest.Connected
	r.SetTarget(rest.Method, rest.Path)
	r.cut = rest.Cut
	return nil
}

// Adopt returns a record that continues one of the old process; nil if the log
// of either process is off.
func (b *Buffer) Adopt(noted *Record) *Record {
	if noted == nil {
		return nil
	}
	r := b.Begin()
	if r != nil {
		*r = *noted
	}
	return r
}

// Drop takes back a record that the new process continues; nil does nothing.
func (b *Buffer) Drop(r *Record) {
	if r != nil {
		b.discard(r)
	}
}
