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

// Placement says that connections of a source belong on a server.
type Placement struct {
	Source    [16]byte // as sourceKey writes it
	Left      int64    // monotonic time when its last connection ended
	Server    int32    // by its index in Handover.Names
	Displaced bool     // this is not the source's first server by hash, and remembered for sticky_time
}

// entry is a placement in the memory. It fills one cache line.
type entry struct {
	Placement
	handedOver bool  // slots that are still to come may refer to it: it stays as long as a displaced one
	live       int32 // connections now, wherever they are
	sibling    ref   // the source's next entry
	prev       ref   // neighbours in the list of idle entries, longest idle first
	next       ref
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
// source's entries stay in the order in which they were added.
func (m *memory) insert(source [16]byte) ref {
	r := m.allocate()
	if r == noEntry {
		return noEntry
	}
	m.at(r).Source = source
	if first, known := m.first[source]; known {
		last := first
		for m.at(last).sibling != noEntry {
			last = m.at(last).sibling
		}
		m.at(last).sibling = r
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
