package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"mcplb/conf"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// socketOptions are how a listening socket is bound, and what every accepted
// connection inherits from it (tcp(7)), which saves system calls per client.
type socketOptions struct {
	liveness   reactor.Liveness
	sendBuffer int64 // bytes that wait to be sent, see notSent; 0 = the kernel's limit
	ipv6Only   bool  // of an address of both families: IPv6 alone (ipv6(7), IPV6_V6ONLY)
	shared     bool  // another socket of this user is open on an overlapping address (socket(7), SO_REUSEPORT)
}

// listenTimeout limits the time to look up the host name of an address to listen on.
const listenTimeout = 2 * time.Second

// listen opens a listening socket.
func listen(address string, o socketOptions) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return o.prepare(raw) }}
	config.SetMultipathTCP(false) // splice and TCP_USER_TIMEOUT need plain TCP
	ctx, cancel := context.WithTimeout(context.Background(), listenTimeout)
	defer cancel()
	socket, err := config.Listen(ctx, o.network(address), ListenName(ctx, address))
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w%s", address, reason(err), ListenAdvice(err))
	}
	return socket.(*net.TCPListener), nil
}

// checkListenNames reports host names to listen on that do not resolve.
func checkListenNames(c *conf.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), listenTimeout)
	defer cancel()
	var failed []error
	for _, f := range c.Frontends {
		for _, address := range f.Listen {
			if err := checkListenName(ctx, address); err != nil {
				failed = append(failed, fmt.Errorf("frontend %s: listening on %s: %w", f.Name, address, err))
			}
		}
	}
	if err := checkListenName(ctx, c.Admin.Listen); err != nil {
		failed = append(failed, fmt.Errorf("admin.listen: %w", err))
	}
	if err := checkListenName(ctx, c.Admin.HealthListen); err != nil {
		failed = append(failed, fmt.Errorf("admin.health_listen: %w", err))
	}
	return errors.Join(failed...)
}

// checkListenName reports a host name that does not resolve.
func checkListenName(ctx context.Context, address string) error {
	host, _, err := net.SplitHostPort(ListenName(ctx, address))
	if err != nil || host == "" {
		return nil
	}
	_, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	return err
}

// ListenName returns address, without the dot at the end of its host name if only that name
// resolves: the hosts file has names without it, and package net does not find them.
func ListenName(ctx context.Context, address string) string {
	host, port, err := net.SplitHostPort(address)
	name, rooted := strings.CutSuffix(host, ".")
	if err != nil || !rooted {
		return address
	}
	if _, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host); err == nil {
		return address
	}
	return net.JoinHostPort(name, port)
}

// What package net calls the families that a socket is for. With "tcp", it takes
// 0.0.0.0 for every address of both.
const (
	bothFamilies = "tcp"
	ipv4         = "tcp4"
	ipv6         = "tcp6" // sets IPV6_V6ONLY
)

// network returns the families that a listen address is for.
func (o *socketOptions) network(address string) string {
	host, _, _ := net.SplitHostPort(address)
	switch {
	case o.ipv6Only:
		return ipv6
	case host == "0.0.0.0":
		return ipv4
	}
	return bothFamilies
}

// prepare sets the options of a socket that is not bound yet.
func (o *socketOptions) prepare(raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		if o.shared {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
	})
	return errors.Join(err, failed, o.set(raw))
}

// inheritedOptions sets the options of this process's configuration on an inherited
// socket.
func inheritedOptions(socket *net.TCPListener, o socketOptions) error {
	raw, err := socket.SyscallConn()
	if err == nil {
		err = o.set(raw)
	}
	if err != nil {
		return fmt.Errorf("inherited socket %s: %w", socket.Addr(), err)
	}
	return nil
}

// set sets the options that clients' connections inherit.
func (o *socketOptions) set(raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		for _, option := range o.inherited() {
			failed = errors.Join(failed, unix.SetsockoptInt(int(fd), option.Level, option.Option, option.Value))
		}
	})
	return errors.Join(err, failed)
}

// inherited returns the options that clients' connections inherit.
func (o *socketOptions) inherited() []reactor.SocketOption {
	return append(livenessOptions(o.liveness),
		reactor.SocketOption{Level: unix.IPPROTO_TCP, Option: unix.TCP_NODELAY, Value: 1},
		reactor.SocketOption{Level: unix.IPPROTO_TCP, Option: unix.TCP_NOTSENT_LOWAT, Value: notSent(o.sendBuffer)})
}

// livenessOptions returns the options of a listening socket by which clients that
// have vanished are noticed.
func livenessOptions(v reactor.Liveness) []reactor.SocketOption {
	return append(v.KeepAliveOptions(),
		reactor.SocketOption{Level: unix.IPPROTO_TCP, Option: unix.TCP_USER_TIMEOUT, Value: int(v.UserTimeout / time.Millisecond)})
}

// notSent is the TCP_NOTSENT_LOWAT that bounds the memory of a client who does not
// read to sendBuffer; 0 = the kernel's own limit. The kernel looks at it between
// writes, and so goes past it by up to one. Unlike SO_SNDBUF, it does not bound what
// is under way, and so not the throughput of a long path (tcp(7)).
func notSent(sendBuffer int64) int { return int(sendBuffer * 4 / 5) }

// fits reports whether an inherited socket is bound for the families of network.
// Only one that is bound to every address may be bound for others.
func fits(socket *net.TCPListener, network string) bool {
	address := socket.Addr().(*net.TCPAddr)
	switch {
	case !address.IP.IsUnspecified():
		return true
	case network == ipv4:
		return address.IP.To4() != nil
	}
	return isIPv6Only(socket) == (network == ipv6)
}

// isIPv6Only reports whether a socket is bound for IPv6 alone.
func isIPv6Only(socket *net.TCPListener) bool {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	only := 0 // also for an IPv4 socket, which has no such option
	err = raw.Control(func(fd uintptr) { only, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) })
	return err == nil && only == 1
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
func canonical(socket *net.TCPListener, ipv6Only bool) string {
	if ipv6Only {
		return socket.Addr().String()
	}
	return strings.Replace(socket.Addr().String(), "[::]:", ":", 1)
}
