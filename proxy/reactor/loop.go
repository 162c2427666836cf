//go:build linux

package reactor

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// ReadSize is the size of a loop's read buffer, and so the most that one
	// read brings and a connection parks.
	ReadSize = 64 << 10

	// Budget is how many bytes a handler moves for one connection before it
	// lets the others have their turn (Conn.Again).
	Budget = 512 << 10

	eventsPerTurn = 512
	sweepPerTurn  = 2048
	wakeIndex     = ^uint32(0) // the event of a loop's own mailbox
)

// Loop is one epoll instance and the goroutine, locked to its thread, that
// owns its connections, so that these need no locks. Everybody else speaks to
// it by Post.
type Loop struct {
	id      int
	system  *System
	epoll   int
	wake    int // eventfd(2), written and never read: an edge says that the mailbox has something
	events  [eventsPerTurn]unix.EpollEvent
	scratch []byte
	now     int64

	conns   table
	again   []*Conn // to be called at the next turn
	spare   []*Conn // an empty list, to be used for the turn after that
	dead    []*Conn // closed in this turn
	timers  wheel
	buffers bufferPool
	pipes   pipePool

	load atomic.Int64 // what the acceptor spreads by

	turns   atomic.Uint64 // that it has taken; only its goroutine adds
	longest atomic.Int64  // the longest of them, in nanoseconds
	rested  bool          // it waited before this turn

	mail struct {
		sync.Mutex
		posts  []func() // guarded by the mutex
		closed bool     // guarded by the mutex: nobody will read any more
	}
	reading []func() // the posts of this turn
	stopped bool
	done    chan struct{}
}

// newLoop opens a loop; run must follow, or release.
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
		rested:  true,
		pipes:   pipePool{system: system, limit: pipes},
		done:    make(chan struct{}),
	}
	l.timers.tick = l.now >> tickShift
	wakeEvent := unix.EpollEvent{Events: unix.EPOLLIN | epollET, Fd: int32(-1)}
	if errno := system.EpollAdd(epoll, wake, wakeEvent); errno != 0 {
		l.release()
		return nil, fmt.Errorf("opening event loop %d: %w", id, os.NewSyscallError("epoll_ctl", errno))
	}
	return l, nil
}

// one is what is added to a loop's eventfd: a 64-bit number, not 0.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// epollET is unix.EPOLLET, which does not fit the sign of EpollEvent.Events.
const epollET = 1 << 31

// connEvents are what a connection is registered for, once. PRI is there for
// the reads that TCP's urgent data cut short.
const connEvents = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | epollET

// worked notes how long a turn took, which is known without asking the clock
// once more: when the next one begins, or when the loop begins to wait.
func (l *Loop) worked(nanoseconds int64) {
	if nanoseconds > l.longest.Load() {
		l.longest.Store(nanoseconds)
	}
}

// Turns is how many turns the loop has taken, and how long the longest of them
// was, in nanoseconds: so long did everybody else on the loop wait. Any
// goroutine may ask.
func (l *Loop) Turns() (taken uint64, longest int64) { return l.turns.Load(), l.longest.Load() }

// ClearLongest has the longest turn begin anew. Any goroutine may call it.
func (l *Loop) ClearLongest() { l.longest.Store(0) }

// ID is the loop's number, from 0; what is kept per loop is found by it.
func (l *Loop) ID() int { return l.id }

// Now is the loop's clock: CLOCK_MONOTONIC in nanoseconds, read once per turn.
// Only the loop's own goroutine may call it.
func (l *Loop) Now() int64 { return l.now }

// Scratch is the loop's read buffer, ReadSize bytes, free for whoever runs on
// the loop until the function that runs returns.
func (l *Loop) Scratch() []byte { return l.scratch }

// Load is the number of sessions the loop carries (AddLoad). Any goroutine
// may ask.
func (l *Loop) Load() int { return int(l.load.Load()) }

// AddLoad counts a session that begins (1) or ends (-1) on the loop.
func (l *Loop) AddLoad(n int) { l.load.Add(int64(n)) }

// Conns is the number of sockets on the loop, listeners included. Only its own
// goroutine may ask.
func (l *Loop) Conns() int { return l.conns.count }

