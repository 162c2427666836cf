package backend

import (
	"slices"
	"sync/atomic"
)

// queue holds the waiters for a slot, first come, first served. A waiter stands
// in the list of the endpoint that it wants, or of the server that it is bound
// to. A freed slot goes to the waiter that came first among the few lists that
// its server serves, so the rest of the queue costs nothing.
type queue struct {
	members   *members
	suspended bool        // only requests with Stay are granted a slot
	lists     [5]waitList // by endpointIndex; the last: any endpoint
	byWaiter  map[Waiter]*waiting
	free      *waiting // nodes for reuse, linked by next
	arrived   uint64

	// Readable without the pool's lock.
	length atomic.Int64
	peak   atomic.Int64 // the most that ever waited
}

// waitList is a list of waiters in the order of their arrival.
type waitList struct{ first, last *waiting }

// waiting is one waiter and what it waits for.
type waiting struct {
	waiter     Waiter
	request    Request // Tried is its own copy
	number     uint64  // in the order of arrival
	list       *waitList
	prev, next *waiting
}

func (q *queue) init(ms *members) {
	q.members = ms
	q.byWaiter = make(map[Waiter]*waiting)
}

func (q *queue) len() int { return len(q.byWaiter) }

// push appends w, bound to s unless that is nil. A waiter that is in the queue
// already keeps its place and request.
func (q *queue) push(r *Request, w Waiter, s *Server) {
	if _, already := q.byWaiter[w]; already {
		return
	}
	n := q.free
	if n == nil {
		n = new(waiting)
	} else {
		q.free = n.next
	}
	tried := append(n.request.Tried[:0], r.Tried...)
	q.arrived++
	*n = waiting{waiter: w, request: *r, number: q.arrived}
	n.request.Tried = tried
	n.request.Bound = s
	list := q.listFor(r)
	if s != nil {
		list = &s.bound
		s.queued.Add(1)
	}
	list.insert(n)
	q.byWaiter[w] = n
	q.length.Store(int64(q.len()))
	q.peak.Store(max(q.peak.Load(), int64(q.len())))
}

// listFor returns the list of the waiters for the same endpoint as r.
func (q *queue) listFor(r *Request) *waitList {
	if i := endpointIndex(r.Endpoint); i >= 0 {
		return &q.lists[i]
	}
	return &q.lists[len(q.lists)-1]
}

// cancel removes w and reports whether it was in the queue.
func (q *queue) cancel(w Waiter) bool {
	n, ok := q.byWaiter[w]
	if ok {
		q.remove(n)
	}
	return ok
}

func (q *queue) remove(n *waiting) {
	n.list.unlink(n)
	if s := n.request.Bound; s != nil {
		s.queued.Add(-1)
	}
	delete(q.byWaiter, n.waiter)
	tried := n.request.Tried
	clear(tried)
	*n = waiting{next: q.free}
	n.request.Tried = tried[:0]
	q.free = n
	q.length.Store(int64(q.len()))
}

// unbind makes the waiters for s alone wait for any server, in their turn.
func (q *queue) unbind(s *Server) {
	for n := s.bound.first; n != nil; n = s.bound.first {
		s.bound.unlink(n)
		n.request.Bound = nil
		s.queued.Add(-1)
		q.listFor(&n.request).insert(n)
	}
}

// firstFor returns the waiter that came first among those that may use a slot of
// m, or nil.
func (q *queue) firstFor(m *member) *waiting {
	first := m.server.bound.first
	for first != nil && q.withheld(first) {
		first = first.next
	}
	if m.tier == unusable {
		return first
	}
	for k := range q.lists {
		want := anyEndpoint
		if k < len(Addresses{}) {
			want = 1 << k
		}
		if m.endpoints&want == 0 || m.backup && q.members.served(want) {
			continue
		}
		n := q.lists[k].first
		for n != nil && (q.withheld(n) || !q.accepts(n, m.server)) {
			n = n.next
		}
		if n != nil && (first == nil || n.number < first.number) {
			first = n
		}
	}
	return first
}

// withheld reports whether n gets no slot because the pool is suspended.
func (q *queue) withheld(n *waiting) bool { return q.suspended && !n.request.Stay }

// accepts reports whether n may have a slot of s: not if s was tried for it in
// vain while another server is usable.
func (q *queue) accepts(n *waiting, s *Server) bool {
	tried := n.request.Tried
	if len(tried) == 0 || !slices.Contains(tried, s) {
		return true
	}
	want := endpointSet(n.request.Endpoint)
	return !q.members.usable(&filter{endpoints: want, backup: !q.members.served(want), tried: tried})
}

// grant is a slot taken for a waiter that has not been notified yet.
type grant struct {
	waiter Waiter // nil: no grant
	slot   Slot
}

// deliver hands the slot over. The caller holds no lock.
func (g grant) deliver() {
	if g.waiter != nil {
		g.waiter.Granted(g.slot)
	}
}

// deliver hands over the slot of each grant. The caller holds no lock.
func deliver(grants []grant) {
	for _, g := range grants {
		g.deliver()
	}
}

// insert puts n behind every waiter that came before it: as a rule, last.
func (l *waitList) insert(n *waiting) {
	after := l.last
	for after != nil && after.number > n.number {
		after = after.prev
	}
	n.list, n.prev = l, after
	if after == nil {
		n.next, l.first = l.first, n
	} else {
		n.next, after.next = after.next, n
	}
	if n.next == nil {
		l.last = n
	} else {
		n.next.prev = n
	}
}

func (l *waitList) unlink(n *waiting) {
	if n.prev == nil {
		l.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.list, n.prev, n.next = nil, nil, nil
}
