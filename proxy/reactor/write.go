//go:build linux

package reactor

import "golang.org/x/sys/unix"

// Send writes p, and parks what the peer does not take at once; the caller may
// reuse p when it returns. A caller that keeps sending while Blocked is true
// makes the parked bytes grow without bound. An error is permanent: nothing
// more is written to c.
func (c *Conn) Send(p []byte) unix.Errno {
	if c.transport != nil {
		return c.transport.Send(c, p)
	}
	return c.send(p)
}

// send is Send, to the socket itself.
func (c *Conn) send(p []byte) unix.Errno {
	if c.parked != nil {
		c.parked = c.loop.buffers.grow(c.parked, p)
		return 0
	}
	n, errno := c.write(p)
	if errno != 0 || n == len(p) {
		return errno
	}
	c.parked = c.loop.buffers.get(len(p) - n)
	c.parked.bytes = append(c.parked.bytes, p[n:]...)
	return 0
}

// write writes once, as much of p as the peer takes.
func (c *Conn) write(p []byte) (int, unix.Errno) {
	if c.fault != 0 {
		return 0, unix.Errno(c.fault)
	}
	c.sending()
	n, errno := c.loop.system.Write(int(c.fd), p)
	switch errno {
	case 0:
		if n < len(p) {
			c.flags &^= writable
		}
		return n, 0
	case unix.EAGAIN:
		c.flags &^= writable
		return 0, 0
	}
	c.fault = uint8(errno)
	return 0, errno
}

// flush writes the parked bytes, and drops them when that fails: the handler
// receives the error from its next Send or read.
func (c *Conn) flush() {
	n, errno := c.write(c.parked.rest())
	c.parked.sent += n
	if errno != 0 || len(c.parked.rest()) == 0 {
		c.unpark()
		if c.flags&finPending != 0 {
			c.flags &^= finPending
			c.loop.system.Shutdown(int(c.fd))
		}
	}
}

func (c *Conn) unpark() {
	if c.parked != nil {
		c.loop.buffers.put(c.parked)
		c.parked = nil
	}
}

// SpliceOut moves the pipe's bytes to the socket, as many as it takes; p.Held
// counts the rest. Nothing may be parked. An error is permanent, as in Send.
func (c *Conn) SpliceOut(p *Pipe) unix.Errno {
	c.sending()
	for p.held > 0 && c.fault == 0 {
		n, errno := c.loop.system.Splice(p.r, int(c.fd), p.held)
		switch {
		case errno == unix.EAGAIN:
			c.flags &^= writable
			return 0
		case errno != 0:
			c.fault = uint8(errno)
		case n == 0: // never happens, and an error is better than an endless loop
			c.fault = uint8(unix.EIO)
		default:
			p.held -= n
		}
	}
	return unix.Errno(c.fault)
}

// ParkPipe moves the bytes in p, which may be nil, behind the bytes already
// parked for c, and returns p to its pool. On an error p is closed, its bytes
// are lost, and c is unusable.
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
