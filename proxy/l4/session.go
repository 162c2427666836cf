package l4

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Session is one client connection of a frontend, from accept to its end: it
// implements session.Session and session.Stream. Everything of it runs on its
// loop's goroutine, but for Granted.
//
//	state        event                        next
//	entering     the client has entered       dispatching, or hello if routes depend on SNI
//	entering     it is refused                finished
//	hello        the ClientHello is complete  dispatching
//	hello        no TLS, too long, timer      dispatching, to the frontend's backend
//	hello        the client ends              finished: refused
//	dispatching  a server is connected        relaying
//	dispatching  none can be had              finished: refused
//	relaying     the relay ends               finished
//	relaying     a message is too long        lingering
//	lingering    the client ends, or timer    finished
//	any          the client breaks off        finished
type Session struct {
	client   session.Client
	dispatch session.Dispatch
	relay    Relay
	frontend *Frontend
	loop     *reactor.Loop
	messages *messages // mode mcp; nil in mode tcp
	name     string    // see session.Info
	state    state
}

type state uint8

const (
	entering    state = iota // see session.Client
	hello                    // the ClientHello is awaited, which names the backend
	dispatching              // see session.Dispatch
	relaying
	lingering
	finished
	states // their number
)

// settings are those in force.
func (s *Session) settings() *session.Settings { return s.frontend.Settings() }

// Ready implements reactor.Handler for the time before and after the relay.
func (s *Session) Ready(c *reactor.Conn) {
	if c == s.client.Conn && c.Failed() {
		s.clientGone()
		return
	}
	switch s.state {
	case entering:
		s.entered(s.client.Enter(s.settings(), s.frontend.Limiter))
	case hello:
		s.readHello()
	case dispatching:
		if c == s.relay.server {
			s.dispatch.Ready(s, c)
		}
	case lingering:
		s.discard()
	}
}

// clientGone ends a session whose client has broken off.
func (s *Session) clientGone() {
	if s.state == lingering {
		s.finish(session.MessageTooLong)
		return
	}
	s.refuse(s.client.Left())
}

// entered continues with what has become of the client's way in.
func (s *Session) entered(done bool, refusal session.Reason) {
	switch {
	case !done:
		s.arm()
	case refusal != 0:
		s.client.Refuse(refusal)
		s.finish(refusal)
	default:
		s.relay.Log.Secured(session.TLSVersion(s.client.Conn))
		s.route()
	}
}

// route continues with a client that has entered: to the frontend's backend, or once it is
// known what its ClientHello asks for.
func (s *Session) route() {
	if s.settings().Names == nil {
		s.dispatchTo(s.settings().Pool)
		return
	}
	s.state, s.client.Since = hello, s.loop.Now()
	s.readHello()
}

// dispatchTo asks a backend for a server.
func (s *Session) dispatchTo(pool *backend.Pool) {
	s.state, s.dispatch.Pool = dispatching, pool
	s.loop.Disarm(&s.client.Timer)
	s.dispatch.Begin(s)
}

// limit is how long the present state may last, and since when; 0 = forever. A
// relay has a limit that it keeps itself.
func (s *Session) limit() (time.Duration, int64) {
	switch s.state {
	case entering:
		return s.client.Limit(&s.settings().Frontend), s.client.Since
	case hello:
		return helloTime, s.client.Since
	case dispatching:
		return s.dispatch.Limit(), s.dispatch.Since
	case lingering:
		return lingerTime, s.client.Since
	}
	return 0, 0
}

// arm sets the timer for the end of the present state.
func (s *Session) arm() {
	if limit, since := s.limit(); limit > 0 {
		s.loop.Arm(&s.client.Timer, s, since+int64(limit))
	} else {
		s.loop.Disarm(&s.client.Timer)
	}
}

// Expired implements reactor.Expirer.
func (s *Session) Expired(*reactor.Timer) {
	switch s.state {
	case entering:
		s.refuse(s.client.TooLate())
	case hello:
		s.client.Conn.RetryRead() // what has come was only looked at, and no event will report it again
		s.unnamed()
	case dispatching:
		s.dispatch.Expired(s)
	case lingering:
		s.finish(session.MessageTooLong)
	}
}

// Loop implements session.Stream.
func (s *Session) Loop() *reactor.Loop { return s.loop }

// Log implements session.Stream.
func (s *Session) Log() *accesslog.Record { return s.relay.Log }

// Counters implements session.Stream.
func (s *Session) Counters() *session.Counters { return s.relay.Taken }

// Granted implements backend.Waiter. Any goroutine may call it.
func (s *Session) Granted(slot backend.Slot) { s.dispatch.Granted(s, slot) }

// Wanted implements session.Stream: a server by the frontend's policy.
func (s *Session) Wanted(bool) (backend.Request, bool) {
	return s.dispatch.Request(&s.client, s.settings().BalanceIn(s.dispatch.Pool), conf.EndpointTCP, true), true
}

// Assigned implements session.Stream.
func (s *Session) Assigned(bool) (connect bool) {
	s.loop.Disarm(&s.client.Timer)
	s.dispatch.Note(s)
	return true
}

