//go:build linux

package reactor

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Handler serves a connection. All its methods run on the loop's goroutine.
type Handler interface {
	// Ready is called when something may have become possible on c: to read,
	// to write, or to learn that the peer has closed. It must continue until
	// c.Readable is false, the other side is Blocked, or its Budget is spent
	// and it has called Yield: the kernel reports each change only once.
	Ready(c *Conn)
}

// Conn is one non-blocking socket on one loop (see epoll(7), edge-triggered).
// It lives in its loop's table and must not be used after Close.
//
//	state          set by                         cleared by
//	readable       IN, PRI, RDHUP, HUP, ERR,      a short read without hangup or urgent, EAGAIN, AwaitMore;
//	               a transport that holds bytes   with a transport, a read of the socket
//	writable       OUT, HUP, ERR                  a short write, EAGAIN
//	hangup         RDHUP, HUP, ERR                never: read on until the end or an error
//	urgent         PRI                            never: a read stops short at the mark
//	failed         ERR                            never
//	connecting     Dial                           Connected
//	parked != nil  a Send not fully written       the last parked byte written, or fault
//	finPending     CloseWrite while parked        FIN, sent behind the last parked byte
//	fault          a failed write                 never: nothing more is written
//
// Only the loop's goroutine may call its methods.
type Conn struct {
	loop       *Loop
	handler    Handler
	transport  Transport // nil = plain: the handler sees the socket's bytes
	parked     *buffer
	fd         int32
	index      uint32 // the connection's place in the loop's table
	generation uint32 // changes whenever that place is reused
	flags      connFlags
	fault      uint8 // unix.Errno, all of which are below 134; the kernel reports an error only once
	liveness   uint8 // how the peer is watched: of sweeper.kinds
}

type connFlags uint16

const (
	readable connFlags = 1 << iota
	writable
	hangup
	urgent // TCP urgent data were announced (MSG_OOB, see tcp(7))
	connecting
	yielded    // in the loop's list for the next turn
	failed     // ERR: the connection is broken, a read returns the reason
	finPending // FIN follows the parked bytes
	closed     // freed at the end of this turn
	used       // the place in the table is taken
	// wrote, idle and probing: keepalive.go
)

// ID identifies c among its loop's connections, for Loop.Find. An ID is reused
// only after its place in the table was taken four billion times.
func (c *Conn) ID() uint64 { return uint64(c.generation)<<32 | uint64(c.index) }

// Loop returns the loop that owns c.
func (c *Conn) Loop() *Loop { return c.loop }

// Handler returns the handler that serves c.
func (c *Conn) Handler() Handler { return c.handler }

// SetHandler changes the handler, from the next event on.
func (c *Conn) SetHandler(h Handler) { c.handler = h }

// Readable reports whether a read may return bytes, the end, or an error.
func (c *Conn) Readable() bool { return c.flags&readable != 0 }

// Blocked reports whether the peer takes no more at the moment. Read nothing
// more that would be sent to c until Ready is called and Blocked is false.
func (c *Conn) Blocked() bool {
	return c.parked != nil || c.flags&(writable|connecting) != writable
}

// Parked returns the number of bytes that wait to be written.
func (c *Conn) Parked() int {
	if c.parked == nil {
		return 0
	}
	return len(c.parked.rest())
}

// HungUp reports whether the peer has closed its sending side, or the
// connection altogether. Bytes it sent before may still be unread.
func (c *Conn) HungUp() bool { return c.flags&hangup != 0 }

// Failed reports whether the connection is broken: reset, or given up by the
// kernel. Bytes received before may still be read.
func (c *Conn) Failed() bool { return c.flags&failed != 0 || c.fault != 0 }

// update records the events that the kernel reports, and writes the parked
// bytes when that may have become possible.
func (c *Conn) update(events uint32) {
	const broken = unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLIN|unix.EPOLLPRI|unix.EPOLLRDHUP|broken) != 0 {
		c.flags |= readable
	}
	if events&(unix.EPOLLRDHUP|broken) != 0 {
		c.flags |= hangup
	}
	if events&unix.EPOLLPRI != 0 {
		c.flags |= urgent
	}
	if events&unix.EPOLLERR != 0 {
		c.flags |= failed
	}
	if events&(unix.EPOLLOUT|broken) == 0 {
		return
	}
	c.flags |= writable
	if c.parked != nil {
		c.flush()
	}
}

// Connected finishes a connection attempt once Ready was called. It returns
// false while the attempt has no outcome yet. After an error, only Close is
// left to call.
func (c *Conn) Connected() (done bool, errno unix.Errno) {
	if c.flags&connecting == 0 {
		return true, 0
	}
	if c.flags&(writable|hangup) == 0 {
		return false, 0
	}
	if c.flags&hangup != 0 {
		errno = c.loop.system.Error(int(c.fd))
		if errno == 0 {
			errno = unix.Errno(c.fault) // an early Send has received the error
		}
		if errno != 0 {
			return true, errno
		}
	}
	c.flags &^= connecting
	return true, 0
}

// Yield asks for one call of Ready in the loop's next turn, without an event:
// because the budget is spent, or a pause is over. Other connections have their
// turn first.
func (c *Conn) Yield() {
	if c.flags&(yielded|closed) == 0 {
		c.flags |= yielded
		c.loop.yielded = append(c.loop.yielded, c)
	}
}

// RetryRead sets Readable, whatever the kernel last reported, and yields. It
// serves a connection whose end must be read although a write met it first.
func (c *Conn) RetryRead() {
	c.flags |= readable
	c.Yield()
}

// LocalAddr returns the local address of the socket; it is invalid when the
// kernel no longer knows it.
func (c *Conn) LocalAddr() netip.AddrPort {
	local, _ := c.loop.system.LocalAddr(int(c.fd))
	return local
}
