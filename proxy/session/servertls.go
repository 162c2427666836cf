package session

import (
	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// ServerTLS puts TLS upon connections to the servers of a pool. One stands for its
// settings: after a reload that changes them, the pool has another. Any loop may use
// it.
type ServerTLS interface {
	// Secure makes a connection to an endpoint of a server speak TLS from now on, and
	// begins the handshake: its transport is a Handshake. It is called on the
	// connection's loop, when nothing but a PROXY header was sent.
	Secure(c *reactor.Conn, server *backend.Server, endpoint conf.Endpoint)
	// Shaken is called when the handshake of a connection is complete, or has failed:
	// then before that is closed.
	Shaken(c *reactor.Conn, server *backend.Server, failed bool)
}

// TLSOf is the TLS to a pool's servers that is in force; nil = they speak plain.
func TLSOf(pool *backend.Pool) ServerTLS {
	tls, _ := pool.Attached().(ServerTLS)
	return tls
}

// secure begins TLS on a new connection, and reports whether the pool's servers speak
// it.
func (d *Dispatch) secure(s Stream, c *reactor.Conn) bool {
	tls := TLSOf(d.Pool)
	if tls == nil {
		return false
	}
	tls.Secure(c, d.Slot.Server(), s.Target())
	return true
}

// shaken continues the handshake with the slot's server.
func (d *Dispatch) shaken(c *reactor.Conn) (done bool, errno unix.Errno) {
	done, errno = c.Transport().(Handshake).Step()
	if tls := TLSOf(d.Pool); done && tls != nil {
		tls.Shaken(c, d.Slot.Server(), errno != 0)
	}
	return done, errno
}
