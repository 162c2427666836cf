package reactor

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"

	"golang.org/x/sys/unix"
)

// attempt is a handler that records the outcome of a connection attempt.
type attempt struct {
	calls int
	early bool // it was not Blocked before Connected
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

// dial begins an attempt that must not fail at once.
func dial(t *testing.T, l *Loop, d DialOptions) (*Conn, *attempt) {
	t.Helper()
	a := &attempt{}
	c, errno := l.Dial(d, a)
	if errno != 0 {
		t.Fatalf("dialing %v from %v: %v", d.To, d.From, errno)
	}
	return c, a
}

// refusing returns an address at which nothing listens until the test ends.
func refusing(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(endpoint.Refuse(t))
}

func TestDialSucceeds(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			socket := listenTCP(t, address)
			to := addressOf(socket)
			l := newStepped(t, steppedSystem())
			c, a := dial(t, l, DialOptions{To: to, From: to.Addr(), Liveness: Liveness{UserTimeout: 7 * time.Second, KeepAlive: time.Minute}})
			if !c.Blocked() {
				t.Error("not blocked while connecting")
			}
			until(t, l, "the attempt has an outcome", func() bool { return a.done })
			if a.errno != 0 || a.early || c.Blocked() {
				t.Fatalf("outcome %v, open before %v, blocked now %v", a.errno, a.early, c.Blocked())
			}
			far, err := socket.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer far.Close()
			if got, want := c.LocalAddr(), far.RemoteAddr().(*net.TCPAddr).AddrPort(); got != want {
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
	c, a := dial(t, l, DialOptions{To: refusing(t)})
	until(t, l, "the attempt has an outcome", func() bool { return a.done })
	if a.errno != unix.ECONNREFUSED || !c.Failed() {
		t.Errorf("outcome %v, failed %v; want ECONNREFUSED, true", a.errno, c.Failed())
	}
	c.Close()
}

// TestSendBeforeConnected writes too early: Connected returns the outcome
// anyway.
func TestSendBeforeConnected(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	c, a := dial(t, l, DialOptions{To: refusing(t)})
	if errno := c.Send([]byte("early")); errno != 0 && errno != unix.ECONNREFUSED {
		t.Errorf("Send: %v", errno)
	}
	until(t, l, "the attempt has an outcome", func() bool { return a.done })
	if a.errno != unix.ECONNREFUSED {
		t.Errorf("outcome %v, want ECONNREFUSED", a.errno)
	}

	socket := listenTCP(t, "127.0.0.1:0")
	c, a = dial(t, l, DialOptions{To: addressOf(socket)})
	if errno := c.Send([]byte("early")); errno != 0 {
		t.Errorf("Send: %v", errno)
	}
	until(t, l, "the attempt has an outcome", func() bool { return a.done })
	far, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	p := make([]byte, 5)
	if n, err := far.Read(p); a.errno != 0 || string(p[:n]) != "early" {
		t.Errorf("outcome %v, the peer read %q, %v", a.errno, p[:n], err)
	}
}

// TestPeerClosesAtOnce connects to a peer that accepts, writes and closes: the
// attempt succeeds, and the end can be read.
func TestPeerClosesAtOnce(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	socket := listenTCP(t, "127.0.0.1:0")
	c, a := dial(t, l, DialOptions{To: addressOf(socket)})
	far, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	write(t, far, "bye")
	far.Close()
	until(t, l, "the attempt has an outcome", func() bool { return a.done && c.HungUp() })
	if n, errno := c.Read(l.Scratch()); a.errno != 0 || errno != 0 || string(l.Scratch()[:n]) != "bye" || !c.Readable() {
		t.Errorf("outcome %v, read %q, %v, readable %v", a.errno, l.Scratch()[:n], errno, c.Readable())
	}
}

// TestDialIsGivenUp connects to a listener with a full backlog, which does not
// respond: the caller's timer ends the attempt.
func TestDialIsGivenUp(t *testing.T) {
	t.Parallel()
	to := fullBacklog(t)
	system := steppedSystem()
	fakeClock(system)
	closed := 0
	system.Close = func(fd int) unix.Errno { closed++; return kernelClose(fd) }
	l := newStepped(t, system)
	c, a := dial(t, l, DialOptions{To: to})
	var timer Timer
	l.Arm(&timer, expirerFunc(func(*Timer) { c.Close() }), l.Now()+5e9)
	if done, _ := c.Connected(); done {
		t.Error("connected at once")
	}
	until(t, l, "the timer has expired", func() bool { return closed > 0 })
	if a.done || a.calls > 0 || l.Conns() != 0 {
		t.Errorf("outcome %v after %d calls, %d connections left", a.done, a.calls, l.Conns())
	}
}

// fullBacklog returns the address of a listener with a full backlog.
func fullBacklog(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(endpoint.Blackhole(t))
}

// TestDialFails makes every step fail: Dial returns the error, and nothing
// stays open.
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
			d := DialOptions{To: refusing(t)}
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

// TestDialFrom tries source addresses in turn, one of which has no ports left.
func TestDialFrom(t *testing.T) {
	t.Parallel()
	sources := []netip.Addr{}
	for _, text := range []string{"127.0.0.21", "::1", "127.0.0.22", "127.0.0.23"} {
		sources = append(sources, netip.MustParseAddr(text))
	}
	cases := map[string]struct {
		first     int
		exhausted string // of ports
		fails     unix.Errno
		tried     string
		want      unix.Errno
	}{
		"the first":                     {first: 0, tried: "127.0.0.21"},
		"the other family is left out":  {first: 1, tried: "127.0.0.22"},
		"any number will do":            {first: 4*7 + 3, tried: "127.0.0.23"},
		"a negative one, too":           {first: -4, tried: "127.0.0.21"},
		"no ports: the next":            {first: 3, exhausted: "127.0.0.23", tried: "127.0.0.23 127.0.0.21"},
		"no ports anywhere":             {first: 2, fails: unix.EADDRNOTAVAIL, tried: "127.0.0.22 127.0.0.23 127.0.0.21", want: unix.EADDRNOTAVAIL},
		"another error is not for them": {first: 2, fails: unix.ENETUNREACH, tried: "127.0.0.22", want: unix.ENETUNREACH},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := steppedSystem()
			var tried []string
			system.Bind = func(_ int, from netip.AddrPort) unix.Errno {
				tried = append(tried, from.Addr().String())
				return 0
			}
			system.Connect = func(int, netip.AddrPort) unix.Errno {
				if tried[len(tried)-1] == c.exhausted {
					return unix.EADDRNOTAVAIL
				}
				return c.fails
			}
			l := newStepped(t, system)
			_, errno := l.DialFrom(DialOptions{To: refusing(t)}, sources, c.first, ignore)
			if got := strings.Join(tried, " "); got != c.tried || errno != c.want {
				t.Errorf("tried %s, outcome %v; want %s, %v", got, errno, c.tried, c.want)
			}
		})
	}
	l := newStepped(t, steppedSystem())
	if _, errno := l.DialFrom(DialOptions{To: refusing(t)}, nil, 5, ignore); errno != 0 {
		t.Errorf("without sources: %v", errno)
	}
	if _, errno := l.DialFrom(DialOptions{To: refusing(t)}, sources[1:2], 0, ignore); errno != unix.EADDRNOTAVAIL {
		t.Errorf("with no source of the family: %v", errno)
	}
}

