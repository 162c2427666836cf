//go:build linux

package reactor

import "golang.org/x/sys/unix"

// Detached is a connection without a loop: between two loops, or on its way to
// another process. What the kernel holds for it, both ways, is with the socket.
type Detached struct {
	FD     int
	Parked []byte // what its peer did not take yet
}

// Movable tells whether c may be detached: it has no layer, whose state is its
// own, and it is neither broken nor at its end, which would
// be forgotten, nor still connecting.
func (c *Conn) Movable() bool {
	return c.layer == nil && c.flags&(closed|connecting|failed|ending) == 0 && c.fault == 0
}

// Detach takes c, which must be Movable, off its loop, and leaves its socket
// open: the peer notices nothing. c must not be used any more, as after Close.
// What was said of it and not heard yet is told anew where it is adopted.
func (c *Conn) Detach() Detached {
	m := Detached{FD: int(c.fd)}
	if c.parked != nil {
		m.Parked = append([]byte(nil), c.parked.rest()...)
		c.unpark()
	}
	// Another process may get the same socket, so closing this descriptor would
	// not take it out of the poll set.
	c.loop.system.EpollDelete(c.loop.epoll, int(c.fd))
	c.flags |= closed
	c.loop.dead = append(c.loop.dead, c)
	return m
}

// Attach is Adopt for a connection that was detached elsewhere: what is
// parked is written as soon as its peer takes it.
func (l *Loop) Attach(m Detached, h Handler) (*Conn, unix.Errno) {
	c, errno := l.Adopt(m.FD, h)
	if errno == 0 && len(m.Parked) > 0 {
		c.parked = l.buffers.get(len(m.Parked))
		c.parked.bytes = append(c.parked.bytes, m.Parked...)
	}
	return c, errno
}

// SweepSome calls visit for the connections on the loop, from place from on,
// until visit returns false, and returns where to go on: 0 when all have been
// visited. It does not let other events in meanwhile. Only the loop's own
// goroutine may call it.
func (l *Loop) SweepSome(from int, visit func(*Conn) bool) (next int) {
	for i := from; i < l.conns.size(); i++ {
		c := l.conns.at(uint32(i))
		if c.flags&(used|closed) == used && !visit(c) {
			return i + 1
		}
	}
	return 0
}

// ParkPipe takes the bytes out of p, which may be nil, and parks them behind
// those that wait to be written to c already. p goes back to its pool. Where
// that fails, with p closed, the bytes are lost and c with them.
func (c *Conn) ParkPipe(p *Pipe) unix.Errno {
	if p == nil {
		return 0
	}
	defer c.loop.ReturnPipe(p)
	for p.held > 0 {
		buffer := c.loop.scratch[:min(p.held, len(c.loop.scratch))]
		n, errno := c.loop.system.ReadPipe(p.r, buffer)
		if errno != 0 || n == 0 {
			return unix.EIO
		}
		p.held -= n
		if c.parked == nil {
			c.parked = c.loop.buffers.get(n)
			c.parked.bytes = append(c.parked.bytes, buffer[:n]...)
		} else {
			c.parked = c.loop.buffers.grow(c.parked, buffer[:n])
		}
	}
	return 0
}
