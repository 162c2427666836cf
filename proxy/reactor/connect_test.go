//go:build linux

package reactor

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// attempt is a handler that keeps the outcome of a connection attempt.
type attempt struct {
	calls int
	early bool // it was said to take bytes before Connected
	done  bool
	errno unix.Errno
}

func (a *attempt) Ready(c *Conn) {
	a.calls++
	if !a.done {
		a.early = a.early || !c.Blocked()
		a.done, a.errno = c.Connected()
	}
}

// dial begins an attempt that is not to fail at once.
func dial(t *testing.T, l *Loop, d Dialing) (*Conn, *attempt) {
	t.Helper()
	a := &attempt{}
	c, errno := l.Dial(d, a)
	if errno != 0 {
		t.Fatalf("dialing %v from %v: %v", d.To, d.From, errno)
	}
	return c, a
}

// refusing returns an address that nobody listens at, until the test ends.
func refusing(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, errno := kernelSocket(unix.AF_INET)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if errno := kernelBind(fd, netip.MustParseAddrPort("127.0.0.1:0")); errno != 0 {
		t.Fatal(errno)
	}
	address, errno := kernelLocalAddr(fd)
	if errno != 0 {
		t.Fatal(errno)
	}
	return address
}

func TestDialSucceeds(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			socket, err := net.Listen("tcp", address)
			if err != nil {
				t.Skip("this machine has no IPv6: ", err)
			}
			defer socket.Close()
			to := addressOf(socket.(*net.TCPListener))
			l := newStepped(t, steppedSystem())
			c, a := dial(t, l, Dialing{To: to, From: to.Addr(), UserTimeout: 7000})
			if !c.Blocked() {
				t.Error("not blocked while connecting")
			}
			until(t, l, "the attempt has an outcome", func() bool { return a.done })
			if a.errno != 0 || a.early || c.Blocked() {
				t.Fatalf("outcome %v, open before %v, blocked now %v", a.errno, a.early, c.Blocked())
			}
			peer, err := socket.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			if got, want := c.LocalAddr(), peer.RemoteAddr().(*net.TCPAddr).AddrPort(); got != want {
				t.Errorf("local address %v, but the peer sees %v", got, want)
			}
			checkOption(t, c, unix.TCP_NODELAY, 1)
			checkOption(t, c, unix.TCP_USER_TIMEOUT, 7000)
		})
	}
}

func checkOption(t *testing.T, c *Conn, option, want int) {
	t.Helper()
	if got, err := unix.GetsockoptInt(int(c.fd), unix.IPPROTO_TCP, option); err != nil || got != want {
		t.Errorf("TCP option %d is %d, %v; want %d", option, got, err, want)
	}
}

func TestDialRefused(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	c, a := dial(t, l, Dialing{To: refusing(t)})
	until(t, l, "the attempt has an outcome", func() bool { return a.done })
	if a.errno != unix.ECONNREFUSED || !c.Failed() {
		t.Errorf("outcome %v, failed %v; want ECONNREFUSED, true", a.errno, c.Failed())
	}
	c.Close()
}

// TestSendBeforeConnected writes too early: the outcome is told all the same.
func TestSendBeforeConnected(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	c, a := dial(t, l, Dialing{To: refusing(t)})
	if errno := c.Send([]byte("early")); errno != 0 && errno != unix.ECONNREFUSED {
		t.Errorf("Send: %v", errno)
	}
	until(t, l, "the attempt has an outcome", func() bool { return a.done })
	if a.errno != unix.ECONNREFUSED {
		t.Errorf("outcome %v, want ECONNREFUSED", a.errno)
	}

	socket := listenTCP(t, "127.0.0.1:0")
	c, a = dial(t, l, Dialing{To: addressOf(socket)})
	if errno := c.Send([]byte("early")); errno != 0 {
		t.Errorf("Send: %v", errno)
	}
	until(t, l, "the attempt has an outcome", func() bool { return a.done })
	peer, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	p := make([]byte, 5)
	if n, err := peer.Read(p); a.errno != 0 || string(p[:n]) != "early" {
		t.Errorf("outcome %v, the peer read %q, %v", a.errno, p[:n], err)
	}
}

