//go:build linux

package reactor

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// DialOptions says where and how to connect.
type DialOptions struct {
	To       netip.AddrPort // a zone must be the interface's number
	From     netip.Addr     // of To's family; invalid = the kernel's choice
	Liveness Liveness       // how the peer is watched
}

// Dial begins a connection. The handler's Ready is called when there is an
// outcome, which Connected returns. The local port is chosen at connect time,
// so that it only has to be free towards this destination
// (IP_BIND_ADDRESS_NO_PORT, ip(7)). An immediate error is returned, and nothing
// is open then; EMFILE and ENFILE only when this loop has nothing to spare
// (Engine.OnShortage): then other loops may have, in a moment. Dial sets no time limit: the caller gives up with Close. Only
// the loop's goroutine may call it.
func (l *Loop) Dial(d DialOptions, h Handler) (*Conn, unix.Errno) {
	fd, errno := l.socketToDial(family(d.To.Addr()))
	for errno != 0 && l.relieved(errno) {
		fd, errno = l.socketToDial(family(d.To.Addr()))
	}
	if errno != 0 {
		return nil, errno
	}
	if errno := l.dial(fd, d); errno != 0 {
		l.system.Close(fd)
		return nil, errno
	}
	c, errno := l.Adopt(fd, h)
	if errno == 0 {
		c.flags |= connecting
		c.watchDialed(d.Liveness)
	}
	return c, errno
}

func (l *Loop) dial(fd int, d DialOptions) unix.Errno {
	l.system.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if n := d.Liveness.millis(); n > 0 {
		l.system.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, n)
	}
	if d.From.IsValid() {
		l.system.SetOption(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if errno := l.system.Bind(fd, netip.AddrPortFrom(d.From, 0)); errno != 0 {
			return errno
		}
	}
	if errno := l.system.Connect(fd, d.To); errno != unix.EINPROGRESS {
		return errno
	}
	return 0
}

// DialFrom is Dial from one of several local addresses, or from any address if
// sources is empty. Every address has its own ports: when one has none left
// towards the destination, the next is tried. Addresses of the other family are
// skipped; EADDRNOTAVAIL means that none was left. first, a counter or a random
// number, chooses where to start, so that the addresses are used in turn.
func (l *Loop) DialFrom(d DialOptions, sources []netip.Addr, first int, h Handler) (*Conn, unix.Errno) {
	if len(sources) == 0 {
		return l.Dial(d, h)
	}
	begin := int(uint(first) % uint(len(sources)))
	for i := range sources {
		d.From = sources[(begin+i)%len(sources)]
		if d.From.Is4() != d.To.Addr().Is4() {
			continue
		}
		if c, errno := l.Dial(d, h); errno != unix.EADDRNOTAVAIL {
			return c, errno
		}
	}
	return nil, unix.EADDRNOTAVAIL
}
