//go:build linux

package reactor

// PendingBuffer is bytes that were read and cannot be used yet: the beginning of a head
// whose end is still to come, a request that waits for a server. Its memory
// comes from a loop's pool (Loop.Keep) and goes back when it is empty or
// dropped. The zero value is empty. Only the loop's own goroutine may use it.
type PendingBuffer struct{ held *buffer }

// Len is how many bytes are kept.
func (k *PendingBuffer) Len() int {
	if k.held == nil {
		return 0
	}
	return len(k.held.rest())
}

// Bytes are the bytes kept. They are good until the next Keep, Consume or Drop.
func (k *PendingBuffer) Bytes() []byte {
	if k.held == nil {
		return nil
	}
	return k.held.rest()
}

// Append appends a copy of p to what k keeps.
func (l *Loop) Append(k *PendingBuffer, p []byte) {
	switch {
	case len(p) == 0:
	case k.held == nil:
		k.held = l.buffers.get(len(p))
		k.held.bytes = append(k.held.bytes, p...)
	default:
		k.held = l.buffers.grow(k.held, p)
	}
}

// Consume takes the first n bytes off; n must not be larger than Len.
func (l *Loop) Consume(k *PendingBuffer, n int) {
	if n == 0 {
		return
	}
	k.held.sent += n
	if len(k.held.rest()) == 0 {
		l.Drop(k)
	}
}

// Drop forgets what is kept.
func (l *Loop) Drop(k *PendingBuffer) {
	if k.held != nil {
		l.buffers.put(k.held)
		k.held = nil
	}
}
