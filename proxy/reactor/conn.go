//go:build linux

package reactor

import (
	"math"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Handler is what a connection is for. All its methods run on the loop's
// goroutine.
type Handler interface {
	// Ready is called when something may have become possible on c: to read,
	// to write, or to learn that the peer has gone. It must go on until
	// c.Readable is false, the other side is Blocked, or its Budget is spent
	// and it has asked for Again: the kernel tells of a change only once.
	Ready(c *Conn)
}

// Conn is one non-blocking socket on one loop (see epoll(7), edge-triggered).
// It lives in its loop's table; after Close it must not be used any more.
//
//	what is known  is set by                      is cleared by
//	readable       IN, PRI, RDHUP, HUP, ERR,      a short read without hangup or urgent, EAGAIN, Unready;
//	               a layer that holds something   behind a layer, its socket's
//	writable       OUT, HUP, ERR                  a short write, EAGAIN
//	hangup         RDHUP, HUP, ERR                never: read on until the end or an error
//	urgent         PRI                            never: a read stops short at the mark
//	failed         ERR                            never
//	connecting     Dial                           Connected
//	parked != nil  Send that could not write all  the last parked byte written, or fault
//	ending         CloseWrite while parked        FIN, behind the last parked byte
//	fault          a write that failed            never: nothing more is written
//
// Only the loop's own goroutine may call its methods.
type Conn struct {
	loop       *Loop
	handler    Handler
	layer      Transport // nil = plain: what passes is what the socket carries
	parked     *buffer
	fd         int32
	index      uint32 // its place in the loop's table
	generation uint32 // changes with every reuse of that place
	flags      connFlags
	fault      uint16 // unix.Errno; the kernel tells an error only once
}

type connFlags uint16

const (
	readable connFlags = 1 << iota
	writable
	hangup
	urgent // TCP's urgent data were announced (MSG_OOB, see tcp(7))
	connecting
	again  // in the loop's list for the next turn
	failed // ERR: the connection is broken, read tells why
	ending // FIN follows what is parked
	closed // waits to be freed at the end of this turn
	used   // the place in the table is taken
)

// ID tells c from every other connection of its loop, for Loop.Find. It is
// another one's only after its place was taken four billion times.
func (c *Conn) ID() uint64 { return uint64(c.generation)<<32 | uint64(c.index) }

// Loop is the loop that carries c.
func (c *Conn) Loop() *Loop { return c.loop }

// Handler is what c was last told to serve.
func (c *Conn) Handler() Handler { return c.handler }

// SetHandler gives c to another handler, from the next event on.
func (c *Conn) SetHandler(h Handler) { c.handler = h }

// Readable tells that a read may bring bytes, the end, or an error.
func (c *Conn) Readable() bool { return c.flags&readable != 0 }

// Blocked tells that the peer does not take more at the moment: Ready is
// called when that has changed. Nothing more should be read for it.
func (c *Conn) Blocked() bool {
	return c.parked != nil || c.flags&(writable|connecting) != writable
}

// Parked is the number of bytes that wait to be written.
func (c *Conn) Parked() int {
	if c.parked == nil {
		return 0
	}
	return len(c.parked.rest())
}

// HungUp tells that the peer has closed its sending side, or the whole
// connection. What it sent before may still have to be read.
func (c *Conn) HungUp() bool { return c.flags&hangup != 0 }

// Failed tells that the connection is broken: reset, or given up by the
// kernel. What was received before may still be read.
func (c *Conn) Failed() bool { return c.flags&failed != 0 || c.fault != 0 }

// Read reads what is there into p, as read(2): 0 and no error is the end of the
// stream, EAGAIN means that nothing is there at the moment. A connection that
// broke under a write has no such end: its error is told again.
func (c *Conn) Read(p []byte) (n int, errno unix.Errno) {
	if c.layer != nil {
		return c.readLayer(p)
	}
	n, errno = c.loop.system.Read(int(c.fd), p)
	return c.received(n, n < len(p), errno)
}

// Peek is Read, but what it returns will be returned again, and Readable stays.
func (c *Conn) Peek(p []byte) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Peek(int(c.fd), p)
	return c.received(n, false, errno)
}

// Take is Read for bytes that are known to be there (Peek), behind which more
// may lie: Readable stays.
func (c *Conn) Take(p []byte) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Read(int(c.fd), p)
	return c.received(n, false, errno)
}

// Unready says that what is there to be read (Peek) is not enough: Ready is
// called when more has come. Where HungUp is true nothing more will.
func (c *Conn) Unready() { c.flags &^= readable }

// learn takes in what the kernel tells, and writes what is parked when that
// may have become possible.
func (c *Conn) learn(events uint32) {
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

// received keeps the books of a read; short means that it took all there was.
func (c *Conn) received(n int, short bool, errno unix.Errno) (int, unix.Errno) {
	switch {
	case errno != 0:
		if errno == unix.EAGAIN {
			c.flags &^= readable
		}
		return 0, errno
	case n == 0 && c.fault != 0 && unix.Errno(c.fault) != unix.EPIPE:
		// A write was told the error, and so this looks like an end. (EPIPE
		// is what a write meets behind an end that did come.)
		return 0, unix.Errno(c.fault)
	case n > 0 && short && c.flags&(hangup|urgent) == 0:
		// Drained: no second read for EAGAIN. With a hang-up there is still
		// the end to be read, of which no other event will tell.
		c.flags &^= readable
	}
	return n, 0
}

// Send writes p, and parks what the peer does not take at once; p may be used
// again when it returns. Whoever sends on while Blocked is true makes the
// parked bytes grow without bound. An error is for good: nothing more is
// written to c.
func (c *Conn) Send(p []byte) unix.Errno {
	if c.layer != nil {
		return c.layer.Send(c, p)
	}
	return c.send(p)
}

// send is Send to the socket itself.
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
	c.fault = uint16(errno)
	return 0, errno
}

