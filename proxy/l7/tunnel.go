package l7

import (
	"time"

	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/websocket"
)

// tunnel is what a client's connection becomes after a 101: a relay whose
// frames are counted. Each frame of the client's is charged as a message, control
// frames and fragments, too. Over the source's rate frames wait, whatever
// over_message says: a frame cannot be refused alone.
type tunnel struct {
	tunnelMeter
	relay l4.Relay
}

// tunnelMeter counts and charges the frames of an exchange that has become a tunnel.
type tunnelMeter struct {
	FrameMeters
	exchange *exchange
}

// FrameMeters count the frames of both directions. They move to a new process as
// they are.
type FrameMeters struct {
	Up, Down websocket.FrameMeter
}

// newTunnel makes the tunnel that an exchange becomes.
func newTunnel(x *exchange) *tunnel {
	t := &tunnel{tunnelMeter: tunnelMeter{exchange: x}}
	t.relay.Service = t.service()
	return t
}

func (t *tunnel) service() l4.Service {
	x := t.exchange
	return l4.Service{
		Owner: t, Taken: x.Counters(), Served: x.upstreamPool.counters, Log: x.log, Timer: &x.client.Timer,
	}
}

// tunnel is the tunnel that the client's connection has become, nil when it has
// not.
func (c *client) tunnel() *tunnel {
	if c.exchange.state != tunnelling {
		return nil
	}
	if relay, ok := c.Conn.Handler().(*l4.Relay); ok {
		return relay.Owner.(*tunnel)
	}
	return nil
}

// upgrade passes the server's 101 on, p[:n], and makes a tunnel of the two
// connections. Not a byte is lost around it: what the server sent behind its
// head goes to the client, what the client sent behind its request to the server.
func (x download) upgrade(p []byte, n int) {
	c := x.client
	if !x.accepted() {
		x.end(generated{why: BadResponse, malformed: http1.ReasonWebSocketAccept}, session.ServerReset)
		return
	}
	counters := c.counters()
	counters.Status[1].Add(1)
	recorder(x).logAnswer(101)
	counters.Tunnels.Add(1)
	head := &c.worker.response
	extensions := head.Has(http1.HeaderSecWebSocketExtensions)
	meters := FrameMeters{Up: websocket.ClientFrames(extensions), Down: websocket.ServerFrames(extensions)}
	out := head.AppendStatusLine(c.worker.out[:0])
	fields := len(out)
	out = router(x).edited(head.AppendFields(out, 0), fields)
	out = append(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"...)
	meter := tunnelMeter{meters, x.exchange}
	meter.countDown(p[n:])
	out = append(out, p[n:]...)
	c.worker.out = out[:0]
	switch {
	case !c.send(out):
	case c.stream != nil:
		c.stream.beginTunnel(meter)
	default:
		t := newTunnel(x.exchange)
		t.tunnelMeter = meter
		t.begin()
	}
}

// accepted reports whether the 101 that is parsed answers the handshake that was
// asked for (RFC 6455 section 4.2.2).
func (x download) accepted() bool {
	var scan http1.Scan
	w := x.client.worker
	if n, _ := w.request.Parse(x.replay.Bytes(), &scan, http1.MaxHead); n == 0 {
		return false
	}
	accept, ok := websocket.AcceptOf(w.request.Get(http1.HeaderSecWebSocketKey))
	return ok && string(w.response.Get(http1.HeaderSecWebSocketAccept)) == string(accept[:])
}

// begin hands both connections to the relay.
func (t *tunnel) begin() {
	x := t.exchange
	c, loop := x.client, x.loop()
	u := x.upstream
	x.upstream = nil
	u.release()
	loop.Disarm(&c.Timer)
	loop.Drop(&x.replay)
	x.dispatch.Forget()
	x.state = tunnelling
	x.dispatch.Slot.SetUse(backend.Tunnel)
	first := c.pending
	c.pending = reactor.PendingBuffer{}
	t.relay.Begin(c.Conn, u.conn, first, t.service())
}

// Idle implements l4.Owner.
func (t *tunnelMeter) Idle(halfClosed bool) time.Duration {
	x := t.exchange
	settings := x.client.settings()
	if x.Timeouts.Stream == 0 {
		return settings.Idle(x.dispatch.Pool, halfClosed)
	}
	idle := orElse(x.Timeouts.Stream, 0)
	if halfClosed {
		idle = session.Shorter(idle, settings.Frontend.TimeoutHalfClosed)
	}
	return idle
}

// FromClient implements l4.Owner: it holds the source to its rate, counts the
// client's frames, and forwards them. A stream that is no WebSocket ends.
func (t *tunnel) FromClient(p []byte) (taken int) {
	frames, resume := t.admitted(p)
	if resume != 0 {
		t.relay.Pause(resume)
	}
	t.countUp(frames.Data)
	t.relay.ToServer(p[:frames.Valid])
	if frames.Fault != websocket.FrameOK && t.exchange.client.state != finished {
		t.exchange.client.counters().BadFrames.Add(1)
		t.relay.Abort(session.ClientReset)
	}
	return frames.Valid
}

// admitted charges the frames that begin in p, and returns those that may pass. The
// rest waits, and the client is not read, until the next one may: then resume is when.
func (t *tunnelMeter) admitted(p []byte) (passed websocket.Frames, resume int64) {
	c := t.exchange.client
	before := t.Up
	frames := t.Up.Count(p, 0)
	begun, waited := t.Up.Begun(before, frames), c.turn.Waits()
	now := c.loop().Now()
	passing, wait := c.Source.Take(&c.turn, begun, now)
	if passing == begun {
		return frames, 0
	}
	if passing > 0 || !waited {
		c.counters().Taken.Delayed.Add(1)
	}
	t.Up = before
	return t.Up.CountUpTo(p, 0, passing), now + int64(wait)
}

// countUp counts the client's data frames.
func (t *tunnelMeter) countUp(n int) {
	if n > 0 {
		x := t.exchange
		x.client.counters().Taken.MessagesIn.Add(uint64(n))
		x.log.Messages(n, 0)
		x.upstreamPool.counters.MessagesIn.Add(uint64(n))
	}
}

// FromServer implements l4.Owner: it counts the server's frames, and forwards.
func (t *tunnel) FromServer(p []byte) {
	t.countDown(p)
	t.relay.ToClient(p)
}

// countDown counts the server's frames. The client judges what they say.
func (t *tunnelMeter) countDown(p []byte) {
	if frames := t.Down.Count(p, 0); frames.Data > 0 {
		x := t.exchange
		x.client.counters().Taken.MessagesOut.Add(uint64(frames.Data))
		x.log.Messages(0, frames.Data)
		x.upstreamPool.counters.MessagesOut.Add(uint64(frames.Data))
	}
}

// RelayEnded implements l4.Owner.
func (t *tunnel) RelayEnded(reason session.Reason) { t.exchange.client.finish(reason) }

// Session implements l4.Owner.
func (t *tunnel) Session() session.Session { return t.exchange.client }
