package http1

import "testing"

// TestChunkedBinary splits a chunked body at every byte: the second half, read
// from the marshalled state, passes the same bytes and finds the same end.
func TestChunkedBinary(t *testing.T) {
	t.Parallel()
	body := []byte("5;a=\"b\\\"c\";d\r\nhello\r\n1F\r\n" + string(make([]byte, 31)) + "\r\n0\r\nX-Some: thing\r\nY: z\r\n\r\n")
	for split := range body {
		var first, second Chunked
		n, reason := first.Pass(body[:split])
		p, err := first.MarshalBinary()
		if err == nil {
			err = second.UnmarshalBinary(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		more, late := second.Pass(body[split:])
		if n+more != len(body) || reason != ReasonNone || late != ReasonNone || !second.Done() || second.Size() != 36 {
			t.Errorf("split at %d: %d bytes of %d, %v, %v, done %v, size %d", split, n+more, len(body), reason, late, second.Done(), second.Size())
		}
		if second.UnmarshalBinary(p[1:]) == nil {
			t.Error("a state that is one byte short is accepted")
		}
	}
}
