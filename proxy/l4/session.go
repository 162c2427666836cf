package l4

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Session is one client connection of a frontend, from accept to its end.
// Everything of it runs on its loop's goroutine, but for Granted.
//
//	state       event                          next
//	header      a whole PROXY header           admission
//	header      garbage, timeout               finished: refused
//	admission   the limiter refuses            finished: refused
//	admission   the frontend speaks TLS        securing
//	admission   a slot is free                 connecting
//	admission   every server is full           queued
//	securing    the handshake is complete      admission: a slot
//	securing    it fails, timeout              finished: refused
//	queued      Granted                        connecting
//	queued      timeout_queue                  finished: refused
//	connecting  connected                      relaying
//	connecting  failed, attempts are left      admission of another server, or
//	                                           pausing when all were tried
//	connecting  the server goes down           as failed
//	connecting  failed, none are left          finished: refused
//	pausing     timer                          connecting
//	pausing     the server goes down           as failed
//	relaying    the relay ends                 finished
//	relaying    a message is too long          lingering
//	lingering   the client ends, or timer      finished
//	any         the client breaks off          finished
type Session struct {
	relay    Relay
	frontend *Frontend
	loop     *reactor.Loop
	source   *ratelimit.Source // nil: not limited
	pool     *backend.Pool     // that the slot is of, or will be
	lease    backend.Slot      // the slot, from Acquire to its release
	from     netip.AddrPort    // the client, as the PROXY header says where there is one
	tried    []*backend.Server // those that a connection attempt failed on
	messages *messages         // mode mcp
	since    int64             // when the present state began, on the loop's clock
	attempts int               // connection attempts begun
	state    state
}

type state uint8

const (
	header state = iota
	admission
	securing
	queued
	connecting
	pausing
	relaying
	lingering
	finished
)

const (
	// HeaderTimeout is how long a whole PROXY header may take to come.
	HeaderTimeout = 5 * time.Second

	handshakeTimeout = 10 * time.Second // for TLS
	retryPause       = time.Second      // before a server is tried again
)

// start begins with the PROXY header where one is expected.
func (s *Session) start() {
	f := &s.frontend.Settings().Frontend
	if !f.AcceptProxy {
		s.admit()
		return
	}
	if !contains(f.TrustedProxies, s.from.Addr()) {
		s.refuse(UntrustedProxy)
		return
	}
	s.state = header
	s.armIn(HeaderTimeout)
}

func contains(prefixes []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(address) })
}

func (s *Session) armIn(d time.Duration) {
	s.loop.Arm(&s.relay.timer, s, s.loop.Now()+int64(d))
}

// Ready implements reactor.Handler for the time before and after the relay.
func (s *Session) Ready(c *reactor.Conn) {
	if c == s.relay.client && c.Failed() {
		s.clientGone()
		return
	}
	switch s.state {
	case header:
		s.readHeader()
	case securing:
		s.shake()
	case connecting:
		if c == s.relay.server {
			s.connected()
		}
	case lingering:
		s.discard()
	}
}

// clientGone ends a session whose client has broken off.
func (s *Session) clientGone() {
	if s.state == lingering {
		s.finish(MessageTooLong)
		return
	}
	s.refuse(ClientGone)
}

// Expired implements reactor.Expirer.
func (s *Session) Expired(*reactor.Timer) {
	switch s.state {
	case header:
		s.refuse(ProxyHeaderTimeout)
	case securing:
		s.refuse(TLSTimeout)
	case queued:
		if s.pool.Cancel(s) {
			s.refuse(QueueTimeout)
		} // else it was granted meanwhile: Granted's post is on its way
	case connecting:
		s.relay.server.Close()
		s.failed(unix.ETIMEDOUT)
	case pausing:
		s.connect()
	case lingering:
		s.finish(MessageTooLong)
	}
}

// admit asks the limits: before TLS, whose handshakes cost much.
func (s *Session) admit() {
	s.state = admission
	source, verdict := s.frontend.limiter.Admit(s.from.Addr(), s.loop.Now())
	if verdict != ratelimit.Admitted {
		s.refuse(RefusalOf(verdict))
		return
	}
	s.source = source
	s.secure()
}

// acquire asks the backend for a slot of a server.
func (s *Session) acquire() {
	settings := s.frontend.Settings()
	request := backend.Request{
		Source:   s.from.Addr(),
		Balance:  settings.balance(),
		Endpoint: conf.EndpointTCP,
		Tried:    s.tried,
		Stay:     s.relay.client.HasTransport(),
		Now:      s.loop.Now(),
	}
	s.pool = settings.Pool
	s.state = queued // Granted may come before Acquire returns
	lease, result := s.pool.Acquire(&request, s)
	switch result {
	case backend.Granted:
		s.granted(lease)
	case backend.NoServer:
		s.refuse(NoServer)
	case backend.Queued:
		s.since = s.loop.Now()
		if wait := s.pool.InForce().TimeoutQueue; wait > 0 {
			s.armIn(wait)
		}
	}
}

