package metrics

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Other is the name under which a Labelled counts what it has no room for.
const Other = "other"

// Labelled are counters of one type by names that are only known at run time, such
// as those of tools. At most a fixed number of names is kept, so that clients cannot
// invent more; what else comes counts as Other. A name that is known is found without
// a lock and without an allocation. Any goroutine may use it. The zero value has no
// names, and room for none.
type Labelled[T any] struct {
	mu     sync.Mutex // held to add a name
	most   int
	byName atomic.Pointer[map[string]*T]
}

// Init makes room for most names beside Other.
func (l *Labelled[T]) Init(most int) { l.most = most }

// Find returns the counters of a name that is known, or nil.
func (l *Labelled[T]) Find(name []byte) *T {
	if known := l.byName.Load(); known != nil {
		return (*known)[string(name)]
	}
	return nil
}

// Get returns the counters of a name: its own, if it is known or there is room for
// it, otherwise those of Other.
func (l *Labelled[T]) Get(name []byte) *T {
	if found := l.Find(name); found != nil {
		return found
	}
	return l.add(string(name))
}

func (l *Labelled[T]) add(name string) *T {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[string]*T{}
	if now := l.byName.Load(); now != nil {
		known = *now
	}
	_, others := known[Other]
	if used := len(known) - truth(others); used >= l.most {
		name = Other
	}
	if found := known[name]; found != nil {
		return found
	}
	more := maps.Clone(known)
	found := new(T)
	more[name] = found
	l.byName.Store(&more)
	return found
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Each calls f for every name, in order.
func (l *Labelled[T]) Each(f func(name string, counters *T)) {
	known := l.byName.Load()
	if known == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(*known)) {
		f(name, (*known)[name])
	}
}

// Adder is a Set whose names are only known at run time: before Counts are restored to
// it, it gets their names, in order, so that it can visit them.
type Adder interface {
	Set
	AddNames(names []string)
}

// addNames tells a set the names of the sums that are about to be restored.
func (c *Counts) addNames(s Set) {
	if adder, ok := s.(Adder); ok {
		adder.AddNames(slices.Sorted(maps.Keys(c.Sums)))
	}
}
