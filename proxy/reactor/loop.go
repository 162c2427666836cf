//go:build linux

package reactor

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// ReadSize is the size of a loop's read buffer: the most that one read
	// returns, and that a connection parks of it.
	ReadSize = 64 << 10

	// Budget is how many bytes a handler moves for one connection before it
	// lets other connections have their turn (Conn.Yield).
	Budget = 512 << 10

	eventsPerTurn = 512
	wakeIndex     = ^uint32(0) // marks the event of the loop's mailbox
)

// Loop is one epoll instance and the goroutine that owns its connections, so that
// these need no locks. It is locked to its thread, which changes seldom (yield).
// Other goroutines reach it through Post.
type Loop struct {
	id      int
	engine  *Engine // nil: the loop is alone
	system  *System
	epoll   int
	wake    int // eventfd(2), written and never read: an edge says that the mailbox is not empty
	events  [eventsPerTurn]unix.EpollEvent
	scratch []byte
	now     int64

	conns   table
	yielded []*Conn // to be called in the next turn
	spare   []*Conn // an empty list, for the turn after that
	toFree  []*Conn // closed in this turn
	timers  wheel
	sweeper sweeper
	buffers bufferPool
	pipes   pipePool

	load atomic.Int64 // sessions; listeners spread clients by it

	turns      atomic.Uint64 // taken so far; only the loop's goroutine adds
	longest    atomic.Int64  // the longest turn, in nanoseconds
	rhythm     rhythm        // of the events: how to wait for the next
	sliceBegan int64         // when the loop last began a time slice by itself
	posted     bool          // whether a post has run since then

	mail struct {
		sync.Mutex
		posts  []func() // guarded by the mutex
		closed bool     // guarded by the mutex: no post will run any more
	}
	running []func() // the posts of this turn
	stopped bool
	done    chan struct{}
}

// newLoop opens a loop; the caller must run or release it.
func newLoop(id int, system *System, pipes int) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("opening event loop %d: %w", id, os.NewSyscallError("epoll_create1", err))
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("opening event loop %d: %w", id, os.NewSyscallError("eventfd", err))
	}
	l := &Loop{
		id: id, system: system, epoll: epoll, wake: wake,
		scratch: make([]byte, ReadSize),
		now:     system.Now(),
		pipes:   pipePool{system: system, limit: pipes},
		done:    make(chan struct{}),
	}
	l.timers.tick = l.now >> tickShift
	l.sweeper.loop = l
	wakeEvent := unix.EpollEvent{Events: unix.EPOLLIN | epollET, Fd: int32(-1)}
	if errno := system.EpollAdd(epoll, wake, wakeEvent); errno != 0 {
		l.release()
		return nil, fmt.Errorf("opening event loop %d: %w", id, os.NewSyscallError("epoll_ctl", errno))
	}
	return l, nil
}

// one is added to a loop's eventfd: a 64-bit number other than 0.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// epollET is unix.EPOLLET, which does not fit the sign of EpollEvent.Events.
const epollET = 1 << 31

// connEvents are the events a connection is registered for, once. PRI announces
// TCP urgent data, which make a read stop short.
const connEvents = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | epollET

// recordTurn records how long a turn took. A turn ends when the loop asks for
// the next events.
func (l *Loop) recordTurn(nanoseconds int64) {
	if nanoseconds > l.longest.Load() {
		l.longest.Store(nanoseconds)
	}
}

// Turns returns how many turns the loop has taken, and how long the longest
// was, in nanoseconds: every other connection on the loop waited that long. Any
// goroutine may call it.
func (l *Loop) Turns() (taken uint64, longest int64) { return l.turns.Load(), l.longest.Load() }

// ClearLongest resets the longest turn. Any goroutine may call it.
func (l *Loop) ClearLongest() { l.longest.Store(0) }

// ID returns the loop's number, from 0: an index for data kept per loop.
func (l *Loop) ID() int { return l.id }

// Now returns the loop's clock: CLOCK_MONOTONIC in nanoseconds, read once per
// turn. Only the loop's goroutine may call it.
func (l *Loop) Now() int64 { return l.now }

// Scratch returns the loop's read buffer, of ReadSize bytes. A function that
// runs on the loop may use it until it returns.
func (l *Loop) Scratch() []byte { return l.scratch }

// Load returns the number of sessions on the loop (AddLoad). Any goroutine may
// call it.
func (l *Loop) Load() int { return int(l.load.Load()) }

// AddLoad counts a session that begins (1) or ends (-1) on the loop.
func (l *Loop) AddLoad(n int) { l.load.Add(int64(n)) }

// Conns returns the number of sockets on the loop, listeners included. Only the
// loop's goroutine may call it.
func (l *Loop) Conns() int { return l.conns.count }