// Granted implements backend.Waiter: a slot has become free. Any goroutine
// may call it.
func (s *Session) Granted(lease backend.Slot) {
	posted := s.loop.Post(func() {
		if s.state != queued {
			lease.Release(backend.Aborted, s.loop.Now())
			return
		}
		waited := s.loop.Now() - s.since
		s.relay.taken.Queue.Add(waited)
		s.relay.log.Queued(time.Duration(waited))
		s.granted(lease)
	})
	if !posted {
		lease.Release(backend.Aborted, 0)
	}
}

// granted connects to the server whose slot was taken; one that has just
// failed is given a moment.
func (s *Session) granted(lease backend.Slot) {
	s.lease = lease
	s.loop.Disarm(&s.relay.timer)
	server := lease.Server()
	s.relay.log.Sent(s.pool.Name(), server.Name())
	if len(s.tried) > 0 && !slices.Contains(s.tried, server) {
		s.counters(s.tried[len(s.tried)-1]).Redispatches.Add(1)
	}
	if slices.Contains(s.tried, server) {
		s.counters(server).Retries.Add(1)
		s.state = pausing
		s.armIn(retryPause)
		return
	}
	s.connect()
}

// counters are what this loop counts for a server.
func (s *Session) counters(server *backend.Server) *backend.Counters {
	return server.Counters(s.loop.ID())
}

// connect begins a connection to the server.
func (s *Session) connect() {
	s.state = connecting
	s.since = s.loop.Now()
	s.attempts++
	s.relay.log.Dialing(s.since)
	c := s.pool.InForce()
	server, errno := s.dial(c)
	if errno != 0 {
		s.failed(errno)
		return
	}
	s.relay.server = server
	s.armIn(c.TimeoutConnect)
}

// dial begins a connection to the server, from one of the backend's source
// addresses where it has any.
func (s *Session) dial(c *conf.Backend) (*reactor.Conn, unix.Errno) {
	d := reactor.DialOptions{
		To:          s.lease.Server().Addr(conf.EndpointTCP),
		UserTimeout: int(c.TimeoutTCPUser / time.Millisecond),
	}
	return s.loop.DialFrom(d, c.Source, rand.Int(), s)
}

// connected ends the attempt: with a relay, or by trying another server.
func (s *Session) connected() {
	done, errno := s.relay.server.Connected()
	if !done {
		return
	}
	if errno != 0 {
		s.relay.server.Close()
		s.failed(errno)
		return
	}
	if !s.lease.Server().State().TakesBound() {
		// It went down, or into maintenance, while we were connecting: what is closed with it is
		// closed already, so this one must not begin.
		s.relay.server.Reset()
		s.failed(unix.ECONNRESET)
		return
	}
	s.carry()
}

// failed gives the slot back and tries another server, while attempts are left.
func (s *Session) failed(errno unix.Errno) {
	s.loop.Disarm(&s.relay.timer)
	s.relay.server = nil
	server := s.lease.Server()
	outcome, reason := attemptOutcome(errno)
	s.counters(server).CountOutcome(outcome)
	s.lease.Release(outcome, s.loop.Now())
	if outcome == backend.Aborted || s.attempts > s.pool.InForce().Retries {
		s.refuse(reason)
		return
	}
	if !slices.Contains(s.tried, server) {
		s.tried = append(s.tried, server)
	}
	s.acquire()
}

// ours tells whether a connection attempt failed for want of something of the
// balancer's own, which another server would not mend.
func ours(errno unix.Errno) bool {
	switch errno {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL, unix.EADDRINUSE:
		return true
	}
	return false
}

// attemptOutcome says what a failed attempt means for the server, and for the
// session should it have been the last.
func attemptOutcome(errno unix.Errno) (backend.Outcome, Reason) {
	switch {
	case ours(errno):
		return backend.Aborted, NoResources
	case errno == unix.ECONNREFUSED:
		return backend.Refused, ConnectRefused
	case errno == unix.ETIMEDOUT:
		return backend.ConnectTimeout, ConnectTimeout
	}
	return backend.Unreachable, ConnectFailed
}

// carry begins the relay.
func (s *Session) carry() {
	if errno := s.sendHeader(); errno != 0 {
		s.relay.server.Reset()
		s.failed(errno)
		return
	}
	s.state = relaying
	s.loop.Disarm(&s.relay.timer)
	took := s.loop.Now() - s.since
	s.relay.taken.Connect.Add(took)
	s.relay.served = s.counters(s.lease.Server())
	s.relay.served.Connections.Add(1)
	s.relay.served.Connect.Add(took)
	s.relay.log.Connected(s.loop.Now())
	s.tried = nil
	s.inspect()
	s.relay.begin(s.loop.Now())
}

