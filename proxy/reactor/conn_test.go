package reactor

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// reset closes the peer with RST.
func reset(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := peer.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	peer.Close()
}

// write sends p as the peer.
func write(t *testing.T, peer io.Writer, p string) {
	t.Helper()
	if _, err := io.WriteString(peer, p); err != nil {
		t.Fatal(err)
	}
}

// park sends to c until bytes are parked, and returns how many bytes it sent.
func park(t *testing.T, c *Conn) int {
	t.Helper()
	total, p := 0, make([]byte, 60_000)
	for c.Parked() == 0 {
		if errno := c.Send(p); errno != 0 {
			t.Fatal(errno)
		}
		total += len(p)
	}
	return total
}

// sendMuch sends 100 KB as the peer.
func sendMuch(t *testing.T, far *net.TCPConn) {
	t.Helper()
	if _, err := far.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
}

// TestSendShortWrites has a kernel that takes every possible part of a message,
// then nothing, then the rest.
func TestSendShortWrites(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	l, c, far := paired(t, system)
	message := []byte("a message of some length")
	for part := range len(message) + 1 {
		room := part
		system.Write = func(fd int, p []byte) (int, unix.Errno) {
			if room == 0 {
				return 0, unix.EAGAIN
			}
			n, errno := kernelWrite(fd, p[:min(room, len(p))])
			room -= n
			return n, errno
		}
		if errno := c.Send(message); errno != 0 {
			t.Fatalf("part %d: %v", part, errno)
		}
		if left := len(message) - part; c.Parked() != left || c.Blocked() != (left > 0) {
			t.Fatalf("part %d: %d parked, blocked %v; want %d", part, c.Parked(), c.Blocked(), left)
		}
		if part < len(message) && c.flags&writable != 0 {
			t.Fatalf("part %d: still writable", part)
		}
		writable := eventOf(c, unix.EPOLLOUT)
		l.dispatch(&writable) // still not taken
		if left := len(message) - part; c.Parked() != left {
			t.Fatalf("part %d: %d parked, want %d still", part, c.Parked(), left)
		}
		room = len(message)
		l.dispatch(&writable)
		if c.Parked() != 0 || c.Blocked() || c.parked != nil {
			t.Fatalf("part %d: %d parked, blocked %v; want none", part, c.Parked(), c.Blocked())
		}
		if got := receiveAll(t, far); !bytes.Equal(got, message) {
			t.Fatalf("part %d: %q arrived, want %q", part, got, message)
		}
	}
	if free := len(l.buffers.free[0]); free != 1 {
		t.Errorf("%d buffers in the pool, want the one used for all parts", free)
	}
}

// TestSendAgainstFickleKernel sends, blocked or not, to a kernel that takes a
// random number of bytes: every byte arrives, once and in order.
func TestSendAgainstFickleKernel(t *testing.T) {
	t.Parallel()
	source := noise()
	random := rand.New(source)
	system := steppedSystem()
	var got []byte
	system.Write = func(fd int, p []byte) (int, unix.Errno) {
		n := random.IntN(len(p) + 1)
		if random.IntN(3) == 0 {
			return 0, unix.EAGAIN
		}
		got = append(got, p[:n]...)
		return n, 0
	}
	l, c, _ := paired(t, system)
	var want []byte
	writable := eventOf(c, unix.EPOLLOUT)
	for range 1000 {
		p := take(source, 1+random.IntN(3000))
		if errno := c.Send(p); errno != 0 {
			t.Fatal(errno)
		}
		want = append(want, p...)
		for random.IntN(4) > 0 {
			l.dispatch(&writable)
		}
	}
	for c.Blocked() {
		l.dispatch(&writable)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes were written, want %d, the same", len(got), len(want))
	}
}

