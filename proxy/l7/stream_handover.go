package l7

import (
	"mcplb/backend"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

// StreamHandover is what a new process needs of a stream of HTTP/2: what moves of any
// client, and of the stream itself.
type StreamHandover struct {
	Handover
	StreamState
	ID       uint32
	In, Out  []byte
	Trailers []byte
	FINSent  bool                  // see client.finSent
	Frames   *StreamTunnelHandover // nil unless it is a WebSocket
}

// StreamTunnelHandover is a WebSocket of a stream.
type StreamTunnelHandover struct {
	FrameMeters
	StreamTunnelState
	Held []byte // over the rate
}

// valid reports whether the parts of h fit together.
func (h *StreamHandover) valid() bool {
	return h.At > AtHeader && h.At < nowhere && h.Tunnel == nil && (h.At == AtTunnel) == (h.Frames != nil) &&
		h.Unpaid >= 0 && int(h.Exchange.Endpoint) < len(endpoints)
}

// pending is how many bytes wait.
func (h *StreamHandover) pending() int {
	n := len(h.Pending) + len(h.In) + len(h.Out) + len(h.Trailers) + len(h.Exchange.Unread) + len(h.Exchange.ToServer)
	if h.Frames != nil {
		n += len(h.Frames.Held)
	}
	return n
}

// streamMover takes a stream off its loop, as a part of its connection, and puts one on.
type streamMover struct{ *stream }

// place is where the stream is, if it may be detached there.
func (s streamMover) place() Place {
	c := &s.client
	switch {
	case s.failed || s.http2.Closed():
		s.Yield() // it ends at its next turn
		return nowhere
	case s.tunnel != nil && c.exchange.upstream.conn.Detachable():
		return AtTunnel
	case s.tunnel == nil && c.state == closing:
		return AtEnd
	}
	return mover{c}.place()
}

// handover returns what moves of the stream, which is at a place, its connection to a server
// aside.
func (s streamMover) handover(at Place) StreamHandover {
	h := StreamHandover{
		Handover: *mover{&s.client}.handover(at), StreamState: s.StreamState, ID: s.http2.ID(), FINSent: s.client.finSent,
		In: append([]byte(nil), s.in.Bytes()...), Out: append([]byte(nil), s.out.Bytes()...), Trailers: s.trailers,
	}
	if t := s.tunnel; t != nil {
		h.Frames = &StreamTunnelHandover{t.FrameMeters, t.StreamTunnelState, append([]byte(nil), t.held.Bytes()...)}
	}
	return h
}

// gone ends a detached stream silently.
func (s streamMover) gone() {
	c := &s.client
	mover{c}.gone()
	requester{c}.unidentify()
	s.drop()
	s.owner, s.failed = nil, true
	s.recycle()
}

// drop lets go of what the stream carries.
func (s streamMover) drop() {
	loop := s.client.loop()
	loop.Drop(&s.in)
	loop.Drop(&s.out)
	if s.tunnel != nil {
		loop.Drop(&s.tunnel.held)
	}
}

// adopt makes a new stream one that has moved; its connections follow.
func (s streamMover) adopt(h *StreamHandover, held *Claimed) {
	c, loop := &s.client, s.client.loop()
	if held.Source != nil || h.Named != nil { // of a client whom a proxy has named
		c.Source, c.forwarded = held.Source, new(forwarded)
	}
	mover{c}.adopt(&h.Handover, held.Slot, held.Pool)
	s.StreamState, s.trailers, c.finSent = h.StreamState, h.Trailers, h.FINSent
	loop.Append(&s.in, h.In)
	loop.Append(&s.out, h.Out)
	s.owner.parked += len(h.Out)
	if f := h.Frames; f != nil {
		s.tunnel = &streamTunnel{tunnelMeter: tunnelMeter{f.FrameMeters, &c.exchange}, StreamTunnelState: f.StreamTunnelState, stream: s.stream}
		loop.Append(&s.tunnel.held, f.Held)
		c.exchange.dispatch.Slot.SetUse(backend.Tunnel)
	}
}

// resume has a stream go on whose connection is on its loop, in the state in which it was
// detached.
func (s streamMover) resume(h *StreamHandover, server reactor.Detached) {
	c := &s.client
	x := &c.exchange
	if !(mover{c}).attachServer(server) {
		x.upstream = nil
		c.cut(session.NoResources)
		return
	}
	switch h.At {
	case AtQueue:
		if x.call == nil {
			x.adoptCall(h.Exchange.Call)
		}
		mover{c}.askAgain(&h.Request)
		return
	case AtAnswer:
		c.state, x.state = busy, exchanging
	case AtTunnel:
		c.state, x.state = busy, tunnelling
	case AtEnd:
		c.state = closing
	default:
		c.state = reading
	}
	c.arm()
	s.Yield()
}
