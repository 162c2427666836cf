package accesslog

import (
	"bytes"
	"encoding/gob"
)

// carried is a record's fields that are no fields of Record.
type carried struct {
	Dialed, Connected int64
	Method, Path      []byte
	Cut               bool
}

// fields is a record without its methods.
type fields Record

// GobEncode implements gob.GobEncoder: a record goes to another process with
// what it is about. Its times are on the system's monotonic clock, which both
// have.
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

// Adopt returns a record that goes on with what another process has noted; nil
// while the log is off, and where that was off.
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

// Drop takes back a record that another process goes on with; nil does nothing.
func (b *Buffer) Drop(r *Record) {
	if r != nil {
		b.discard(r)
	}
}
