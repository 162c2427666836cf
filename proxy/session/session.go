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
	Protocol string         // "h2": a connection of HTTP/2, or one of its streams; "" = another
	Streams  int            // of a connection of HTTP/2: those that are open
	Stream   uint32         // the stream's number on its connection; 0 = it is a connection
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

// Stays reports whether a client's connection cannot move to another process, whatever
// its session does: it speaks TLS 1.2, or its handshake is not complete.
func Stays(c *reactor.Conn) bool { return c.HasTransport() && !c.Transport().Detachable() }

// Lingers reports whether requests on a client's connection must have servers in this
// process, although another one takes over: it Stays, or could not move so far.
func Lingers(c *reactor.Conn) bool {
	m, multiplexed := Of(c).(Multiplexer)
	return multiplexed && m.Lingers() || Stays(c)
}

// Multiplexer is a Session of several streams at once, each of which is a Session, too:
// those have the servers and slots, the Multiplexer has the connection.
type Multiplexer interface {
	Session
	// EachStream calls visit for every stream. One that visit ends, or that ends with it,
	// may be visited or not.
	EachStream(visit func(Session))
	// Lingers reports whether the connection could not move to another process although
	// its streams have tried.
	Lingers() bool
}

// Each calls visit for the streams of a client's connection, where it has any, and then
// for its session.
func Each(c *reactor.Conn, visit func(Session)) {
	s := Of(c)
	if s == nil {
		return
	}
	if m, ok := s.(Multiplexer); ok {
		m.EachStream(visit)
	}
	visit(s)
}

// Detached is a session's connections off their loop, on their way to another
// process.
type Detached struct {
	Client, Server reactor.Detached   // Server: FD is -1 where there is none
	Streams        []reactor.Detached // of a Multiplexer: for each stream what Server is
}

// ClientOnly is a Detached session that has no connection to a server.
func ClientOnly(client reactor.Detached) Detached {
	return Detached{Client: client, Server: reactor.Detached{FD: -1}}
}

// each calls visit for every connection that there is, the client's first.
func (d *Detached) each(visit func(*reactor.Detached)) {
	visit(&d.Client)
	if d.Server.FD >= 0 {
		visit(&d.Server)
	}
	for i := range d.Streams {
		if d.Streams[i].FD >= 0 {
			visit(&d.Streams[i])
		}
	}
}

// FDs returns its descriptors, the client's first.
func (d *Detached) FDs() (all []int) {
	d.each(func(one *reactor.Detached) { all = append(all, one.FD) })
	return all
}

// Close closes the descriptors, of which another process has copies, and forgets the
// secrets that it has, too.
func (d *Detached) Close() {
	d.each(func(one *reactor.Detached) {
		if one.Transport != nil {
			one.Transport.Forget()
		}
		unix.Close(one.FD)
	})
}
