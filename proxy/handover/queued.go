package handover

import (
	"sync"

	"mcplb/backend"
)

// queued stand in the queues of the new process for clients who wait in those of
// the old one, cannot move, and find no slot there: the slots that become free are
// here. The zero value has none. One goroutine calls update.
type queued struct {
	standIns map[WaitKey][]*standIn // without a slot yet

	mu      sync.Mutex
	granted []*standIn // guarded by mu; since the last update
	ended   bool       // guarded by mu
}

// standIn waits for one slot. It implements backend.Waiter.
type standIn struct {
	to   *queued
	key  WaitKey
	pool *backend.Pool
	slot backend.Slot
}

// Granted implements backend.Waiter. Any goroutine may call it.
func (s *standIn) Granted(slot backend.Slot) {
	if !s.keep(slot) {
		slot.Release(backend.Completed, 0)
	}
}

// keep keeps a granted slot for the next update, if there will be one.
func (s *standIn) keep(slot backend.Slot) bool {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	if s.to.ended {
		return false
	}
	s.slot = slot
	s.to.granted = append(s.to.granted, s)
	return true
}

// mostStandIns bounds those of one key: more are asked for by later reports.
const mostStandIns = 1024

// update adjusts the stand-ins to those who wait in the old process, and returns the
// slots granted since its last call, which are reserved for the old process.
func (q *queued) update(held *reservations, waiting []Waiting) (reserved []SlotCount) {
	wanted := map[WaitKey]int{}
	for _, w := range waiting {
		wanted[w.Key] = max(0, min(w.Count, mostStandIns))
	}
	for key, list := range q.standIns {
		for n := len(list); n > wanted[key]; n-- {
			q.leave(list[n-1])
		}
		q.standIns[key] = list[:min(len(list), wanted[key])]
	}
	for key, n := range wanted {
		for len(q.standIns[key]) < n && q.enter(held, key) {
		}
	}
	return q.collect(held)
}

// end ends every stand-in: no client waits in the old process any more. What was
// granted is reserved a last time.
func (q *queued) end(held *reservations) {
	q.update(held, nil)
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.collect(held)
}

// enter puts one more stand-in into its queue. It reports false if there is no
// such queue, or no server to wait for.
func (q *queued) enter(held *reservations, key WaitKey) bool {
	if key.Backend < 0 || key.Backend >= len(held.pools) {
		return false
	}
	s := &standIn{to: q, key: key, pool: held.pools[key.Backend]}
	request := backend.Request{
		Endpoint: key.Endpoint, Bound: held.server(SlotKey{Server: key.Server}),
		Tried: held.unknown(s.pool), Now: held.now(),
	}
	slot, result := s.pool.Acquire(&request, s)
	switch result {
	case backend.Granted:
		s.keep(slot)
	case backend.Queued:
	default:
		return false
	}
	if q.standIns == nil {
		q.standIns = map[WaitKey][]*standIn{}
	}
	q.standIns[key] = append(q.standIns[key], s)
	return true
}

// leave ends a stand-in that is not needed any more. What it was granted is
// reserved for once, and released with the next report.
func (q *queued) leave(s *standIn) { s.pool.Cancel(s) }

// collect reserves the slots that were granted.
func (q *queued) collect(held *reservations) (reserved []SlotCount) {
	q.mu.Lock()
	granted := q.granted
	q.granted = nil
	q.mu.Unlock()
	for _, s := range granted {
		q.remove(s)
		key, known := held.keyOf(s.slot.Server())
		if !known { // the old process does not have this server
			s.slot.Release(backend.Completed, held.now())
			continue
		}
		held.slots[key] = append(held.slots[key], s.slot)
		reserved = append(reserved, SlotCount{key, 1})
	}
	return reserved
}

// remove takes a stand-in out of the list.
func (q *queued) remove(s *standIn) {
	list := q.standIns[s.key]
	for i, other := range list {
		if other == s {
			q.standIns[s.key] = append(list[:i], list[i+1:]...)
			return
		}
	}
}
