package reactor

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/internal/leak"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience is how long a test waits for an event that must come.
const patience = 3 * time.Minute

// handlerFunc is a function used as a Handler.
type handlerFunc func(c *Conn)

func (f handlerFunc) Ready(c *Conn) { f(c) }

// ignore is a handler that does nothing.
var ignore = handlerFunc(func(*Conn) {})

// steppedSystem is the kernel, for a loop whose turns the test runs itself: it
// never blocks for long.
func steppedSystem() *System {
	s := Kernel()
	wait := s.EpollWait
	s.EpollWait = func(epoll int, events []unix.EpollEvent, millis int) int {
		if millis < 0 || millis > 5 {
			millis = 5
		}
		return wait(epoll, events, millis)
	}
	return s
}

// newStepped opens a loop without a goroutine: the test runs its turns one by
// one, and may inspect it in between.
func newStepped(t testing.TB, system *System) *Loop {
	t.Helper()
	l, err := newLoop(0, system, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.shutdown)
	return l
}

// until runs turns until done holds.
func until(t testing.TB, l *Loop, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); l.turn() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// receive runs turns until a value is sent, and returns it.
func receive[T any](t testing.TB, l *Loop, what string, from <-chan T) (got T) {
	t.Helper()
	until(t, l, what, func() bool {
		select {
		case got = <-from:
			return true
		default:
			return false
		}
	})
	return got
}

// adopt puts a socket on the loop.
func adopt(t testing.TB, l *Loop, fd int, h Handler) *Conn {
	t.Helper()
	c, errno := l.Adopt(fd, h)
	if errno != 0 {
		t.Fatalf("adopting a socket: %v", errno)
	}
	return c
}

// settle runs turns until the loop knows that c is writable, as every new
// connection is.
func settle(t testing.TB, l *Loop, c *Conn) {
	t.Helper()
	until(t, l, "a new connection is writable", func() bool { return !c.Blocked() })
}

// socketPair returns two connected non-blocking stream sockets. The second is
// closed when the test ends, unless the test has closed it with hangUp.
func socketPair(t testing.TB) (near, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// tcpPair returns a non-blocking TCP socket and its peer, which is closed when
// the test ends.
func tcpPair(t testing.TB) (near int, far *net.TCPConn) {
	t.Helper()
	listener := listenTCP(t, "127.0.0.1:0")
	near, errno := kernelSocket(unix.AF_INET)
	if errno != 0 {
		t.Fatal(errno)
	}
	if errno := kernelConnect(near, addressOf(listener)); errno != 0 && errno != unix.EINPROGRESS {
		t.Fatal(errno)
	}
	far, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if err := far.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// connected returns a stepped loop with a TCP connection, which is writable and
// has no handler yet, and its far end: see tcpPair.
func connected(t testing.TB, system *System) (*Loop, *Conn, *net.TCPConn) {
	t.Helper()
	l := newStepped(t, system)
	near, far := tcpPair(t)
	c := adopt(t, l, near, ignore)
	settle(t, l, c)
	return l, c, far
}

// paired is connected with Unix sockets; the far end is a descriptor: see
// socketPair.
func paired(t testing.TB, system *System) (*Loop, *Conn, int) {
	t.Helper()
	l := newStepped(t, system)
	near, far := socketPair(t)
	c := adopt(t, l, near, ignore)
	settle(t, l, c)
	return l, c, far
}

// listenTCP listens until the test ends, over plain TCP: package net would
// choose Multipath TCP. A test of IPv6 is skipped on a machine without it.
func listenTCP(t testing.TB, address string) *net.TCPListener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil && strings.HasPrefix(address, "[") {
		t.Skip("this machine has no IPv6: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.(*net.TCPListener)
}

func addressOf(listener *net.TCPListener) netip.AddrPort {
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// sendAll writes p to a non-blocking socket, which must take all of it.
func sendAll(t testing.TB, fd int, p []byte) {
	t.Helper()
	if n, errno := kernelWrite(fd, p); errno != 0 || n != len(p) {
		t.Fatalf("writing %d bytes: %d, %v", len(p), n, errno)
	}
}

// receiveAll reads all bytes that have arrived.
func receiveAll(t testing.TB, fd int) []byte {
	t.Helper()
	var all []byte
	p := make([]byte, ReadSize)
	for {
		n, errno := kernelRead(fd, p)
		if errno == unix.EAGAIN || errno == 0 && n == 0 {
			return all
		}
		if errno != 0 {
			t.Fatalf("reading: %v", errno)
		}
		all = append(all, p[:n]...)
	}
}

// noise returns a source of random bytes, the same in every run.
func noise() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1, 2, 3}) }

// take returns the next n bytes of a source.
func take(from *rand.ChaCha8, n int) []byte {
	p := make([]byte, n)
	_, _ = from.Read(p) // never fails
	return p
}

// clock is a System's time; it advances only when a loop would have slept.
type clock struct {
	now    int64
	sleeps []int // how long the loops wanted to sleep, in milliseconds; -1 = until an event
}

// fakeClock installs a clock in s: a loop that would sleep until a timer finds
// that the time has passed.
func fakeClock(s *System) *clock {
	k := &clock{now: 1e9 + 12345}
	s.Now = func() int64 { return k.now }
	wait := s.EpollWait
	s.EpollWait = func(epoll int, events []unix.EpollEvent, millis int) int {
		n := wait(epoll, events, 0)
		if n == 0 && millis != 0 {
			k.sleeps = append(k.sleeps, millis)
			k.now += int64(max(millis, 0)) * 1e6
		}
		return n
	}
	return k
}