// Post has f run on the loop's goroutine, soon, in the order of posting. Any
// goroutine may call it, at any time. When it returns true f will run, if only
// because the loop stops; when it returns false, because the loop has stopped,
// f will not.
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

// Arm sets t to run out at the given time on the loop's clock, never earlier,
// and some milliseconds later at most while the loop is not busy. An armed
// timer is moved.
func (l *Loop) Arm(t *Timer, owner Expirer, when int64) {
	l.timers.stop(t)
	t.owner, t.when = owner, when
	l.timers.arm(t)
}

// Disarm stops t; it does nothing when t is not armed.
func (l *Loop) Disarm(t *Timer) { l.timers.stop(t) }

// Pipe lends an empty pipe, or nil when none is to be had: copy then.
func (l *Loop) Pipe() *Pipe { return l.pipes.get() }

// ReturnPipe takes back a pipe that Pipe lent, once. One with bytes in it is
// closed.
func (l *Loop) ReturnPipe(p *Pipe) { l.pipes.put(p) }

// Adopt takes over an open non-blocking socket. The handler's Ready is first
// called in a later turn, since at least writing is possible. When it fails the
// socket is closed. Only the loop's own goroutine may call it.
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

// Dialing says how to connect.
type Dialing struct {
	To          netip.AddrPort // a zone must be the interface's number
	From        netip.Addr     // of To's family; invalid = the kernel's choice
	UserTimeout int            // TCP_USER_TIMEOUT in milliseconds; 0 = the kernel's
}

// Dial begins a connection. The handler's Ready is called when there is an
// outcome: ask Connected. The local port is chosen at connect time, so that
// it only has to be free towards this destination (IP_BIND_ADDRESS_NO_PORT,
// ip(7)). An error that is known at once is returned, and nothing is open
// then. How long to wait is the caller's business: Close gives up. Only the
// loop's own goroutine may call it.
func (l *Loop) Dial(d Dialing, h Handler) (*Conn, unix.Errno) {
	fd, errno := l.system.Socket(family(d.To.Addr()))
	if errno != 0 {
		return nil, errno
	}
	if errno := l.dial(fd, d); errno != 0 {
		l.system.Close(fd)
		return nil, errno
	}
	c, errno := l.Adopt(fd, h)
	if errno == 0 {
		c.flags |= connecting
	}
	return c, errno
}

func (l *Loop) dial(fd int, d Dialing) unix.Errno {
	l.system.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if d.UserTimeout > 0 {
		l.system.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, d.UserTimeout)
	}
	if d.From.IsValid() {
		l.system.SetOption(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if errno := l.system.Bind(fd, netip.AddrPortFrom(d.From, 0)); errno != 0 {
			return errno
		}
	}
	if errno := l.system.Connect(fd, d.To); errno != unix.EINPROGRESS {
		return errno
	}
	return 0
}

// DialFrom is Dial from one of several local addresses, or from any where
// there are none. Each address has ports of its own: the next one is tried when
// one has none left towards the destination. Those of the other family are left
// out, and EADDRNOTAVAIL says that none remained. first, a counter or a random
// number, chooses where to begin, so that they are used in turn.
func (l *Loop) DialFrom(d Dialing, sources []netip.Addr, first int, h Handler) (*Conn, unix.Errno) {
	if len(sources) == 0 {
		return l.Dial(d, h)
	}
	begin := int(uint(first) % uint(len(sources)))
	for i := range sources {
		d.From = sources[(begin+i)%len(sources)]
		if d.From.Is4() != d.To.Addr().Is4() {
			continue
		}
		if c, errno := l.Dial(d, h); errno != unix.EADDRNOTAVAIL {
			return c, errno
		}
	}
	return nil, unix.EADDRNOTAVAIL
}

// Find returns the connection of that ID, nil when it is gone. Only the loop's
// own goroutine may call it.
func (l *Loop) Find(id uint64) *Conn { return l.conns.find(uint32(id), uint32(id>>32)) }

