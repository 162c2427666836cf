package l7

import (
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/websocket"
)

// tunnel is what a client's connection becomes after a 101: a relay whose
// frames are counted, each data frame of the client's as a message. Over the
// source's rate, reading pauses, whatever over_message says: a frame cannot be
// refused alone.
type tunnel struct {
	relay  l4.Relay
	client *client
	up     websocket.FrameMeter
	down   websocket.FrameMeter
}

// upgrade passes the server's 101 on, p[:n], and makes a tunnel of the two
// connections. Not a byte is lost around it: what the server sent behind its
// head goes to the client, what the client sent behind its request to the server.
func (c *client) upgrade(p []byte, n int) {
	if !c.accepted() {
		c.end(answer{why: BadResponse, text: "the server's answer does not fit the WebSocket handshake"}, l4.ServerReset)
		return
	}
	c.counters.Status[1].Add(1)
	c.logAnswer(101)
	c.counters.Tunnels.Add(1)
	head := &c.worker.response
	extensions := head.Has(http1.HeaderSecWebSocketExtensions)
	t := &tunnel{client: c, up: websocket.ClientFrames(extensions), down: websocket.ServerFrames(extensions)}
	out := head.AppendStatusLine(c.worker.out[:0])
	out = head.AppendFields(out, 0)
	out = append(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"...)
	out = append(out, p[n:]...)
	t.countDown(p[n:])
	c.worker.out = out[:0]
	if c.send(out) {
		t.begin()
	}
}

// accepted tells whether the 101 that is parsed answers the handshake that was
// asked for (RFC 6455 section 4.2.2).
func (c *client) accepted() bool {
	var scan http1.Scan
	request := &c.worker.request
	if n, _ := request.Parse(c.exchange.replay.Bytes(), &scan, http1.MaxHead); n == 0 {
		return false
	}
	accept, ok := websocket.AcceptOf(request.Get(http1.HeaderSecWebSocketKey))
	return ok && string(c.worker.response.Get(http1.HeaderSecWebSocketAccept)) == string(accept[:])
}

// begin hands both connections to the relay.
func (t *tunnel) begin() {
	c := t.client
	x, loop := &c.exchange, c.worker.loop
	u := x.upstream
	x.upstream = nil
	u.release()
	loop.Disarm(&c.timer)
	loop.Drop(&x.replay)
	x.tried = nil
	c.state, c.tunnel = tunnelling, t
	first := t.up.Count(c.pending.Bytes(), 0)
	if first.Valid > 0 {
		if errno := u.conn.Send(c.pending.Bytes()[:first.Valid]); errno != 0 {
			u.conn.RetryRead() // the relay will find the end, and why
		}
	}
	loop.Drop(&c.pending)
	t.relay.Begin(c.conn, u.conn, t, &c.counters.Taken, x.origin.counters, c.log, true)
	t.charge(first)
}

// Idle implements l4.Owner.
func (t *tunnel) Idle(halfClosed bool) time.Duration {
	f := &t.client.frontend.Settings().Frontend
	limit := shorter(f.TimeoutClient, t.client.exchange.pool.InForce().TimeoutServer)
	if halfClosed {
		limit = shorter(limit, f.TimeoutHalfClosed)
	}
	return limit
}

// FromClient implements l4.Owner: it counts the client's frames, holds the
// source to its rate, and forwards. A stream that is no WebSocket ends.
func (t *tunnel) FromClient(p []byte) {
	frames := t.up.Count(p, 0)
	t.relay.ToServer(p[:frames.Valid])
	t.charge(frames)
}

// charge charges frames of the client's to its source.
func (t *tunnel) charge(frames websocket.Frames) {
	c := t.client
	if c.state == finished {
		return
	}
	if frames.Fault != websocket.FrameOK {
		c.counters.BadFrames.Add(1)
		t.relay.Abort(l4.ClientReset)
		return
	}
	if frames.Data == 0 {
		return
	}
	c.counters.Taken.MessagesIn.Add(uint64(frames.Data))
	c.log.Messages(frames.Data, 0)
	c.exchange.origin.counters.MessagesIn.Add(uint64(frames.Data))
	now := c.worker.loop.Now()
	if pause := c.source.Delay(frames.Data, now); pause > 0 {
		c.counters.Taken.Delayed.Add(1)
		t.relay.Pause(now + int64(pause))
	}
}

// FromServer implements l4.Owner.
func (t *tunnel) FromServer(p []byte) {
	t.countDown(p)
	t.relay.ToClient(p)
}

// countDown counts the server's frames. What they say is the client's to judge.
func (t *tunnel) countDown(p []byte) {
	if frames := t.down.Count(p, 0); frames.Data > 0 {
		c := t.client
		c.counters.Taken.MessagesOut.Add(uint64(frames.Data))
		c.log.Messages(0, frames.Data)
		c.exchange.origin.counters.MessagesOut.Add(uint64(frames.Data))
	}
}

// RelayEnded implements l4.Owner.
func (t *tunnel) RelayEnded(reason l4.Reason) { t.client.finish(reason) }
