//go:build linux

package reactor

import "math/bits"

// A buffer holds bytes that could not be written at once, or that were read too
// early to be used. It comes from the loop's pool and returns to it as soon as
// it is empty: an idle connection has none.
type buffer struct {
	bytes []byte // bytes[sent:] are still to be written
	sent  int
}

func (b *buffer) rest() []byte { return b.bytes[b.sent:] }

// bufferSizes are the capacities of buffers: enough for a request, for a page
// of a stream, for one read of the loop.
var bufferSizes = [...]int{4 << 10, 16 << 10, ReadSize}

// maxFreeBuffers is the most free buffers of one size that a loop keeps.
const maxFreeBuffers = 64

// bufferPool holds the free buffers of one loop, whose goroutine alone uses it.
type bufferPool struct {
	free [len(bufferSizes)][]*buffer
}

// get returns an empty buffer with a capacity of at least n bytes.
func (p *bufferPool) get(n int) *buffer {
	for class, size := range bufferSizes {
		if n > size {
			continue
		}
		free := p.free[class]
		if len(free) == 0 {
			return &buffer{bytes: make([]byte, 0, size)}
		}
		b := free[len(free)-1]
		p.free[class] = free[:len(free)-1]
		return b
	}
	// A power of two: many small additions to a growing buffer cost no more
	// than a few copies.
	return &buffer{bytes: make([]byte, 0, 1<<bits.Len(uint(n-1)))}
}

// put takes b back. It leaves buffers of other sizes, and those over the limit,
// to the garbage collector.
func (p *bufferPool) put(b *buffer) {
	for class, size := range bufferSizes {
		if cap(b.bytes) == size && len(p.free[class]) < maxFreeBuffers {
			b.bytes, b.sent = b.bytes[:0], 0
			p.free[class] = append(p.free[class], b)
			return
		}
	}
}

// grow returns a buffer that holds the rest of b, with more behind it.
func (p *bufferPool) grow(b *buffer, more []byte) *buffer {
	if len(b.bytes)+len(more) <= cap(b.bytes) {
		b.bytes = append(b.bytes, more...)
		return b
	}
	larger := p.get(len(b.rest()) + len(more))
	larger.bytes = append(append(larger.bytes, b.rest()...), more...)
	p.put(b)
	return larger
}