// Idle implements Owner.
func (s *Session) Idle(halfClosed bool) time.Duration {
	return s.frontend.Settings().idle(halfClosed)
}

// release gives the slot back, where the session still has one.
func (s *Session) release(outcome backend.Outcome) {
	if server := s.lease.Server(); server != nil {
		s.counters(server).CountOutcome(outcome)
		s.lease.Release(outcome, s.loop.Now())
	}
}

// OutcomeOf says what the end of a session tells of the server that it had.
func OutcomeOf(reason Reason) backend.Outcome { return outcomes[reason] }

// outcomes say what the end of a session tells of the server that it had.
var outcomes = [reasons]backend.Outcome{
	ServerReset: backend.ServerReset,
	ClientReset: backend.ClientAbort,
	IdleTimeout: backend.Aborted, HalfClosedTimeout: backend.Aborted,
	ServerDown: backend.Aborted, ServerRemoved: backend.Aborted, ServerMaint: backend.Aborted, Killed: backend.Aborted,
	MessageTooLong: backend.Aborted, Stopped: backend.Aborted,
	ClientGone: backend.ClientAbort, NoResources: backend.Aborted,
}

// RelayEnded implements Owner.
func (s *Session) RelayEnded(reason Reason) { s.finish(reason) }

// refuse ends a session that never came to be carried.
func (s *Session) refuse(reason Reason) {
	if s.state == queued {
		// A grant that is on its way finds the session finished, and gives the
		// slot back.
		s.pool.Cancel(s)
	}
	s.relay.client.Reset()
	s.finish(reason)
}

// finish releases what the session still holds, exactly once.
func (s *Session) finish(reason Reason) {
	s.endLog(reason)
	s.state = finished
	s.loop.Disarm(&s.relay.timer)
	if s.relay.client != nil {
		s.relay.client.Close()
	}
	if s.relay.server != nil {
		s.relay.server.Reset() // it carried nothing: better no FIN than one that looks like an end
	}
	s.release(OutcomeOf(reason))
	s.relay.taken.Ended[reason].Add(1)
	s.leave()
}

// Abort ends the session for a reason of the balancer's own, in whatever state
// it is; the client sees that it was cut off.
func (s *Session) Abort(reason Reason) {
	switch s.state {
	case finished:
	case relaying:
		s.relay.Abort(reason)
	default:
		s.refuse(reason)
	}
}

// ServerDown tells the session that its server may not be used any more: it
// went down or into maintenance, or a reload took it away. What is carried is
// cut off, unless the policy is to keep it; a client that is still being
// connected is given another server.
func (s *Session) ServerDown(policy conf.OnDown) {
	switch s.state {
	case relaying:
		if policy == conf.OnDownClose {
			s.relay.Abort(DownOf(s.lease.Server()))
		}
	case connecting, pausing:
		if s.relay.server != nil {
			s.relay.server.Reset()
		}
		s.failed(unix.ECONNRESET)
	}
}

// Drain lets the session live on to its end: a relay has no good place to end.
func (s *Session) Drain() {}

// Server is the server whose slot the session holds, nil when it has none.
func (s *Session) Server() *backend.Server { return s.lease.Server() }

// Info is what there is to tell of a client's connection.
type Info struct {
	Frontend string
	Client   netip.AddrPort // as a PROXY header says where there is one
	State    string         // such as "relaying"
	Since    int64          // when that began or something last moved, on the loops' clock
	Requests uint64         // mode http: read so far
}

// stateNames are what Info calls the states.
var stateNames = [...]string{
	header: "header", admission: "admission", queued: "queued", connecting: "connecting", pausing: "pausing",
	relaying: "relaying", lingering: "lingering", finished: "finished",
}

// Info tells of the session.
func (s *Session) Info() Info {
	return Info{
		Frontend: s.frontend.Settings().Frontend.Name, Client: s.from,
		State: stateNames[s.state], Since: max(s.since, s.relay.last),
	}
}

// Frontend is where the client connected.
func (s *Session) Frontend() *Frontend { return s.frontend }

// Of returns the session that a client's connection belongs to, for
// reactor.Loop.Sweep: nil for a connection to a server, and for one that is no
// session's.
func Of(c *reactor.Conn) *Session {
	var s *Session
	switch handler := c.Handler().(type) {
	case *Session:
		s = handler
	case *Relay:
		s, _ = handler.owner.(*Session)
	}
	if s == nil || s.relay.client != c {
		return nil
	}
	return s
}
