package session

import (
	"net/netip"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Session is a client's connection as the balancer as a whole sees it. Its
// methods run on its loop's goroutine.
type Session interface {
	// Server is the server whose slot the session holds, nil when it holds none.
	Server() *backend.Server
	// ServerDown is called when the session's server must not be used any more: it
	// went down or into maintenance, or a reload removed it. A client that is
	// still connecting is given another server; what is relayed ends unless the
	// policy is to keep it.
	ServerDown(policy conf.OnDown)
	// Drain ends the session at its next good place. A relay has none.
	Drain()
	// Abort ends the session at once for a reason of the balancer's; the client
	// can see that its stream was cut.
	Abort(reason Reason)
	// Info describes the session for an operator.
	Info() Info
	// Holds returns the slot and the source that the session holds, nil where it
	// holds none.
	Holds() (*backend.Slot, *ratelimit.Source)
	// Gone ends a detached session here, silently: the new process serves it.
	Gone(*Detached)
}

// Info describes a client's connection.
type Info struct {
	Frontend string
	Client   netip.AddrPort // the PROXY header's client where there is one; in mode http the present request's, port 0: not known
	Proxy    netip.AddrPort // the trusted proxy that named the client in X-Forwarded-For; invalid: none
	Name     string         // what a client asks for whose TLS is passed through (SNI), where that picks the backend; "" = none
	State    string         // such as "relaying"
	Since    int64          // when that began or something last moved, on the loops' clock
	Requests uint64         // mode http: read so far
}

// Holder is a connection's handler that belongs to a session.
type Holder interface {
	reactor.Handler
	// SessionOf returns the session whose client's connection c is, nil when c is
	// a connection to a server.
	SessionOf(c *reactor.Conn) Session
}

// Of returns the session that a client's connection belongs to, for
// reactor.Loop.Sweep: nil for a connection to a server, and for one that belongs
// to no session.
func Of(c *reactor.Conn) Session {
	if h, ok := c.Handler().(Holder); ok {
		return h.SessionOf(c)
	}
	return nil
}

// Detached is a session's connections off their loop, on their way to another
// process.
type Detached struct {
	Client, Server reactor.Detached // Server: FD is -1 where there is none
}

// ClientOnly is a Detached session that has no connection to a server.
func ClientOnly(client reactor.Detached) Detached {
	return Detached{Client: client, Server: reactor.Detached{FD: -1}}
}

// FDs returns its descriptors, the client's first.
func (d *Detached) FDs() []int {
	if d.Server.FD < 0 {
		return []int{d.Client.FD}
	}
	return []int{d.Client.FD, d.Server.FD}
}

// Close closes the descriptors, of which another process has copies, and forgets the
// secrets that it has, too.
func (d *Detached) Close() {
	for _, transport := range []reactor.Suspended{d.Client.Transport, d.Server.Transport} {
		if transport != nil {
			transport.Forget()
		}
	}
	for _, fd := range d.FDs() {
		unix.Close(fd)
	}
}
