package l7

import (
	"bytes"
	"net/netip"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/inflate"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// A client moves to a new process as an l4 session does: Detach, and then Gone,
// or Back.
//
//	state       may move when                            and continues there
//	header      always                                   header
//	reading     always, also within a head               reading
//	queued      it still waits                           its request is parsed again, and waits
//	exchanging  the request has been forwarded,          exchanging: a stream, or the rest of
//	            the answer has begun, and nothing of it  an answer
//	            is held back (not while it is
//	            compressed)
//	tunnelling  its relay may                            tunnelling
//	closing     as a stream of HTTP/2                    closing
//	others      never: they do not last
//
// A connection with TLS 1.2 is not Movable, nor one whose handshake is under way. One of
// HTTP/2 moves with all of its streams at once: see muxMover.

// Session is a client of mode http as a hand-over sees it.
type Session interface {
	session.Session
	// Detach takes the client off its loop; ok is false if it cannot move now.
	Detach() (h *Handover, d session.Detached, ok bool)
	// Back puts a detached client on its loop again.
	Back(h *Handover, d *session.Detached)
}

// Handover is what a new process needs of a client, its sockets aside. It is fit
// for encoding; times are on the loops' clock, which both processes share.
type Handover struct {
	Client   session.ClientState
	Request  RequestState
	At       Place
	Pending  []byte
	Turn     int64 // among those whose messages wait for the rate: ratelimit.Turn.Place
	Exchange ExchangeHandover
	Tunnel   *TunnelHandover
	ToClient []byte // parked
	Log      *accesslog.Record
	Named    *netip.AddrPort // the client of the present request, as a trusted proxy names it; nil = none
}

// Place is where a client is that moves.
type Place uint8

// The places.
const (
	AtHeader Place = iota
	AtRequest
	AtQueue
	AtAnswer
	AtTunnel
	AtEnd   // of a stream of HTTP/2, whose answer is complete
	nowhere // it cannot move
)

// ExchangeHandover is an answer that is under way, or what a tunnel came from.
type ExchangeHandover struct {
	ExchangeState
	Moved    int64 // when something last moved
	Call     *CallHandover
	Rewriter *mcp.EndpointRewriter // of a bodyEncoder that does not compress; nil = none
	Tasks    *mcp.TaskRewriter     // likewise
	Inflater *inflate.Decoder      // likewise; nil = the body is not compressed
	Chunks   bool
	Comments Keepalive
	Unread   []byte // of the answer: what the encoder has left
	ToServer []byte // parked
}

// TunnelHandover is a WebSocket connection.
type TunnelHandover struct {
	FrameMeters
	Relay  l4.RelayHandover
	tunnel *tunnel // in the process that detached it
}

// HasServer reports whether a connection to a server belongs to the client.
func (h *Handover) HasServer() bool { return h.At == AtAnswer || h.At == AtTunnel }

// Valid reports whether the parts of h fit together: the other process may be
// faulty.
func (h *Handover) Valid() bool {
	return h.At < AtEnd && (h.At == AtTunnel) == (h.Tunnel != nil) && int(h.Exchange.Endpoint) < len(endpoints)
}

// Parked is what was not taken yet by the client and by the server.
func (h *Handover) Parked() (toClient, toServer []byte) {
	if h.Tunnel != nil {
		return h.Tunnel.Relay.ToClient, h.Tunnel.Relay.ToServer
	}
	return h.ToClient, h.Exchange.ToServer
}

// Detach takes the client off its loop, if it can move now.
func (c *client) Detach() (h *Handover, d session.Detached, ok bool) {
	m := mover{c}
	at := m.place()
	if at == nowhere || !m.unqueue() {
		return nil, d, false
	}
	h = m.handover(at)
	if t := c.tunnel(); t != nil {
		h.Tunnel = &TunnelHandover{FrameMeters: t.FrameMeters, tunnel: t}
		h.Tunnel.Relay, d, ok = t.relay.Detach()
		return h, d, ok
	}
	d = session.ClientOnly(c.Conn.Detach())
	h.ToClient = d.Client.Parked
	d.Server = m.detachServer(h)
	return h, d, true
}

// mover takes a client off its loop, and puts one on. It is a part of its client
// connection.
type mover struct{ *client }

// place is where the client is, if it may be detached there.
func (c mover) place() Place {
	x := &c.exchange
	if t := c.tunnel(); t != nil {
		if t.relay.Movable() {
			return AtTunnel
		}
		return nowhere
	}
	switch {
	case c.state == finished || !c.Conn.Detachable():
	case c.state == entering && c.Stage == session.StageHeader:
		return AtHeader
	case c.state == reading:
		return AtRequest
	case c.state != busy:
	case x.state == dispatching && x.dispatch.State() == session.Queued, x.state == inspecting, x.state == delaying:
		return AtQueue
	case x.state == exchanging && moved{x}.movable():
		return AtAnswer
	}
	return nowhere
}

// unqueue takes a request that waits for a slot out of the queue. It reports false if a
// slot is on its way to it.
func (c mover) unqueue() bool {
	x := &c.exchange
	return x.state != dispatching || x.dispatch.State() != session.Queued || x.dispatch.Cancel(x)
}

// handover returns what moves of the client, its connections aside. It waits for nothing
// any more.
func (c mover) handover(at Place) *Handover {
	x := &c.exchange
	h := &Handover{
		Client: c.ClientState, Request: c.RequestState, At: at,
		Pending: append([]byte(nil), c.pending.Bytes()...), Log: x.log, Turn: c.turn.Place(),
	}
	if requester(c).proxy().IsValid() {
		h.Named = &c.forwarded.from
	}
	if at == AtAnswer || at == AtTunnel {
		h.Exchange = moved{x}.handover()
	}
	h.Exchange.Call = x.call.handover()
	c.loop().Disarm(&c.Timer)
	c.Source.Leave(&c.turn)
	return h
}

// detachServer takes the connection to the server off the loop, if there is one.
func (c mover) detachServer(h *Handover) reactor.Detached {
	u := c.exchange.upstream
	if u == nil {
		return reactor.Detached{FD: -1}
	}
	c.loop().Disarm(&u.timer)
	d := u.conn.Detach()
	h.Exchange.ToServer = d.Parked
	return d
}

// moved is an exchange on its way to another process.
type moved struct{ *exchange }

// movable reports whether an answer under way may move.
func (x moved) movable() bool {
	return x.request.Done && x.has(answered) && (x.encoder == nil || x.encoder.zip == nil) && x.upstream.conn.Detachable()
}

func (x moved) handover() ExchangeHandover {
	h := ExchangeHandover{ExchangeState: x.ExchangeState, Moved: x.dispatch.Since}
	if u := x.upstream; u != nil {
		h.Unread = bytes.Clone(u.unread.Bytes())
	}
	if r := x.encoder; r != nil {
		endpoint, tasks := r.endpoint, r.tasks
		h.Rewriter, h.Tasks, h.Inflater, h.Chunks, h.Comments = &endpoint, &tasks, r.inflater, r.chunks, r.keepalive
	}
	return h
}

// Gone implements session.Session.
func (c *client) Gone(d *session.Detached) {
	d.Close()
	mover{c}.gone()
	c.frontend.Leave(c.Source, c.loop())
}

// gone ends a detached client silently, its source aside.
func (c mover) gone() {
	x := &c.exchange
	c.worker.log.Drop(x.log)
	if x.upstream != nil {
		c.loop().Drop(&x.upstream.unread)
	}
	x.log, x.upstream = nil, nil
	x.leaveCall()
	c.state, x.state = finished, idle
	x.dispatch.Slot.Moved(c.loop().Now())
	x.forget()
	c.loop().Drop(&x.replay)
	c.loop().Drop(&c.pending)
}

// Back puts a detached client on its loop again.
func (c *client) Back(h *Handover, d *session.Detached) {
	c.Source.Rejoin(&c.turn, h.Turn)
	if h.Tunnel != nil {
		mover{c}.attachTunnel(h.Tunnel.tunnel, h, d)
		return
	}
	mover{c}.resume(h, d)
}

// attachTunnel puts a tunnel on the client's loop.
func (c mover) attachTunnel(t *tunnel, h *Handover, d *session.Detached) {
	if errno := t.relay.Attach(c.loop(), &h.Tunnel.Relay, d); errno != 0 {
		c.lost()
		return
	}
	c.Conn, c.Stage = t.relay.Client(), session.StageEntered
	c.state, c.exchange.state = busy, tunnelling
}

// lost ends a client whose connections could not be attached, and are closed.
func (c mover) lost() {
	c.Conn, c.exchange.upstream = nil, nil
	c.finish(session.NoResources)
}

// resume puts a client on its loop, in the state in which it was detached.
func (c mover) resume(h *Handover, d *session.Detached) {
	x := &c.exchange
	if !c.attach(d) {
		c.lost()
		return
	}
	c.Stage, c.state = session.StageEntered, reading
	switch h.At {
	case AtHeader:
		c.Stage, c.state = session.StageHeader, entering
	case AtQueue:
		if x.call == nil {
			x.adoptCall(h.Exchange.Call)
		}
		c.askAgain(&h.Request)
		return
	case AtAnswer:
		c.state, x.state = busy, exchanging
	}
	c.arm()
	c.Conn.Yield()
}

// attach adopts the connections.
func (c mover) attach(d *session.Detached) bool {
	var errno unix.Errno
	if c.Conn, errno = c.loop().Attach(d.Client, c.client); errno != 0 {
		if d.Server.FD >= 0 {
			unix.Close(d.Server.FD)
		}
		return false
	}
	if !c.attachServer(d.Server) {
		c.Conn.Reset()
		return false
	}
	return true
}

// attachServer adopts the connection to the server, if there is one.
func (c mover) attachServer(d reactor.Detached) bool {
	u := c.exchange.upstream
	if u == nil {
		return true
	}
	var errno unix.Errno
	u.conn, errno = c.loop().Attach(d, u)
	return errno == 0
}

// askAgain asks for a slot once more, for a request that was counted, charged and
// queued before.
func (c mover) askAgain(was *RequestState) {
	x := &c.exchange
	c.state = busy
	if !x.reparse() {
		return
	}
	settings := c.settings()
	x.note(settings)
	c.HalfOpen, c.Closes = was.HalfOpen, was.Closes
	router{x}.begin(settings, verdict{})
}

// adopt makes a new client, which has its source, one that has moved; its connections
// follow.
func (c mover) adopt(h *Handover, slot backend.Slot, pool *backend.Pool) {
	c.ClientState, c.RequestState = h.Client, h.Request
	if h.Named != nil {
		c.forwarded = &forwarded{*h.Named}
	}
	c.Source.Rejoin(&c.turn, h.Turn)
	c.loop().Append(&c.pending, h.Pending)
	c.ready = c.pending.Len() > 0
	c.exchange.log = c.worker.log.Adopt(h.Log)
	if slot.Server() != nil {
		moved{&c.exchange}.adopt(&h.Exchange, slot, pool)
	}
}

// adopt continues an answer that is under way.
func (x moved) adopt(h *ExchangeHandover, slot backend.Slot, pool *backend.Pool) {
	w := x.client.worker
	x.ExchangeState = h.ExchangeState
	x.dispatch.Pool, x.dispatch.Slot, x.dispatch.Since = pool, slot, h.Moved
	if x.has(streaming) {
		x.dispatch.Slot.SetUse(backend.Stream)
	}
	x.adoptCall(h.Call)
	x.upstreamPool = w.upstreams(slot.Server())
	x.request.Done = true
	x.upstream = &upstream{pool: x.upstreamPool, exchange: x.exchange, endpoint: x.Endpoint}
	x.loop().Append(&x.upstream.unread, h.Unread)
	if h.Rewriter != nil {
		x.encoder = w.encoders.plain()
		x.encoder.endpoint, x.encoder.chunks, x.encoder.keepalive = *h.Rewriter, h.Chunks, h.Comments
		x.encoder.inflater = h.Inflater
		if h.Tasks != nil {
			x.encoder.tasks = *h.Tasks
		}
	}
}
