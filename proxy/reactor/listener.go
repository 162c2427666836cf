//go:build linux

package reactor

import (
	"net"
	"net/netip"
	"os"
	"sync/atomic"

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
//	any       Retire                     retiring: as before, but nobody new can connect
//	retiring  Revive                     as before
//	retiring  a second later             closed; while MayAccept is false, up to ten
//	any       Close                      closed
type Listener struct {
	engine *Engine
	loop   *Loop // that accepts
	over   atomic.Bool

	// What follows is the loop's own.
	handler AcceptHandler
	conn    *Conn // nil once closed
	timer   Timer
	backoff int64 // how long the last pause was, in nanoseconds; 0 = none since a success
	ending  Timer // of retirement
	ends    int64 // when retirement is over whatever becomes of those who wait
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
	c.Yield()
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

// Expired implements Expirer: it ends a pause, or retirement.
func (l *Listener) Expired(t *Timer) {
	if t == &l.ending {
		l.retired()
		return
	}
	l.conn.Yield()
}

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
			l.conn.Yield()
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

// Of retirement.
const (
	retireTime = 1e9  // nanoseconds: for handshakes under way, so the longest round trip of a client
	retireMost = 10e9 // for clients who wait because MayAccept is false

	mostWaiting = 1 << 16 // more do not fit a backlog (listen(2))
)

// Retire closes the listener without resetting anybody: once it returns nobody
// can begin to connect (who tries is refused when all is closed), those who have
// begun are accepted, and a second later the socket is closed. Any goroutine
// may call it but a loop's, at any time; it does nothing once the listener is
// closed.
func (l *Listener) Retire() {
	done := make(chan struct{})
	posted := l.loop.Post(func() {
		defer close(done)
		if l.conn == nil || l.ending.Armed() {
			return
		}
		if err := refuseHandshakes(int(l.conn.fd)); err != nil {
			l.acceptAll()
			l.close()
			return
		}
		l.ends = l.loop.now + retireMost
		l.loop.Arm(&l.ending, l, l.loop.now+retireTime)
	})
	if posted {
		<-done
	}
}

// retired ends retirement, unless somebody waits who may not enter yet.
func (l *Listener) retired() {
	if !l.handler.MayAccept() && l.loop.now < l.ends {
		l.loop.Arm(&l.ending, l, l.loop.now+retireTime)
		return
	}
	l.acceptAll()
	l.close()
}

// Revive has a retiring listener be as it was before, and reports whether it
// is open. Any goroutine may call it but a loop's.
func (l *Listener) Revive() bool {
	open := make(chan bool, 1)
	posted := l.loop.Post(func() {
		if l.conn != nil {
			l.loop.Disarm(&l.ending)
			// It fails where there is no filter, which is as well.
			_ = unix.SetsockoptInt(int(l.conn.fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		}
		open <- l.conn != nil
	})
	return posted && <-open
}

// refuseHandshakes has the kernel drop what would begin a connection to a
// listening socket (SYN without ACK, the byte of flags at offset 13 of the TCP
// header), and let pass what completes one: socket(7), SO_ATTACH_FILTER.
func refuseHandshakes(fd int) error {
	const flags, syn, ack = 13, 0x02, 0x10
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program))
}

// acceptAll takes in everybody who waits and may enter.
func (l *Listener) acceptAll() {
	for range mostWaiting {
		if !l.handler.MayAccept() {
			return
		}
		fd, from, errno := l.loop.system.Accept(int(l.conn.fd))
		if errno == 0 {
			l.hand(fd, from)
		} else if !gaveUp(errno) {
			return
		}
	}
}

// SetOption sets an option of the socket, which clients accepted afterwards
// inherit. Any goroutine may call it but a loop's.
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

// Close takes in those who wait and may enter, stops accepting, and closes the
// listener's copy of the socket. Where it is the last one, clients whose
// handshake was under way are reset: see Retire. It returns when that is done;
// do not call it from a loop. Closing twice does nothing.
func (l *Listener) Close() {
	done := make(chan struct{})
	posted := l.loop.Post(func() {
		defer close(done)
		if l.conn != nil {
			l.acceptAll()
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
	l.loop.Disarm(&l.ending)
	// Others may hold the same socket: closing this descriptor alone would
	// leave it in the poll set.
	l.loop.system.EpollDelete(l.loop.epoll, int(l.conn.fd))
	l.conn.Close()
	l.conn = nil
	l.over.Store(true)
}

// Closed reports whether the listener is closed, also at the end of retirement.
// Any goroutine may ask.
func (l *Listener) Closed() bool { return l.over.Load() }
