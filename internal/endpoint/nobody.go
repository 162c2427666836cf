package endpoint

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Refuse is an address that refuses connections: its port is taken, until the test
// ends, and nobody listens on it.
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

// Listen ends the refusing: connections are taken in, backlog and one more of
// them (listen(2)), and nobody serves them.
func (b *Bound) Listen(t testing.TB, backlog int) {
	t.Helper()
	if err := unix.Listen(b.FD, backlog); err != nil {
		t.Fatal(err)
	}
}

// Blackhole is an address that does not answer a SYN: its backlog is full.
func Blackhole(t testing.TB) string {
	t.Helper()
	hole := Bind(t)
	hole.Listen(t, 0)
	for range 8 {
		c, err := net.DialTimeout("tcp", hole.Address, 50*time.Millisecond)
		if err != nil {
			return hole.Address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("a backlog of 0 takes in 8 connections")
	return ""
}