// Sweep calls visit for every connection that is on the loop now and stays,
// listeners included, some at every turn so that the others are not kept
// waiting, and then done, which is called even when the loop stops meanwhile.
// Those that come meanwhile may be visited, none is visited twice. Only the
// loop's own goroutine may call it.
func (l *Loop) Sweep(visit func(*Conn), done func()) {
	l.sweep(0, visit, done)
}

func (l *Loop) sweep(from int, visit func(*Conn), done func()) {
	for from < l.conns.size() {
		end := min(from+sweepPerTurn, l.conns.size())
		for i := from; i < end; i++ {
			if c := l.conns.at(uint32(i)); c.flags&(used|closed) == used {
				visit(c)
			}
		}
		from = end
		if from < l.conns.size() && l.Post(func() { l.sweep(end, visit, done) }) {
			return
		}
	}
	done()
}

// run is the loop's goroutine.
func (l *Loop) run() {
	runtime.LockOSThread()
	defer close(l.done)
	for !l.stopped {
		l.turn()
	}
	l.shut()
}

// turn waits for events and handles them. No connection is called twice.
// Those closed on the way are freed last: until then nobody can meet another
// in their place.
func (l *Loop) turn() {
	n := l.wait()
	now := l.system.Now()
	if !l.rested {
		l.worked(now - l.now)
	}
	l.now = now
	l.turns.Add(1)
	asked := l.takeAgain()
	for i := range l.events[:n] {
		l.dispatch(&l.events[i])
	}
	l.runAgain(asked)
	l.timers.advance(l.now)
	l.free()
}

// wait asks the kernel for events: at first without waiting, and only when
// there are none through the scheduler, which may take the processor away.
func (l *Loop) wait() int {
	l.rested = false
	if n := l.system.EpollPoll(l.epoll, l.events[:]); n > 0 || len(l.again) > 0 {
		return n
	}
	millis := -1
	now := l.system.Now()
	l.worked(now - l.now)
	l.rested = true
	if until := l.timers.next(now); until >= 0 {
		millis = int((until + 1e6 - 1) / 1e6)
	}
	return l.system.EpollBlock(l.epoll, l.events[:], millis)
}

func (l *Loop) dispatch(event *unix.EpollEvent) {
	if uint32(event.Fd) == wakeIndex {
		l.runMail()
		return
	}
	c := l.conns.find(uint32(event.Fd), uint32(event.Pad))
	if c == nil {
		return // closed meanwhile: the event is a dead one's
	}
	c.learn(event.Events)
	if c.flags&again == 0 { // else it is called anyway, later in this turn or in the next
		c.handler.Ready(c)
	}
}

// takeAgain returns those that have asked to be called in this turn; who asks
// from now on is called in the next.
func (l *Loop) takeAgain() []*Conn {
	asked := l.again
	l.again, l.spare = l.spare, nil
	return asked
}

func (l *Loop) runAgain(asked []*Conn) {
	for i, c := range asked {
		asked[i] = nil
		c.flags &^= again
		if c.flags&closed == 0 {
			c.handler.Ready(c)
		}
	}
	l.spare = asked[:0]
}

func (l *Loop) runMail() {
	l.mail.Lock()
	l.reading, l.mail.posts = l.mail.posts, l.reading[:0]
	l.mail.Unlock()
	for i, f := range l.reading {
		l.reading[i] = nil
		f()
	}
}

// free gives the places of this turn's dead to others; none of them may be
// called at the next.
func (l *Loop) free() {
	if len(l.dead) == 0 {
		return
	}
	l.again = slices.DeleteFunc(l.again, (*Conn).Closed)
	for i, c := range l.dead {
		l.dead[i] = nil
		l.conns.release(c)
	}
	l.dead = l.dead[:0]
}

// shut ends the loop: the posts that are left run, so that what they carry is
// released, and every connection is closed.
func (l *Loop) shut() {
	l.mail.Lock()
	l.mail.closed = true
	l.mail.Unlock()
	l.runMail()
	l.Sweep((*Conn).Close, l.release)
}

// release closes what the loop itself has open.
func (l *Loop) release() {
	l.pipes.close()
	unix.Close(l.wake)
	unix.Close(l.epoll)
}