// TestPeerClosesAtOnce connects to one that accepts, speaks and closes: that
// is a success, with an end to be read.
func TestPeerClosesAtOnce(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	socket := listenTCP(t, "127.0.0.1:0")
	c, a := dial(t, l, Dialing{To: addressOf(socket)})
	peer, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	write(t, peer, "bye")
	peer.Close()
	until(t, l, "the attempt has an outcome", func() bool { return a.done && c.HungUp() })
	if n, errno := c.Read(l.Scratch()); a.errno != 0 || errno != 0 || string(l.Scratch()[:n]) != "bye" || !c.Readable() {
		t.Errorf("outcome %v, read %q, %v, readable %v", a.errno, l.Scratch()[:n], errno, c.Readable())
	}
}

// TestDialIsGivenUp connects to one whose backlog is full, so that nothing
// comes back: the caller's timer ends it.
func TestDialIsGivenUp(t *testing.T) {
	t.Parallel()
	to := fullBacklog(t)
	system := steppedSystem()
	fakeClock(system)
	closed := 0
	system.Close = func(fd int) unix.Errno { closed++; return kernelClose(fd) }
	l := newStepped(t, system)
	c, a := dial(t, l, Dialing{To: to})
	var timer Timer
	l.Arm(&timer, expirerFunc(func(*Timer) { c.Close() }), l.Now()+5e9)
	if done, _ := c.Connected(); done {
		t.Error("connected at once")
	}
	until(t, l, "the timer has run out", func() bool { return closed > 0 })
	if a.done || a.calls > 0 || l.Conns() != 0 {
		t.Errorf("outcome %v after %d calls, %d connections left", a.done, a.calls, l.Conns())
	}
}

// fullBacklog returns an address whose listener takes no more clients in.
func fullBacklog(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, errno := kernelSocket(unix.AF_INET)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if errno := kernelBind(fd, netip.MustParseAddrPort("127.0.0.1:0")); errno != 0 {
		t.Fatal(errno)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	address, errno := kernelLocalAddr(fd)
	if errno != 0 {
		t.Fatal(errno)
	}
	client, err := net.Dial("tcp", address.String()) // a backlog of 0 holds one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return address
}

// TestDialFails has every step fail: the error is told and nothing stays open.
func TestDialFails(t *testing.T) {
	t.Parallel()
	fail := func(errno unix.Errno) func(int, netip.AddrPort) unix.Errno {
		return func(int, netip.AddrPort) unix.Errno { return errno }
	}
	cases := map[string]struct {
		inject func(s *System)
		from   string
		want   unix.Errno
	}{
		"no descriptors":  {func(s *System) { s.Socket = func(int) (int, unix.Errno) { return -1, unix.EMFILE } }, "", unix.EMFILE},
		"foreign source":  {func(*System) {}, "192.0.2.1", unix.EADDRNOTAVAIL},
		"bind":            {func(s *System) { s.Bind = fail(unix.EADDRINUSE) }, "127.0.0.1", unix.EADDRINUSE},
		"no ports":        {func(s *System) { s.Connect = fail(unix.EADDRNOTAVAIL) }, "", unix.EADDRNOTAVAIL},
		"no route":        {func(s *System) { s.Connect = fail(unix.ENETUNREACH) }, "", unix.ENETUNREACH},
		"refused at once": {func(s *System) { s.Connect = fail(unix.ECONNREFUSED) }, "", unix.ECONNREFUSED},
		"not watched": {func(s *System) {
			s.EpollAdd = func(int, int, unix.EpollEvent) unix.Errno { return unix.ENOMEM }
		}, "", unix.ENOMEM},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := steppedSystem()
			l := newStepped(t, system)
			open := map[int]bool{}
			system.Socket = func(family int) (int, unix.Errno) {
				fd, errno := kernelSocket(family)
				open[fd] = true
				return fd, errno
			}
			system.Close = func(fd int) unix.Errno {
				delete(open, fd)
				return kernelClose(fd)
			}
			c.inject(system)
			d := Dialing{To: refusing(t)}
			if c.from != "" {
				d.From = netip.MustParseAddr(c.from)
			}
			conn, errno := l.Dial(d, ignore)
			if conn != nil || errno != c.want {
				t.Errorf("Dial: %v, %v; want %v", conn, errno, c.want)
			}
			if len(open) != 0 || l.Conns() != 0 {
				t.Errorf("left open: %v, %d connections", open, l.Conns())
			}
		})
	}
}

