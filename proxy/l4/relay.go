package l4

import (
	"math"
	"time"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"

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
//	                                                       destination said before is still carried
//	lost         its destination has been read to the end  the relay ends: RST to the other side
//	lost         the other half is lost, too               the relay ends: RST both ways
//	ended        its source breaks (RST)                   the relay ends: RST to the other side
//	any          the client breaks, and nobody reads it:   the relay ends: RST to the server
//	             paused, or the server takes no more
//	any          nothing moved for the idle time, or the   the relay ends: RST both ways, or FIN where
//	             owner aborts                              cut messages show (cut)
type Relay struct {
	client *reactor.Conn
	server *reactor.Conn
	owner  Owner
	taken  *Counters         // of the frontend
	served *backend.Counters // of the server
	log    *accesslog.Record // of the connection; nil = none is kept
	timer  reactor.Timer
	last   int64 // when a byte last moved, on the loop's clock
	resume int64 // the client is not read from before; 0 = it is; forever = until Proceed
	up     half  // client to server
	down   half  // server to client
	over   bool

	// answers says that the owner answers the client itself at times.
	answers bool
}

// Owner is what a relay is for.
type Owner interface {
	// Idle is how long nothing may move, once a side has finished sending or
	// before; 0 = forever. It is asked when a deadline is set.
	Idle(halfClosed bool) time.Duration
	// FromClient is given what the client sent, and forwards it with
	// Relay.ToServer; asked only where the half is inspected.
	FromClient(p []byte)
	// FromServer is given what the server sent, and forwards it with
	// Relay.ToClient; asked only where the half is inspected, and not for
	// what is spliced.
	FromServer(p []byte)
	// RelayEnded is called once, when it is over. Both connections are closed.
	RelayEnded(reason Reason)
}

// half is one direction of a relay.
type half struct {
	pipe  *reactor.Pipe // lent while bytes are in it
	flags halfFlags
}

type halfFlags uint8

const (
	ended     halfFlags = 1 << iota // its source has finished sending
	shut                            // its destination was told
	first                           // before the other half's was
	lost                            // its destination takes nothing any more
	streaming                       // its reads fill the loop's buffer: splice
	spliced                         // some of its bytes nobody has seen
	inspected                       // the owner sees its bytes
	copied                          // never spliced: the owner sees every byte, or a layer changes them
)

// Owner is whom the relay serves.
func (r *Relay) Owner() Owner { return r.owner }

// Client is the client's connection.
func (r *Relay) Client() *reactor.Conn { return r.client }

// Begin starts a relay, in place, between two connections that were met
// another way: what is tunnelled through HTTP. Both must be on one loop; what
// was read from either before is the caller's to send first. With inspect, the
// owner is given every byte. What moves is noted in log, unless that is nil.
func (r *Relay) Begin(client, server *reactor.Conn, owner Owner, taken *Counters, served *backend.Counters, log *accesslog.Record, inspect bool) {
	*r = Relay{client: client, server: server, owner: owner, taken: taken, served: served, log: log}
	if inspect {
		r.up.flags = inspected | copied
		r.down.flags = inspected | copied
	}
	r.begin(client.Loop().Now())
}

// begin starts the relay of two connected connections.
func (r *Relay) begin(now int64) {
	r.client.SetHandler(r)
	r.server.SetHandler(r)
	if r.client.HasTransport() || r.server.HasTransport() {
		r.up.flags |= copied
		r.down.flags |= copied
	}
	r.last = now
	r.arm()
	r.pump(&r.down, r.server, r.client)
	r.pump(&r.up, r.client, r.server)
}

// Ready moves what can be moved now that something changed on c.
func (r *Relay) Ready(c *reactor.Conn) {
	if c == r.client {
		r.pump(&r.up, r.client, r.server)
		r.pump(&r.down, r.server, r.client)
	} else {
		r.pump(&r.down, r.server, r.client)
		r.pump(&r.up, r.client, r.server)
	}
	if c.Failed() && !r.over {
		r.failed(c)
	}
}

// failed looks at a connection that broke and is not read to its end, which
// would tell: it has been, or the other side takes no more for now.
func (r *Relay) failed(c *reactor.Conn) {
	switch {
	case r.sourceOf(c).flags&ended != 0:
		r.broken(c)
	case c == r.client && (r.resume != 0 || r.server.Blocked()):
		// What a dead client left is not worth a slot. (A server's answer is:
		// the client may be slow to read it.)
		r.broken(c)
	default:
		r.arm() // for the shorter time
	}
}

// sourceOf is the half that reads from c.
func (r *Relay) sourceOf(c *reactor.Conn) *half {
	if c == r.client {
		return &r.up
	}
	return &r.down
}

// pump moves bytes from one connection to the other until there are no more,
// the other takes no more, or the turn's budget is spent.
func (r *Relay) pump(h *half, from, to *reactor.Conn) {
	for moved := 0; ; {
		if r.over || h.flags&lost != 0 || to.Blocked() {
			return
		}
		if h == &r.up && r.answers && from.Blocked() {
			return // what the client sends makes answers, which it does not read
		}
		if h.pipe != nil && !r.drain(h, to) {
			return
		}
		if h.flags&ended != 0 {
			r.finish(h, to)
			return
		}
		if !from.Readable() || r.resume != 0 && from == r.client {
			if moved < reactor.ReadSize {
				h.flags &^= streaming // what comes next may be as small
			}
			return
		}
		if moved >= reactor.Budget {
			from.Yield()
			return
		}
		moved += r.move(h, from, to)
	}
}

// move reads once, forwards what came, and tells how much that was.
func (r *Relay) move(h *half, from, to *reactor.Conn) int {
	if h.flags&streaming != 0 {
		if h.pipe = from.Loop().Pipe(); h.pipe != nil {
			return r.splice(h, from, to)
		}
	}
	buffer := from.Loop().Scratch()
	if to.HasTransport() {
		buffer = buffer[:reactor.ReadSize-layerGrowth]
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
	case n == len(buffer) && h.flags&copied == 0:
		h.flags |= streaming
	}
	r.count(h, n)
	r.forward(h, to, buffer[:n])
	return n
}

// layerGrowth is by how much a layer may enlarge what one read brings, so that a
// buffer of the usual size still parks it.
const layerGrowth = 1 << 10

// forward hands bytes on, by way of the owner where it wants to see them.
func (r *Relay) forward(h *half, to *reactor.Conn, p []byte) {
	switch {
	case h.flags&inspected == 0:
		r.send(to, p)
	case h == &r.up:
		r.owner.FromClient(p)
	default:
		r.owner.FromServer(p)
	}
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

// undeliverable notes that c takes nothing any more. What it said before that
// may still lie in its socket, and is carried before the relay ends.
func (r *Relay) undeliverable(c *reactor.Conn) {
	r.into(c).flags |= lost
	if r.sourceOf(c).flags&lost != 0 {
		r.broken(c) // and the other takes nothing, either
		return
	}
	c.RetryRead()
}

// into is the half that writes to c.
func (r *Relay) into(c *reactor.Conn) *half {
	if c == r.client {
		return &r.down
	}
	return &r.up
}

// splice moves bytes through a pipe, from socket to socket inside the kernel.
func (r *Relay) splice(h *half, from, to *reactor.Conn) int {
	n, errno := from.SpliceIn(h.pipe)
	if n > 0 {
		h.flags |= spliced
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

// drain empties the half's pipe into its destination. It returns false when
// that takes no more.
func (r *Relay) drain(h *half, to *reactor.Conn) bool {
	held := h.pipe.Held()
	errno := to.SpliceOut(h.pipe)
	if h.pipe.Held() < held {
		r.last = to.Loop().Now()
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

func (r *Relay) unpipe(h *half) {
	if h.pipe != nil {
		r.client.Loop().ReturnPipe(h.pipe)
		h.pipe = nil
	}
}

// count notes that n bytes are moving.
func (r *Relay) count(h *half, n int) {
	r.last = r.client.Loop().Now()
	if r.log != nil {
		r.note(h, n)
	}
	if h == &r.up {
		r.taken.BytesIn.Add(uint64(n))
		r.served.BytesIn.Add(uint64(n))
		return
	}
	r.taken.BytesOut.Add(uint64(n))
	r.served.BytesOut.Add(uint64(n))
}

// note notes the same for the access log.
func (r *Relay) note(h *half, n int) {
	if h == &r.up {
		r.log.Moved(n, 0, r.last)
	} else {
		r.log.Moved(0, n, r.last)
	}
}

// end notes that the half's source has finished sending. One that no longer
// takes anything either was broken before it could be read.
func (r *Relay) end(h *half, from *reactor.Conn) {
	if r.into(from).flags&lost != 0 {
		r.broken(from)
		return
	}
	h.flags |= ended
	r.last = r.client.Loop().Now()
	r.arm() // a half-closed connection has a shorter time
}

// finish tells the destination that nothing more will come, and ends the
// relay when that holds for both.
func (r *Relay) finish(h *half, to *reactor.Conn) {
	if h.flags&shut == 0 {
		if (r.up.flags|r.down.flags)&shut == 0 {
			h.flags |= first
		}
		h.flags |= shut
		to.CloseWrite()
	}
	if r.up.flags&r.down.flags&shut == 0 || r.client.Parked()+r.server.Parked() > 0 {
		return // what a layer says last may wait to be written
	}
	reason := ServerClosed
	if r.up.flags&first != 0 {
		reason = ClientClosed
	}
	r.close(reason)
}

// broken ends the relay because c is broken: the other side sees RST, so that
// it cannot take what it got for the whole.
func (r *Relay) broken(c *reactor.Conn) {
	if c == r.client {
		r.server.Reset()
		r.close(ClientReset)
		return
	}
	r.client.Reset()
	r.close(ServerReset)
}

// Abort ends the relay for a reason of the balancer's own: both sides can see
// that it was cut off.
func (r *Relay) Abort(reason Reason) {
	r.cut(r.client)
	r.cut(r.server)
	r.close(reason)
}

// cut closes c so that its peer cannot take what it got for the whole: with RST,
// but where the owner sees messages, whose ends the peer knows as well, by FIN,
// which always arrives. One that was sent already is let arrive, and RST is for a
// peer that has it.
func (r *Relay) cut(c *reactor.Conn) {
	told := r.into(c).flags&shut != 0
	if told && c.FinUnacked() || !told && r.up.flags&inspected != 0 {
		c.Cut()
	} else {
		c.Reset()
	}
}

// close ends the relay; what is not reset is closed.
func (r *Relay) close(reason Reason) {
	r.detach()
	r.client.Close()
	r.server.Close()
	r.owner.RelayEnded(reason)
}

// detach ends the relay and leaves both connections to the owner.
func (r *Relay) detach() {
	r.over = true
	r.client.Loop().Disarm(&r.timer)
	r.unpipe(&r.up)
	r.unpipe(&r.down)
}

// forever is the end of a pause that only Proceed ends.
const forever = math.MaxInt64

// Pause stops reading from the client until the given time on the loop's
// clock: it is over its rate, and TCP's own flow control slows it down.
func (r *Relay) Pause(until int64) {
	if r.over {
		return
	}
	r.resume = until
	r.arm()
}

// Proceed ends a pause before its time.
func (r *Relay) Proceed() {
	if r.over {
		return
	}
	r.resume = 0
	r.client.Yield()
}

// arm sets the timer for what comes first: the end of a pause, or of the idle
// time.
func (r *Relay) arm() {
	loop := r.client.Loop()
	deadline := r.idleEnds()
	if r.resume != 0 && (deadline == 0 || r.resume < deadline) {
		deadline = r.resume
	}
	if deadline != 0 {
		loop.Arm(&r.timer, r, deadline)
	}
}

// idleEnds is when the idle time ends unless something moves; 0 = never. It
// begins when a pause is over: that is the balancer's doing, not the client's
// silence.
func (r *Relay) idleEnds() int64 {
	idle := r.owner.Idle(r.halfClosed())
	if idle == 0 {
		return 0
	}
	if r.resume != forever && r.resume > r.last {
		return r.resume + int64(idle)
	}
	return r.last + int64(idle)
}

// halfClosed tells whether one side has finished sending, or has gone.
func (r *Relay) halfClosed() bool {
	return (r.up.flags|r.down.flags)&(ended|lost) != 0 || r.client.Failed() || r.server.Failed()
}

// Expired runs when the timer does: perhaps early, since activity only writes
// a timestamp.
func (r *Relay) Expired(*reactor.Timer) {
	now := r.client.Loop().Now()
	if r.resume != 0 && now >= r.resume {
		r.resume = 0
		r.last = now
		r.client.Yield()
	}
	if ends := r.idleEnds(); ends != 0 && now >= ends {
		r.Abort(r.idleReason())
		return
	}
	r.arm()
}

func (r *Relay) idleReason() Reason {
	if r.halfClosed() {
		return HalfClosedTimeout
	}
	return IdleTimeout
}
