package ratelimit

import (
	"hash/maphash"
	"sync/atomic"
)

// tally counts what sources use, for the other balancers of a fleet. It is a hash
// table of fixed size without locks: loops add to it while another goroutine empties
// it. What finds no room goes uncounted, which is rare for a source that uses much.
type tally struct {
	seed    maphash.Seed
	lost    atomic.Uint64 // events for which there was no room
	entries [tallySize]tallied
}

// tallied is one source's entry. A free one has no key.
type tallied struct {
	key  atomic.Uint64
	used atomic.Uint64 // messages, and connections in the upper 32 bits
}

const (
	tallySize   = 1 << 13
	tallyProbes = 16
)

// oneConnection is a connection in tallied.used.
const oneConnection = 1 << 32

func newTally(seed maphash.Seed) *tally { return &tally{seed: seed} }

// add counts what a source used. The tally may be nil: nothing is counted.
func (t *tally) add(k key, used uint64) {
	if t == nil || k == 0 {
		return
	}
	at := maphash.Comparable(t.seed, k)
	for range tallyProbes {
		e := &t.entries[at%tallySize]
		found := e.key.Load()
		if found == 0 && e.key.CompareAndSwap(0, uint64(k)) {
			found = uint64(k)
		}
		if found == uint64(k) || found == 0 && e.key.Load() == uint64(k) {
			e.used.Add(used)
			return
		}
		at++
	}
	t.lost.Add(1)
}

// drain empties the tally, which no loop should use any more. An event of a loop that
// still does may be counted with the next drain, or for another source.
func (t *tally) drain(visit func(SourceUsage)) (lost uint64) {
	for i := range t.entries {
		e := &t.entries[i]
		k := e.key.Load()
		if k == 0 {
			continue
		}
		used := e.used.Swap(0)
		e.key.Store(0)
		if used != 0 {
			visit(SourceUsage{Key: k, Messages: uint32(used), Connections: uint32(used >> 32)})
		}
	}
	return t.lost.Swap(0)
}