// TestLateErrors has the kernel tell the outcome by SO_ERROR.
func TestLateErrors(t *testing.T) {
	t.Parallel()
	for _, want := range []unix.Errno{unix.ETIMEDOUT, unix.EHOSTUNREACH, 0} {
		system := steppedSystem()
		l := newStepped(t, system)
		c, a := dial(t, l, Dialing{To: fullBacklog(t)})
		system.Error = func(int) unix.Errno { return want }
		event := eventOf(c, unix.EPOLLERR|unix.EPOLLHUP)
		l.dispatch(&event)
		if !a.done || a.errno != want {
			t.Errorf("outcome %v, %v; want %v", a.done, a.errno, want)
		}
	}
}

// TestLocalPortIsSharedByDestinations leaves the kernel one single local port:
// two connections to different destinations both get it, a second one to the
// same destination does not. (bind(2) to port 0 without
// IP_BIND_ADDRESS_NO_PORT would take it for all destinations.)
func TestLocalPortIsSharedByDestinations(t *testing.T) {
	t.Parallel()
	for from, target := range map[string]string{"127.0.0.9": "127.0.0.1", "::1": "::1"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			source := netip.MustParseAddr(from)
			freePort(t, source)
			first := addressOf(listenTCP(t, net.JoinHostPort(target, "0")))
			second := addressOf(listenTCP(t, net.JoinHostPort(target, "0")))
			port := 0
			system := steppedSystem()
			system.Socket = func(family int) (int, unix.Errno) { return onePortSocket(t, family, port) }
			l := newStepped(t, system)
			var errno unix.Errno
			for range 20 { // others may have taken the port meanwhile
				port = freePort(t, source)
				if _, errno = l.Dial(Dialing{To: first, From: source}, ignore); errno == 0 {
					break
				}
			}
			c, errno2 := l.Dial(Dialing{To: second, From: source}, ignore)
			if errno != 0 || errno2 != 0 {
				t.Fatalf("to the first: %v, to the second: %v", errno, errno2)
			}
			if want := netip.AddrPortFrom(source, uint16(port)); c.LocalAddr() != want {
				t.Errorf("to the second from %v, want %v", c.LocalAddr(), want)
			}
			if _, errno := l.Dial(Dialing{To: first, From: source}, ignore); errno != unix.EADDRNOTAVAIL {
				t.Errorf("to the first again: %v, want EADDRNOTAVAIL", errno)
			}
		})
	}
}

// onePortSocket returns a socket that the kernel has one local port for.
func onePortSocket(t *testing.T, family, port int) (int, unix.Errno) {
	t.Helper()
	const ipLocalPortRange = 51 // IP_LOCAL_PORT_RANGE of linux/in.h, Linux 6.3
	fd, errno := kernelSocket(family)
	if errno != 0 {
		return fd, errno
	}
	if errno := kernelSetOption(fd, unix.IPPROTO_IP, ipLocalPortRange, port<<16|port); errno != 0 {
		unix.Close(fd)
		t.Skip("this kernel has no IP_LOCAL_PORT_RANGE: ", errno)
	}
	return fd, 0
}

// freePort returns a port of an address that was free a moment ago.
func freePort(t *testing.T, address netip.Addr) int {
	t.Helper()
	socket, err := net.Listen("tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		t.Skip("this machine has no such address: ", err)
	}
	defer socket.Close()
	return socket.Addr().(*net.TCPAddr).Port
}