// Waits implements session.Stream.
func (s *Session) Waits() { s.arm() }

// Dial implements session.Stream.
func (s *Session) Dial(liveness reactor.Liveness, sources []netip.Addr) (errno unix.Errno) {
	d := reactor.DialOptions{To: s.dispatch.Slot.Server().Addr(conf.EndpointTCP), Liveness: liveness}
	s.relay.server, errno = s.loop.DialFrom(d, sources, rand.Int(), s)
	return errno
}

// Target implements session.Stream.
func (s *Session) Target() conf.Endpoint { return conf.EndpointTCP }

// Disconnect implements session.Stream.
func (s *Session) Disconnect(reset bool) {
	server := s.relay.server
	s.relay.server = nil
	switch {
	case server == nil:
	case reset:
		server.Reset()
	default:
		server.Close()
	}
}

// Preface implements session.Stream: the PROXY header, where the backend asks for
// one.
func (s *Session) Preface() unix.Errno {
	version := s.dispatch.Pool.InForce().SendProxy
	if version == conf.SendProxyOff {
		return 0
	}
	p, err := session.FormatProxyHeader(version, s.client.From, s.client.Conn.LocalAddr())
	if err != nil {
		return unix.EAFNOSUPPORT
	}
	return s.relay.server.Send(p)
}

// Established implements session.Stream: it begins the relay.
func (s *Session) Established() {
	s.state = relaying
	s.loop.Disarm(&s.client.Timer)
	s.relay.Served = s.dispatch.Slot.Server().Counters(s.loop.ID())
	s.dispatch.Forget()
	s.relay.client = s.client.Conn
	s.inspect()
	s.relay.begin(s.loop.Now())
}

// Unserved implements session.Stream.
func (s *Session) Unserved(reason session.Reason) { s.refuse(reason) }

// Idle implements Owner.
func (s *Session) Idle(halfClosed bool) time.Duration {
	return s.settings().Idle(s.dispatch.Pool, halfClosed)
}

// FromClient implements Owner. In mode tcp the relay is not inspected.
func (s *Session) FromClient(p []byte) (taken int) {
	s.relay.ToServer(p)
	return len(p)
}

// FromServer implements Owner.
func (s *Session) FromServer(p []byte) { s.relay.ToClient(p) }

// RelayEnded implements Owner.
func (s *Session) RelayEnded(reason session.Reason) { s.finish(reason) }

// Session implements Owner.
func (s *Session) Session() session.Session { return s }

// SessionOf implements session.Holder.
func (s *Session) SessionOf(c *reactor.Conn) session.Session {
	if s.client.Conn != c {
		return nil
	}
	return s
}

// refuse ends a session that was never relayed: its client sees RST.
func (s *Session) refuse(reason session.Reason) {
	s.client.Conn.Reset()
	s.finish(reason)
}

// finish releases what the session still holds, exactly once.
func (s *Session) finish(reason session.Reason) {
	s.endLog(reason)
	s.dispatch.End(s)
	s.state = finished
	s.loop.Disarm(&s.client.Timer)
	if s.client.Conn != nil {
		s.client.Conn.Close()
	}
	s.Disconnect(true) // nothing was relayed: better no FIN than one that looks like an end
	s.dispatch.Release(s.loop, reason.Outcome())
	s.relay.Taken.Ended[reason].Add(1)
	s.messages.leave()
	s.frontend.Leave(s.client.Source, s.loop)
}

// Abort implements session.Session.
func (s *Session) Abort(reason session.Reason) {
	switch s.state {
	case finished:
	case relaying:
		s.relay.Abort(reason)
	default:
		s.refuse(reason)
	}
}

// ServerDown implements session.Session.
func (s *Session) ServerDown(policy conf.OnDown) {
	switch s.state {
	case relaying:
		if policy == conf.OnDownClose {
			s.relay.Abort(s.dispatch.DownOf())
		}
	case dispatching:
		s.dispatch.ServerDown(s)
	}
}

// Drain implements session.Session: a relay has no good place to end.
func (s *Session) Drain() {}

// Server implements session.Session.
func (s *Session) Server() *backend.Server { return s.dispatch.Slot.Server() }

// Holds implements session.Session.
func (s *Session) Holds() (*backend.Slot, *ratelimit.Source) {
	return &s.dispatch.Slot, s.client.Source
}

// Info implements session.Session.
func (s *Session) Info() session.Info {
	info := session.Info{
		Frontend: s.settings().Frontend.Name, Client: s.client.From, Name: s.name,
		Since: max(s.client.Since, s.dispatch.Since, s.relay.Last),
		State: stateName(s.state, s.client.Stage, s.dispatch.State()),
	}
	return info
}

// stateName is what Info calls a state, and within it a stage or the dispatch's state.
func stateName(s state, stage session.Stage, dispatch session.DispatchState) string {
	switch s {
	case entering:
		return stage.String()
	case dispatching:
		return dispatch.String()
	}
	return [...]string{hello: "hello", relaying: "relaying", lingering: "lingering", finished: "finished"}[s]
}
