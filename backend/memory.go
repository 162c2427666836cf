package backend

// maxEntries bounds the sticky memory of a pool: some 100 bytes an entry.
const maxEntries = 1_000_000

// memory is the sticky memory: a bounded table of entries by source address.
// It holds no pointers, so the garbage collector need not walk it, and grows
// by small steps, so nobody waits for a large copy.
//
// It only keeps entries; what they mean is the business of policy source.
type memory struct {
	first  map[[16]byte]ref // a source's first entry; the others are its siblings
	chunks []*[chunkSize]entry
	size   int // entries handed out, in use or free
	limit  int // most entries
	used   int // entries in use
	free   ref // entries for reuse, linked by next
}

// ref names an entry. An entry in use never moves.
type ref uint32

const (
	noEntry   ref = 0 // also the head of the list of idle entries
	chunkSize     = 1 << 12
)

// entry says where some of a source's connections belong: peak of them, the
// most that it ever had here at once, have their place on server home. A
// source that was too much for one server has several entries, siblings.
type entry struct {
	source  [16]byte
	left    int64 // when it last had fewer connections than the moment before, from its peak or to none
	home    int32 // slot
	refuge  int32 // slot used while home is out of use; none
	live    int32 // connections now, at home or elsewhere
	peak    int32 // most connections at once
	sibling ref   // the source's next entry
	prev    ref   // neighbours in the list of idle entries, longest idle first
	next    ref
	further bool // not the source's first entry

	// Of a first entry.
	peers     int32 // connections that others had on average when it came; 0 = it cannot go by them
	allowance int32 // with fewer connections than this it is not split; 0 = not given yet: whole.go
}

// init makes m an empty memory of at most limit entries.
func (m *memory) init(limit int) {
	*m = memory{first: make(map[[16]byte]ref), limit: limit}
	m.allocate() // entry 0, the list head, whose neighbours are itself
	m.used = 0
}

func (m *memory) at(r ref) *entry { return &m.chunks[r/chunkSize][r%chunkSize] }

// allocate returns an unused, zero entry, noEntry if there is none.
func (m *memory) allocate() ref {
	r := m.free
	switch {
	case r != noEntry:
		m.free = m.at(r).next
		*m.at(r) = entry{}
	case m.size > m.limit:
		return noEntry
	default:
		if m.size%chunkSize == 0 {
			m.chunks = append(m.chunks, new([chunkSize]entry))
		}
		r = ref(m.size)
		m.size++
	}
	m.used++
	return r
}

// insert adds an entry for source and returns it, noEntry if m is full. A
// source's first entry stays its first, others are marked further.
func (m *memory) insert(source [16]byte) ref {
	r := m.allocate()
	if r == noEntry {
		return noEntry
	}
	m.at(r).source = source
	if first, known := m.first[source]; known {
		m.at(r).sibling = m.at(first).sibling
		m.at(first).sibling = r
		m.at(r).further = true
	} else {
		m.first[source] = r
	}
	return r
}

// remove forgets r, which is not in the list of idle entries. After a first
// entry its sibling is the first.
func (m *memory) remove(r ref) {
	e := m.at(r)
	if first := m.first[e.source]; first != r {
		before := m.at(first)
		for before.sibling != r {
			before = m.at(before.sibling)
		}
		before.sibling = e.sibling
	} else if e.sibling != noEntry {
		m.first[e.source] = e.sibling
		m.at(e.sibling).further = false
	} else {
		delete(m.first, e.source)
	}
	e.next = m.free
	m.free = r
	m.used--
}

// longestIdle returns the entry that has been idle the longest, noEntry if all
// are live.
func (m *memory) longestIdle() ref { return m.at(noEntry).next }

// idle puts r last in the list of idle entries.
func (m *memory) idle(r ref) {
	head, e := m.at(noEntry), m.at(r)
	e.prev, e.next = head.prev, noEntry
	m.at(head.prev).next = r
	head.prev = r
}

// busy takes r out of the list of idle entries.
func (m *memory) busy(r ref) {
	e := m.at(r)
	m.at(e.prev).next = e.next
	m.at(e.next).prev = e.prev
	e.prev, e.next = noEntry, noEntry
}
