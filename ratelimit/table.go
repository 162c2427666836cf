package ratelimit

import "hash/maphash"

// slot is the place of a source in a table; 0 is none.
type slot uint32

// Sources are allocated a slab at a time: 16 KB.
const (
	slabBits = 8
	slabSize = 1 << slabBits
)

// table finds sources by their key and keeps the idle ones in the order in
// which they were last seen. It is a hash table with chains of slots instead of
// pointers: a million sources are a few thousand objects for the garbage
// collector. The place of a source never changes, so a *Source stays valid. The
// table has no lock and does not limit its size.
type table struct {
	limiter *Limiter // of the sources made here

	heads []slot     // by hash: the first of the chain; a power of two
	slabs [][]Source // slot s is slabs[s>>slabBits][s%slabSize]
	last  slot       // the highest slot ever used
	free  slot       // the first of a chain of slots to reuse
	count int        // sources in the table

	oldest, newest slot // ends of the idle list
	idle           int  // length of the idle list
}

func (t *table) at(s slot) *Source { return &t.slabs[s>>slabBits][s%slabSize] }

// head returns the start of the chain for a hash. The upper bits of the hash
// chose the shard; these are the lower ones.
func (t *table) head(hash uint64) *slot { return &t.heads[hash&uint64(len(t.heads)-1)] }

// find returns the source of a key, or nil.
func (t *table) find(k key, hash uint64) *Source {
	if len(t.heads) == 0 {
		return nil
	}
	for i := *t.head(hash); i != 0; {
		s := t.at(i)
		if s.key == k {
			return s
		}
		i = s.chain
	}
	return nil
}

// insert adds the source of a key that is not in the table.
func (t *table) insert(k key, hash uint64) *Source {
	if t.count >= len(t.heads) {
		t.grow()
	}
	s := t.allocate()
	s.key = k
	s.connections.reset()
	s.messages.reset()
	s.violations.reset()
	head := t.head(hash)
	s.chain, *head = *head, s.self
	t.count++
	return s
}

// remove removes a source that is neither connected nor in the idle list.
func (t *table) remove(s *Source) {
	link := t.head(maphash.Comparable(t.limiter.seed, s.key))
	for *link != s.self {
		link = &t.at(*link).chain
	}
	*link = s.chain
	s.chain, t.free = t.free, s.self
	t.count--
}

// allocate returns a source that is in no chain.
func (t *table) allocate() *Source {
	if t.free != 0 {
		s := t.at(t.free)
		t.free = s.chain
		return s
	}
	t.last++ // the first is slot 1: 0 is none
	if int(t.last>>slabBits) == len(t.slabs) {
		t.slabs = append(t.slabs, make([]Source, slabSize))
	}
	s := t.at(t.last)
	s.limiter, s.self = t.limiter, t.last
	return s
}

// grow doubles the heads. A shard of a million sources' table has about 8,000,
// so this takes a fraction of a millisecond, and is rare.
func (t *table) grow() {
	old := t.heads
	t.heads = make([]slot, max(64, 2*len(old)))
	for _, i := range old {
		for i != 0 {
			s := t.at(i)
			i = s.chain
			head := t.head(maphash.Comparable(t.limiter.seed, s.key))
			s.chain, *head = *head, s.self
		}
	}
}

// enlist adds a source to the idle list as the newest.
func (t *table) enlist(s *Source) {
	s.older, s.newer = t.newest, 0
	if t.newest != 0 {
		t.at(t.newest).newer = s.self
	} else {
		t.oldest = s.self
	}
	t.newest = s.self
	t.idle++
}

// unlist removes a source from the idle list.
func (t *table) unlist(s *Source) {
	if s.older != 0 {
		t.at(s.older).newer = s.newer
	} else {
		t.oldest = s.newer
	}
	if s.newer != 0 {
		t.at(s.newer).older = s.older
	} else {
		t.newest = s.older
	}
	t.idle--
}

// forgetOldest removes the longest idle source. There must be one.
func (t *table) forgetOldest() {
	s := t.at(t.oldest)
	t.unlist(s)
	t.remove(s)
}

// each calls f for every source in the table.
func (t *table) each(f func(*Source)) {
	for _, i := range t.heads {
		for ; i != 0; i = t.at(i).chain {
			f(t.at(i))
		}
	}
}
