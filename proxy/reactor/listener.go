//go:build linux

package reactor

import (
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// AcceptHandler receives a listener's clients.
type AcceptHandler interface {
	// MayAccept is called before every accept, on the listener's loop. While it
	// returns false, clients wait in the listener's backlog; call
	// Listener.Resume when it may return true again.
	MayAccept() bool
	// Accepted takes over the non-blocking socket. It runs on the loop that
	// will serve the client, whose load already includes it: end the session
	// with Loop.AddLoad(-1).
	Accepted(l *Loop, fd int, from netip.AddrPort)
	// AcceptFailed is called for a failed accept: EMFILE and ENFILE (no
	// descriptors), ENOBUFS and ENOMEM (no memory), ECONNABORTED (the client
	// has gone). It runs on the listener's loop.
	AcceptFailed(errno unix.Errno)
}

const (
	// acceptsPerTurn is how many clients one listener accepts before the loop's
	// other connections have their turn.
	acceptsPerTurn = 64

	// maxBacklog is more than a backlog can hold (listen(2)).
	maxBacklog = 1 << 16
)

// The pause after an accept that failed for lack of descriptors or memory: the
// next accept would fail as well, and the loop would spin.
const (
	minBackoff = 10e6 // nanoseconds
	maxBackoff = 1e9
)

// Listener accepts clients on one loop and spreads them over all loops by
// load.
//
//	state     event                       next
//	open      readable                    accept until EAGAIN, acceptsPerTurn, or a failure
//	open      the client has gone         open: accept the next one
//	open      no descriptor is free, but  open: accept again
//	          this loop closed what it
//	          could spare
//	open      any other error of accept   backoff: 10 ms, doubled up to 1 s, reset by a success
//	open      MayAccept is false          waiting
//	waiting   Resume, readable            open
//	backoff   timer                       open
//	any       Retire                      retiring: as before, but no new client can connect
//	retiring  CancelRetire                the state before Retire
//	retiring  one second later            closed; up to ten seconds while MayAccept is false
//	any       Close                       closed
type Listener struct {
	engine   *Engine
	loop     *Loop // accepts
	isClosed atomic.Bool

	// The remaining fields belong to the loop's goroutine.
	handler        AcceptHandler
	conn           *Conn // nil once closed
	timer          Timer // of the pause
	backoff        int64 // the length of the last pause, in nanoseconds; 0 = none since a success
	retirement     Timer
	retireDeadline int64 // when retirement ends even if clients still wait
}

// Ready implements Handler: it accepts the waiting clients.
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
			l.deliver(fd, from)
		case errno == unix.EAGAIN:
			return
		case l.loop.relieved(errno):
		default:
			l.handler.AcceptFailed(errno)
			if !isClientError(errno) {
				l.pause()
				return
			}
		}
	}
	c.Yield()
}

// isClientError reports whether accept failed because of one client or its
// network: accept(2) lists the errors that Linux passes on. Another client may
// be waiting.
func isClientError(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNABORTED, unix.EPROTO, unix.ENOPROTOOPT, unix.ENETDOWN, unix.ENETUNREACH,
		unix.ENONET, unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return true
	}
	return false
}

// pause backs off, longer each time in a row.
func (l *Listener) pause() {
	l.backoff = min(max(l.backoff*2, minBackoff), maxBackoff)
	l.loop.Arm(&l.timer, l, l.loop.now+l.backoff)
}

// Expired implements Expirer: it ends a pause, or the retirement.
func (l *Listener) Expired(t *Timer) {
	if t == &l.retirement {
		l.retirementOver()
		return
	}
	l.conn.Yield()
}

// deliver passes a client to the loop with the least load.
func (l *Listener) deliver(fd int, from netip.AddrPort) {
	loop := l.engine.leastLoaded()
	loop.AddLoad(1)
	handler := l.handler // read here: SetHandler changes it on this loop
	if loop == l.loop {
		handler.Accepted(loop, fd, from)
		return
	}
	if !loop.Post(func() { handler.Accepted(loop, fd, from) }) {
		loop.AddLoad(-1)
		l.loop.system.Close(fd)
	}
}

// Resume accepts again after MayAccept returned false. Any goroutine may call
// it, at any time; it does nothing once the listener is closed.
func (l *Listener) Resume() {
	l.loop.Post(func() {
		if l.conn != nil {
			l.conn.Yield()
		}
	})
}

// SetHandler changes the handler for all clients accepted from now on,
// including those already in the backlog. Any goroutine may call it, at any
// time; it does nothing once the listener is closed.
func (l *Listener) SetHandler(h AcceptHandler) {
	l.loop.Post(func() { l.handler = h })
	l.Resume()
}

// File returns a copy of the listening socket, for another process. The caller
// closes it. It must not be called from a loop.
func (l *Listener) File() (*os.File, error) {
	type duplicated struct {
		file *os.File
		err  error
	}
	result := make(chan duplicated, 1)
	posted := l.loop.Post(func() {
		if l.conn == nil {
			result <- duplicated{nil, net.ErrClosed}
			return
		}
		fd, err := unix.FcntlInt(uintptr(l.conn.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			result <- duplicated{nil, os.NewSyscallError("fcntl", err)}
			return
		}
		result <- duplicated{os.NewFile(uintptr(fd), "listener"), nil}
	})
	if !posted {
		return nil, net.ErrClosed
	}
	d := <-result
	return d.file, d.err
}

// acceptBacklog accepts all waiting clients while MayAccept allows it.
func (l *Listener) acceptBacklog() {
	for range maxBacklog {
		if !l.handler.MayAccept() {
			return
		}
		fd, from, errno := l.loop.system.Accept(int(l.conn.fd))
		if errno == 0 {
			l.deliver(fd, from)
		} else if !isClientError(errno) && !l.loop.relieved(errno) {
			return
		}
	}
}

// SetOption sets an option of the socket, which clients accepted afterwards
// inherit. It must not be called from a loop.
func (l *Listener) SetOption(level, option, value int) error {
	result := make(chan error, 1)
	posted := l.loop.Post(func() {
		if l.conn == nil {
			result <- net.ErrClosed
			return
		}
		result <- os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(l.conn.fd), level, option, value))
	})
	if !posted {
		return net.ErrClosed
	}
	return <-result
}

// Close accepts the waiting clients that MayAccept admits, stops accepting, and
// closes the listener's copy of the socket. If that is the last copy, clients
// whose handshake is under way are reset; Retire avoids this. It returns when
// the socket is closed. It must not be called from a loop. A second call does
// nothing.
func (l *Listener) Close() {
	done := make(chan struct{})
	posted := l.loop.Post(func() {
		defer close(done)
		if l.conn != nil {
			l.acceptBacklog()
		}
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
	l.loop.Disarm(&l.retirement)
	// Another process may hold the same socket: closing this descriptor alone
	// would leave it in the poll set.
	l.loop.system.EpollDelete(l.loop.epoll, int(l.conn.fd))
	l.conn.Close()
	l.conn = nil
	l.isClosed.Store(true)
}

// Closed reports whether the listener is closed, by Close or at the end of its
// retirement. Any goroutine may call it.
func (l *Listener) Closed() bool { return l.isClosed.Load() }
