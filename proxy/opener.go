package proxy

import (
	"errors"
	"net"

	"mcplb/proxy/handover"

	"golang.org/x/sys/unix"
)

// Inheritance is the listening sockets that another process hands over.
// *handover.Receiver implements it.
type Inheritance interface {
	// Socket returns the open socket of an address, which belongs to the caller from
	// then on; nil = there is none.
	Socket(address string) *net.TCPListener
	// Share lets further sockets be opened beside those of a port that are not in use
	// yet, and reports whether there are any.
	Share(port string) bool
}

// Opener opens listening sockets where this process, or the one that it replaces, may
// have sockets that overlap and are about to be closed: one of every address beside one
// of a single address, one of both families beside one of IPv4. The kernel allows that
// if both sockets have SO_REUSEPORT (socket(7)). An address that another program has
// stays in use. The zero value shares nothing.
//
// An Opener belongs to one goroutine.
type Opener struct {
	Inherited Inheritance              // nil = nothing is inherited
	Share     []func(port string) bool // share the sockets of this process, as Inheritance.Share does

	unfit map[string]bool // ports of inherited sockets that could not be used, and are shared
}

// Inherit returns the inherited socket of an address, if it is bound for the families of
// network ("tcp", "tcp4", "tcp6"); nil = there is none, and Open has to open one.
func (o *Opener) Inherit(network, address string) *net.TCPListener {
	if o.Inherited == nil {
		return nil
	}
	socket := o.Inherited.Socket(address)
	if socket == nil || fits(socket, network) {
		return socket
	}
	defer socket.Close() // the old process has another copy, which it closes once it is replaced
	_, port, _ := net.SplitHostPort(address)
	if handover.SharePort(socket, port) {
		if o.unfit == nil {
			o.unfit = map[string]bool{}
		}
		o.unfit[port] = true
	}
	return nil
}

// Open calls open, which opens a socket at an address, and if that is in use by a socket
// that can be shared, once more to open one with SO_REUSEPORT.
func (o *Opener) Open(address string, open func(shared bool) (*net.TCPListener, error)) (*net.TCPListener, error) {
	socket, err := open(false)
	if errors.Is(err, unix.EADDRINUSE) && o.share(address) {
		return open(true)
	}
	return socket, err
}

// share shares the sockets of an address's port, and reports whether there are any.
func (o *Opener) share(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	found := o.unfit[port]
	if o.Inherited != nil {
		found = o.Inherited.Share(port) || found
	}
	for _, share := range o.Share {
		found = share(port) || found
	}
	return found
}
