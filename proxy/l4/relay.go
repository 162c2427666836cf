package l4

import (
	"time"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// Relay moves bytes between two connections on one loop, in two halves. It is
// embedded in what owns it. Only its loop's goroutine may use it.
//
//	a half is    until                                     then
//	open         its source ends (FIN)                     ending
//	ending       what was read is written                  FIN to its destination: shut
//	shut         the other half is shut, too               the relay ends: FIN both ways
//	any          its source breaks (RST)                   the relay ends: RST to the other side
//	any          its destination breaks                    lost: no more is read for it; what the
//	                                                       destination sent before is still relayed
//	lost         its destination has been read to the end  the relay ends: RST to the other side
//	lost         the other half is lost, too               the relay ends: RST both ways
//	ended        its source breaks (RST)                   the relay ends: RST to the other side
//	any          the client breaks, and is not read: it    the relay ends: RST to the server
//	             is paused, or the server is blocked
//	any          nothing moved for the idle time, or the   the relay ends: RST both ways, or FIN where
//	             owner aborts                              cut messages show (cut)
type Relay struct {
	RelayState
	Service
	client *reactor.Conn
	server *reactor.Conn
	held   reactor.PendingBuffer // read from the client and not taken by the owner yet
	over   bool
}

// RelayState is what a relay knows of its two streams. It moves to a new process
// as it is; times are on the loops' clock.
type RelayState struct {
	Last     int64 // when a byte last moved
	Resume   int64 // the client is not read from before; 0 = it is; forever = until Proceed
	Up, Down Half  // client to server, server to client
	Answers  bool  // the owner answers the client itself at times
}

// Service is whom a relay serves, and what it counts and logs.
type Service struct {
	Owner  Owner
	Taken  *session.Counters // of the frontend
	Served *backend.Counters // of the server
	Log    *accesslog.Record // of the connection; nil = none is kept
	Timer  *reactor.Timer    // the relay's alone while it runs
}

// Owner is what a relay is for.
type Owner interface {
	// Idle is how long nothing may move, once a side has finished sending or
	// before; 0 = forever. It is asked when a deadline is set.
	Idle(halfClosed bool) time.Duration
	// FromClient is given what the client sent, forwards it with Relay.ToServer,
	// and returns how much of it it took. It is given the rest again, before what
	// follows; where it does not take all, it calls Relay.Pause. Asked only where
	// the half is inspected.
	FromClient(p []byte) (taken int)
	// FromServer is given what the server sent, and forwards it with
	// Relay.ToClient; asked only where the half is inspected, and not for
	// what is spliced.
	FromServer(p []byte)
	// RelayEnded is called once, when it is over. Both connections are closed.
	RelayEnded(reason session.Reason)
	// Session is the session that the relay is a part of.
	Session() session.Session
}

// Half is one direction of a relay.
type Half struct {
	pipe  *reactor.Pipe // lent while bytes are in it
	Flags HalfFlags
}

// HalfFlags are what is known of a half.
type HalfFlags uint8

const (
	ended     HalfFlags = 1 << iota // its source has finished sending
	shut                            // FIN was sent to its destination
	first                           // before the other half's was
	lost                            // its destination accepts nothing any more
	streaming                       // its reads fill the loop's buffer: splice
	spliced                         // some of its bytes were not seen
	inspected                       // the owner sees its bytes
	copied                          // never spliced: the owner sees every byte, or a transport changes them
)

// Client is the client's connection.
func (r *Relay) Client() *reactor.Conn { return r.client }

// SessionOf implements session.Holder.
func (r *Relay) SessionOf(c *reactor.Conn) session.Session {
	if c != r.client {
		return nil
	}
	return r.Owner.Session()
}

// Begin starts a relay, in place, between two connections that were used for
// something else before: a tunnel through HTTP. Both must be on one loop; held is
// what was read from the client before, and what was read from the server is the
// caller's to send first. The owner is given every byte.
func (r *Relay) Begin(client, server *reactor.Conn, held reactor.PendingBuffer, s Service) {
	*r = Relay{client: client, server: server, held: held, Service: s}
	r.Up.Flags = inspected | copied
	r.Down.Flags = inspected | copied
	r.begin(client.Loop().Now())
}

// begin starts the relay of two connected connections.
func (r *Relay) begin(now int64) {
	r.client.SetHandler(r)
	r.server.SetHandler(r)
	if r.client.HasTransport() || r.server.HasTransport() {
		r.Up.Flags |= copied
		r.Down.Flags |= copied
	}
	r.Last = now
	r.arm()
	r.pump(&r.Down, r.server, r.client)
	r.pump(&r.Up, r.client, r.server)
}

// Ready moves what can be moved now that something changed on c.
func (r *Relay) Ready(c *reactor.Conn) {
	if c == r.client {
		r.pump(&r.Up, r.client, r.server)
		r.pump(&r.Down, r.server, r.client)
	} else {
		r.pump(&r.Down, r.server, r.client)
		r.pump(&r.Up, r.client, r.server)
	}
	if c.Failed() && !r.over {
		r.failed(c)
	}
}

// failed handles a connection that broke and whose error no read will report: it was
// read to its end already, or the other side is blocked.
func (r *Relay) failed(c *reactor.Conn) {
	switch {
	case r.sourceOf(c).Flags&ended != 0:
		r.broken(c)
	case c == r.client && (r.Resume != 0 || r.server.Blocked()):
		// What a dead client has sent is not worth a slot. (A server's answer
		// is: the client may be slow to read it.)
		r.broken(c)
	default:
		r.arm() // for the shorter time
	}
}

// sourceOf is the half that reads from c.
func (r *Relay) sourceOf(c *reactor.Conn) *Half {
	if c == r.client {
		return &r.Up
	}
	return &r.Down
}

// pump moves bytes from one connection to the other until there are no more,
// the other takes no more, or the turn's budget is spent.
func (r *Relay) pump(h *Half, from, to *reactor.Conn) {
	for moved := 0; ; {
		if r.over || h.Flags&lost != 0 || to.Blocked() {
			return
		}
		if h == &r.Up && r.Answers && from.Blocked() {
			return // what the client sends causes answers, which it does not read
		}
		if h.pipe != nil && !r.drain(h, to) {
			return
		}
		if h.Flags&ended != 0 {
			r.finish(h, to)
			return
		}
		held := h == &r.Up && r.held.Len() > 0
		if !from.Readable() && !held || r.Resume != 0 && from == r.client {
			if moved < reactor.ReadSize {
				h.Flags &^= streaming // what comes next may be as small
			}
			return
		}
		if moved >= reactor.Budget {
			from.Yield()
			return
		}
		if held {
			moved += r.offer()
			continue
		}
		moved += r.move(h, from, to)
	}
}

// move reads once, forwards what came, and returns how much that was.
func (r *Relay) move(h *Half, from, to *reactor.Conn) int {
	if h.Flags&streaming != 0 {
		if h.pipe = from.Loop().Pipe(); h.pipe != nil {
			return r.splice(h, from, to)
		}
	}
	buffer := from.Loop().Scratch()
	if to.HasTransport() {
		buffer = buffer[:reactor.ReadSize-transportGrowth]
	}
	n, errno := from.Read(buffer)
	switch {
	case errno == unix.EAGAIN:
		return 0
	case errno != 0:
		r.broken(from)
		return 0
	case n == 0:
		r.end(h, from)
		return 0
	case n == len(buffer) && h.Flags&copied == 0:
		h.Flags |= streaming
	}
	r.count(h, n)
	r.forward(h, to, buffer[:n])
	return n
}

// transportGrowth is how much a transport may add to what one read brings, so that a buffer
// of the usual size still parks it.
const transportGrowth = 1 << 10

// forward sends bytes on, through the owner where the half is inspected.
func (r *Relay) forward(h *Half, to *reactor.Conn, p []byte) {
	switch {
	case h.Flags&inspected == 0:
		r.send(to, p)
	case h == &r.Up:
		if n := r.Owner.FromClient(p); n < len(p) && !r.over {
			r.client.Loop().Append(&r.held, p[n:])
		}
	default:
		r.Owner.FromServer(p)
	}
}

// offeredSize is how much of what is held the owner is given at once: judging what must
// wait on costs little.
const offeredSize = 4 << 10

// offer gives the owner what it did not take before, and returns how much it takes
// now.
func (r *Relay) offer() int {
	p := r.held.Bytes()
	n := r.Owner.FromClient(p[:min(len(p), offeredSize)])
	if !r.over {
		r.client.Loop().Consume(&r.held, n)
	}
	return n
}

// ToServer sends p to the server.
func (r *Relay) ToServer(p []byte) { r.send(r.server, p) }

// ToClient sends p to the client.
func (r *Relay) ToClient(p []byte) { r.send(r.client, p) }

func (r *Relay) send(to *reactor.Conn, p []byte) {
	if errno := to.Send(p); errno != 0 {
		r.undeliverable(to)
	}
}

// undeliverable notes that c accepts nothing any more. What it sent before may still
// be in its socket, and is relayed before the relay ends.
func (r *Relay) undeliverable(c *reactor.Conn) {
	r.into(c).Flags |= lost
	if r.sourceOf(c).Flags&lost != 0 {
		r.broken(c) // the other accepts nothing, either
		return
	}
	c.RetryRead()
}

// into is the half that writes to c.
func (r *Relay) into(c *reactor.Conn) *Half {
	if c == r.client {
		return &r.Down
	}
	return &r.Up
}

// splice moves bytes through a pipe, from socket to socket inside the kernel.
func (r *Relay) splice(h *Half, from, to *reactor.Conn) int {
	n, errno := from.SpliceIn(h.pipe)
	if n > 0 {
		h.Flags |= spliced
		r.count(h, n)
		r.drain(h, to)
		return n
	}
	r.unpipe(h)
	switch errno {
	case 0:
		r.end(h, from)
	case unix.EAGAIN:
	default:
		r.broken(from)
	}
	return 0
}

// drain empties the half's pipe into its destination. It returns false when that is
// blocked.
func (r *Relay) drain(h *Half, to *reactor.Conn) bool {
	held := h.pipe.Held()
	errno := to.SpliceOut(h.pipe)
	if h.pipe.Held() < held {
		r.Last = to.Loop().Now()
	}
	if errno != 0 {
		r.unpipe(h)
		r.undeliverable(to)
		return false
	}
	if h.pipe.Held() > 0 {
		return false
	}
	r.unpipe(h)
	return true
}

func (r *Relay) unpipe(h *Half) {
	if h.pipe != nil {
		r.client.Loop().ReturnPipe(h.pipe)
		h.pipe = nil
	}
}

// count notes that n bytes are moving.
func (r *Relay) count(h *Half, n int) {
	r.Last = r.client.Loop().Now()
	if r.Log != nil {
		r.note(h, n)
	}
	if h == &r.Up {
		r.Taken.BytesIn.Add(uint64(n))
		r.Served.BytesIn.Add(uint64(n))
		return
	}
	r.Taken.BytesOut.Add(uint64(n))
	r.Served.BytesOut.Add(uint64(n))
}

// note does the same for the access log.
func (r *Relay) note(h *Half, n int) {
	if h == &r.Up {
		r.Log.Moved(n, 0, r.Last)
	} else {
		r.Log.Moved(0, n, r.Last)
	}
}
