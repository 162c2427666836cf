//go:build linux

package reactor

import (
	"context"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// shortage is what the loops of an engine do when no descriptor is free.
type shortage struct {
	relieve atomic.Pointer[func(*Loop) int] // nil = only pipes are spared
	asked   []atomic.Bool                   // by loop: it has been asked, and has not done it yet
	ceiling atomic.Int64                    // of descriptors for Dial; 0 = none
}

// LimitDials keeps Dial from using descriptors from number ceiling on: it fails then as if
// none were free, so that connections to servers leave some for everything else. The kernel
// gives out the lowest free number, so that one means that all below are in use. 0 = no limit.
// Any goroutine may call it.
func (e *Engine) LimitDials(ceiling int) { e.shortage.ceiling.Store(int64(ceiling)) }

// OnShortage makes relieve be called when accepting or connecting fails because no
// descriptor is free, neither for this process (EMFILE) nor on the system (ENFILE).
// It closes connections of one loop that can be spared, on its goroutine, and
// returns how many; a few at a time will do, since it is called again. Pipes that are
// not in use are closed anyway.
func (e *Engine) OnShortage(relieve func(*Loop) int) { e.shortage.relieve.Store(&relieve) }

// Shed makes every loop close connections that it can spare, a few each, as if no
// descriptor were free. It returns how many descriptors became free, when all have
// done so, or 0 if ctx ends first or the engine has stopped. No loop may call it.
func (e *Engine) Shed(ctx context.Context) (freed int) {
	done := make(chan int, len(e.loops))
	for _, loop := range e.loops {
		if !loop.Post(func() { done <- loop.shed() }) {
			return 0
		}
	}
	for range e.loops {
		select {
		case n := <-done:
			freed += n
		case <-ctx.Done():
			return 0
		}
	}
	return freed
}

// socketToDial opens a socket below the ceiling.
func (l *Loop) socketToDial(family int) (fd int, errno unix.Errno) {
	fd, errno = l.system.Socket(family)
	if errno != 0 || l.engine == nil {
		return fd, errno
	}
	if ceiling := l.engine.shortage.ceiling.Load(); ceiling > 0 && int64(fd) >= ceiling {
		l.system.Close(fd)
		return -1, unix.EMFILE
	}
	return fd, 0
}

// isShortage reports whether a call failed because no descriptor is free.
func isShortage(errno unix.Errno) bool { return errno == unix.EMFILE || errno == unix.ENFILE }

// relieved closes what can be spared when a call failed for lack of a descriptor.
// If that is something of this loop, it returns true: the call may be repeated at
// once. Otherwise it asks the other loops, which takes them a turn.
func (l *Loop) relieved(errno unix.Errno) bool {
	if !isShortage(errno) {
		return false
	}
	if l.shed() > 0 {
		return true
	}
	if l.engine == nil {
		return false
	}
	for _, other := range l.engine.loops {
		if other != l && l.engine.shortage.asked[other.id].CompareAndSwap(false, true) {
			other.Post(other.shedForOthers)
		}
	}
	return false
}

func (l *Loop) shedForOthers() {
	l.engine.shortage.asked[l.id].Store(false)
	l.shed()
}

// shed closes what this loop can spare, and returns how many descriptors that were.
func (l *Loop) shed() int {
	n := l.pipes.release()
	if l.engine == nil {
		return n
	}
	if relieve := l.engine.shortage.relieve.Load(); relieve != nil {
		n += (*relieve)(l)
	}
	return n
}
