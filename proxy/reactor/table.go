//go:build linux

package reactor

// table holds a loop's connections in chunks that never move, so that a *Conn
// stays valid while it is in use. An event names its connection by place and
// generation: if the connection is gone, the generations differ and the event
// is dropped.
type table struct {
	chunks []*[chunkSize]Conn
	free   []uint32
	count  int // places in use
}

const (
	chunkBits = 8
	chunkSize = 1 << chunkBits
)

// take returns a place that is not in use.
func (t *table) take() *Conn {
	if len(t.free) == 0 {
		t.extend()
	}
	index := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.count++
	c := t.at(index)
	c.index = index
	c.flags = used
	return c
}

// extend adds a chunk; its lowest places are taken first.
func (t *table) extend() {
	first := uint32(len(t.chunks)) << chunkBits
	t.chunks = append(t.chunks, new([chunkSize]Conn))
	for i := range uint32(chunkSize) {
		t.free = append(t.free, first+chunkSize-1-i)
	}
}

// release frees c's place, with a new generation.
func (t *table) release(c *Conn) {
	generation := c.generation + 1
	index := c.index
	*c = Conn{generation: generation}
	t.free = append(t.free, index)
	t.count--
}

// size returns the number of places, used and free.
func (t *table) size() int { return len(t.chunks) << chunkBits }

// at returns the connection at a place, which must be less than size.
func (t *table) at(index uint32) *Conn {
	return &t.chunks[index>>chunkBits][index&(chunkSize-1)]
}

// find returns the connection at a place if it has that generation, otherwise
// nil: it is gone.
func (t *table) find(index, generation uint32) *Conn {
	if int(index>>chunkBits) >= len(t.chunks) {
		return nil
	}
	c := t.at(index)
	if c.generation != generation || c.flags&(used|closed) != used {
		return nil
	}
	return c
}
