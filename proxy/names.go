package proxy

import (
	"context"
	"sync"
	"time"
)

// How often a name that does not resolve is looked up again.
const (
	firstLookupPause = time.Second
	mostLookupPause  = time.Minute
	lookupTimeout    = 10 * time.Second
)

// names looks up again, on its own goroutine, the host names that did not resolve,
// until each does or is not wanted any more. Any goroutine may use it.
type names struct {
	ask   lookup
	found func(answers) bool // of names that resolved; false = not now, they are asked for again
	wake  chan struct{}      // capacity 1: pending has changed
	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	pending map[string]*pendingName // guarded by mu
}

// pendingName is a host name that does not resolve.
type pendingName struct {
	reason string
	pause  time.Duration // before the next look-up
	next   time.Time
}

// newNames begins to look up what want names. The caller must close it.
func newNames(ask lookup, found func(answers) bool) *names {
	ctx, stop := context.WithCancel(context.Background())
	n := &names{
		ask: ask, found: found, wake: make(chan struct{}, 1),
		stop: stop, ended: make(chan struct{}), pending: map[string]*pendingName{},
	}
	go n.run(ctx)
	return n
}

// close ends the look-ups. It must not be called while found waits for the caller.
func (n *names) close() {
	n.stop()
	<-n.ended
}

// want makes the unresolved names those that failed in a. One that was unresolved
// before keeps its schedule.
func (n *names) want(a answers) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.pending
	n.pending = map[string]*pendingName{}
	n.add(a, before)
}

// more adds to the unresolved names those that failed in a.
func (n *names) more(a answers) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.add(a, n.pending)
}

// knows reports whether a name is looked up already.
func (n *names) knows(host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pending[host] != nil
}

// add makes the names that failed in a pending. before has those that were. n.mu is
// held.
func (n *names) add(a answers, before map[string]*pendingName) {
	for host, answer := range a {
		if answer.err == nil {
			continue
		}
		p := before[host]
		if p == nil {
			p = &pendingName{pause: firstLookupPause, next: time.Now().Add(firstLookupPause)}
		}
		if answer.err != errNotAsked || p.reason == "" {
			p.reason = explainLookup(answer.err)
		}
		n.pending[host] = p
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// reason returns why a name does not resolve.
func (n *names) reason(host string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pending[host]; p != nil {
		return p.reason
	}
	return "not looked up yet"
}

// run is the goroutine of the look-ups.
func (n *names) run(ctx context.Context) {
	defer close(n.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, pause := n.due(time.Now())
		if len(due) > 0 {
			n.lookUp(ctx, due)
			continue
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// due returns the names to be looked up at now, and how long there is until the
// next one is.
func (n *names) due(now time.Time) (hosts []string, pause time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	pause = time.Hour
	for host, p := range n.pending {
		if !p.next.After(now) {
			hosts = append(hosts, host)
		}
		pause = min(pause, p.next.Sub(now))
	}
	return hosts, pause
}

// lookUp looks names up, and reports those that resolve.
func (n *names) lookUp(ctx context.Context, hosts []string) {
	limited, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	a := lookUp(limited, n.ask, hosts)
	resolved := answers{}
	for host, answer := range a {
		if answer.err == nil {
			resolved[host] = answer
		}
	}
	taken := ctx.Err() == nil && len(resolved) > 0 && n.found(resolved)
	n.schedule(a, taken)
}

// schedule plans the next look-up of each name that did not resolve, or whose answer
// was not taken, and forgets the others.
func (n *names) schedule(a answers, taken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for host, answer := range a {
		p := n.pending[host]
		switch {
		case p == nil: // not wanted any more
		case answer.err == nil && taken:
			delete(n.pending, host)
		default:
			if answer.err != nil {
				p.reason = explainLookup(answer.err)
			}
			p.pause = min(2*p.pause, mostLookupPause)
			p.next = time.Now().Add(p.pause)
		}
	}
}
