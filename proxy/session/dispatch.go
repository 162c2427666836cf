package session

import (
	"net/netip"
	"slices"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// Dispatch gets one stream a server: a slot, perhaps after waiting in the queue, and a
// connection, with retries and redispatch. It is embedded in its Stream, which it
// calls at every step. Pool must be set before a slot is asked for.
//
//	state       event                            next
//	idle        a slot is free                   idle if the stream needs no new connection,
//	                                             pausing if the server was tried before, else connecting
//	idle        every server is full             queued
//	idle        no server is usable              idle: Unserved
//	queued      Granted                          as where a slot is free
//	queued      timeout_queue                    idle: Unserved; but queued for another
//	                                             withheldTime if a new process takes over
//	connecting  connected, and the TLS           idle: Established
//	            handshake is complete, if the
//	            servers speak TLS
//	connecting  failed, attempts are left        another slot
//	connecting  failed, none are left            idle: Unserved
//	connecting  the server goes down             as failed
//	connecting  no descriptor is free            starved, up to mostStarved times in a row
//	pausing     timer                            connecting
//	starved     timer                            connecting
//	pausing,    the server goes down             as failed
//	starved
type Dispatch struct {
	Pool     *backend.Pool // that the slot is of, or will be
	Slot     backend.Slot  // from its acquisition to its release
	Since    int64         // when the present state began, on the loop's clock
	failed   *failures     // nil: no attempt has failed
	attempts uint16        // connection attempts begun
	state    DispatchState
	starved  uint8 // how often in a row no descriptor was free
	spared   bool  // timeout_queue has passed while a new process takes over
}

// failures are the servers that an attempt has failed on. They are few, and so
// stand apart: a stream without any holds less memory.
type failures struct{ servers []*backend.Server }

// DispatchState is where a stream is on its way to a server.
type DispatchState uint8

// The states.
const (
	Idle           DispatchState = iota // not begun, or over
	Queued                              // waiting for a slot
	Connecting                          // to the slot's server
	Pausing                             // before a server is tried again
	Starved                             // no descriptor is free: until other loops have closed what they can spare
	dispatchStates                      // their number
)

// String is the word that status shows.
func (s DispatchState) String() string {
	return [...]string{"dispatching", "queued", "connecting", "pausing", "starved"}[s]
}

// RetryPause is how long a server that has just failed is left alone.
const RetryPause = time.Second

// When no descriptor is free for a connection to a server, the attempt is repeated
// after a moment, for about a second: idle connections on other loops are being
// closed, and other clients leave.
const (
	starvedPause = 20 * time.Millisecond
	mostStarved  = 50
)

// Stream is what needs a server: a session of layer 4, an exchange of layer 7. Its
// methods are called on its loop's goroutine, except Granted.
type Stream interface {
	backend.Waiter // Granted calls Dispatch.Granted

	Loop() *reactor.Loop
	Log() *accesslog.Record // nil = none is kept
	Counters() *Counters    // of the frontend, on this loop

	// Wanted returns which server is wanted; again says that an attempt has failed.
	// ok is false when the stream has ended instead.
	Wanted(again bool) (r backend.Request, ok bool)
	// Assigned is called with a slot in hand; waited says that the stream was in
	// the queue. It returns false when no connection is to be made: the stream uses
	// one that is there already, or has ended.
	Assigned(waited bool) (connect bool)
	// Waits is called when a state begins that Limit bounds, or is to last longer: then
	// other streams may have had their turns since the stream was last called.
	Waits()
	// Dial begins a connection to the slot's server, from one of the sources where
	// there are any.
	Dial(liveness reactor.Liveness, sources []netip.Addr) unix.Errno
	// Target is the endpoint that Dial connects to.
	Target() conf.Endpoint
	// Preface sends what goes before everything else on a new connection, TLS
	// included.
	Preface() unix.Errno
	// Established is called when the connection is there, and counted.
	Established()
	// Disconnect closes the connection that Dial began, if there is one; reset shows
	// the server RST.
	Disconnect(reset bool)
	// Unserved is called when no server could be had; no slot is held.
	Unserved(reason Reason)
}

// State is where the stream is.
func (d *Dispatch) State() DispatchState { return d.state }

// Phase is what the access log calls the state.
func (d *Dispatch) Phase() accesslog.Phase {
	if d.state == Queued || d.state == Idle && d.attempts == 0 {
		return accesslog.PhaseQueue
	}
	return accesslog.PhaseConnect
}

// Tried are the servers that an attempt has failed on.
func (d *Dispatch) Tried() []*backend.Server {
	if d.failed == nil {
		return nil
	}
	return d.failed.servers
}

// HasTried reports whether an attempt on the server has failed.
func (d *Dispatch) HasTried(server *backend.Server) bool { return slices.Contains(d.Tried(), server) }

// Begin asks the pool for a slot of the server that the stream wants.
func (d *Dispatch) Begin(s Stream) { d.acquire(s, false) }

func (d *Dispatch) acquire(s Stream, again bool) {
	request, ok := s.Wanted(again)
	if !ok {
		return
	}
	d.state, d.spared = Queued, false // Granted may come before Acquire returns
	slot, result := d.Pool.Acquire(&request, s)
	switch result {
	case backend.Granted:
		d.assign(s, slot, false)
	case backend.Queued:
		d.Since = s.Loop().Now()
		s.Waits()
	default:
		s.Unserved(NoServer)
		d.state = Idle
	}
}

// Granted continues a stream that has waited for a slot. Any goroutine may call it.
func (d *Dispatch) Granted(s Stream, slot backend.Slot) {
	loop := s.Loop()
	posted := loop.Post(func() {
		if d.state != Queued {
			slot.Release(backend.Aborted, loop.Now())
			return
		}
		waited := loop.Now() - d.Since
		s.Counters().Queue.Add(waited)
		s.Log().Queued(time.Duration(waited))
		d.assign(s, slot, true)
	})
	if !posted {
		slot.Release(backend.Aborted, 0)
	}
}

// assign connects to the server whose slot was acquired, unless the stream has a
// connection to it. A server that has just failed is left alone for a moment.
func (d *Dispatch) assign(s Stream, slot backend.Slot, waited bool) {
	d.Slot, d.state = slot, Idle
	if !s.Assigned(waited) {
		return
	}
	if d.HasTried(d.Slot.Server()) {
		d.state, d.Since = Pausing, s.Loop().Now()
		s.Waits()
		return
	}
	d.Connect(s)
}

// Note logs and counts the server that was chosen. The stream calls it in
// Assigned.
func (d *Dispatch) Note(s Stream) {
	server := d.Slot.Server()
	s.Log().Sent(d.Pool.Name(), server.Name())
	tried := d.Tried()
	switch {
	case len(tried) == 0:
	case slices.Contains(tried, server):
		d.counters(s, server).Retries.Add(1)
	default:
		d.counters(s, tried[len(tried)-1]).Redispatches.Add(1)
	}
}

// counters are what the stream's loop counts for a server.
func (d *Dispatch) counters(s Stream, server *backend.Server) *backend.Counters {
	return server.Counters(s.Loop().ID())
}

// Connect begins a connection attempt to the slot's server.
func (d *Dispatch) Connect(s Stream) {
	d.state, d.Since = Connecting, s.Loop().Now()
	d.attempts++
	s.Log().Dialing(d.Since)
	c := d.Pool.InForce()
	switch errno := s.Dial(reactor.Liveness{UserTimeout: c.TimeoutTCPUser, KeepAlive: c.KeepAlive}, c.Source); {
	case errno == 0:
		d.starved = 0
		s.Waits()
	case (errno == unix.EMFILE || errno == unix.ENFILE) && d.starved < mostStarved:
		d.starved++
		d.attempts-- // none was made
		d.state = Starved
		s.Waits()
	default:
		d.Failed(s, errno)
	}
}

// Ready ends the attempt when its outcome is known: c is what Dial began.
func (d *Dispatch) Ready(s Stream, c *reactor.Conn) {
	done, errno := d.progress(s, c)
	if !done {
		return
	}
	down := errno == 0 && !d.Slot.Server().State().TakesBound()
	if down {
		// It went down, or into maintenance, during the attempt: what ends with it
		// has ended already, so this must not begin.
		errno = unix.ECONNRESET
	}
	if errno != 0 {
		s.Disconnect(down)
		d.Failed(s, errno)
		return
	}
	now := s.Loop().Now()
	took := now - d.Since
	s.Counters().Connect.Add(took)
	server := d.counters(s, d.Slot.Server())
	server.Connections.Add(1)
	server.Connect.Add(took)
	s.Log().Connected(now)
	d.state = Idle
	s.Established()
}

// progress continues the attempt: the connection, what goes before everything else on
// it, and TLS, where the pool's servers speak it.
func (d *Dispatch) progress(s Stream, c *reactor.Conn) (done bool, errno unix.Errno) {
	if c.HasTransport() {
		return d.shaken(c)
	}
	if done, errno = c.Connected(); !done || errno != 0 {
		return done, errno
	}
	if errno = s.Preface(); errno != 0 {
		return true, errno
	}
	return !d.secure(s, c), 0
}

// Failed gives the slot back after a failed attempt, of which not a byte was
// forwarded, and tries another server while attempts are left.
func (d *Dispatch) Failed(s Stream, errno unix.Errno) {
	server := d.Slot.Server()
	outcome, reason := attemptOutcome(errno)
	d.Release(s.Loop(), outcome)
	if outcome == backend.Aborted || int(d.attempts) > d.Pool.InForce().Retries {
		s.Unserved(reason)
		d.state = Idle
		return
	}
	if !d.HasTried(server) {
		d.failed = &failures{append(d.Tried(), server)}
	}
	d.acquire(s, true)
}

// attemptOutcome says what a failed attempt means for the server, and for the
// stream if it was the last. Where the balancer itself lacks something, another
// server does not help.
func attemptOutcome(errno unix.Errno) (backend.Outcome, Reason) {
	switch errno {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL, unix.EADDRINUSE:
		return backend.Aborted, NoResources
	case unix.ECONNREFUSED:
		return backend.Refused, ConnectRefused
	case unix.ETIMEDOUT:
		return backend.ConnectTimeout, ConnectTimeout
	}
	return backend.Unreachable, ConnectFailed
}

// withheldTime is how much longer than timeout_queue a stream may wait that gets no slot
// because a new process takes over. It waits for the new process, not for a server, and
// its time there has not begun. The other end of a hand-over may be silent for 5 s, a few
// times (package handover); one that takes longer than this has failed.
const withheldTime = 15 * time.Second

// Limit is how long the present state may last, from Since on; 0 = forever.
func (d *Dispatch) Limit() time.Duration {
	switch d.state {
	case Queued:
		if d.spared {
			return d.Pool.InForce().TimeoutQueue + withheldTime
		}
		return d.Pool.InForce().TimeoutQueue
	case Connecting:
		return d.Pool.InForce().TimeoutConnect
	case Pausing:
		return RetryPause
	case Starved:
		return starvedPause
	}
	return 0
}

// Expired is to be called when Limit has passed.
func (d *Dispatch) Expired(s Stream) {
	switch d.state {
	case Queued:
		if !d.spared && d.Pool.Withheld(s) {
			d.spared = true
			s.Waits()
		} else if d.Pool.Cancel(s) {
			d.state = Idle
			s.Unserved(QueueTimeout)
		} // else a slot was granted meanwhile: Granted's post is on its way
	case Connecting:
		s.Disconnect(false)
		d.Failed(s, unix.ETIMEDOUT)
	case Pausing, Starved:
		d.Connect(s)
	}
}

// ServerDown tries another server in place of the slot's, which must not be used
// any more.
func (d *Dispatch) ServerDown(s Stream) {
	if d.state == Connecting || d.state == Pausing || d.state == Starved {
		s.Disconnect(true)
		d.Failed(s, unix.ECONNRESET)
	}
}

// Cancel takes the stream out of the queue. It returns false when it is not in
// it, or a grant is on its way: that finds the stream idle, if it has ended, and
// gives the slot back.
func (d *Dispatch) Cancel(s Stream) bool {
	if d.state != Queued || !d.Pool.Cancel(s) {
		return false
	}
	d.state = Idle
	return true
}

// End is to be called when the stream ends: it no longer waits for anything.
func (d *Dispatch) End(s Stream) {
	d.Cancel(s)
	d.state = Idle
}

// Release gives the slot back, if one is held, and counts how its use ended.
func (d *Dispatch) Release(loop *reactor.Loop, outcome backend.Outcome) {
	if server := d.Slot.Server(); server != nil {
		server.Counters(loop.ID()).CountOutcome(outcome)
		d.Slot.Release(outcome, loop.Now())
	}
}

// Forget forgets the attempts that have failed: the stream is served.
func (d *Dispatch) Forget() { d.failed = nil }

// Restart prepares the Dispatch for the next exchange of its client.
func (d *Dispatch) Restart() { d.failed, d.attempts, d.starved = nil, 0, 0 }

// DownOf is the reason why a stream ends whose server must not be used any more:
// the checks say so, the operator, or a reload.
func (d *Dispatch) DownOf() Reason { return downOf(d.Slot.Server()) }

// Request is a request for a slot with the fields that are alike for every stream. The
// first of a client counts as one that cannot move to a new process if it comes behind a
// TLS handshake: it could not when a slot was reserved for it (handover.Old), and asks
// before it can.
func (d *Dispatch) Request(c *Client, balance conf.Balance, endpoint conf.Endpoint, first bool) backend.Request {
	return backend.Request{
		Source: c.From.Addr(), Balance: balance, Endpoint: endpoint, Tried: d.Tried(),
		Stay: Lingers(c.Conn) || first && c.Conn.HasTransport(), Now: c.Conn.Loop().Now(),
	}
}
