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

// listen opens a listening socket. Every accepted connection inherits the options
// set on it (tcp(7)), which saves two system calls per client. shared allows
// another socket of this process to be open on an overlapping address (socket(7),
// SO_REUSEPORT).
func listen(address string, userTimeout time.Duration, shared bool) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		if shared {
			var failed error
			if err := raw.Control(func(fd uintptr) {
				failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}); err != nil || failed != nil {
				return errors.Join(err, failed)
			}
		}
		return setListenerOptions(raw, userTimeout)
	}}
	config.SetMultipathTCP(false) // splice and TCP_USER_TIMEOUT need plain TCP
	socket, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w%s", address, reason(err), ListenAdvice(err))
	}
	return socket.(*net.TCPListener), nil
}

// inheritedOptions sets the options of this process's configuration on an inherited
// socket.
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

// setListenerOptions sets the options that clients' connections inherit.
func setListenerOptions(raw syscall.RawConn, userTimeout time.Duration) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond)))
	})
	return errors.Join(err, failed)
}

// reason returns the system's own error, without the context that the caller adds
// anyway.
func reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// ListenAdvice returns advice on the usual failures of listen, to be appended to the message;
// "" = there is none.
func ListenAdvice(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return " (find who has it with: ss -ltnp)"
	case errors.Is(err, unix.EACCES):
		return " (a port under 1024 needs CAP_NET_BIND_SERVICE)"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return " (no interface has this address; see: ip address). For an address that comes later, as keepalived's do, set net.ipv4.ip_nonlocal_bind=1 (IPv6: net.ipv6.ip_nonlocal_bind=1) with sysctl"
	}
	return ""
}

// canonical is an address as the kernel shows it, for the log and the status.
func canonical(socket *net.TCPListener) string {
	return strings.Replace(socket.Addr().String(), "[::]:", ":", 1)
}
