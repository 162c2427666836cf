//go:build linux

package reactor

import "golang.org/x/sys/unix"

// Detached is a connection without a loop: between two loops, or on its way to
// another process. Bytes in the kernel, in both directions, stay with the
// socket.
type Detached struct {
	FD        int
	Parked    []byte    // sent, but not yet taken by the peer
	Transport Suspended // nil = it has none
	Watched
}

// Watched is how the peer of a detached connection is watched.
type Watched struct {
	Liveness Liveness
	Idle     bool // TCP_USER_TIMEOUT is 0 for now
	Probing  bool // the options of keep-alive are set
}

// Detachable reports whether c may be detached: its transport may, if it has one, it
// is neither broken nor closing, which would be forgotten, and it is not connecting.
func (c *Conn) Detachable() bool {
	return c.transportMoves() && c.flags&(closed|connecting|failed|finPending) == 0 && c.fault == 0
}

func (c *Conn) transportMoves() bool { return c.transport == nil || c.transport.Detachable() }

// Detach takes c, which must be Detachable, off its loop and leaves its socket
// open: the peer notices nothing. c must not be used afterwards, as after
// Close. Events not yet handled are reported again where the socket is adopted.
func (c *Conn) Detach() Detached {
	m := Detached{FD: int(c.fd)}
	if c.liveness != 0 {
		m.Watched = Watched{c.loop.sweeper.kinds[c.liveness], c.flags&idle != 0, c.flags&probing != 0}
	}
	if c.parked != nil {
		m.Parked = append([]byte(nil), c.parked.rest()...)
		c.unpark()
	}
	if c.transport != nil {
		m.Transport = c.transport.Detach()
	}
	// Another process may receive the same socket, so closing this descriptor
	// would not take it out of the poll set.
	c.loop.system.EpollDelete(c.loop.epoll, int(c.fd))
	c.flags |= closed
	c.loop.toFree = append(c.loop.toFree, c)
	return m
}

// watch continues what Detach has noted.
func (c *Conn) watch(w Watched) {
	c.liveness = c.loop.sweeper.kind(w.Liveness)
	if w.Idle {
		c.flags |= idle
	}
	if w.Probing {
		c.flags |= probing
	}
}

// Attach is Adopt for a detached connection: the parked bytes are written as
// soon as the peer takes them.
func (l *Loop) Attach(m Detached, h Handler) (*Conn, unix.Errno) {
	c, errno := l.Adopt(m.FD, h)
	if errno != 0 {
		return nil, errno
	}
	c.watch(m.Watched)
	if len(m.Parked) > 0 {
		c.parked = l.buffers.get(len(m.Parked))
		c.parked.bytes = append(c.parked.bytes, m.Parked...)
	}
	if m.Transport != nil && m.Transport.Resume(c) {
		c.RetryRead()
	}
	return c, 0
}
