//go:build linux

package reactor

import "math/bits"

// A buffer holds bytes that a connection could not be written at once. It
// comes from its loop's pool and goes back as soon as it is empty: a
// connection at rest has none.
type buffer struct {
	bytes []byte // bytes[sent:] are still to be written
	sent  int
}

func (b *buffer) rest() []byte { return b.bytes[b.sent:] }

// bufferSizes are what buffers are made of: a request, a page of a stream,
// what one read of a loop may bring.
var bufferSizes = [...]int{4 << 10, 16 << 10, ReadSize}

// keptBuffers is how many free buffers of one size a loop keeps.
const keptBuffers = 64

// bufferPool is one loop's; only that loop's goroutine touches it.
type bufferPool struct {
	free [len(bufferSizes)][]*buffer
}

// get returns an empty buffer with room for n bytes.
func (p *bufferPool) get(n int) *buffer {
	for class, size := range bufferSizes {
		if n > size {
			continue
		}
		kept := p.free[class]
		if len(kept) == 0 {
			return &buffer{bytes: make([]byte, 0, size)}
		}
		b := kept[len(kept)-1]
		p.free[class] = kept[:len(kept)-1]
		return b
	}
	// A power of two: many small additions to one that grows cost no more than
	// a few copies.
	return &buffer{bytes: make([]byte, 0, 1<<bits.Len(uint(n-1)))}
}

// put takes b back. A buffer of no standard size, and one too many, is left
// to the garbage collector.
func (p *bufferPool) put(b *buffer) {
	for class, size := range bufferSizes {
		if cap(b.bytes) == size && len(p.free[class]) < keptBuffers {
			b.bytes, b.sent = b.bytes[:0], 0
			p.free[class] = append(p.free[class], b)
			return
		}
	}
}

// grow returns a buffer that holds what b holds, and p behind it.
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
