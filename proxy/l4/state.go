package l4

import (
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// A session moves to a new process in three steps. Detach takes it off its loop
// and returns what the new process needs (Handover); then Gone ends it here, since
// the new process serves it (Frontend.Adopt), or Back puts it on its loop again.
//
//	state     may move when                       and continues there
//	header    always: nothing is taken out of     waiting for the header
//	          the socket before it is complete
//	hello     always: likewise                    waiting for the ClientHello
//	queued    it still waits                      waiting for a slot, first come first served
//	relaying  both connections are Movable        relaying
//	others    never: they do not last
//
// A connection with TLS is not Movable.

// Handover is what a new process needs of a session, its sockets aside. It is fit
// for encoding; times are on the loops' clock, which both processes share.
type Handover struct {
	Client   session.ClientState
	Relaying bool
	Header   bool   // a PROXY header is expected
	Hello    bool   // the ClientHello is awaited
	Name     string // see session.Info
	Relay    RelayHandover
	Messages *MessageState // mode mcp
	Log      *accesslog.Record
}

// RelayHandover is what a new process needs of a relay, its sockets aside.
type RelayHandover struct {
	RelayState
	ToClient []byte // parked
	ToServer []byte // parked
	Held     []byte // read from the client and not taken by the owner yet
}

// movedFlags are the flags of a half that another process needs: it finds out
// itself where to splice.
const movedFlags = ended | shut | first | spliced | inspected | copied

// Movable reports whether the relay may be detached.
func (r *Relay) Movable() bool {
	return !r.over && (r.Up.Flags|r.Down.Flags)&lost == 0 && r.client.Detachable() && r.server.Detachable()
}

// Detach takes both connections of a Movable relay off their loop. It returns
// false when that failed and the relay has ended.
func (r *Relay) Detach() (RelayHandover, session.Detached, bool) {
	if r.parkPipe(&r.Up) != 0 || r.parkPipe(&r.Down) != 0 {
		r.Abort(session.NoResources)
		return RelayHandover{}, session.Detached{}, false
	}
	r.client.Loop().Disarm(r.Timer)
	h := RelayHandover{RelayState: r.RelayState, Held: append([]byte(nil), r.held.Bytes()...)}
	r.client.Loop().Drop(&r.held)
	h.Up.Flags &= movedFlags
	h.Down.Flags &= movedFlags
	d := session.Detached{Client: r.client.Detach(), Server: r.server.Detach()}
	h.ToClient, h.ToServer = d.Client.Parked, d.Server.Parked
	return h, d, true
}

// parkPipe parks what is in a half's pipe with its destination.
func (r *Relay) parkPipe(h *Half) unix.Errno {
	to := r.client
	if h == &r.Up {
		to = r.server
	}
	pipe := h.pipe
	h.pipe = nil
	return to.ParkPipe(pipe)
}

// Attach puts the connections of d on a loop, with r, whose Service is set, in the
// state of h. When that fails, both are closed and the relay has ended, but for
// the owner's RelayEnded.
func (r *Relay) Attach(loop *reactor.Loop, h *RelayHandover, d *session.Detached) unix.Errno {
	*r = Relay{RelayState: h.RelayState, Service: r.Service}
	var errno unix.Errno
	if r.client, errno = loop.Attach(d.Client, r); errno != 0 {
		unix.Close(d.Server.FD)
		return errno
	}
	if r.server, errno = loop.Attach(d.Server, r); errno != 0 {
		r.client.Reset()
		return errno
	}
	loop.Append(&r.held, h.Held)
	r.arm()
	return 0
}

// Detach takes the session off its loop, if it can move now.
func (s *Session) Detach() (h *Handover, d session.Detached, ok bool) {
	h = &Handover{Client: s.client.ClientState, Name: s.name, Log: s.relay.Log}
	switch {
	case s.state == relaying && s.relay.Movable() && s.messages.movable():
		h.Relaying = true
		if s.messages != nil {
			h.Messages = &s.messages.MessageState
			s.messages.leave()
		}
		h.Relay, d, ok = s.relay.Detach()
		return h, d, ok
	case !s.client.Conn.Detachable():
		return nil, d, false
	case s.state == entering && s.client.Stage == session.StageHeader:
		h.Header = true
	case s.state == hello:
		h.Hello = true
	case s.state == dispatching && s.dispatch.Cancel(s):
	default:
		return nil, d, false
	}
	s.loop.Disarm(&s.client.Timer)
	return h, session.ClientOnly(s.client.Conn.Detach()), true
}

func (m *messages) movable() bool { return m == nil || m.Filter.Transferable() }

// Gone implements session.Session.
func (s *Session) Gone(d *session.Detached) {
	d.Close()
	s.frontend.Log.Buffer(s.loop.ID()).Drop(s.relay.Log)
	s.relay.Log = nil
	s.state = finished
	s.dispatch.Slot.Moved(s.loop.Now())
	s.frontend.Leave(s.client.Source, s.loop)
}

// Back puts a detached session on its loop again.
func (s *Session) Back(h *Handover, d *session.Detached) { s.resume(h, d) }

// resume puts a session on its loop, in the state in which it was detached.
func (s *Session) resume(h *Handover, d *session.Detached) {
	var errno unix.Errno
	if h.Relaying {
		s.state = relaying
		errno = s.relay.Attach(s.loop, &h.Relay, d)
		s.client.Conn, s.client.Stage = s.relay.client, session.StageEntered
	} else {
		s.client.Conn, errno = s.loop.Attach(d.Client, s)
	}
	switch {
	case errno != 0:
		s.client.Conn, s.relay.server = nil, nil // closed
		s.client.Stage, s.state = session.StageAdmission, entering
		s.finish(session.NoResources)
	case h.Relaying:
	case h.Header:
		s.client.Stage, s.state = session.StageHeader, entering
		s.arm()
	case h.Hello:
		s.client.Stage, s.state = session.StageEntered, hello
		s.readHello()
	default:
		s.client.Stage = session.StageEntered
		s.dispatchTo(s.poolFor(h.Name))
	}
}