// flush writes what is parked. When that fails it is nobody's any more: the
// handler learns of it from its next Send or read.
func (c *Conn) flush() {
	n, errno := c.write(c.parked.rest())
	c.parked.sent += n
	if errno != 0 || len(c.parked.rest()) == 0 {
		c.unpark()
		if c.flags&ending != 0 {
			c.flags &^= ending
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

// SpliceIn moves bytes from the socket into p, which must be empty. Its result
// is Read's, but only EAGAIN ends Readable.
func (c *Conn) SpliceIn(p *Pipe) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Splice(int(c.fd), p.w, PipeSize)
	n, errno = c.received(n, false, errno) // a pipe full of small segments is no drained socket
	p.held += n
	return n, errno
}

// SpliceOut moves the pipe's bytes to the socket, as many as it takes; those
// left are p.Held. Nothing may be parked. An error is for good, as Send's.
func (c *Conn) SpliceOut(p *Pipe) unix.Errno {
	for p.held > 0 && c.fault == 0 {
		n, errno := c.loop.system.Splice(p.r, int(c.fd), p.held)
		switch {
		case errno == unix.EAGAIN:
			c.flags &^= writable
			return 0
		case errno != 0:
			c.fault = uint16(errno)
		case n == 0: // never, and better an error than a loop without end
			c.fault = uint16(unix.EIO)
		default:
			p.held -= n
		}
	}
	return unix.Errno(c.fault)
}

// Connected ends a connection attempt that has become Ready: it tells its
// outcome, and true when there is one. After an error there is nothing left to
// do but Close.
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
			errno = unix.Errno(c.fault) // a Send before its time was told
		}
		if errno != 0 {
			return true, errno
		}
	}
	c.flags &^= connecting
	return true, 0
}

// Yield asks for Ready at the next turn of the loop, once, without an event:
// the budget was spent, or a pause is over. The others come first.
func (c *Conn) Yield() {
	if c.flags&(again|closed) == 0 {
		c.flags |= again
		c.loop.again = append(c.loop.again, c)
	}
}

// ReadAgain has Ready called at the next turn with Readable true, whatever the
// kernel has told: for one whose end is to be read although a write found it first.
func (c *Conn) ReadAgain() {
	c.flags |= readable
	c.Yield()
}

// CloseWrite sends FIN behind what was written and what is parked (shutdown(2),
// SHUT_WR), and behind what a layer says of it. Nothing may be sent after.
// While something is parked, Close would still lose it.
func (c *Conn) CloseWrite() {
	if c.layer != nil {
		c.layer.CloseWrite(c)
	}
	if c.parked != nil {
		c.flags |= ending
		return
	}
	c.loop.system.Shutdown(int(c.fd))
}

// LocalAddr is the address at which the socket meets its peer, invalid when
// the kernel does not know it any more.
func (c *Conn) LocalAddr() netip.AddrPort {
	local, _ := c.loop.system.LocalAddr(int(c.fd))
	return local
}

// Close closes the socket: with FIN, or with RST when unread bytes are left
// (tcp(7)) or parked ones are lost, since a FIN would make the cut stream look
// whole. Closing twice does nothing, within one function on the loop; after
// that c is another's.
func (c *Conn) Close() {
	if c.flags&closed == 0 {
		c.close(false, c.parked != nil)
	}
}

// close closes the socket: cut = without the layer's last word, reset = with RST.
func (c *Conn) close(cut, reset bool) {
	c.flags |= closed
	if c.layer != nil {
		c.layer.Close(c, cut)
	}
	if reset {
		c.loop.system.Reset(int(c.fd))
	}
	c.unpark()
	c.loop.system.Close(int(c.fd))
	c.loop.dead = append(c.loop.dead, c)
}

// Reset closes the socket with RST, so that the peer cannot take a cut stream
// for a whole one.
func (c *Conn) Reset() {
	if c.flags&closed == 0 {
		c.close(true, true)
	}
}

// Ending tells whether FIN was sent and its arrival is not acknowledged yet: the
// kernel repeats it, even when the socket is closed, but not when it is Reset.
func (c *Conn) Ending() bool {
	state, errno := c.loop.system.State(int(c.fd))
	return errno == 0 && (state == unix.BPF_TCP_FIN_WAIT1 || state == unix.BPF_TCP_CLOSING || state == unix.BPF_TCP_LAST_ACK)
}

// Cut closes the socket with FIN although the stream is not whole: for those
// streams that show it by themselves, as by a length, or by messages that have
// an end. The kernel repeats a FIN until it has arrived, whereas RST is sent
// once (RFC 9293 section 3.5.3), and a peer that only waits and misses it waits
// for ever. A layer's last word, which says that a stream is whole, is not sent.
// What the peer has sent and nobody has read is thrown away: to close a socket
// that still has some sends RST all the same (RFC 2525 section 2.17).
func (c *Conn) Cut() {
	if c.flags&closed == 0 {
		c.loop.system.Discard(int(c.fd), math.MaxInt32) // an error changes nothing: closed it is
		c.close(true, false)
	}
}

// Closed tells whether c was closed, to those who may still ask (Close).
func (c *Conn) Closed() bool { return c.flags&closed != 0 }
