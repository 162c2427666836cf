package l4

import (
	"net/netip"
	"time"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// A session goes to another process in three steps. Detach takes it off its
// loop and says what there is to know of it (Carried); then Gone ends it here,
// since it lives on there (Frontend.Adopt), or Back puts it on its loop again.
//
//	state       may move when                       and begins there
//	header      always: nothing is taken out of     waiting for the header
//	            the socket before it is whole
//	queued      it still waits                      waiting for a slot, first come first served
//	relaying    both connections are Movable        relaying
//	others      never: they do not last
//
// A connection with TLS is not Movable.

// Carried is what there is to know of a session, its sockets aside. It is fit
// for encoding. Times are relative to the moment of Detach.
type Carried struct {
	From     netip.AddrPort
	Relaying bool
	Header   bool  // a PROXY header is expected
	Waited   int64 // nanoseconds in the present state
	Relay    CarriedRelay
	Messages *CarriedMessages // mode mcp
	Log      *accesslog.Record
}

// CarriedRelay is a relay without its sockets.
type CarriedRelay struct {
	Idle     int64 // nanoseconds since a byte moved
	Resume   int64 // nanoseconds until the client is read from again; 0 = now, -1 = when told
	Up, Down uint8
	Answers  bool
	ToClient []byte // parked
	ToServer []byte // parked
}

// CarriedMessages is what mode mcp knows of the streams.
type CarriedMessages struct {
	Client, Server mcp.Meter
	Filter         mcp.Filter
	Answers        []byte
}

// movedFlags are the flags of a half that another process needs: whether to
// splice is found out anew.
const movedFlags = ended | shut | first | spliced | inspected | copied

// Detached is a session, or a relay's two connections, off their loop.
type Detached struct {
	Client, Server reactor.Detached // Server: FD is -1 without
}

// FDs are its descriptors.
func (d *Detached) FDs() []int {
	if d.Server.FD < 0 {
		return []int{d.Client.FD}
	}
	return []int{d.Client.FD, d.Server.FD}
}

// Close closes the descriptors, which another process has, too.
func (d *Detached) Close() {
	for _, fd := range d.FDs() {
		unix.Close(fd)
	}
}

// Movable tells whether the relay may be detached.
func (r *Relay) Movable() bool {
	return !r.over && (r.up.flags|r.down.flags)&lost == 0 && r.client.Detachable() && r.server.Detachable()
}

// Detach takes both connections of a Movable relay off their loop. It returns
// false when that failed and the relay has ended.
func (r *Relay) Detach() (CarriedRelay, Detached, bool) {
	loop := r.client.Loop()
	for _, h := range []struct {
		half *half
		to   *reactor.Conn
	}{{&r.up, r.server}, {&r.down, r.client}} {
		pipe := h.half.pipe
		h.half.pipe = nil
		if errno := h.to.ParkPipe(pipe); errno != 0 {
			r.Abort(NoResources)
			return CarriedRelay{}, Detached{}, false
		}
	}
	loop.Disarm(&r.timer)
	c := CarriedRelay{
		Idle: loop.Now() - r.last, Resume: remaining(r.resume, loop.Now()), Answers: r.answers,
		Up: uint8(r.up.flags & movedFlags), Down: uint8(r.down.flags & movedFlags),
	}
	d := Detached{Client: r.client.Detach(), Server: r.server.Detach()}
	c.ToClient, c.ToServer = d.Client.Parked, d.Server.Parked
	return c, d, true
}

// remaining turns the end of a pause into what is left of it.
func remaining(resume, now int64) int64 {
	switch {
	case resume == 0:
		return 0
	case resume == forever:
		return -1
	}
	return max(resume-now, 1)
}

// Serve sets whom a relay serves that is about to be attached.
func (r *Relay) Serve(owner Owner, taken *Counters, served *backend.Counters, log *accesslog.Record) {
	r.owner, r.taken, r.served, r.log = owner, taken, served, log
}

// Attach puts the connections of d on a loop, with r, whose owner and counters
// are set, as it is known from c. When that fails, both are closed and the
// relay has ended, but for the owner's RelayEnded.
func (r *Relay) Attach(loop *reactor.Loop, c *CarriedRelay, d *Detached) unix.Errno {
	r.up, r.down = half{flags: halfFlags(c.Up)}, half{flags: halfFlags(c.Down)}
	r.answers, r.over, r.last = c.Answers, false, loop.Now()-c.Idle
	switch {
	case c.Resume < 0:
		r.resume = forever
	case c.Resume > 0:
		r.resume = loop.Now() + c.Resume
	default:
		r.resume = 0
	}
	var errno unix.Errno
	if r.client, errno = loop.Attach(d.Client, r); errno != 0 {
		unix.Close(d.Server.FD)
		return errno
	}
	if r.server, errno = loop.Attach(d.Server, r); errno != 0 {
		r.client.Reset()
		return errno
	}
	r.arm()
	return 0
}

// Holds are the slot and the source that the session holds, nil and nil where
// it has none.
func (s *Session) Holds() (*backend.Slot, *ratelimit.Source) { return &s.lease, s.source }

// Detach takes the session off its loop, if it can move now.
func (s *Session) Detach() (c *Carried, d Detached, ok bool) {
	c = &Carried{From: s.from, Waited: s.loop.Now() - s.since, Log: s.relay.log}
	switch {
	case s.state == relaying && s.relay.Movable() && s.messagesMovable():
		c.Relaying = true
		if c.Relay, d, ok = s.relay.Detach(); !ok {
			return nil, d, false
		}
		c.Messages = s.carryMessages()
		return c, d, true
	case s.state == header && s.relay.client.Detachable():
		c.Header = true
	case s.state == queued && s.relay.client.Detachable() && s.pool.Cancel(s):
	default:
		return nil, d, false
	}
	s.loop.Disarm(&s.relay.timer)
	d = Detached{Client: s.relay.client.Detach(), Server: reactor.Detached{FD: -1}}
	return c, d, true
}

func (s *Session) messagesMovable() bool {
	return s.messages == nil || s.messages.filter.Transferable()
}

func (s *Session) carryMessages() *CarriedMessages {
	m := s.messages
	if m == nil {
		return nil
	}
	return &CarriedMessages{Client: m.client, Server: m.server, Filter: m.filter, Answers: m.answers}
}

// Gone ends a detached session here, without a word: it lives on elsewhere.
func (s *Session) Gone(d *Detached) {
	d.Close()
	s.frontend.log.Buffer(s.loop.ID()).Drop(s.relay.log)
	s.relay.log = nil
	s.state = finished
	s.lease.Release(backend.Completed, s.loop.Now())
	s.leave()
}

// Back puts a detached session on its loop again.
func (s *Session) Back(c *Carried, d *Detached) {
	s.since = s.loop.Now() - c.Waited
	s.resume(c, d)
}

// leave lets go of what every session holds to its end.
func (s *Session) leave() {
	s.source.Release()
	s.frontend.current.Add(-1)
	s.loop.AddLoad(-1)
	s.frontend.gate.Left()
}

// resume puts a session on its loop, in the state in which it was detached.
func (s *Session) resume(c *Carried, d *Detached) {
	if c.Relaying {
		s.state = relaying
		if errno := s.relay.Attach(s.loop, &c.Relay, d); errno != 0 {
			s.relay.client, s.relay.server = nil, nil
			s.finish(NoResources)
		}
		return
	}
	client, errno := s.loop.Attach(d.Client, s)
	if errno != 0 {
		s.state = admission
		s.finish(NoResources)
		return
	}
	s.relay.client = client
	if c.Header {
		s.state = header
		s.armIn(max(HeaderTimeout-time.Duration(c.Waited), 0))
		return
	}
	s.acquire()
}

// Adopt goes on with a session that another process has detached, on its loop.
// The source and, where it is relaying, the lease are as it held them there.
// The loop's load counts it already. It keeps its mode, whatever the frontend's
// is now.
func (f *Frontend) Adopt(loop *reactor.Loop, c *Carried, d *Detached, source *ratelimit.Source, lease backend.Slot) {
	f.count(f.current.Add(1))
	s := &Session{frontend: f, loop: loop, from: c.From, source: source, lease: lease, pool: f.Settings().Pool, since: loop.Now() - c.Waited}
	var served *backend.Counters
	if server := lease.Server(); server != nil {
		served = s.counters(server)
	}
	s.relay.Serve(s, &f.counters[loop.ID()], served, f.log.Buffer(loop.ID()).Adopt(c.Log))
	if m := c.Messages; m != nil {
		s.messages = &messages{client: m.Client, server: m.Server, filter: m.Filter, answers: m.Answers}
	}
	s.resume(c, d)
}

// Counters are what one loop counts for the frontend.
func (f *Frontend) Counters(loop int) *Counters { return &f.counters[loop] }

// RestorePeak takes over the most there have been in another process.
func (f *Frontend) RestorePeak(n int) { f.count(int64(n)) }
