package backend

// maxEntries bounds the sticky memory of a pool: some 100 bytes per entry.
const maxEntries = 1_000_000

// memory is a bounded table of entries by source address. It holds no pointers,
// so the garbage collector need not scan it, and grows in small steps, so no
// request waits for a large copy.
//
// It only stores entries; sticky says what they mean.
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

// Placement says where connections of a source belong. It has as many places on
// its primary server as it ever had connections at once, Peak. A source that was
// too much for one server has several placements, siblings.
type Placement struct {
	Source   [16]byte // as sourceKey writes it
	Left     int64    // monotonic time when a connection last ended that was one of Peak, or the only one
	Primary  int32    // server, by its index in Handover.Names
	Fallback int32    // server used while the primary is out of use, likewise; -1 = none
	Peak     int32    // most connections at once
	Further  bool     // not the source's first

	// Of a first placement.
	Peers     int32 // connections that others had on average when the source came; 0 = they are no guide to its size
	Allowance int32 // with fewer connections than this the source stays unsplit; 0 = not given yet: unsplit.go
}

// entry is a placement in the memory. It fills one cache line.
type entry struct {
	Placement
	live    int32 // connections now, on the primary server or another
	sibling ref   // the source's next entry
	prev    ref   // neighbours in the list of idle entries, longest idle first
	next    ref
}

// init makes m an empty memory of at most limit entries.
func (m *memory) init(limit int) {
	*m = memory{first: make(map[[16]byte]ref), limit: limit}
	m.allocate() // entry 0, the list head, whose neighbours are itself
	m.used = 0
}

// at returns the entry that r names.
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
// source's first entry stays its first, others are marked Further.
func (m *memory) insert(source [16]byte) ref {
	r := m.allocate()
	if r == noEntry {
		return noEntry
	}
	m.at(r).Source = source
	if first, known := m.first[source]; known {
		m.at(r).sibling = m.at(first).sibling
		m.at(first).sibling = r
		m.at(r).Further = true
	} else {
		m.first[source] = r
	}
	return r
}

// remove deletes r, which is not in the list of idle entries. If it is a first
// entry, its sibling becomes the first.
func (m *memory) remove(r ref) {
	e := m.at(r)
	if first := m.first[e.Source]; first != r {
		before := m.at(first)
		for before.sibling != r {
			before = m.at(before.sibling)
		}
		before.sibling = e.sibling
	} else if e.sibling != noEntry {
		m.first[e.Source] = e.sibling
		m.at(e.sibling).Further = false
	} else {
		delete(m.first, e.Source)
	}
	e.next = m.free
	m.free = r
	m.used--
}

// longestIdle returns the entry that has been idle the longest, noEntry if none
// is idle.
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
