package metrics

import "sync/atomic"

// Counter is a number that only grows. Any goroutine may call its methods.
type Counter struct{ n atomic.Uint64 }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Load returns the present value.
func (c *Counter) Load() uint64 { return c.n.Load() }

// Max is the greatest of the values that were observed. One goroutine observes;
// any goroutine may load and reset.
type Max struct{ n atomic.Uint64 }

// Observe raises the maximum to n if n is greater.
func (m *Max) Observe(n uint64) {
	if n > m.n.Load() {
		m.n.Store(n)
	}
}

// Load returns the greatest value since the last Reset, 0 if there was none.
func (m *Max) Load() uint64 { return m.n.Load() }

// Reset forgets what was observed. A value that is observed at the same moment
// may be lost, or may survive.
func (m *Max) Reset() { m.n.Store(0) }
