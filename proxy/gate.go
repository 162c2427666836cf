package proxy

import (
	"sync/atomic"

	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// gate holds the clients of all frontends to maxconn. While it is reached
// nobody is accepted: clients wait in the listeners' backlogs, as HAProxy has
// them do.
type gate struct {
	engine *reactor.Engine
	other  atomic.Int64 // clients that another process holds, which this one took over from
	limit  atomic.Int64 // maxconn
	peak   atomic.Int64
	paused atomic.Bool
	closed atomic.Bool   // nobody is let in: another process takes over, or has not let go yet
	failed atomic.Uint64 // accepts that failed
	resume func()        // has every listener ask again

	draining atomic.Bool
	empty    chan struct{} // closed once draining and nobody is left
	emptied  atomic.Bool
}

// MayEnter implements session.ConnectionLimiter. Only the acceptor's loop asks, so that the
// number cannot grow between the question and the accept.
func (g *gate) MayEnter() bool {
	now := g.clients()
	if now > g.peak.Load() {
		g.peak.Store(now)
	}
	if g.closed.Load() {
		return false
	}
	if now < g.limit.Load() {
		return true
	}
	g.paused.Store(true)
	// One that left before it saw paused resumes nobody: look again.
	if g.clients() < g.limit.Load() && g.paused.CompareAndSwap(true, false) {
		return true
	}
	return false
}

// clients are those of this process and of the one before.
func (g *gate) clients() int64 { return int64(g.engine.Load()) + g.other.Load() }

// Left implements session.ConnectionLimiter.
func (g *gate) Left() {
	if g.paused.Load() && g.clients() < g.limit.Load() && g.paused.CompareAndSwap(true, false) {
		g.resume()
	}
	if g.draining.Load() {
		g.checkEmpty()
	}
}

// Failed implements session.ConnectionLimiter.
func (g *gate) Failed(unix.Errno) { g.failed.Add(1) }

// setLimit changes maxconn.
func (g *gate) setLimit(n int) {
	g.limit.Store(int64(n))
	g.Left()
}

// drain has empty closed when the last session ends. Nobody may be let in
// any more.
func (g *gate) drain() {
	g.draining.Store(true)
	g.checkEmpty()
}

func (g *gate) checkEmpty() {
	if g.engine.Load() == 0 && g.emptied.CompareAndSwap(false, true) {
		close(g.empty)
	}
}
