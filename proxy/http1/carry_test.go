package http1

import "testing"

// Wherever a chunked body is cut, who goes on with it passes the same bytes and
// finds the same end.
func TestCarryChunked(t *testing.T) {
	t.Parallel()
	body := []byte("5;a=\"b\\\"c\";d\r\nhello\r\n1F\r\n" + string(make([]byte, 31)) + "\r\n0\r\nX-Some: thing\r\nY: z\r\n\r\n")
	for cut := range body {
		var first, second Chunked
		n, reason := first.Pass(body[:cut])
		p, err := first.MarshalBinary()
		if err == nil {
			err = second.UnmarshalBinary(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		more, late := second.Pass(body[cut:])
		if n+more != len(body) || reason != ReasonNone || late != ReasonNone || !second.Done() || second.Size() != 36 {
			t.Errorf("cut at %d: %d bytes of %d, %v, %v, done %v, size %d", cut, n+more, len(body), reason, late, second.Done(), second.Size())
		}
		if second.UnmarshalBinary(p[1:]) == nil {
			t.Error("a state with a byte too few is taken")
		}
	}
}
