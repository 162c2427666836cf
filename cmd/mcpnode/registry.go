package main

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// registry is the set of open items, which a closing endpoint ends and waits for. It
// is safe for concurrent use.
//
//	state  | meaning                              | next
//	open   | add accepts items                    | closed, by close
//	closed | add refuses items; empty is not nil  | -
type registry[T comparable] struct {
	mu    sync.Mutex
	open  map[T]struct{} // guarded by mu
	empty chan struct{}  // guarded by mu; not nil = closed; the channel is closed when no item is open
}

func newRegistry[T comparable]() *registry[T] {
	return &registry[T]{open: make(map[T]struct{})}
}

// add registers an item. It reports false if the registry is closed.
func (r *registry[T]) add(item T) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.empty != nil {
		return false
	}
	r.open[item] = struct{}{}
	return true
}

// remove removes an item that has ended. It must be called at most once per item.
func (r *registry[T]) remove(item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, item)
	if len(r.open) == 0 && r.empty != nil {
		close(r.empty)
	}
}

// count is the number of open items.
func (r *registry[T]) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// close closes the registry and returns the open items. It must be called once.
func (r *registry[T]) close() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.empty = make(chan struct{})
	if len(r.open) == 0 {
		close(r.empty)
	}
	return slices.Collect(maps.Keys(r.open))
}

// wait waits until the closed registry is empty. It reports false after the timeout.
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