// Post runs f on the loop's goroutine, soon, in the order of posting. Any
// goroutine may call it, at any time. It returns true if f will run, at the
// latest when the loop stops, and false if the loop has stopped already and f
// will not run.
func (l *Loop) Post(f func()) bool {
	l.mail.Lock()
	if l.mail.closed {
		l.mail.Unlock()
		return false
	}
	first := len(l.mail.posts) == 0
	l.mail.posts = append(l.mail.posts, f)
	l.mail.Unlock()
	if first {
		_, _ = unix.Write(l.wake, one) // it cannot fail for the next 2^64 posts
	}
	return true
}

// Arm sets t to expire at a time on the loop's clock: never earlier, and at
// most some milliseconds later unless the loop is busy. A timer that is already
// armed is moved.
func (l *Loop) Arm(t *Timer, owner Expirer, when int64) {
	l.timers.stop(t)
	t.owner, t.when = owner, when
	l.timers.arm(t)
}

// Disarm stops t; it does nothing when t is not armed.
func (l *Loop) Disarm(t *Timer) { l.timers.stop(t) }

// Pipe lends an empty pipe, or nil if none is available: the caller copies
// then.
func (l *Loop) Pipe() *Pipe { return l.pipes.get() }

// ReturnPipe returns a pipe lent by Pipe, once. A pipe that still holds bytes
// is closed.
func (l *Loop) ReturnPipe(p *Pipe) { l.pipes.put(p) }

// Adopt takes over an open non-blocking socket. The handler's Ready is called
// in a later turn for the first time, since at least writing is possible. If
// Adopt fails, it closes the socket. Only the loop's goroutine may call it.
func (l *Loop) Adopt(fd int, h Handler) (*Conn, unix.Errno) {
	c := l.conns.take()
	c.loop, c.handler, c.fd = l, h, int32(fd)
	event := unix.EpollEvent{Events: connEvents, Fd: int32(c.index), Pad: int32(c.generation)}
	if errno := l.system.EpollAdd(l.epoll, fd, event); errno != 0 {
		l.system.Close(fd)
		l.conns.release(c)
		return nil, errno
	}
	return c, 0
}

// run is the loop's goroutine.
func (l *Loop) run() {
	runtime.LockOSThread()
	defer close(l.done)
	l.now = l.system.Now() // the first turn begins here, not where the loop was opened
	for !l.stopped {
		l.turn()
	}
	l.shutdown()
}

// turn waits for events and handles them. It calls no connection twice. It
// frees closed connections last: until then their places cannot be reused.
func (l *Loop) turn() {
	n := l.wait()
	l.turns.Add(1)
	conns := l.takeYielded()
	for i := range l.events[:n] {
		l.dispatch(&l.events[i])
	}
	l.runYielded(conns)
	l.timers.advance(l.now)
	l.free()
}

func (l *Loop) dispatch(event *unix.EpollEvent) {
	if uint32(event.Fd) == wakeIndex {
		l.runMail()
		return
	}
	c := l.conns.find(uint32(event.Fd), uint32(event.Pad))
	if c == nil {
		return // the event is for a connection that has been closed
	}
	c.update(event.Events)
	if c.flags&yielded == 0 { // otherwise it is called anyway, later in this turn or in the next
		c.handler.Ready(c)
	}
}

// takeYielded returns the connections that asked to be called in this turn;
// those that yield from now on are called in the next.
func (l *Loop) takeYielded() []*Conn {
	conns := l.yielded
	l.yielded, l.spare = l.spare, nil
	return conns
}

func (l *Loop) runYielded(conns []*Conn) {
	for i, c := range conns {
		conns[i] = nil
		c.flags &^= yielded
		if c.flags&closed == 0 {
			c.handler.Ready(c)
		}
	}
	l.spare = conns[:0]
}

func (l *Loop) runMail() {
	l.posted = true
	l.mail.Lock()
	l.running, l.mail.posts = l.mail.posts, l.running[:0]
	l.mail.Unlock()
	for i, f := range l.running {
		l.running[i] = nil
		f()
	}
}

// free makes the places of the connections closed in this turn available again,
// and removes them from the next turn's list.
func (l *Loop) free() {
	if len(l.toFree) == 0 {
		return
	}
	l.yielded = slices.DeleteFunc(l.yielded, (*Conn).Closed)
	for i, c := range l.toFree {
		l.toFree[i] = nil
		l.conns.release(c)
	}
	l.toFree = l.toFree[:0]
}

// shutdown ends the loop: it runs the remaining posts, so that they release
// what they hold, and closes every connection.
func (l *Loop) shutdown() {
	l.mail.Lock()
	l.mail.closed = true
	l.mail.Unlock()
	l.runMail()
	l.Sweep((*Conn).Close, l.release)
}

// release closes the loop's own descriptors.
func (l *Loop) release() {
	l.pipes.close()
	unix.Close(l.wake)
	unix.Close(l.epoll)
}