// TestSendWaitsForRealPeer fills a TCP peer's window: once the peer reads, an
// event causes the parked bytes to be sent.
func TestSendWaitsForRealPeer(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	ready := 0
	c := adopt(t, l, near, handlerFunc(func(*Conn) { ready++ }))
	settle(t, l, c)
	sent := park(t, c)
	if !c.Blocked() {
		t.Error("not blocked with bytes parked")
	}
	ready = 0
	go func() { _, _ = io.CopyN(io.Discard, far, int64(sent)) }()
	until(t, l, "the parked bytes are written", func() bool { return !c.Blocked() })
	if c.Parked() != 0 || ready == 0 {
		t.Errorf("%d parked, %d calls of Ready; want 0, at least 1", c.Parked(), ready)
	}
}

func TestReadUpdatesReadable(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		n      int
		errno  unix.Errno
		events uint32
		want   bool
	}{
		"full: there may be more":          {n: 10, events: unix.EPOLLIN, want: true},
		"short: drained":                   {n: 9, events: unix.EPOLLIN, want: false},
		"short, half closed: the end is":   {n: 9, events: unix.EPOLLIN | unix.EPOLLRDHUP, want: true},
		"short, hung up: the end is":       {n: 9, events: unix.EPOLLIN | unix.EPOLLHUP, want: true},
		"short, broken: the error is":      {n: 9, events: unix.EPOLLIN | unix.EPOLLERR, want: true},
		"short at urgent data: there is":   {n: 9, events: unix.EPOLLIN | unix.EPOLLPRI, want: true},
		"nothing":                          {errno: unix.EAGAIN, events: unix.EPOLLIN, want: false},
		"nothing though hung up":           {errno: unix.EAGAIN, events: unix.EPOLLRDHUP, want: false},
		"the end stays":                    {n: 0, events: unix.EPOLLRDHUP, want: true},
		"an error stays":                   {errno: unix.ECONNRESET, events: unix.EPOLLERR, want: true},
		"writable only: nothing is read":   {errno: unix.EAGAIN, events: unix.EPOLLOUT, want: false},
		"an error alone makes it readable": {errno: unix.ETIMEDOUT, events: unix.EPOLLERR, want: true},
	}
	for name, read := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := steppedSystem()
			system.Read = func(int, []byte) (int, unix.Errno) { return read.n, read.errno }
			l := newStepped(t, system)
			near, _ := socketPair(t)
			c := adopt(t, l, near, ignore)
			event := eventOf(c, read.events)
			l.dispatch(&event)
			if n, errno := c.Read(make([]byte, 10)); n != read.n || errno != read.errno {
				t.Errorf("Read: %d, %v; want %d, %v", n, errno, read.n, read.errno)
			}
			if c.Readable() != read.want {
				t.Errorf("readable afterwards: %v, want %v", c.Readable(), read.want)
			}
		})
	}
}

// TestFaultOfWriteIsReported breaks a connection during a write: every later
// write returns the error without a system call, and so does a read in place of
// the end, unless the end had come before.
func TestFaultOfWriteIsReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ write, read unix.Errno }{
		{unix.ECONNRESET, unix.ECONNRESET}, {unix.ETIMEDOUT, unix.ETIMEDOUT}, {unix.EPIPE, 0},
	} {
		for _, parked := range []bool{false, true} {
			system := steppedSystem()
			l, conn, far := paired(t, system)
			sendAll(t, far, []byte("last words"))
			writes := 0
			system.Write = func(int, []byte) (int, unix.Errno) {
				if writes++; parked && writes == 1 {
					return 0, unix.EAGAIN
				}
				return -1, c.write
			}
			if errno := conn.Send([]byte("x")); !parked && errno != c.write {
				t.Errorf("Send: %v, want %v", errno, c.write)
			}
			event := eventOf(conn, unix.EPOLLIN|unix.EPOLLOUT)
			l.dispatch(&event)
			if conn.Parked() != 0 || conn.Blocked() || !conn.Failed() {
				t.Errorf("%v, parked %v: %d parked, blocked %v, failed %v; want 0, false, true",
					c.write, parked, conn.Parked(), conn.Blocked(), conn.Failed())
			}
			before := writes
			if errno := conn.Send([]byte("y")); errno != c.write || writes != before {
				t.Errorf("Send again: %v after %d more writes; want %v, none", errno, writes-before, c.write)
			}
			if n, errno := conn.Read(l.Scratch()); string(l.Scratch()[:n]) != "last words" || errno != 0 {
				t.Errorf("read %q, %v; want the last words", l.Scratch()[:n], errno)
			}
			system.Read = func(int, []byte) (int, unix.Errno) { return 0, 0 }
			if n, errno := conn.Read(l.Scratch()); n != 0 || errno != c.read {
				t.Errorf("after them: %d, %v; want 0, %v", n, errno, c.read)
			}
		}
	}
}

