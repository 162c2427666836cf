package main

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// registry knows what of a kind is open, so that all of it can be ended and
// waited for. It is safe for concurrent use.
//
//	state  | meaning                             | next
//	open   | it takes what is added              | closed, by close
//	closed | it takes nothing; empty is not nil  | -
type registry[T comparable] struct {
	mu    sync.Mutex
	open  map[T]struct{} // guarded by mu
	empty chan struct{}  // guarded by mu; not nil = closed; itself closed when nothing is open any more
}

func newRegistry[T comparable]() *registry[T] {
	return &registry[T]{open: make(map[T]struct{})}
}

// add registers an item; false means that the registry is closed.
func (r *registry[T]) add(item T) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.empty != nil {
		return false
	}
	r.open[item] = struct{}{}
	return true
}

// remove forgets an item that has ended; it may be called once for each.
func (r *registry[T]) remove(item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, item)
	if len(r.open) == 0 && r.empty != nil {
		close(r.empty)
	}
}

// count is the number of items that are open.
func (r *registry[T]) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// close closes the registry and returns what is open. To be called once.
func (r *registry[T]) close() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.empty = make(chan struct{})
	if len(r.open) == 0 {
		close(r.empty)
	}
	return slices.Collect(maps.Keys(r.open))
}

// wait returns, once the registry is closed, when nothing is open any more;
// false means that the timeout came first.
func (r *registry[T]) wait(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	r.mu.Lock()
	empty := r.empty
	r.mu.Unlock()
	select {
	case <-empty:
		return true
	case <-timer.C:
		return false
	}
}
