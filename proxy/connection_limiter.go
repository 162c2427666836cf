package proxy

import (
	"log/slog"
	"sync/atomic"
	"time"

	"mcplb/proxy/lograte"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// connectionLimiter limits the clients of all frontends to maxconn. While it is
// reached none is accepted: clients wait in the listeners' backlogs, as in
// HAProxy. It implements session.ConnectionLimiter. Any goroutine may use it.
type connectionLimiter struct {
	engine *reactor.Engine
	old    atomic.Int64 // clients that the old process still has
	limit  atomic.Int64 // maxconn
	peak   atomic.Int64
	paused atomic.Bool
	closed atomic.Bool // no client is accepted: a hand-over is under way
	resume func()      // makes every listener accept again

	failed   atomic.Uint64 // accepts that failed
	failures *lograte.Limiter
	log      *slog.Logger

	draining atomic.Bool
	empty    chan struct{} // closed while draining, when the last session has ended
	emptied  atomic.Bool
}

// failuresInterval is the least time between two log lines about failed accepts.
const failuresInterval = 10 * time.Second

func newConnectionLimiter(engine *reactor.Engine, limit int, resume func(), log *slog.Logger) *connectionLimiter {
	c := &connectionLimiter{
		engine: engine, resume: resume, empty: make(chan struct{}),
		failures: lograte.New(failuresInterval, 1), log: log,
	}
	c.limit.Store(int64(limit))
	return c
}

// MayEnter implements session.ConnectionLimiter. It is called on the acceptor's loop only, so that
// the number cannot grow between the check and the accept.
func (c *connectionLimiter) MayEnter() bool {
	now := c.clients()
	if now > c.peak.Load() {
		c.peak.Store(now)
	}
	if c.closed.Load() {
		return false
	}
	if now < c.limit.Load() {
		return true
	}
	c.paused.Store(true)
	// A session that ended before paused was set resumed nothing: check again.
	if c.clients() < c.limit.Load() && c.paused.CompareAndSwap(true, false) {
		return true
	}
	return false
}

// clients is the number of clients of this process and of the old one.
func (c *connectionLimiter) clients() int64 { return int64(c.engine.Load()) + c.old.Load() }

// Left implements session.ConnectionLimiter.
func (c *connectionLimiter) Left() {
	if c.paused.Load() && c.clients() < c.limit.Load() && c.paused.CompareAndSwap(true, false) {
		c.resume()
	}
	if c.draining.Load() {
		c.checkEmpty()
	}
}

// Failed implements session.ConnectionLimiter. It logs the failure, limited in rate,
// and not on the loop: the log may block.
func (c *connectionLimiter) Failed(errno unix.Errno) {
	c.failed.Add(1)
	omitted, ok := c.failures.Allow()
	if !ok {
		return
	}
	go c.log.Warn("a client was not accepted", "err", errno, "omitted", omitted, "advice", acceptAdvice(errno))
}

// acceptAdvice is what to do about a failed accept.
func acceptAdvice(errno unix.Errno) string {
	switch errno {
	case unix.EMFILE:
		return "raise the limit of open files (LimitNOFILE, ulimit -n), or lower maxconn"
	case unix.ENFILE:
		return "raise fs.file-max: the system has no open files left"
	case unix.ENOBUFS, unix.ENOMEM:
		return "the kernel has no memory for sockets: see net.ipv4.tcp_mem"
	}
	return "see accept(2)"
}

// setLimit changes maxconn.
func (c *connectionLimiter) setLimit(n int) {
	c.limit.Store(int64(n))
	c.Left()
}

// setOld changes the number of clients that the old process still has.
func (c *connectionLimiter) setOld(n int) {
	c.old.Store(int64(n))
	c.Left()
}

// clearPeak restarts the peak at the clients there are now.
func (c *connectionLimiter) clearPeak() { c.peak.Store(int64(c.engine.Load())) }

// drain closes empty when the last session ends. No client may be accepted any
// more.
func (c *connectionLimiter) drain() {
	c.draining.Store(true)
	c.checkEmpty()
}

func (c *connectionLimiter) checkEmpty() {
	if c.engine.Load() == 0 && c.emptied.CompareAndSwap(false, true) {
		close(c.empty)
	}
}
