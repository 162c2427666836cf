package reactor

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestKeptAgainstModel keeps, consumes and drops at random.
func TestKeptAgainstModel(t *testing.T) {
	t.Parallel()
	source := noise()
	random := rand.New(source)
	l := newStepped(t, steppedSystem())
	var kept PendingBuffer
	var want []byte
	for range 2000 {
		switch random.IntN(10) {
		case 0:
			l.Drop(&kept)
			want = nil
		case 1, 2, 3, 4:
			n := random.IntN(len(want) + 1)
			l.Consume(&kept, n)
			want = want[n:]
		default:
			p := take(source, random.IntN(5000))
			l.Append(&kept, p)
			want = append(want, p...)
		}
		if kept.Len() != len(want) || !bytes.Equal(kept.Bytes(), want) {
			t.Fatalf("%d bytes are kept, want %d, the same", kept.Len(), len(want))
		}
		if len(want) == 0 && kept.held != nil {
			t.Fatal("a buffer is held for nothing")
		}
	}
}

func TestKeptUsesThePool(t *testing.T) {
	l := newStepped(t, steppedSystem())
	var kept PendingBuffer
	p := make([]byte, 5000)
	allocs := testing.AllocsPerRun(100, func() {
		l.Append(&kept, p[:100])
		l.Append(&kept, p)
		l.Consume(&kept, 5000)
		l.Consume(&kept, 100)
	})
	if allocs != 0 || kept.held != nil {
		t.Errorf("%v allocations, buffer held: %v; want 0, false", allocs, kept.held != nil)
	}
	if small, middle := len(l.buffers.free[0]), len(l.buffers.free[1]); small != 1 || middle != 1 {
		t.Errorf("%d small and %d middle buffers in the pool, want one of each", small, middle)
	}
}

func TestKeptZeroValue(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	var kept PendingBuffer
	l.Append(&kept, nil)
	l.Consume(&kept, 0)
	l.Drop(&kept)
	if kept.Len() != 0 || kept.Bytes() != nil || kept.held != nil {
		t.Errorf("%d bytes, %v", kept.Len(), kept.Bytes())
	}
}
