package backend

import (
	"slices"

	"mcplb/conf"
)

// queue holds those who wait for a slot, first come first served. A waiter
// stands in the list of the endpoint that it wants, or of the server that it
// is bound to; a freed slot goes to whoever came first among the few lists
// that it serves, so the rest of the queue costs nothing.
type queue struct {
	lists   [5]waitList // by endpointIndex; the last: any endpoint
	byWho   map[Waiter]*waiting
	free    *waiting // nodes for reuse, linked by next
	arrived uint64
}

// waitList is a list of waiters in the order of their arrival.
type waitList struct{ first, last *waiting }

// waiting is one waiter and what it waits for.
type waiting struct {
	who        Waiter
	request    Request // Tried is its own copy
	number     uint64  // in the order of arrival
	list       *waitList
	prev, next *waiting
}

func (q *queue) init() { q.byWho = make(map[Waiter]*waiting) }

func (q *queue) len() int { return len(q.byWho) }

// push appends w, bound to s unless that is nil. A waiter that is in the queue
// already keeps its place and request.
func (q *queue) push(r *Request, w Waiter, s *Server) {
	if _, already := q.byWho[w]; already {
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
	*n = waiting{who: w, request: *r, number: q.arrived}
	n.request.Tried = tried
	n.request.Bound = s
	list := q.listFor(r)
	if s != nil {
		list = &s.bound
	}
	list.insert(n)
	q.byWho[w] = n
}

// listFor returns the list of those who want what r wants.
func (q *queue) listFor(r *Request) *waitList {
	if i := endpointIndex(r.Endpoint); i >= 0 {
		return &q.lists[i]
	}
	return &q.lists[len(q.lists)-1]
}

// cancel takes w out and reports whether it was in.
func (q *queue) cancel(w Waiter) bool {
	n, ok := q.byWho[w]
	if ok {
		q.remove(n)
	}
	return ok
}

func (q *queue) remove(n *waiting) {
	n.list.unlink(n)
	delete(q.byWho, n.who)
	tried := n.request.Tried
	clear(tried)
	*n = waiting{next: q.free}
	n.request.Tried = tried[:0]
	q.free = n
}

// unbind lets those who wait for s alone wait for any server, in their turn.
func (q *queue) unbind(s *Server) {
	for n := s.bound.first; n != nil; n = s.bound.first {
		s.bound.unlink(n)
		n.request.Bound = nil
		q.listFor(&n.request).insert(n)
	}
}

// insert puts n behind everybody who came before it: as a rule, last.
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

// grant is a slot given to a waiter who has not been told yet.
type grant struct {
	who   Waiter
	lease Slot
}

// tell hands the lease over. The caller holds no lock.
func (g grant) tell() {
	if g.who != nil {
		g.who.Granted(g.lease)
	}
}

// grant takes a free slot of slots[i] for the first waiter that may use it.
// It returns no grant if there is no free slot or no such waiter, nor while the
// pool is frozen.
func (p *Pool) grant(i int) grant {
	if p.frozen || p.queue.len() == 0 || p.slots[i].conns >= p.slots[i].limit {
		return grant{}
	}
	n := p.firstFor(i)
	if n == nil {
		return grant{}
	}
	c := choice{slot: i}
	if r := &n.request; r.Bound == nil && p.policy(r) == conf.BalanceSource {
		c.plan = p.planFor(r, endpointSet(r.Endpoint))
	}
	g := grant{who: n.who, lease: p.take(&c)}
	p.queue.remove(n)
	p.queued.Store(int64(p.queue.len()))
	return g
}

// firstFor returns the waiter who came first among those that may use
// slots[i], or nil.
func (p *Pool) firstFor(i int) *waiting {
	sl := &p.slots[i]
	first := sl.server.bound.first
	if sl.tier == unusable {
		return first
	}
	for k := range p.queue.lists {
		if k < len(addresses{}) && sl.endpoints&(1<<k) == 0 {
			continue
		}
		n := p.queue.lists[k].first
		for n != nil && !p.accepts(n, sl.server) {
			n = n.next
		}
		if n != nil && (first == nil || n.number < first.number) {
			first = n
		}
	}
	return first
}

// accepts reports whether n may have a slot of s: not where it was tried for n
// in vain while another server is usable.
func (p *Pool) accepts(n *waiting, s *Server) bool {
	tried := n.request.Tried
	return len(tried) == 0 || !slices.Contains(tried, s) ||
		!p.another(&filter{endpoints: endpointSet(n.request.Endpoint), tried: tried})
}

// grantAll hands every free slot that a waiter may use to one, a slot of each
// server in turn. It returns the grants, to be told without the lock.
func (p *Pool) grantAll() []grant {
	var grants []grant
	for again := p.queue.len() > 0; again; {
		again = false
		for i := range p.slots {
			if p.slots[i].server == nil {
				continue
			}
			if g := p.grant(i); g.who != nil {
				grants = append(grants, g)
				again = true
			}
		}
	}
	return grants
}

// tellAll tells each grant. The caller holds no lock.
func tellAll(grants []grant) {
	for _, g := range grants {
		g.tell()
	}
}