// TestLateErrors returns the outcome through SO_ERROR.
func TestLateErrors(t *testing.T) {
	t.Parallel()
	for _, want := range []unix.Errno{unix.ETIMEDOUT, unix.EHOSTUNREACH, 0} {
		system := steppedSystem()
		l := newStepped(t, system)
		c, a := dial(t, l, DialOptions{To: fullBacklog(t)})
		system.Error = func(int) unix.Errno { return want }
		event := eventOf(c, unix.EPOLLERR|unix.EPOLLHUP)
		l.dispatch(&event)
		if !a.done || a.errno != want {
			t.Errorf("outcome %v, %v; want %v", a.done, a.errno, want)
		}
	}
}

// TestLocalPortIsSharedByDestinations connects to one destination and leaves
// the kernel only the local port of that connection: a connection to another
// destination gets the same port, a second one to the same destination fails.
// (bind(2) to port 0 without IP_BIND_ADDRESS_NO_PORT would take it for all
// destinations.)
func TestLocalPortIsSharedByDestinations(t *testing.T) {
	t.Parallel()
	for from, target := range map[string]string{"127.0.0.9": "127.0.0.1", "::1": "::1"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			source := netip.MustParseAddr(from)
			first := addressOf(listenTCP(t, net.JoinHostPort(target, "0")))
			second := addressOf(listenTCP(t, net.JoinHostPort(target, "0")))
			system := steppedSystem()
			l := newStepped(t, system)
			c, _ := dial(t, l, DialOptions{To: first, From: source})
			local := c.LocalAddr()
			if local.Addr() != source {
				t.Errorf("connected from %v, want %v", local, source)
			}
			system.Socket = func(family int) (int, unix.Errno) { return onePortSocket(t, family, int(local.Port())) }
			c, _ = dial(t, l, DialOptions{To: second, From: source})
			if c.LocalAddr() != local {
				t.Errorf("to the second from %v, want %v", c.LocalAddr(), local)
			}
			if _, errno := l.Dial(DialOptions{To: first, From: source}, ignore); errno != unix.EADDRNOTAVAIL {
				t.Errorf("to the first again: %v, want EADDRNOTAVAIL", errno)
			}
		})
	}
}

// onePortSocket returns a socket for which the kernel has one local port.
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
