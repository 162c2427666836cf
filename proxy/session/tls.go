package session

import (
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// TLS puts TLS upon the connections of a frontend's clients.
type TLS interface {
	// Secure makes the client's connection speak TLS from now on: its transport is
	// a Handshake, and once that is done the connection is read and written as if
	// it were plain. It is called on the connection's loop, before anything but a
	// PROXY header was read.
	Secure(c *reactor.Conn)
}

// Handshake is a transport that lets nothing pass until it is done.
type Handshake interface {
	reactor.Transport
	// Step continues the handshake; call it at every Ready of the connection until
	// done. An error then says that the peer broke off (ECONNRESET), or that the
	// handshake failed, of which the peer is informed if the connection is closed
	// by Close.
	Step() (done bool, errno unix.Errno)
	// Version is the protocol's version, such as "1.3", once it is done.
	Version() string
}

// TLSVersion is the version of TLS that a connection speaks; "" = none.
func TLSVersion(c *reactor.Conn) string {
	if tls, ok := c.Transport().(Handshake); ok {
		return tls.Version()
	}
	return ""
}

// Protocol is the application protocol that a connection's TLS has agreed on (ALPN);
// "" = none.
func Protocol(c *reactor.Conn) string {
	if tls, ok := c.Transport().(interface{ Protocol() string }); ok {
		return tls.Protocol()
	}
	return ""
}

// shake is Step of a connection that speaks TLS. A refusal other than 0 is how the
// handshake failed: TLSHandshake, or ClientGone.
func shake(c *reactor.Conn) (done bool, refusal Reason) {
	done, errno := c.Transport().(Handshake).Step()
	switch {
	case !done || errno == 0:
		return done, 0
	case errno == unix.ECONNRESET:
		return true, ClientGone
	}
	return true, TLSHandshake
}
