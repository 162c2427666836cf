package reactor

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestPendingAgainstModel appends, consumes and drops at random.
func TestPendingAgainstModel(t *testing.T) {
	t.Parallel()
	source := noise()
	random := rand.New(source)
	l := newStepped(t, steppedSystem())
	var pending PendingBuffer
	var want []byte
	for range 2000 {
		switch random.IntN(10) {
		case 0:
			l.Drop(&pending)
			want = nil
		case 1, 2, 3, 4:
			n := random.IntN(len(want) + 1)
			l.Consume(&pending, n)
			want = want[n:]
		default:
			p := take(source, random.IntN(5000))
			l.Append(&pending, p)
			want = append(want, p...)
		}
		if pending.Len() != len(want) || !bytes.Equal(pending.Bytes(), want) {
			t.Fatalf("%d bytes pending, want %d, the same", pending.Len(), len(want))
		}
		if len(want) == 0 && pending.held != nil {
			t.Fatal("an empty PendingBuffer holds a buffer")
		}
	}
}

func TestPendingUsesThePool(t *testing.T) {
	l := newStepped(t, steppedSystem())
	var pending PendingBuffer
	p := make([]byte, 5000)
	allocs := testing.AllocsPerRun(100, func() {
		l.Append(&pending, p[:100])
		l.Append(&pending, p)
		l.Consume(&pending, 5000)
		l.Consume(&pending, 100)
	})
	if allocs != 0 || pending.held != nil {
		t.Errorf("%v allocations, buffer held: %v; want 0, false", allocs, pending.held != nil)
	}
	if small, middle := len(l.buffers.free[0]), len(l.buffers.free[1]); small != 1 || middle != 1 {
		t.Errorf("%d small and %d middle buffers in the pool, want one of each", small, middle)
	}
}

func TestPendingZeroValue(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	var pending PendingBuffer
	l.Append(&pending, nil)
	l.Consume(&pending, 0)
	l.Drop(&pending)
	if pending.Len() != 0 || pending.Bytes() != nil || pending.held != nil {
		t.Errorf("%d bytes, %v", pending.Len(), pending.Bytes())
	}
}
