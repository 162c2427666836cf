package l4

import (
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// Securer puts TLS upon the connections of a frontend's clients.
type Securer interface {
	// Secure has the client's connection speak TLS from now on: its layer is a
	// Handshake, and once that is done it is read and written as if it were
	// plain. It is called on the connection's loop, before anything but a PROXY
	// header was read.
	Secure(c *reactor.Conn)
}

// Handshake is a layer that does not let anything pass until it is done.
type Handshake interface {
	reactor.Transport
	// Step goes on, at every Ready of the connection, until it is done. An
	// error then says that the client broke off (ECONNRESET), or that the
	// handshake failed, of which the client hears if the connection is closed by
	// Close.
	Step() (done bool, errno unix.Errno)
	// Version is the protocol's version, such as "1.3", once it is done.
	Version() string
}

// Version is the version of TLS that a connection speaks; "" = none.
func Version(c *reactor.Conn) string {
	if tls, ok := c.Transport().(Handshake); ok {
		return tls.Version()
	}
	return ""
}

// Shake is Step of a connection that was given to a Securer. A refusal other
// than 0 says how the handshake ended: TLSHandshake, or ClientGone.
func Shake(c *reactor.Conn) (done bool, refusal Reason) {
	done, errno := c.Transport().(Handshake).Step()
	switch {
	case !done || errno == 0:
		return done, 0
	case errno == unix.ECONNRESET:
		return true, ClientGone
	}
	return true, TLSHandshake
}

// secure begins TLS where the frontend asks for it.
func (s *Session) secure() {
	tls := s.frontend.Settings().TLS
	if tls == nil {
		s.acquire()
		return
	}
	s.state = securing
	tls.Secure(s.relay.client)
	s.armIn(handshakeTimeout)
	s.shake()
}

// shake goes on with the handshake, and then asks for a server.
func (s *Session) shake() {
	done, refusal := Shake(s.relay.client)
	switch {
	case !done:
	case refusal != 0:
		s.finish(refusal) // without RST, which could overtake the alert
	default:
		s.loop.Disarm(&s.relay.timer)
		s.relay.log.Secured(Version(s.relay.client))
		s.acquire()
	}
}
