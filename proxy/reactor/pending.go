//go:build linux

package reactor

// PendingBuffer holds bytes that were read and cannot be used yet: an
// incomplete head, or a request that waits for a server. Its memory comes from
// the pool of a loop (Loop.Append) and returns to it when the buffer is empty
// or dropped. The zero value is empty. Only the loop's goroutine may use it.
type PendingBuffer struct{ held *buffer }

// Len returns the number of bytes held.
func (b *PendingBuffer) Len() int {
	if b.held == nil {
		return 0
	}
	return len(b.held.rest())
}

// Bytes returns the bytes held. They are valid until the next Append, Consume
// or Drop.
func (b *PendingBuffer) Bytes() []byte {
	if b.held == nil {
		return nil
	}
	return b.held.rest()
}

// Append appends a copy of p to b.
func (l *Loop) Append(b *PendingBuffer, p []byte) {
	switch {
	case len(p) == 0:
	case b.held == nil:
		b.held = l.buffers.get(len(p))
		b.held.bytes = append(b.held.bytes, p...)
	default:
		b.held = l.buffers.grow(b.held, p)
	}
}

// Consume removes the first n bytes of b; n must not exceed Len.
func (l *Loop) Consume(b *PendingBuffer, n int) {
	if n == 0 {
		return
	}
	b.held.sent += n
	if len(b.held.rest()) == 0 {
		l.Drop(b)
	}
}

// Drop empties b.
func (l *Loop) Drop(b *PendingBuffer) {
	if b.held != nil {
		l.buffers.put(b.held)
		b.held = nil
	}
}
