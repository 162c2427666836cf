//go:build linux

package l7

import (
	"time"

	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
)

// tunnel is what a client's connection becomes after a 101: a relay whose
// frames are counted, each data frame of the client's as a message.
type tunnel struct {
	relay  l4.Relay
	client *client
	up     mcp.FrameMeter
	down   mcp.FrameMeter
}

// upgrade passes the server's 101 on, p[:n], and makes a tunnel of the two
// connections. Not a byte is lost around it: what the server sent behind its
// head goes to the client, what the client sent behind its request to the server.
func (c *client) upgrade(p []byte, n int) {
	x := &c.exchange
	u := x.upstream
	c.counters.Status[1].Add(1)
	c.counters.Tunnels.Add(1)
	head := &c.worker.response
	extensions := head.Has(http1.HeaderSecWebSocketExtensions)
	out := head.AppendStatusLine(c.worker.out[:0])
	out = head.AppendFields(out, 0)
	out = append(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"...)
	t := &tunnel{client: c, up: mcp.ClientFrames(extensions), down: mcp.ServerFrames(extensions)}
	early := p[n:]
	t.countDown(early)
	out = append(out, early...)
	c.worker.out = out[:0]
	if !c.send(out) {
		return
	}
	c.loop.Drop(&u.head)
	c.loop.Disarm(&c.timer)
	c.loop.Drop(&x.replay)
	c.state, c.tunnel = tunnelling, t
	x.upstream = nil
	if first := c.pending.Bytes(); len(first) > 0 {
		t.up.Count(first, 0) // a fault shows again with the next bytes
		if errno := u.conn.Send(first); errno != 0 {
			u.conn.ReadAgain() // the relay will find the end, and why
		}
		c.loop.Drop(&c.pending)
	}
	t.relay.Begin(c.conn, u.conn, t, &c.counters.Taken, c.served(u.server), true)
}

// Idle implements l4.Owner.
func (t *tunnel) Idle(halfClosed bool) time.Duration {
	f := &t.client.frontend.Settings().Frontend
	limit := idle(f.TimeoutClient, t.client.exchange.pool.InForce().TimeoutServer)
	if halfClosed {
		limit = idle(limit, f.TimeoutHalfClosed)
	}
	return limit
}

// FromClient implements l4.Owner: it counts the client's frames, holds the
// source to its rate, and forwards. A stream that is no WebSocket ends.
func (t *tunnel) FromClient(p []byte) {
	c := t.client
	frames := t.up.Count(p, 0)
	if frames.Fault != mcp.FrameOK {
		t.relay.Abort(l4.ClientReset)
		return
	}
	t.relay.ToServer(p)
	if frames.Data == 0 {
		return
	}
	c.counters.Taken.MessagesIn.Add(uint64(frames.Data))
	now := c.loop.Now()
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
		t.client.counters.Taken.MessagesOut.Add(uint64(frames.Data))
	}
}

// RelayEnded implements l4.Owner.
func (t *tunnel) RelayEnded(reason l4.Reason) {
	t.client.release(l4.OutcomeOf(reason))
	t.client.finish(reason)
}
