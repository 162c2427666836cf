package accesslog

import (
	"bytes"
	"encoding/gob"
	"testing"
	"time"
)

// A record writes the same line after it has moved to another process, and
// continues there.
func TestHandover(t *testing.T) {
	t.Parallel()
	b := begin(t, 1)
	b.use(t.TempDir() + "/log")
	for _, r := range records() {
		var wire bytes.Buffer
		if err := gob.NewEncoder(&wire).Encode(&r); err != nil {
			t.Fatal(err)
		}
		var noted Record
		if err := gob.NewDecoder(&wire).Decode(&noted); err != nil {
			t.Fatal(err)
		}
		got := b.Buffer(0).Adopt(&noted)
		if line, want := string(appendText(nil, got, someday())), string(appendText(nil, &r, someday())); line != want {
			t.Errorf("%q, want %q", line, want)
		}
		b.Buffer(0).Drop(got)
	}
	var r Record
	r.Response = None
	r.Dialing(1000)
	r.Connected(2000)
	if err := gobbed(&r); err != nil {
		t.Fatal(err)
	}
	r.Dialing(5000)
	r.Moved(0, 1, 7000)
	if r.Retries != 1 || r.Response != 5*time.Microsecond || r.Connect != time.Microsecond {
		t.Errorf("%+v", r)
	}
	b.use("")
	if b.Buffer(0).Adopt(&r) != nil || b.Buffer(0).Adopt(nil) != nil {
		t.Error("a log that is off adopts a record")
	}
	b.Buffer(0).Drop(nil)
}

// gobbed encodes and decodes r.
func gobbed(r *Record) error {
	var wire bytes.Buffer
	if err := gob.NewEncoder(&wire).Encode(r); err != nil {
		return err
	}
	*r = Record{}
	return gob.NewDecoder(&wire).Decode(r)
}
