package endpoint

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Refuse returns an address that refuses connections: until the test ends its
// port is bound, and no socket listens on it.
func Refuse(t testing.TB) string {
	t.Helper()
	return Bind(t).Address
}

// Bound is an address that refuses connections until Listen is called.
type Bound struct {
	Address string // host:port
	FD      int    // the socket, which is closed when the test ends
}

// Bind takes a port without listening on it.
func Bind(t testing.TB) *Bound {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return &Bound{Address: fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), FD: fd}
}

// Listen makes the kernel accept backlog+1 connections (listen(2)), which are
// never served.
func (b *Bound) Listen(t testing.TB, backlog int) {
	t.Helper()
	if err := unix.Listen(b.FD, backlog); err != nil {
		t.Fatal(err)
	}
}

// FreePort returns a port on which nothing listens at host, "" for all of the machine's
// addresses, for a program that a test starts. The kernel gives it to nobody: it is below
// the ports that a connection, or port 0, gets (ip(7), ip_local_port_range).
func FreePort(t testing.TB, host string) int {
	t.Helper()
	for {
		port := 12_000 + rand.IntN(20_000)
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
		if err == nil {
			listener.Close()
			return port
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

// Blackhole returns an address that does not respond to a SYN: its backlog is
// full.
func Blackhole(t testing.TB) string {
	t.Helper()
	hole := Bind(t)
	hole.Listen(t, 0)
	c, err := net.DialTimeout("tcp", hole.Address, Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	Eventually(t, "the connection fills the backlog", func() bool { return hole.backlog(t) > 0 })
	return hole.Address
}

// backlog returns how many connections wait to be accepted: of a listening
// socket, TCP_INFO says it there (tcp_get_info in the kernel's net/ipv4/tcp.c). A
// connection may be established for its client, and not yet be in the backlog.
func (b *Bound) backlog(t testing.TB) int {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(b.FD, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Unacked)
}
