//go:build linux

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listen opens a listening socket. What is set on it, every accepted
// connection inherits (tcp(7)): that saves two system calls a client.
func listen(address string, userTimeout time.Duration) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return setListenerOptions(raw, userTimeout)
	}}
	config.SetMultipathTCP(false) // splice and TCP_USER_TIMEOUT are TCP's
	socket, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w%s", address, reason(err), hint(err))
	}
	return socket.(*net.TCPListener), nil
}

// open opens a listening socket, or finds it open: an inherited one is used as it
// is, with the options of this process's configuration.
func (p *Proxy) open(address string, userTimeout time.Duration) (*net.TCPListener, error) {
	if p.options.Inherited != nil {
		if socket := p.options.Inherited(address); socket != nil {
			return socket, inheritedOptions(socket, userTimeout)
		}
	}
	return listen(address, userTimeout)
}

func inheritedOptions(socket *net.TCPListener, userTimeout time.Duration) error {
	raw, err := socket.SyscallConn()
	if err == nil {
		err = setListenerOptions(raw, userTimeout)
	}
	if err != nil {
		return fmt.Errorf("inherited socket %s: %w", socket.Addr(), err)
	}
	return nil
}

// reason is the system's own word, without what the caller says anyway.
func reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// hint says what to do about the usual failures of listen.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return " (find who has it with: ss -ltnp)"
	case errors.Is(err, unix.EACCES):
		return " (a port under 1024 needs CAP_NET_BIND_SERVICE)"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return " (no interface has this address; see: ip address)"
	}
	return ""
}

// setListenerOptions sets what clients' connections are to inherit.
func setListenerOptions(raw syscall.RawConn, userTimeout time.Duration) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond)))
	})
	return errors.Join(err, failed)
}

// canonical is an address as the kernel shows it, for log and status.
func canonical(socket *net.TCPListener) string {
	return strings.Replace(socket.Addr().String(), "[::]:", ":", 1)
}
