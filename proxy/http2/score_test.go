package http2

import (
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// respond answers and releases a stream.
func (p *peer) respond(s *Stream) {
	p.out = p.conn.AppendResponse(p.out[:0], s, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), false)
	p.out, _ = p.conn.AppendData(p.out, s, []byte("ok"), true)
	p.out = p.conn.Release(p.out, s)
}

// drain reads all events, and fails if the connection does.
func (p *peer) drain() {
	p.t.Helper()
	for e := p.next(); e.Kind != EventNone; e = p.next() {
		if e.Kind == EventFailed {
			p.t.Fatalf("the connection ends: %v", e.Reason)
		}
	}
}

// Clients that are only unusual must never be cut, all of it within one instant.
func TestFairClients(t *testing.T) {
	t.Parallel()
	for name, client := range map[string]func(p *peer){
		"3 x 100 streams cancelled at once": func(p *peer) {
			id := uint32(1)
			for range 3 {
				var streams []*Stream
				for range 100 {
					streams = append(streams, p.open(id, true, get...).Stream)
					id += 2
				}
				for _, s := range streams {
					p.framer.WriteRSTStream(s.id, http2.ErrCodeCancel)
				}
				p.drain()
				for _, s := range streams {
					p.out = p.conn.Release(p.out, s)
				}
			}
		},
		"two WINDOW_UPDATEs per 4 KB": func(p *peer) {
			s := p.open(1, true, get...).Stream
			p.out = p.conn.AppendResponse(p.out, s, []byte("HTTP/1.1 200 OK\r\n\r\n"), false)
			for range 5_000 {
				p.out, _ = p.conn.AppendData(p.out[:0], s, zeros(4096), false)
				p.framer.WriteWindowUpdate(0, 4096)
				p.framer.WriteWindowUpdate(1, 4096)
				p.drain()
			}
		},
		"two WINDOW_UPDATEs per event of an event stream": func(p *peer) {
			s := p.open(1, true, get...).Stream
			p.out = p.conn.AppendResponse(p.out, s, []byte("HTTP/1.1 200 OK\r\n\r\n"), false)
			for range 5_000 {
				p.out, _ = p.conn.AppendData(p.out[:0], s, []byte("data: 1\n\n"), false)
				p.framer.WriteWindowUpdate(0, 9)
				p.framer.WriteWindowUpdate(1, 9)
				p.drain()
			}
		},
		"PRIORITY with each request": func(p *peer) {
			for i := range uint32(5_000) {
				p.framer.WritePriority(2*i+1, http2.PriorityParam{Weight: 200})
				p.respond(p.open(2*i+1, true, get...).Stream)
			}
		},
		"2,000 one-byte DATA frames": func(p *peer) {
			s := p.open(1, false, post...).Stream
			for i := range 2000 {
				p.framer.WriteData(1, i == 1999, zeros(1))
				p.drain()
				p.out = p.conn.Credit(p.out[:0], s, 1)
			}
			p.respond(s)
		},
		"a PING for each request": func(p *peer) {
			for i := range uint32(5_000) {
				p.framer.WritePing(false, [8]byte{})
				p.respond(p.open(2*i+1, true, get...).Stream)
			}
		},
		"a cancelled request for each that is answered": func(p *peer) {
			for i := range uint32(5_000) {
				s := p.open(4*i+1, true, get...).Stream
				p.framer.WriteRSTStream(4*i+1, http2.ErrCodeCancel)
				p.drain()
				p.out = p.conn.Release(p.out, s)
				p.respond(p.open(4*i+3, true, get...).Stream)
			}
		},
		"a PING each second, for hours": func(p *peer) {
			for range 10_000 {
				p.now += 1e9
				p.framer.WritePing(false, [8]byte{})
				p.drain()
				p.out = p.out[:0]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			client(p)
			p.respond(p.open(1<<20+1, true, get...).Stream)
		})
	}
}

// What costs work and serves nobody ends the connection soon, whatever it is.
func TestAttacks(t *testing.T) {
	t.Parallel()
	large := append(slices.Clone(get), "x", string(slices.Repeat([]byte("x"), 17<<10)))
	for name, c := range map[string]struct {
		most   int
		attack func(p *peer, i uint32)
	}{
		"Rapid Reset": {700, func(p *peer, i uint32) {
			p.headers(2*i+3, true, get...)
			p.framer.WriteRSTStream(2*i+3, http2.ErrCodeCancel)
		}},
		"MadeYouReset by WINDOW_UPDATE": {700, func(p *peer, i uint32) {
			p.headers(2*i+3, false, post...)
			p.in.Write(increment(2*i+3, 0))
		}},
		"MadeYouReset by DATA": {700, func(p *peer, i uint32) {
			p.headers(2*i+3, true, get...)
			p.framer.WriteData(2*i+3, true, zeros(1))
		}},
		"MadeYouReset by PRIORITY": {700, func(p *peer, i uint32) {
			p.headers(2*i+3, true, get...)
			p.in.Write(frame(FramePriority, 0, 2*i+3, zeros(4)...))
		}},
		"malformed requests":    {600, func(p *peer, i uint32) { p.headers(2*i+3, true, append(slices.Clone(get), "X", "y")...) }},
		"heads that are large":  {300, func(p *peer, i uint32) { p.headers(2*i+3, true, large...) }},
		"SETTINGS":              {600, func(p *peer, _ uint32) { p.framer.WriteSettings() }},
		"SETTINGS acknowledged": {2100, func(p *peer, _ uint32) { p.framer.WriteSettingsAck() }},
		"PING":                  {600, func(p *peer, _ uint32) { p.framer.WritePing(false, [8]byte{}) }},
		"PRIORITY":              {2100, func(p *peer, i uint32) { p.framer.WritePriority(2*i+3, http2.PriorityParam{Weight: 1}) }},
		"empty DATA":            {2100, func(p *peer, _ uint32) { p.framer.WriteData(1, false, nil) }},
		"padding":               {2100, func(p *peer, _ uint32) { p.framer.WriteDataPadded(1, false, nil, zeros(255)) }},
		"WINDOW_UPDATE":         {2100, func(p *peer, _ uint32) { p.framer.WriteWindowUpdate(1, 1) }},
		"WINDOW_UPDATE of the connection": {2100, func(p *peer, _ uint32) {
			p.framer.WriteWindowUpdate(0, 1)
		}},
		"unknown frames":             {2100, func(p *peer, _ uint32) { p.in.Write(frame(0x99, 0, 0)) }},
		"GOAWAY":                     {2100, func(p *peer, _ uint32) { p.framer.WriteGoAway(0, 0, nil) }},
		"RST_STREAM of an ended one": {2100, func(p *peer, _ uint32) { p.framer.WriteRSTStream(3, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t)
			p.open(1, false, post...)
			p.respond(p.open(3, true, get...).Stream)
			for i := range uint32(c.most) {
				c.attack(p, i+1)
				for e := p.next(); e.Kind != EventNone; e = p.next() {
					if e.Kind == EventFailed {
						if e.Code != EnhanceYourCalm || e.Reason != ReasonScore {
							t.Errorf("after %d: %v, %v", i, e.Code, e.Reason)
						}
						return
					}
					if e.Stream != nil && e.ID != 1 && (e.Kind == EventReset || e.Kind == EventTooLarge) {
						p.out = p.conn.Release(p.out, e.Stream)
					}
				}
			}
			t.Errorf("not cut after %d; the score is %d", c.most, p.conn.score.points)
		})
	}
}
