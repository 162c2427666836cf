//go:build linux

package reactor

import (
	"math"

	"golang.org/x/sys/unix"
)

// CloseWrite sends FIN behind everything written and parked (shutdown(2),
// SHUT_WR), and behind the transport's closing message. Nothing may be sent
// afterwards. While bytes are parked, Close would still lose them.
func (c *Conn) CloseWrite() {
	if c.transport != nil {
		c.transport.CloseWrite(c)
	}
	if c.parked != nil {
		c.flags |= finPending
		return
	}
	c.sending()
	c.loop.system.Shutdown(int(c.fd))
}

// FinUnacked reports whether FIN was sent and the peer has not acknowledged it
// yet. The kernel repeats FIN, even after the socket is closed, unless it is
// Reset.
func (c *Conn) FinUnacked() bool {
	state, errno := c.loop.system.State(int(c.fd))
	return errno == 0 && (state == unix.BPF_TCP_FIN_WAIT1 || state == unix.BPF_TCP_CLOSING || state == unix.BPF_TCP_LAST_ACK)
}

// Close closes the socket: with FIN, or with RST when unread bytes are left
// (tcp(7)) or parked bytes are lost, since FIN would make the truncated stream
// look complete. A second Close does nothing within the same function on the
// loop; after that, c may be another connection.
func (c *Conn) Close() {
	if c.flags&closed == 0 {
		c.close(false, c.parked != nil)
	}
}

// Reset closes the socket with RST, so that the peer cannot take a truncated
// stream for a complete one.
func (c *Conn) Reset() {
	if c.flags&closed == 0 {
		c.close(true, true)
	}
}

// Cut closes the socket with FIN although the stream is incomplete. It suits
// streams that show this themselves: by a length, or by messages that have an
// end. The kernel repeats FIN until it is acknowledged, but sends RST once (RFC
// 9293 section 3.5.3), and a peer that only waits and misses it waits forever.
// The transport's closing message, which would mark the stream as complete, is
// not sent. Unread bytes are discarded first: closing a socket that still has
// some would send RST (RFC 2525 section 2.17).
func (c *Conn) Cut() {
	if c.flags&closed == 0 {
		c.loop.system.Discard(int(c.fd), math.MaxInt32) // the socket is closed even if this fails
		c.close(true, false)
	}
}

// close closes the socket: cut = without the transport's closing message,
// reset = with RST.
func (c *Conn) close(cut, reset bool) {
	c.flags |= closed
	if c.transport != nil {
		c.transport.Close(c, cut)
	}
	if reset {
		c.loop.system.Reset(int(c.fd))
	}
	c.unpark()
	c.loop.system.Close(int(c.fd))
	c.loop.toFree = append(c.loop.toFree, c)
}

// Closed reports whether c was closed. It may be called as long as Close may.
func (c *Conn) Closed() bool { return c.flags&closed != 0 }