// TestResetWithBytesParked checks that a reset does not look like an end: the
// peer sends half a response and RST while bytes are parked for it. Writing
// them returns the error, and the kernel does not report it again.
func TestResetWithBytesParked(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	var got []byte
	var end unix.Errno
	ended := false
	read := handlerFunc(func(c *Conn) {
		for c.Readable() && !ended {
			n, errno := c.Read(l.Scratch())
			got = append(got, l.Scratch()[:n]...)
			if errno != unix.EAGAIN && n == 0 {
				ended, end = true, errno
			}
		}
	})
	c := adopt(t, l, near, read)
	settle(t, l, c)
	park(t, c)
	write(t, far, "half a respo")
	reset(t, far)
	until(t, l, "the connection has ended", func() bool { return ended })
	if string(got) != "half a respo" || end != unix.ECONNRESET {
		t.Errorf("read %q and then %v; want the half and ECONNRESET", got, end)
	}
	if c.Parked() != 0 || c.Blocked() || !c.Failed() {
		t.Errorf("%d bytes still parked, blocked %v, failed %v", c.Parked(), c.Blocked(), c.Failed())
	}
}

func TestPeerReset(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	called := false
	c := adopt(t, l, near, ignore)
	settle(t, l, c)
	c.SetHandler(handlerFunc(func(c *Conn) { called = c.Failed() && c.HungUp() && c.Readable() }))
	write(t, far, "before")
	reset(t, far)
	until(t, l, "the handler saw it fail", func() bool { return called })
	p := make([]byte, 100)
	if n, errno := c.Read(p); string(p[:n]) != "before" || errno != 0 || !c.Readable() {
		t.Errorf("read %q, %v, readable %v; want what came before", p[:n], errno, c.Readable())
	}
	if n, errno := c.Read(p); n != 0 || errno != unix.ECONNRESET {
		t.Errorf("then %d, %v; want ECONNRESET", n, errno)
	}
	if errno := c.Send([]byte("x")); errno != unix.EPIPE {
		t.Errorf("Send: %v, want EPIPE", errno)
	}
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	l, c, far := connected(t, steppedSystem())
	write(t, far, "question")
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	until(t, l, "the peer has finished", c.HungUp)
	p := make([]byte, 100)
	if n, errno := c.Read(p); string(p[:n]) != "question" || errno != 0 || !c.Readable() {
		t.Fatalf("read %q, %v, readable %v", p[:n], errno, c.Readable())
	}
	if n, errno := c.Read(p); n != 0 || errno != 0 {
		t.Fatalf("the end: %d, %v", n, errno)
	}
	if c.Failed() || c.Blocked() {
		t.Errorf("failed %v, blocked %v: the other direction is open", c.Failed(), c.Blocked())
	}
	if errno := c.Send([]byte("answer")); errno != 0 {
		t.Fatal(errno)
	}
	c.CloseWrite()
	if got, err := io.ReadAll(far); string(got) != "answer" || err != nil {
		t.Errorf("the peer read %q, %v", got, err)
	}
}

