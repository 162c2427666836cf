package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"mcplb/conf"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// listener is a listening socket and the frontend it belongs to.
type listener struct {
	*reactor.Listener
	wanted      string // as configured
	address     string // as the kernel shows it
	frontend    string
	userTimeout time.Duration // of clients accepted from now on
}

// listen opens a listening socket. What is set on it, every accepted
// connection inherits (tcp(7)): that saves two system calls a client. shared
// says that another socket of this process may be open on an overlapping
// address (socket(7), SO_REUSEPORT).
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
	config.SetMultipathTCP(false) // splice and TCP_USER_TIMEOUT are TCP's
	socket, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w%s", address, reason(err), hint(err))
	}
	return socket.(*net.TCPListener), nil
}

// open opens a listening socket, or finds it open: an inherited one is used as it
// is, with the options of this process's configuration. An address that
// overlaps one of ours that is about to be closed is opened beside it.
func (p *Proxy) open(address string, userTimeout time.Duration, plan *conf.Plan) (*net.TCPListener, error) {
	if p.options.Inherited != nil {
		if socket := p.options.Inherited(address); socket != nil {
			return socket, inheritedOptions(socket, userTimeout)
		}
	}
	socket, err := listen(address, userTimeout, false)
	if errors.Is(err, unix.EADDRINUSE) && p.shareWith(address, plan) {
		return listen(address, userTimeout, true)
	}
	return socket, err
}

// shareWith lets an address be opened beside those of its port that are about
// to be closed, and reports whether there are any.
func (p *Proxy) shareWith(address string, plan *conf.Plan) bool {
	_, port, _ := net.SplitHostPort(address)
	ending := slices.Clone(p.retiring)
	for _, change := range plan.Listeners {
		if l := p.listenerOf(change.Address, change.From); l != nil && change.To == "" {
			ending = append(ending, l)
		}
	}
	found := false
	for _, l := range ending {
		if _, its, _ := net.SplitHostPort(l.address); its == port {
			found = l.SetOption(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) == nil || found
		}
	}
	return found
}

// setUserTimeout changes what clients accepted from now on have.
func (l *listener) setUserTimeout(d time.Duration) {
	if l.userTimeout == d {
		return
	}
	if l.SetOption(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d/time.Millisecond)) == nil {
		l.userTimeout = d
	}
}

// listenerOf finds a frontend's listener by its address as configured.
func (p *Proxy) listenerOf(wanted, frontend string) *listener {
	for _, l := range p.listeners {
		if l.wanted == wanted && l.frontend == frontend {
			return l
		}
	}
	return nil
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
