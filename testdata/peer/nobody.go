package peer

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Refusing is an address that refuses connections until Listen is called. Nobody
// else is given its port before the test ends.
type Refusing struct {
	Address string // host:port
	FD      int    // of the socket: bound, and after Listen listening
}

// Refuse takes a port on which nobody listens.
func Refuse(t testing.TB) *Refusing {
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
	return &Refusing{Address: fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), FD: fd}
}

// Listen ends the refusing: connections are taken in, backlog and one more of
// them (listen(2)), and nobody serves them.
func (r *Refusing) Listen(t testing.TB, backlog int) {
	t.Helper()
	if err := unix.Listen(r.FD, backlog); err != nil {
		t.Fatal(err)
	}
}

// Blackhole is an address that does not answer a SYN: its backlog is full.
func Blackhole(t testing.TB) string {
	t.Helper()
	r := Refuse(t)
	r.Listen(t, 0)
	for range 8 {
		c, err := net.DialTimeout("tcp", r.Address, 50*time.Millisecond)
		if err != nil {
			return r.Address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("a backlog of 0 takes in 8 connections")
	return ""
}
