//go:build linux

package reactor

import (
	"runtime"
	"sync"
)

// How a loop waits for events. A wait through Go's scheduler gives the loop's
// processor (the P of the runtime) away and needs one afterwards. That wakes the
// runtime's monitor thread for every message, which costs more than the message.
// A wait in the kernel that holds the processor costs none of that, but while it
// lasts the monitor looks at the loop every 10 ms, and an idle process shall
// sleep. So a loop holds its processor as long as events come within shortWait,
// and stops soon after they no longer do:
//
//	score          the loop waits                            in a wait of the kernel that
//	below lively   through the scheduler, without a limit    gives the processor away
//	from lively    directly, for shortWait at the most       holds the processor
//
//	an event within shortWait of the last one   score + 1, mostLively at the most
//	none for shortWait                          score - lively, 0 at the least
//
// Two events at a time that come once in a while, a request and its response,
// leave the score low; a steady stream of them makes it high.
//
// The signal by which the runtime preempts a goroutine ends a direct wait
// (EINTR), and the turn that follows has preemption points. So a stop of the
// world does not have to wait for the loop. Other goroutines run on the
// processors that no loop holds: reserveProcessors.
const (
	shortWait      = 10 // milliseconds
	shortWaitNanos = shortWait * 1e6
	lively         = 8
	mostLively     = 2 * lively
)

// rhythm knows how often a loop has events. The zero rhythm is that of a loop
// without any.
type rhythm struct {
	score int
	since int64 // the last event, or the last time that shortWait passed without one
}

// observe records that a wait ended at a time, with a number of events.
func (r *rhythm) observe(now int64, events int) {
	switch quiet := now-r.since >= shortWaitNanos; {
	case quiet:
		r.score = max(r.score-lively, 0)
		r.since = now
	case events > 0:
		r.score = min(r.score+1, mostLively)
		r.since = now
	}
}

// isLively reports whether the next event is likely to come within shortWait.
func (r *rhythm) isLively() bool { return r.score >= lively }

// wait asks the kernel for events. It does not block while connections have
// yielded.
func (l *Loop) wait() int {
	before := l.system.Now()
	l.recordTurn(before - l.now)
	n := l.waitFrom(before)
	l.now = l.system.Now()
	l.rhythm.observe(l.now, n)
	return n
}

func (l *Loop) waitFrom(now int64) int {
	if len(l.yielded) > 0 {
		return l.system.EpollPoll(l.epoll, l.events[:], 0)
	}
	millis := -1
	if until := l.timers.next(now); until >= 0 {
		millis = int((until + 1e6 - 1) / 1e6)
	}
	if l.rhythm.isLively() {
		if millis < 0 || millis > shortWait {
			millis = shortWait
		}
		return l.system.EpollPoll(l.epoll, l.events[:], millis)
	}
	if n := l.system.EpollPoll(l.epoll, l.events[:], 0); n > 0 {
		return n
	}
	return l.system.EpollBlock(l.epoll, l.events[:], millis)
}

// processors guards GOMAXPROCS, of which a process has one for all its engines.
var processors sync.Mutex

// reserveProcessors makes sure that Go has more processors (GOMAXPROCS) than
// there are loops, since a waiting loop may hold one. It also ends the runtime's
// own changes of their number, which follow the CPU limit of a container.
func reserveProcessors(loops int) {
	processors.Lock()
	defer processors.Unlock()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), loops+1))
}
