package backend

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"mcplb/conf"
)

// Pool is the servers of one backend and the rules by which clients are spread
// over them. All methods may be called by any goroutine at any time.
type Pool struct {
	name    string
	loops   int
	observe func(*Server, Outcome) // set before use; nil = none

	config   atomic.Pointer[conf.Backend]
	attached atomic.Pointer[any]
	servers  atomic.Pointer[[]*Server]
	changes  notifier

	reloading sync.Mutex // held through Apply, taken before mu

	// mu guards what follows, and the fields of Server that say so. It is never
	// held while foreign code runs.
	mu       sync.Mutex
	balancer balancer
	leaving  []*Server // removed, and had connections when last looked at
}

// NewPool makes a pool of c's servers, none of them checked yet, for event
// loops numbered from 0 to loops-1. It resolves every address once, by
// resolve, and fails if one cannot be resolved.
func NewPool(c conf.Backend, loops int, resolve func(hostport string) (netip.AddrPort, error)) (*Pool, error) {
	addresses, err := resolveAll(c, resolve)
	if err != nil {
		return nil, err
	}
	return NewPoolAt(c, loops, addresses)
}

// NewPoolAt is NewPool with the servers' addresses, in their order, instead of a way
// to resolve them. An invalid address is an endpoint that the server does not have.
func NewPoolAt(c conf.Backend, loops int, addresses []Addresses) (*Pool, error) {
	if loops < 1 {
		return nil, fmt.Errorf("backend %s: %d event loops, at least 1 is needed", c.Name, loops)
	}
	p := &Pool{name: c.Name, loops: loops}
	p.balancer.init()
	p.servers.Store(&[]*Server{})
	if _, err := p.ApplyAt(c, addresses); err != nil {
		return nil, err
	}
	return p, nil
}

// Name returns the backend's name.
func (p *Pool) Name() string { return p.name }

// Config returns the configuration in force, as last applied: what the
// operator set at run time is not in it.
func (p *Pool) Config() conf.Backend { return *p.config.Load() }

// InForce is Config without the copy: it must not be changed.
func (p *Pool) InForce() *conf.Backend { return p.config.Load() }

// Attach keeps v with the pool for those who connect to its servers: how that is
// secured, which this package does not know.
func (p *Pool) Attach(v any) { p.attached.Store(&v) }

// Attached returns what Attach was last given; nil = nothing.
func (p *Pool) Attached() any {
	if v := p.attached.Load(); v != nil {
		return *v
	}
	return nil
}

// Servers returns the servers in the order of the configuration. It is an
// immutable snapshot: the caller must not change it.
func (p *Pool) Servers() []*Server { return *p.servers.Load() }

// Leaving returns the servers that reloads removed while clients were connected
// to them, for as long as clients are.
func (p *Pool) Leaving() []*Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving = stillLeaving(p.leaving)
	return slices.Clone(p.leaving)
}

// Usable returns how many servers take new clients now.
func (p *Pool) Usable() int {
	n := 0
	for _, s := range p.Servers() {
		if s.Usable() {
			n++
		}
	}
	return n
}

// Queued returns how many requests wait for a slot now.
func (p *Pool) Queued() int { return int(p.balancer.queue.length.Load()) }

// QueuedPeak returns the most that ever waited for a slot at once.
func (p *Pool) QueuedPeak() int { return int(p.balancer.queue.peak.Load()) }

// ClearPeaks resets the peaks of the pool and of its servers to the values of
// now.
func (p *Pool) ClearPeaks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.balancer.queue.peak.Store(p.balancer.queue.length.Load())
	for _, s := range p.Servers() {
		s.peak.Store(s.conns.Load())
	}
}

// Observe registers f to be called with the outcome of every released slot,
// before the slot is free for others: so evidence against a server counts before
// the next client is sent there. f is called outside all locks and must not
// block. Observe must be called before the pool is used, once.
func (p *Pool) Observe(f func(*Server, Outcome)) { p.observe = f }

// OnChange registers f to be called after every committed change of a server's
// state, in the order of the changes, one at a time, outside all locks: f may use
// the pool. Functions are called in the order of their registration.
func (p *Pool) OnChange(f func(s *Server, old, new State)) { p.changes.observe(f) }

// Acquire chooses a server for r and takes one of its slots. It never blocks.
//
//	Granted   the slot is the caller's, until Release
//	Queued    all usable servers are full; w.Granted will bring the slot,
//	          unless Cancel removes w from the queue first
//	Full      as Queued, but w is nil
//	NoServer  no usable server has the endpoint
//
// A waiter waits for one slot at a time.
func (p *Pool) Acquire(r *Request, w Waiter) (Slot, Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.balancer.acquire(r, w)
}

// Cancel removes w from the queue and reports whether it was there. If it was
// not, it has been granted, is being granted this moment, or was never queued.
func (p *Pool) Cancel(w Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.balancer.queue.cancel(w)
}

// release gives back a slot of s, which goes to the first waiter that may use it.
func (p *Pool) release(s *Server, e ref, now int64) {
	p.mu.Lock()
	g := p.balancer.release(s, e, now)
	p.mu.Unlock()
	g.deliver()
}
