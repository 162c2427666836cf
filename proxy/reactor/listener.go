//go:build linux

package reactor

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// AcceptHandler is what a listener is for.
type AcceptHandler interface {
	// MayAccept is asked before every accept, on the acceptor's loop. While it
	// is false, clients wait in the listener's backlog; call Listener.Resume
	// when it may have become true.
	MayAccept() bool
	// Accepted owns the non-blocking socket from here on. It runs on the loop
	// that is to carry it, whose load is one higher already: end the session
	// with Loop.AddLoad(-1).
	Accepted(l *Loop, fd int, from netip.AddrPort)
	// AcceptFailed counts a failure: EMFILE and ENFILE (no descriptors),
	// ENOBUFS and ENOMEM (no memory), ECONNABORTED (the client is gone again).
	// It runs on the acceptor's loop.
	AcceptFailed(errno unix.Errno)
}

// acceptsPerTurn is how many clients one listener takes in before the loop's
// other connections have their turn.
const acceptsPerTurn = 64

// The pause after an accept for which there were no descriptors or no memory:
// accept(2) would fail again at once and the loop would spin.
const (
	firstBackoff = 10e6 // nanoseconds
	lastBackoff  = 1e9
)

// Listener accepts clients on one loop and spreads them over all loops by
// their load.
//
//	state     what happens               next
//	open      event                      accept until EAGAIN, the turn's share, or a failure
//	open      a client that gave up      the next one
//	open      any other error of accept  backoff: 10 ms, doubled up to 1 s, anew after a success
//	open      MayAccept is false         waiting
//	waiting   Resume, event              open
//	backoff   timer                      open
//	any       Close                      closed
type Listener struct {
	engine *Engine
	loop   *Loop // that accepts

	// What follows is the loop's own.
	handler AcceptHandler
	conn    *Conn // nil once closed
	timer   Timer
	backoff int64 // how long the last pause was, in nanoseconds; 0 = none since a success
}

// Ready implements Handler: it accepts those who wait.
func (l *Listener) Ready(c *Conn) {
	if l.timer.Armed() {
		return // backing off
	}
	for range acceptsPerTurn {
		if !l.handler.MayAccept() {
			return
		}
		fd, from, errno := l.loop.system.Accept(int(c.fd))
		switch {
		case errno == 0:
			l.backoff = 0
			l.hand(fd, from)
		case errno == unix.EAGAIN:
			return
		default:
			l.handler.AcceptFailed(errno)
			if !gaveUp(errno) {
				l.pause()
				return
			}
		}
	}
	c.Again()
}

// gaveUp tells whether accept failed for something between one client and us:
// accept(2) lists the network errors that Linux may pass on. The next client
// may be there.
func gaveUp(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNABORTED, unix.EPROTO, unix.ENOPROTOOPT, unix.ENETDOWN, unix.ENETUNREACH,
		unix.ENONET, unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return true
	}
	return false
}

// pause begins to back off, each time in a row for longer.
func (l *Listener) pause() {
	l.backoff = min(max(l.backoff*2, firstBackoff), lastBackoff)
	l.loop.Arm(&l.timer, l, l.loop.now+l.backoff)
}

// Expired implements Expirer: it ends a pause.
func (l *Listener) Expired(*Timer) { l.conn.Again() }

// hand gives a client to the loop with the least to carry.
func (l *Listener) hand(fd int, from netip.AddrPort) {
	loop := l.engine.leastLoaded()
	loop.AddLoad(1)
	handler := l.handler // another loop must not look: Hand changes it
	if loop == l.loop {
		handler.Accepted(loop, fd, from)
		return
	}
	if !loop.Post(func() { handler.Accepted(loop, fd, from) }) {
		loop.AddLoad(-1)
		l.loop.system.Close(fd)
	}
}

// Resume accepts again after MayAccept was false. Any goroutine may call it, at
// any time; it does nothing once the listener is closed.
func (l *Listener) Resume() {
	l.loop.Post(func() {
		if l.conn != nil {
			l.conn.Again()
		}
	})
}

// Hand gives the listener to another handler, with all who wait in its
// backlog; those accepted before are the first one's. Any goroutine may call
// it, at any time; it does nothing once the listener is closed.
func (l *Listener) Hand(h AcceptHandler) {
	l.loop.Post(func() { l.handler = h })
	l.Resume()
}

// File returns a copy of the listening socket, for another process. The caller
// closes it. It must not be called from a loop.
func (l *Listener) File() (*os.File, error) {
	type copied struct {
		file *os.File
		err  error
	}
	result := make(chan copied, 1)
	posted := l.loop.Post(func() {
		if l.conn == nil {
			result <- copied{nil, net.ErrClosed}
			return
		}
		fd, err := unix.FcntlInt(uintptr(l.conn.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			result <- copied{nil, os.NewSyscallError("fcntl", err)}
			return
		}
		result <- copied{os.NewFile(uintptr(fd), "listener"), nil}
	})
	if !posted {
		return nil, net.ErrClosed
	}
	made := <-result
	return made.file, made.err
}

// Close stops accepting and closes the listener's copy of the socket. Where it
// is the last one, clients that the kernel has taken in but nobody has accepted
// are reset. It returns when that is done; do not call it from a loop. Closing
// twice does nothing.
func (l *Listener) Close() {
	done := make(chan struct{})
	posted := l.loop.Post(func() {
		defer close(done)
		l.close()
	})
	if posted {
		<-done
	}
}

func (l *Listener) close() {
	if l.conn == nil {
		return
	}
	l.loop.Disarm(&l.timer)
	// Others may hold the same socket: closing this descriptor alone would
	// leave it in the poll set.
	l.loop.system.EpollDelete(l.loop.epoll, int(l.conn.fd))
	l.conn.Close()
	l.conn = nil
}
