package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"mcplb/conf"
	"mcplb/proxy/handover"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// listener is a listening socket and the frontend it belongs to.
type listener struct {
	*reactor.Listener
	wanted     string // as configured
	address    string // as the kernel shows it
	ipv6Only   bool   // wanted is bound for IPv6 alone
	frontend   string
	liveness   reactor.Liveness // of clients accepted from now on
	sendBuffer int64            // likewise
}

// at reports whether the listener is the one of an address as configured.
func (l *listener) at(wanted string, ipv6Only bool) bool {
	return l.wanted == wanted && l.ipv6Only == ipv6Only
}

// setLiveness changes how clients accepted from now on are watched.
func (l *listener) setLiveness(v reactor.Liveness) {
	if l.liveness == v {
		return
	}
	for _, option := range livenessOptions(v) {
		if l.SetOption(option.Level, option.Option, option.Value) != nil {
			return
		}
	}
	l.liveness = v
}

// setSendBuffer changes the bound of clients accepted from now on.
func (l *listener) setSendBuffer(n int64) {
	if l.sendBuffer == n {
		return
	}
	if l.SetOption(unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent(n)) == nil {
		l.sendBuffer = n
	}
}

// listeners are the listening sockets. Proxy.mu guards them.
type listeners struct {
	engine   *reactor.Engine
	opener   Opener
	active   []*listener
	retiring []*listener // removed by a reload: they accept the clients that are connecting, and close
}

// open opens one address, or uses the socket that is open there already: an
// inherited one, or one that an earlier reload is still closing. No client is
// accepted until the listener is handed to a frontend.
func (s *listeners) open(address string, o socketOptions) (*listener, error) {
	for i, l := range s.retiring {
		if l.at(address, o.ipv6Only) && !strings.HasSuffix(address, ":0") && l.CancelRetire() {
			s.retiring = slices.Delete(s.retiring, i, i+1)
			return l, nil
		}
	}
	socket, err := s.socket(address, o)
	if err != nil {
		return nil, err
	}
	defer socket.Close() // the engine has a copy
	made, err := s.engine.Listen(socket, notYet{})
	if err != nil {
		return nil, err
	}
	return &listener{
		Listener: made, wanted: address, address: canonical(socket, o.ipv6Only), ipv6Only: o.ipv6Only, liveness: o.liveness, sendBuffer: o.sendBuffer,
	}, nil
}

// notYet accepts no clients.
type notYet struct{}

func (notYet) MayAccept() bool                             { return false }
func (notYet) Accepted(*reactor.Loop, int, netip.AddrPort) {} // never called
func (notYet) AcceptFailed(unix.Errno)                     {}

// socket opens a listening socket, or returns the inherited one, with the options
// of this process's configuration.
func (s *listeners) socket(address string, o socketOptions) (*net.TCPListener, error) {
	if socket := s.opener.Inherit(o.network(address), address); socket != nil {
		return socket, inheritedOptions(socket, o)
	}
	return s.opener.Open(address, func(shared bool) (*net.TCPListener, error) {
		o.shared = shared
		return listen(address, o)
	})
}

// shareWith says which sockets may be in the way of new ones and yet be about to be
// closed, beside the listeners' own: inherited ones, and those that another shares. Both
// may be nil.
func (s *listeners) shareWith(inherited Inheritance, another func(port string) bool) {
	s.opener = Opener{Inherited: inherited, Share: []func(port string) bool{s.share}}
	if another != nil {
		s.opener.Share = append(s.opener.Share, another)
	}
}

// share lets sockets be opened beside those of a port, and reports whether there are
// any. An address of the configuration overlaps with none of its others, so a listener
// in the way is one that is about to be closed.
func (s *listeners) share(port string) (found bool) {
	for _, l := range slices.Concat(s.active, s.retiring) {
		if _, its, _ := net.SplitHostPort(l.address); its == port {
			found = l.SetOption(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) == nil || found
		}
	}
	return found
}

// find returns the listener that a change is about; nil = there is none.
func (s *listeners) find(change conf.ListenerChange) *listener {
	for _, l := range s.active {
		if l.at(change.Address, change.IPv6Only) && l.frontend == change.From {
			return l
		}
	}
	return nil
}

// apply carries the plan out: it hands listeners to other frontends, retires those
// that no frontend has any more, so that no client connecting there is refused,
// and begins to accept on the opened ones.
func (s *listeners) apply(plan *conf.Plan, opened []*listener, frontends map[string]*layered) {
	s.retiring = slices.DeleteFunc(s.retiring, func(l *listener) bool { return l.Closed() })
	for _, change := range plan.Listeners {
		l := s.find(change)
		switch {
		case l == nil:
		case change.To == "":
			l.Retire()
			s.active = slices.DeleteFunc(s.active, func(other *listener) bool { return other == l })
			s.retiring = append(s.retiring, l)
		default:
			l.frontend = change.To
			l.SetHandler(frontends[change.To])
		}
	}
	for _, l := range opened {
		l.SetHandler(frontends[l.frontend])
	}
	s.active = append(s.active, opened...)
}

// addresses returns those that a frontend listens on for a configured address, as
// the kernel shows them.
func (s *listeners) addresses(wanted, frontend string) (shown []string) {
	for _, l := range s.active {
		if l.wanted == wanted && l.frontend == frontend {
			shown = append(shown, l.address)
		}
	}
	return shown
}

// resume makes every listener accept again.
func (s *listeners) resume() {
	for _, l := range s.active {
		l.Resume()
	}
}

// close closes every listener.
func (s *listeners) close() {
	for _, l := range slices.Concat(s.active, s.retiring) {
		l.Close()
	}
	s.active, s.retiring = nil, nil
}

// copies returns copies of the sockets of all active listeners.
func (s *listeners) copies() ([]handover.Socket, error) {
	var all []handover.Socket
	for _, l := range s.active {
		file, err := l.File()
		if err != nil {
			return all, fmt.Errorf("copying the socket of %s: %w", l.wanted, err)
		}
		all = append(all, handover.Socket{Address: l.wanted, File: file})
	}
	return all, nil
}

// SharePort lets sockets be opened beside those of the frontends at a port, which a
// configuration that is about to be applied does not have any more, and reports whether
// there are any.
func (p *Proxy) SharePort(port string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.listeners.share(port)
}