// TestPeekAwaitMoreTake reads a header whose length is not known in advance.
func TestPeekAwaitMoreTake(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	p := make([]byte, 100)
	var seen []string
	c := adopt(t, l, near, handlerFunc(func(c *Conn) {
		if !c.Readable() {
			return
		}
		n, errno := c.Peek(p)
		if errno != 0 || !c.Readable() {
			t.Errorf("Peek: %v, readable %v", errno, c.Readable())
		}
		seen = append(seen, string(p[:n]))
		c.AwaitMore()
	}))
	for i, piece := range []string{"HEA", "DER", "body"} {
		write(t, far, piece)
		until(t, l, "the piece is seen", func() bool { return len(seen) > i })
	}
	if seen[0] != "HEA" || seen[1] != "HEADER" || seen[2] != "HEADERbody" {
		t.Errorf("peeked at %q", seen)
	}
	c.RetryRead()
	if n, errno := c.Take(p[:6]); string(p[:n]) != "HEADER" || errno != 0 || !c.Readable() {
		t.Errorf("Take: %q, %v, readable %v", p[:n], errno, c.Readable())
	}
	if n, errno := c.Read(p); string(p[:n]) != "body" || errno != 0 || c.Readable() {
		t.Errorf("Read: %q, %v, readable %v", p[:n], errno, c.Readable())
	}
	for name, f := range map[string]func([]byte) (int, unix.Errno){"Peek": c.Peek, "Take": c.Take, "Read": c.Read} {
		if n, errno := f(p); n != 0 || errno != unix.EAGAIN {
			t.Errorf("%s of nothing: %d, %v; want 0, EAGAIN", name, n, errno)
		}
	}
	far.Close()
	until(t, l, "the peer has gone", c.HungUp)
	if n, errno := c.Peek(p); n != 0 || errno != 0 {
		t.Errorf("Peek at the end: %d, %v", n, errno)
	}
}

// TestUrgentDataDoNotStall sends bytes behind the TCP urgent mark, at which a
// read stops short: they are read without another event.
func TestUrgentDataDoNotStall(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	write(t, far, "abc")
	raw, err := far.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) })
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	write(t, far, "def")
	var got []byte
	adopt(t, l, near, handlerFunc(func(c *Conn) {
		for c.Readable() {
			n, _ := c.Read(l.Scratch())
			got = append(got, l.Scratch()[:n]...)
		}
	}))
	until(t, l, "all is read", func() bool { return len(got) >= 6 })
	if string(got) != "abcdef" {
		t.Errorf("read %q", got)
	}
}

// TestFinUnacked sends FIN behind bytes that the peer does not read: FIN is
// unacknowledged until it does.
func TestFinUnacked(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	c := adopt(t, l, near, ignore)
	settle(t, l, c)
	for n, errno := 1, unix.Errno(0); n > 0 && errno == 0; {
		n, errno = kernelWrite(near, make([]byte, 1<<16)) // more than the peer's kernel takes
	}
	if c.FinUnacked() {
		t.Error("unacknowledged before it was sent")
	}
	c.CloseWrite()
	if !c.FinUnacked() {
		t.Error("acknowledged, although the peer cannot have FIN yet")
	}
	if _, err := io.Copy(io.Discard, far); err != nil {
		t.Fatal(err)
	}
	until(t, l, "the peer has acknowledged FIN", func() bool { return !c.FinUnacked() })
}

