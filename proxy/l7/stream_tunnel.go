package l7

import (
	"mcplb/backend"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/websocket"

	"golang.org/x/sys/unix"
)

// streamTunnel is what a stream becomes after an extended CONNECT (RFC 8441): it does for
// a stream what l4.Relay does for two connections.
//
//	a side is  until                                    then
//	open       it ends (END_STREAM, FIN)                ended; the other side learns of it behind
//	                                                    what was read before
//	ended      the other has ended, too                 the tunnel ends
//	any        the server breaks (RST)                  the tunnel ends: RST_STREAM (CANCEL)
//	any        the client resets the stream             the tunnel ends: the server sees RST
//	any        a stream that is no WebSocket, nothing   the tunnel ends: RST_STREAM, RST
//	           moved for the idle time
type streamTunnel struct {
	tunnelMeter
	StreamTunnelState
	stream *stream
	held   reactor.PendingBuffer // read from the client, over the rate
}

// StreamTunnelState is what a new process needs of a tunnel of a stream, its meters aside.
// Times are on the loops' clock.
type StreamTunnelState struct {
	Moved       int64 // when a byte last moved
	Resume      int64 // the client is not read before; 0 = it is
	ClientEnded bool  // and the server has got its FIN
	ServerEnded bool  // and the client has got its END_STREAM
}

// beginTunnel makes a tunnel of a stream whose 101 has been passed on.
func (s *stream) beginTunnel(meter tunnelMeter) {
	c, x := &s.client, &s.client.exchange
	t := &streamTunnel{tunnelMeter: meter, stream: s, held: c.pending}
	t.Moved = c.loop().Now()
	c.pending = reactor.PendingBuffer{}
	s.tunnel = t
	c.loop().Drop(&x.replay)
	c.loop().Drop(&x.upstream.unread)
	x.dispatch.Forget()
	x.state = tunnelling
	x.dispatch.Slot.SetUse(backend.Tunnel)
	x.upstream.conn.RetryRead()
	t.pump()
}

// pump moves what can be moved.
func (t *streamTunnel) pump() {
	t.pumpDown()
	t.pumpUp()
	c := &t.stream.client
	switch {
	case c.exchange.state != tunnelling:
	case t.ClientEnded && t.ServerEnded:
		c.finish(session.ClientClosed)
	default:
		c.arm()
	}
}

// over reports whether the tunnel has ended.
func (t *streamTunnel) over() bool { return t.exchange.state != tunnelling }

// pumpDown moves what the server has sent.
func (t *streamTunnel) pumpDown() {
	s, u := t.stream, t.exchange.upstream
	for moved := 0; !t.over() && !t.ServerEnded && u.conn.Readable() && !s.Blocked(); {
		if moved >= reactor.Budget {
			u.conn.Yield()
			return
		}
		p := s.client.loop().Scratch()[:s.room()]
		n, errno := u.conn.Read(p)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			s.client.cut(session.ServerReset)
			return
		case n == 0:
			t.ServerEnded = true
			s.CloseWrite()
			return
		}
		t.count(0, n)
		t.countDown(p[:n])
		s.client.send(p[:n])
		moved += n
	}
}

// pumpUp moves what the client has sent, at the source's rate.
func (t *streamTunnel) pumpUp() {
	s, c, u := t.stream, &t.stream.client, t.exchange.upstream
	for !t.over() && !t.ClientEnded && c.loop().Now() >= t.Resume && !u.conn.Blocked() {
		t.Resume = 0
		if t.held.Len() > 0 {
			p := t.held.Bytes()
			n := t.fromClient(p)
			if t.over() {
				return
			}
			c.loop().Consume(&t.held, n)
			continue
		}
		p := c.loop().Scratch()
		n, errno := s.Read(p)
		if errno == unix.EAGAIN {
			t.pumpEnd()
			return
		}
		c.countIn(n)
		t.count(n, 0)
		if taken := t.fromClient(p[:n]); !t.over() {
			c.loop().Append(&t.held, p[taken:n])
		}
	}
}

// pumpEnd passes on that the client has finished.
func (t *streamTunnel) pumpEnd() {
	if t.stream.http2.RequestDone() && !t.stream.failed {
		t.ClientEnded = true
		t.exchange.upstream.conn.CloseWrite()
	}
}

// fromClient forwards what the rate lets pass of p, and returns how much that is.
func (t *streamTunnel) fromClient(p []byte) int {
	c, u := &t.stream.client, t.exchange.upstream
	frames, resume := t.admitted(p)
	t.Resume = resume
	t.countUp(frames.Data)
	if errno := u.conn.Send(p[:frames.Valid]); errno != 0 {
		u.conn.RetryRead() // it says how it has ended
		t.ClientEnded = true
	}
	t.stream.pay()
	if frames.Fault != websocket.FrameOK {
		c.counters().BadFrames.Add(1)
		c.cut(session.ClientReset)
	}
	return frames.Valid
}

// count notes that bytes are moving.
func (t *streamTunnel) count(in, out int) {
	t.Moved = t.exchange.loop().Now()
	if log := t.exchange.log; log != nil {
		log.Moved(in, 0, t.Moved)
	}
	t.exchange.upstreamPool.counters.BytesIn.Add(uint64(in))
	t.exchange.upstreamPool.counters.BytesOut.Add(uint64(out))
}

// deadline is when the tunnel has to be looked at, unless something happens; 0 = never.
func (t *streamTunnel) deadline() (at int64) {
	if idle := t.Idle(t.ClientEnded || t.ServerEnded); idle > 0 {
		at = t.Moved + int64(idle)
	}
	return earlier(at, t.Resume)
}

// expired does what is due: frames that waited go on, or the tunnel was idle for too long.
func (t *streamTunnel) expired() {
	c, now := &t.stream.client, t.exchange.loop().Now()
	if t.Resume != 0 && now >= t.Resume {
		t.pump()
		return
	}
	if idle := t.Idle(t.ClientEnded || t.ServerEnded); idle > 0 && now >= t.Moved+int64(idle) {
		c.cut(session.IdleTimeout)
		return
	}
	c.arm()
}
