package websocket

import "testing"

// TestBinaryState splits a stream at every byte: the second half, read from the
// marshalled state, gives the same counts.
func TestBinaryState(t *testing.T) {
	t.Parallel()
	frames := []byte("\x01\x83\x00\x00\x00\x00abc\x89\x80\x00\x00\x00\x00\x80\xfe\x00\x80\x00\x00\x00\x00" + string(make([]byte, 128)) + "\x82\x80\x00\x00\x00\x00")
	for split := range frames {
		unsplit, first := ClientFrames(false), ClientFrames(false)
		var second FrameMeter
		want := unsplit.Count(frames, 0)
		got := first.Count(frames[:split], 0)
		p, err := first.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if second.UnmarshalBinary(append(p, 0)) == nil || second.UnmarshalBinary(nil) == nil {
			t.Error("a state of the wrong length is accepted")
		}
		if err := second.UnmarshalBinary(p); err != nil {
			t.Fatal(err)
		}
		more := second.Count(frames[split:], 0)
		if got.Data+more.Data != want.Data || second != unsplit || want.Fault != FrameOK {
			t.Errorf("split at %d: %d frames and %+v, want %d and %+v", split, got.Data+more.Data, second, want.Data, unsplit)
		}
	}
}