func TestHowThePeerSeesTheEnd(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		end  func(t *testing.T, c *Conn, far *net.TCPConn)
		want error
	}{
		"Close is FIN":                   {func(_ *testing.T, c *Conn, _ *net.TCPConn) { c.Close() }, io.EOF},
		"Reset is RST":                   {func(_ *testing.T, c *Conn, _ *net.TCPConn) { c.Reset() }, unix.ECONNRESET},
		"Close with bytes parked is RST": {func(t *testing.T, c *Conn, _ *net.TCPConn) { park(t, c); c.Close() }, unix.ECONNRESET},
		"Reset with bytes parked is RST": {func(t *testing.T, c *Conn, _ *net.TCPConn) { park(t, c); c.Reset() }, unix.ECONNRESET},
		"Cut is FIN":                     {func(_ *testing.T, c *Conn, _ *net.TCPConn) { c.Cut() }, io.EOF},
		"Cut with bytes parked is FIN":   {func(t *testing.T, c *Conn, _ *net.TCPConn) { park(t, c); c.Cut() }, io.EOF},
		"Cut with bytes unread is FIN":   {func(t *testing.T, c *Conn, far *net.TCPConn) { sendMuch(t, far); c.Cut() }, io.EOF},
		"Close with bytes unread is RST": {func(t *testing.T, c *Conn, far *net.TCPConn) { sendMuch(t, far); c.Close() }, unix.ECONNRESET},
		"Reset after Cut is FIN":         {func(_ *testing.T, c *Conn, _ *net.TCPConn) { c.Cut(); c.Reset() }, io.EOF},
		"Close after Reset is RST":       {func(_ *testing.T, c *Conn, _ *net.TCPConn) { c.Reset(); c.Close() }, unix.ECONNRESET},
		"Reset after Close is FIN":       {func(_ *testing.T, c *Conn, _ *net.TCPConn) { c.Close(); c.Reset() }, io.EOF},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := steppedSystem()
			var closes []int
			system.Close = func(fd int) unix.Errno {
				closes = append(closes, fd)
				return kernelClose(fd)
			}
			l, conn, far := connected(t, system)
			near := int(conn.fd)
			c.end(t, conn, far)
			if !conn.Closed() || len(closes) != 1 || closes[0] != near {
				t.Errorf("closed %v, descriptors %v; want the one, once", conn.Closed(), closes)
			}
			if conn.Parked() != 0 || len(l.toFree) != 1 {
				t.Errorf("%d bytes parked, %d to free; want 0, 1", conn.Parked(), len(l.toFree))
			}
			if _, err := io.Copy(io.Discard, far); err == nil && c.want != io.EOF || err != nil && !errors.Is(err, c.want) {
				t.Errorf("the peer saw %v, want %v", err, c.want)
			}
			l.turn()
			if l.Conns() != 0 || len(l.conns.free) != l.conns.size() {
				t.Errorf("%d connections left, %d of %d places free", l.Conns(), len(l.conns.free), l.conns.size())
			}
		})
	}
}

func TestLocalAddr(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	near, far := tcpPair(t)
	c := adopt(t, l, near, ignore)
	if got, want := c.LocalAddr(), far.RemoteAddr().(*net.TCPAddr).AddrPort(); got != want {
		t.Errorf("local address %v, want %v", got, want)
	}
	pair, _ := socketPair(t)
	if got := adopt(t, l, pair, ignore).LocalAddr(); got.IsValid() {
		t.Errorf("a Unix socket's address is %v", got)
	}
	if got, errno := l.system.LocalAddr(-1); got.IsValid() || errno != unix.EBADF {
		t.Errorf("no socket's address is %v, %v", got, errno)
	}
}

// TestAdoptFails checks that a socket that cannot be adopted is closed and
// takes no place.
func TestAdoptFails(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	l := newStepped(t, system)
	var closed []int
	system.EpollAdd = func(int, int, unix.EpollEvent) unix.Errno { return unix.ENOSPC }
	system.Close = func(fd int) unix.Errno {
		closed = append(closed, fd)
		return kernelClose(fd)
	}
	near, _ := socketPair(t)
	c, errno := l.Adopt(near, ignore)
	if c != nil || errno != unix.ENOSPC || len(closed) != 1 || closed[0] != near || l.Conns() != 0 {
		t.Errorf("Adopt: %v, %v; closed %v; %d connections", c, errno, closed, l.Conns())
	}
}
