//go:build linux

package reactor

import "golang.org/x/sys/unix"

// Read reads into p, as read(2): 0 and no error is the end of the stream,
// EAGAIN means that nothing is there at the moment. After a failed write the
// end of the stream is unknown: Read returns the error of the write instead.
func (c *Conn) Read(p []byte) (n int, errno unix.Errno) {
	if c.transport != nil {
		return c.readTransport(p)
	}
	n, errno = c.loop.system.Read(int(c.fd), p)
	return c.afterRead(n, n < len(p), errno)
}

// Peek is Read, but leaves the bytes to be read again, and keeps Readable.
func (c *Conn) Peek(p []byte) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Peek(int(c.fd), p)
	return c.afterRead(n, false, errno)
}

// Take is Read for bytes known to be there (Peek), with more possibly behind
// them: it keeps Readable.
func (c *Conn) Take(p []byte) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Read(int(c.fd), p)
	return c.afterRead(n, false, errno)
}

// AwaitMore says that the bytes seen so far (Peek) are too few: Ready is called
// when more have arrived. When HungUp is true, no more will.
func (c *Conn) AwaitMore() { c.flags &^= readable }

// afterRead updates the state after a read; short means that the read took
// everything there was.
func (c *Conn) afterRead(n int, short bool, errno unix.Errno) (int, unix.Errno) {
	switch {
	case errno != 0:
		if errno == unix.EAGAIN {
			c.flags &^= readable
		}
		return 0, errno
	case n == 0 && c.fault != 0 && unix.Errno(c.fault) != unix.EPIPE:
		// A write has received the error, so the kernel shows an end here.
		// (EPIPE is what a write meets after an end that did come.)
		return 0, unix.Errno(c.fault)
	case n > 0 && short && c.flags&(hangup|urgent) == 0:
		// Drained: no second read for EAGAIN. After a hang-up the end is still
		// to be read, and no other event will report it.
		c.flags &^= readable
	}
	return n, 0
}

// SpliceIn moves bytes from the socket into p, which must be empty. It returns
// what Read would, but only EAGAIN clears Readable.
func (c *Conn) SpliceIn(p *Pipe) (n int, errno unix.Errno) {
	n, errno = c.loop.system.Splice(int(c.fd), p.w, PipeSize)
	n, errno = c.afterRead(n, false, errno) // small segments can fill a pipe before the socket is drained
	p.held += n
	return n, errno
}
