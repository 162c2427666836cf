package reactor

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestBufferSizes(t *testing.T) {
	t.Parallel()
	cases := []struct{ need, size int }{
		{1, 4 << 10}, {4 << 10, 4 << 10},
		{4<<10 + 1, 16 << 10}, {16 << 10, 16 << 10},
		{16<<10 + 1, 64 << 10}, {64 << 10, 64 << 10},
		{64<<10 + 1, 128 << 10}, {128 << 10, 128 << 10}, {300 << 10, 512 << 10},
	}
	for _, c := range cases {
		var pool bufferPool
		b := pool.get(c.need)
		if cap(b.bytes) != c.size || len(b.rest()) != 0 {
			t.Errorf("get(%d): capacity %d, %d bytes held; want %d, 0", c.need, cap(b.bytes), len(b.rest()), c.size)
		}
	}
}

func TestBufferIsReused(t *testing.T) {
	t.Parallel()
	var pool bufferPool
	b := pool.get(100)
	b.bytes = append(b.bytes, "what was left"...)
	b.sent = 4
	pool.put(b)
	if again := pool.get(200); again != b || again.sent != 0 || len(again.bytes) != 0 {
		t.Errorf("got %p with %d bytes, %d of them sent; want the buffer %p, empty", again, len(again.bytes), again.sent, b)
	}
	if other := pool.get(200); other == b {
		t.Error("one buffer was lent twice")
	}
}

func TestPoolKeepsAtMostItsLimit(t *testing.T) {
	t.Parallel()
	var pool bufferPool
	var lent []*buffer
	for _, need := range []int{1, 10 << 10, 64 << 10, 65 << 10, 1 << 20} {
		for range 2 * maxFreeBuffers {
			lent = append(lent, pool.get(need))
		}
	}
	for _, b := range lent {
		pool.put(b)
	}
	for class, free := range pool.free {
		if len(free) != maxFreeBuffers {
			t.Errorf("%d buffers of %d bytes kept, want %d", len(free), bufferSizes[class], maxFreeBuffers)
		}
		for _, b := range free {
			if cap(b.bytes) != bufferSizes[class] {
				t.Errorf("a buffer of %d bytes among those of %d", cap(b.bytes), bufferSizes[class])
			}
		}
	}
}

// TestGrowKeepsTheRest adds to a buffer and removes from it at random.
func TestGrowKeepsTheRest(t *testing.T) {
	t.Parallel()
	source := noise()
	random := rand.New(source)
	for range 20 {
		var pool bufferPool
		b := pool.get(1)
		var want []byte
		for range 60 {
			more := take(source, random.IntN(9000))
			b = pool.grow(b, more)
			want = append(want, more...)
			sent := random.IntN(min(len(want), 8000) + 1)
			b.sent += sent
			want = want[sent:]
			if !bytes.Equal(b.rest(), want) {
				t.Fatalf("%d bytes are left, want %d, the same", len(b.rest()), len(want))
			}
		}
	}
}

func TestGrowReturnsTheSmaller(t *testing.T) {
	t.Parallel()
	var pool bufferPool
	small := pool.get(1)
	b := pool.grow(small, make([]byte, 5<<10))
	if cap(b.bytes) != 16<<10 || len(pool.free[0]) != 1 || pool.free[0][0] != small {
		t.Errorf("capacity %d, %d small buffers free; want 16 KB, 1", cap(b.bytes), len(pool.free[0]))
	}
}

// TestGrowIsCheap adds 4 MB in small pieces: a byte may be copied a few times,
// but not for every piece.
func TestGrowIsCheap(t *testing.T) {
	t.Parallel()
	var pool bufferPool
	b, larger := pool.get(1), 0
	piece := make([]byte, 100)
	for range 4 << 20 / len(piece) {
		next := pool.grow(b, piece)
		if next != b {
			larger++
		}
		b = next
	}
	if larger > 10 {
		t.Errorf("the buffer was replaced %d times by a larger one, want at most 10", larger)
	}
}
