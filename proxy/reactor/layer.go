//go:build linux

package reactor

import "golang.org/x/sys/unix"

// Transport stands between a connection's socket and its handler, and changes what
// passes: encryption. Read, Send, CloseWrite, Close and Reset of the Conn keep
// their meaning for the handler, and go through it; what is parked, and what
// makes the connection Blocked, is what the layer has written to the socket.
//
// Its methods run on the loop's goroutine. They use RawRead, RawSend and
// RawOffer, and nothing else of what reads or writes.
type Transport interface {
	// Read is Conn.Read, of what has passed the layer: 0 and no error is the
	// end, EAGAIN says that the socket has nothing more. more says that another
	// Read may bring something even so, and keeps Readable true.
	Read(c *Conn, p []byte) (n int, more bool, errno unix.Errno)
	// Send is Conn.Send.
	Send(c *Conn, p []byte) unix.Errno
	// CloseWrite says to the peer that nothing more follows, as often as it is
	// called; FIN is sent behind that.
	CloseWrite(c *Conn)
	// Close is called once, before the socket is closed. Unless the stream is cut
	// off it may still offer (RawOffer) what the peer should see last.
	Close(c *Conn, cut bool)
}

// SetTransport puts a layer upon c, for good. Peek, Take, SpliceIn and SpliceOut
// are for connections without one, and must not be used any more.
func (c *Conn) SetTransport(l Transport) { c.layer = l }

// Transport is what SetLayer put upon c, nil when c is plain.
func (c *Conn) Transport() Transport { return c.layer }

// HasTransport tells whether c has a layer, so that its bytes cannot be spliced.
func (c *Conn) HasTransport() bool { return c.layer != nil }

// readLayer is Read of a connection that has a layer.
func (c *Conn) readLayer(p []byte) (int, unix.Errno) {
	n, more, errno := c.layer.Read(c, p)
	if more {
		c.flags |= readable
	}
	return n, errno
}

// RawRead is Read of the socket itself, for the layer: Readable is as the
// socket is, until the layer says otherwise.
func (c *Conn) RawRead(p []byte) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Read(int(c.fd), p)
	return c.received(n, n < len(p), errno)
}

// RawSend is Send to the socket itself, for the layer.
func (c *Conn) RawSend(p []byte) unix.Errno { return c.send(p) }

// RawOffer writes what the socket takes of p at once, if nothing is parked, and
// forgets the rest: last words, for the layer.
func (c *Conn) RawOffer(p []byte) {
	if c.parked == nil {
		_, _ = c.write(p) // the connection ends in any case
	}
}
