//go:build linux

package reactor

import "golang.org/x/sys/unix"

// Transport stands between a connection's socket and its handler and transforms
// the bytes, as encryption does. Read, Send, CloseWrite, Close and Reset of the
// Conn keep their meaning for the handler and go through the transport. Parked
// and Blocked refer to what the transport has written to the socket.
//
// Its methods run on the loop's goroutine. To read and write the socket they
// use RawRead, RawSend and RawTrySend, and no other methods of Conn.
type Transport interface {
	// Read is Conn.Read, after the transport: 0 and no error is the end,
	// EAGAIN says that the socket has nothing more. more says that another
	// Read may return something even so, and keeps Readable true.
	Read(c *Conn, p []byte) (n int, more bool, errno unix.Errno)
	// Send is Conn.Send.
	Send(c *Conn, p []byte) unix.Errno
	// CloseWrite tells the peer that nothing more follows, however often it is
	// called; FIN is sent behind that.
	CloseWrite(c *Conn)
	// Close is called once, before the socket is closed. Unless the stream is
	// cut, it may send a closing message with RawTrySend.
	Close(c *Conn, cut bool)
	// Detachable reports whether Detach may be called.
	Detachable() bool
	// Detach takes the transport's state off c, and releases what it holds of c's
	// loop. The transport must not be used afterwards.
	Detach() Suspended
}

// Suspended is the transport of a detached connection.
type Suspended interface {
	// Resume puts the transport on c, which has just been attached, and says whether
	// something can be read without the socket.
	Resume(c *Conn) (readable bool)
	// Forget gives it up: the connection continues in another process, or has ended.
	Forget()
}

// SetTransport puts a transport on c, permanently. Peek, Take, SpliceIn and
// SpliceOut are for connections without one, and must not be used afterwards.
func (c *Conn) SetTransport(t Transport) { c.transport = t }

// Transport returns the transport that SetTransport put on c, nil when c is
// plain.
func (c *Conn) Transport() Transport { return c.transport }

// HasTransport reports whether c has a transport, so that its bytes cannot be
// spliced.
func (c *Conn) HasTransport() bool { return c.transport != nil }

// readTransport is Read of a connection that has a transport.
func (c *Conn) readTransport(p []byte) (int, unix.Errno) {
	n, more, errno := c.transport.Read(c, p)
	if more {
		c.flags |= readable
	}
	return n, errno
}

// RawRead is Read of the socket itself, for the transport: Readable follows the
// socket until the transport overrides it.
func (c *Conn) RawRead(p []byte) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Read(int(c.fd), p)
	return c.afterRead(n, n < len(p), errno)
}

// RawSend is Send to the socket itself, for the transport.
func (c *Conn) RawSend(p []byte) unix.Errno { return c.send(p) }

// RawTrySend writes what the socket takes of p at once, if nothing is parked,
// and drops the rest: for a transport's closing message.
func (c *Conn) RawTrySend(p []byte) {
	if c.parked == nil {
		_, _ = c.write(p) // the connection ends in any case
	}
}
