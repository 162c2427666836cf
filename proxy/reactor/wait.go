//go:build linux

package reactor

import (
	"runtime"
	"sync"
)

// How a loop waits for events. While it waits, the loop keeps its processor (the P of
// the runtime) until the runtime's monitor thread takes it away, which happens when
// the goroutine's time slice of 10 ms is over. To take it, the monitor wakes up some
// 60 times within a few milliseconds, and the loop needs a processor again
// afterwards: with a message every 2 ms that costs more than the messages. So a loop
// with traffic waits only until shortly before the end of its time slice, and begins
// a new one in time. But an idle process shall sleep, so a loop waits like that only
// as long as events come within shortWait of each other:
//
//	score          the loop waits                         its processor
//	below lively   without a limit                        is taken away
//	from lively    to the end of its time slice at most   stays
//
//	an event within shortWait of the last one   score + 1, mostLively at the most
//	none for shortWait                          score - lively, 0 at the least
//
// Two events at a time that come once in a while, a request and its response,
// leave the score low; a steady stream of them makes it high.
//
// To stop the world, the runtime takes the processor of a waiting loop at once.
// Other goroutines run on the processors that no loop holds: reserveProcessors.
const (
	shortWait  = 10e6 // nanoseconds
	lively     = 8
	mostLively = 2 * lively

	// The time slice (forcePreemptNS in the runtime's proc.go) is 10 ms long. With less
	// than renewBelow left of it a new one begins. The reserve is for the turn after the wait.
	timeSlice    = 10e6 // nanoseconds
	renewBelow   = 3e6
	sliceReserve = 5e5
)

// rhythm knows how often a loop has events. The zero rhythm is that of a loop
// without any.
type rhythm struct {
	score int
	since int64 // the last event, or the last time that shortWait passed without one
}

// observe records that a wait ended at a time, with a number of events.
func (r *rhythm) observe(now int64, events int) {
	switch quiet := now-r.since >= shortWait; {
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
	millis := -1
	if until := l.timers.next(now); until >= 0 {
		millis = int((until + 1e6 - 1) / 1e6)
	}
	switch {
	case len(l.yielded) > 0:
		millis = 0
	case l.rhythm.isLively():
		if left := l.sliceLeft(now); millis < 0 || millis > left {
			millis = left
		}
	}
	return l.system.EpollWait(l.epoll, l.events[:], millis)
}

// sliceLeft returns for how many milliseconds a loop can wait in its time slice. It
// begins a new one if little is left.
func (l *Loop) sliceLeft(now int64) int {
	if now-l.sliceBegan > timeSlice-renewBelow {
		l.beginSlice(now)
	}
	return int((timeSlice - sliceReserve - (now - l.sliceBegan)) / 1e6)
}

// beginSlice begins a new time slice: other goroutines may run first. If a post has run
// in the last slice, it may have made some runnable, which wait for the loop's own
// processor: then any free processor may take the loop. Otherwise the loop keeps its own.
func (l *Loop) beginSlice(now int64) {
	if l.posted {
		runtime.Gosched()
	} else {
		yield()
	}
	l.sliceBegan, l.posted = now, false
}

// processors guards GOMAXPROCS, of which a process has one for all its engines.
var processors sync.Mutex

// reserveProcessors makes sure that Go has more processors (GOMAXPROCS) than
// there are loops, since each may hold one. It also ends the runtime's
// own changes of their number, which follow the CPU limit of a container.
func reserveProcessors(loops int) {
	processors.Lock()
	defer processors.Unlock()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), loops+1))
}
