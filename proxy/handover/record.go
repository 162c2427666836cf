package handover

import (
	"errors"
	"fmt"

	"mcplb/backend"
	"mcplb/proxy/l4"
	"mcplb/proxy/l7"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Everything that depends on the layers' sessions and on the form of their
// records is in this file.

// Record is a client's connection that moves to the new process. Its sockets,
// the client's and perhaps the server's, or those of its streams, are sent beside it.
type Record struct {
	Frontend string
	Holding
	Two      bool                    // there are two sockets
	Detached int64                   // when the old process stopped serving it, on the engine's clock
	Stream   *l4.Handover            // of a session of mode tcp or mcp
	HTTP     *l7.Handover            // of a client of mode http
	HTTP2    *l7.MultiplexerHandover // of one that speaks HTTP/2
	Streams  []StreamRecord          // of HTTP2, in the order of its streams

	Client, Server       reactor.Watched // of the sockets
	ClientTLS, ServerTLS *tlsio.State    // of the sockets; nil = plain
}

// Holding is what a client holds, or a stream of HTTP/2.
type Holding struct {
	Slot    SlotKey
	Source  uint64 // ratelimit.Source.Key, if Limited
	Limited bool
	Spent   int64 // ratelimit.Source.Spent, when it was detached
}

// StreamRecord is a stream of HTTP/2, what the layer needs of it aside.
type StreamRecord struct {
	Holding
	HasServer bool // there is a socket
	Server    reactor.Watched
	ServerTLS *tlsio.State // nil = plain
}

// wipe forgets the secrets of connections that stay in the old process.
func (r *Record) wipe() {
	r.ClientTLS.Wipe()
	r.ServerTLS.Wipe()
	for i := range r.Streams {
		r.Streams[i].ServerTLS.Wipe()
	}
}

// descriptors is how many descriptors belong to the record.
func (r *Record) descriptors() int {
	n := 1
	if r.Two {
		n++
	}
	for i := range r.Streams {
		if r.Streams[i].HasServer {
			n++
		}
	}
	return n
}

// asksAgain reports whether a session may ask for a slot more than once.
func asksAgain(s session.Session) bool {
	_, http := s.(l7.Session)
	return http
}

// rests reports whether a client of HTTP/1.1 is between two requests.
func rests(c *reactor.Conn, s session.Session) bool {
	info := s.Info()
	return asksAgain(s) && session.Of(c) == s && info.Requests > 0 && info.State == "reading"
}

// leaving is a session that is detached from its loop.
type leaving struct {
	record   Record
	session  session.Session
	detached session.Detached
	gone     func() // ends the session here: the new process serves it
	back     func() // serves it here again
}

// detach detaches the session from its loop. It reports false when the session
// cannot move now.
func (m *leaving) detach() (ok bool) {
	switch s := m.session.(type) {
	case *l4.Session:
		m.record.Stream, m.detached, ok = s.Detach()
		m.gone, m.back = func() { s.Gone(&m.detached) }, func() { s.Back(m.record.Stream, &m.detached) }
	case l7.Session:
		m.record.HTTP, m.detached, ok = s.Detach()
		m.gone, m.back = func() { s.Gone(&m.detached) }, func() { s.Back(m.record.HTTP, &m.detached) }
	case l7.Multiplexer:
		m.record.HTTP2, m.detached, ok = s.Detach()
		m.gone, m.back = func() { s.Gone(&m.detached) }, func() { s.Back(m.record.HTTP2, &m.detached) }
	}
	m.record.Two = ok && m.detached.Server.FD >= 0
	m.record.Client, m.record.Server = m.detached.Client.Watched, m.detached.Server.Watched
	m.record.ClientTLS, m.record.ServerTLS = stateOf(&m.detached.Client), stateOf(&m.detached.Server)
	return ok
}

// stateOf returns the state of a detached connection's TLS, nil when it is plain.
func stateOf(d *reactor.Detached) *tlsio.State {
	if suspended, ok := d.Transport.(*tlsio.Suspended); ok {
		return suspended.State
	}
	return nil
}

// pending is how many bytes the session's peers have not taken yet, or wait for the
// message rate.
func (m *leaving) pending() int {
	n := len(m.detached.Client.Parked) + len(m.detached.Server.Parked) + m.record.ClientTLS.Pending() + m.record.ServerTLS.Pending()
	if s := m.record.Stream; s != nil {
		n += len(s.Relay.Held)
	}
	if h := m.record.HTTP; h != nil && h.Tunnel != nil {
		n += len(h.Tunnel.Relay.Held)
	}
	if h := m.record.HTTP2; h != nil {
		n += h.Pending()
	}
	for i := range m.record.Streams {
		n += m.record.Streams[i].ServerTLS.Pending()
	}
	return n
}

// arriving is a session that has arrived from the old process.
type arriving struct {
	Record
	detached session.Detached
	frontend Frontend
	claimed
	streams []claimed // of HTTP2
}

// claimed is what a client, or a stream, holds in this process from now on.
type claimed struct {
	slot   backend.Slot
	server *backend.Server // of the slot
	pool   *backend.Pool   // likewise
	source *ratelimit.Source
}

// held are the parts of the record that hold something, and what they have claimed.
func (a *arriving) held(visit func(*Holding, *claimed) error) error {
	if a.streams == nil {
		a.streams = make([]claimed, len(a.Streams))
	}
	err := visit(&a.Holding, &a.claimed)
	for i := range a.Streams {
		if err == nil {
			err = visit(&a.Streams[i].Holding, &a.streams[i])
		}
	}
	return err
}

// errUnknown reports why a session is refused.
var errUnknown = errors.New("its frontend or server does not exist in this process")

// errIncomplete reports that a record contradicts itself.
var errIncomplete = errors.New("the record of the connection is incomplete")

// attach gives the session its sockets, as the frontend's layer needs them.
func (a *arriving) attach(frontend Frontend, fds []int, workers *tlsio.Workers) error {
	a.frontend = frontend
	a.detached = session.Detached{Client: reactor.Detached{FD: fds[0]}, Server: reactor.Detached{FD: -1}}
	if a.Two {
		a.detached.Server.FD = fds[1]
	}
	a.detached.Client.Watched, a.detached.Server.Watched = a.Client, a.Server
	hasServer := false
	switch {
	case a.HTTP2 != nil && a.Stream == nil && a.HTTP == nil && !a.Two && a.Slot.Server == 0 && frontend.HTTP != nil:
		a.detached.Client.Parked = a.HTTP2.ToClient
		if !a.attachStreams(fds[1:]) {
			return fmt.Errorf("frontend %s: %w", a.Frontend, errIncomplete)
		}
		return a.restore(workers)
	case a.HTTP2 != nil || len(a.Streams) > 0:
		return fmt.Errorf("frontend %s: %w", a.Frontend, errUnknown)
	case a.Stream != nil && a.HTTP == nil && frontend.Stream != nil:
		hasServer = a.Stream.Relaying
		a.detached.Client.Parked = a.Stream.Relay.ToClient
		a.detached.Server.Parked = a.Stream.Relay.ToServer
	case a.HTTP != nil && a.HTTP.Valid() && a.Stream == nil && frontend.HTTP != nil:
		hasServer = a.HTTP.HasServer()
		a.detached.Client.Parked, a.detached.Server.Parked = a.HTTP.Parked()
	default:
		return fmt.Errorf("frontend %s: %w", a.Frontend, errUnknown)
	}
	if hasServer != a.Two || hasServer && a.Slot.Server == 0 {
		return fmt.Errorf("frontend %s: %w", a.Frontend, errIncomplete)
	}
	return a.restore(workers)
}

// attachStreams gives the streams their sockets, and reports whether they fit together.
func (a *arriving) attachStreams(fds []int) bool {
	if len(a.Streams) != len(a.HTTP2.Streams) || !a.HTTP2.Valid() {
		return false
	}
	for i := range a.Streams {
		r, h := &a.Streams[i], &a.HTTP2.Streams[i]
		if r.HasServer != h.HasServer() || r.HasServer != (r.Slot.Server != 0) {
			return false
		}
		d := reactor.Detached{FD: -1}
		if r.HasServer {
			d = reactor.Detached{FD: fds[0], Parked: h.Exchange.ToServer, Watched: r.Server}
			fds = fds[1:]
		}
		a.detached.Streams = append(a.detached.Streams, d)
	}
	return true
}

// restore gives the session the TLS of its connections.
func (a *arriving) restore(workers *tlsio.Workers) error {
	err := errors.Join(restoreTo(&a.detached.Client, a.ClientTLS, workers), restoreTo(&a.detached.Server, a.ServerTLS, workers))
	for i := range a.Streams {
		if r := &a.Streams[i]; r.HasServer {
			err = errors.Join(err, restoreTo(&a.detached.Streams[i], r.ServerTLS, workers))
		}
	}
	if err != nil {
		return fmt.Errorf("frontend %s: %w", a.Frontend, err)
	}
	return nil
}

func restoreTo(d *reactor.Detached, state *tlsio.State, workers *tlsio.Workers) error {
	if state == nil {
		return nil
	}
	suspended, err := workers.Restore(state)
	if err == nil {
		d.Transport = suspended
	}
	return err
}

// serve begins to serve the session, on its loop.
func (a *arriving) serve(loop *reactor.Loop) {
	switch {
	case a.Stream != nil:
		a.frontend.Stream.Adopt(loop, a.Stream, &a.detached, a.source, a.slot)
	case a.HTTP2 != nil:
		streams := make([]l7.Claimed, len(a.streams))
		for i := range a.streams {
			s := &a.streams[i]
			streams[i] = l7.Claimed{Source: s.source, Slot: s.slot, Pool: s.pool}
		}
		a.frontend.HTTP.AdoptMultiplexer(loop, a.HTTP2, &a.detached, a.source, streams)
	default:
		a.frontend.HTTP.Adopt(loop, a.HTTP, &a.detached, a.source, a.slot, a.pool)
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
