package http1

import (
	"bytes"
	"testing"
)

// TestChunkedBinary splits a chunked body at every byte: the second half, read
// from the marshalled state, passes the same bytes and finds the same end.
// Otherwise an upgrade would let trailers through, or break bodies.
func TestChunkedBinary(t *testing.T) {
	t.Parallel()
	body := []byte("5;a=\"b\\\"c\";d\r\nhello\r\n1F\r\n" + string(make([]byte, 31)) + "\r\n0\r\nX-Some: thing\r\nHost: x\r\nETag: e\r\nY: z\r\n\r\n")
	want := bytes.Replace(body, []byte("Host: x\r\nETag: e\r\n"), nil, 1)
	for split := range body {
		first, second := Chunked{Trailers: TrailersOfChanged}, Chunked{}
		passed, n, reason := pass(&first, nil, body[:split])
		p, err := first.MarshalBinary()
		if err == nil {
			err = second.UnmarshalBinary(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		passed, more, late := pass(&second, passed, body[split:])
		if n+more != len(body) || reason != ReasonNone || late != ReasonNone || !second.Done() || second.Size() != 36 || !bytes.Equal(passed, want) {
			t.Errorf("split at %d: %d bytes of %d, %v, %v, done %v, size %d, %q", split, n+more, len(body), reason, late, second.Done(), second.Size(), passed)
		}
		if second.UnmarshalBinary(p[1:]) == nil {
			t.Error("a state that is one byte short is accepted")
		}
	}
}
