package handover

import (
	"net"

	"golang.org/x/sys/unix"
)

// SharePort lets further sockets of this user be opened on addresses that overlap with a
// socket's, if that listens on a port (socket(7), SO_REUSEPORT), and reports whether it
// does. All copies of the socket share the option, those in other processes, too.
func SharePort(socket *net.TCPListener, port string) bool {
	if _, its, err := net.SplitHostPort(socket.Addr().String()); err != nil || its != port {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return err == nil && failed == nil
}

// Share lets sockets be opened beside the inherited ones of a port that are not in use
// yet (SharePort), and reports whether there are any. The old process closes them once
// it is replaced.
func (r *Receiver) Share(port string) (found bool) {
	if r == nil {
		return false
	}
	for _, socket := range r.sockets {
		found = SharePort(socket, port) || found
	}
	return found
}
