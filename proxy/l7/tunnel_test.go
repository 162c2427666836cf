package l7

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
)

// A key and the server's response to it (RFC 6455 section 1.3).
const (
	key    = "dGhlIHNhbXBsZSBub25jZQ=="
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

const upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Key: " + key + "\r\n\r\n"

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Protocol: mcp\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n"

// frame returns a text frame of a client, masked with zeros.
func frame(text string, masked bool) string {
	var p []byte
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch n := len(text); {
	case n < 126:
		p = []byte{0x81, mask | byte(n)}
	case n < 1<<16:
		p = []byte{0x81, mask | 126, byte(n >> 8), byte(n)}
	default:
		p = []byte{0x81, mask | 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	}
	if masked {
		p = append(p, 0, 0, 0, 0)
	}
	return string(p) + text
}

// tunnelled opens a WebSocket, and returns the client's end and the server's.
func tunnelled(b *fixture, s *server) (client, server *httpConn) {
	b.Helper()
	client = b.dial()
	server = s.receiveHead(client, upgrade)
	server.Say(upgraded)
	client.head()
	return client, server
}

// No byte is lost around the handshake, in whatever pieces it comes.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	for _, piece := range []int{1, 10, 100, 1 << 20} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t)
			client := b.dial()
			drip := func(p *httpConn, text string) {
				for rest := text; rest != ""; {
					n := min(piece, len(rest))
					if _, err := p.Write([]byte(rest[:n])); err != nil {
						return
					}
					rest = rest[n:]
				}
			}
			early, more := frame("early", true), strings.Repeat(frame("more", true), 50)
			go drip(client, upgrade+early+more)
			server := s.next()
			h := server.head()
			if h.first() != "GET /ws HTTP/1.1" || h.get(t, "Connection") != "Upgrade" || h.get(t, "Upgrade") != "websocket" ||
				h.get(t, "Sec-WebSocket-Key") != key || h.get(t, "Sec-WebSocket-Protocol") != "mcp" {
				t.Errorf("the head is %q", h)
			}
			go drip(server, upgraded+strings.Repeat(frame("hello", false), 50))
			h = client.head()
			if h.first() != "HTTP/1.1 101 Switching Protocols" || h.get(t, "Connection") != "Upgrade" || h.get(t, "Upgrade") != "websocket" ||
				h.get(t, "Sec-WebSocket-Accept") != accept || h.get(t, "Sec-WebSocket-Protocol") != "mcp" {
				t.Errorf("the head is %q", h)
			}
			server.Hear(early + more)
			client.Hear(strings.Repeat(frame("hello", false), 50))
			b.Eventually("every byte is counted", func() bool {
				totals := b.frontend.Totals()
				return totals.Tunnels == 1 && totals.Status["1xx"] == 1 && totals.MessagesIn == 52 && totals.MessagesOut == 50
			})
			if n := b.pool.Servers()[0].Conns(); n != 1 {
				t.Errorf("%d slots are in use, want 1", n)
			}
			client.Finish()
			server.HearEnd()
			server.Close()
			client.HearEnd()
			b.expect(session.ClientClosed, 1)
		})
	}
}

// The key is still known when the response arrives, however large its head was.
func TestWebSocketOfALargeHead(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	client := b.dial()
	server := s.receiveHead(client, strings.Replace(upgrade, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 20<<10)+"\r\n\r\n", 1))
	server.Say(upgraded)
	if got := client.head().first(); got != "HTTP/1.1 101 Switching Protocols" {
		t.Errorf("the answer is %q", got)
	}
}

// An upgrade that the server refuses is a response like any other.
func TestWebSocketRefused(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	client := b.dial()
	server := s.receiveHead(client, upgrade)
	server.Say("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 4\r\n\r\nnope")
	client.wantStatus("GET", 426)
	server = s.receive(client, get("/"))
	server.answer("fine")
	client.wantStatus("GET", 200)
}

// A 101 that does not match the handshake is an error.
func TestWrongUpgrade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ request, answer string }{
		"accept":    {upgrade, strings.Replace(upgraded, accept, "AAAA"+accept[4:], 1)},
		"no accept": {upgrade, strings.Replace(upgraded, "Sec-WebSocket-Accept: "+accept+"\r\n", "", 1)},
		"protocol":  {upgrade, strings.Replace(upgraded, "Upgrade: websocket", "Upgrade: h2c", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t)
			client := b.dial()
			server := s.receiveHead(client, c.request)
			server.Say(c.answer)
			client.wantStatus("GET", 502)
			server.HearReset()
		})
	}
}

// A handshake with a bad key is refused at once: no server sees it. A server that takes
// it would compute another Sec-WebSocket-Accept than its client, which got a 502.
func TestBadWebSocketKey(t *testing.T) {
	t.Parallel()
	const field = "Sec-WebSocket-Key: " + key + "\r\n"
	b, s := startServed(t)
	for name, fields := range map[string]string{
		"none": "", "empty": "Sec-WebSocket-Key:\r\n", "short": "Sec-WebSocket-Key: x\r\n", "13 bytes": "Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==\r\n",
		"long": "Sec-WebSocket-Key: " + key + key + "\r\n", "twice": field + field, "list": "Sec-WebSocket-Key: " + key + ", " + key + "\r\n",
		"space": "Sec-WebSocket-Key: " + key[:10] + " " + key[11:] + "\r\n", "quoted": "Sec-WebSocket-Key: \"" + key + "\"\r\n",
	} {
		client := b.dial()
		client.Say(strings.Replace(upgrade, field, fields, 1))
		if r, _ := client.wantStatus("GET", 400); !r.Close {
			t.Errorf("%s: the connection lives on", name)
		}
		client.HearEnd()
	}
	s.expectNoConn()
	if n := b.frontend.Totals().Malformed["websocket_key"]; n != 9 {
		t.Errorf("%d bad keys are counted", n)
	}
}

// Handshakes pass in all forms in which clients write them. The version is the
// server's business: its 426 names those that it knows.
func TestWebSocketHandshakes(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	for name, replace := range map[string][2]string{
		"other case":   {"Upgrade: WebSocket", "uPGRADE: websocket"},
		"two tokens":   {"Upgrade: WebSocket", "Upgrade: foo/2, websocket, h2c"},
		"two lines":    {"Upgrade: WebSocket", "Upgrade: foo\r\nUpgrade: websocket"},
		"upgrade only": {"Connection: keep-alive, Upgrade", "Connection: Upgrade"},
		"two options":  {"Connection: keep-alive, Upgrade", "Connection: keep-alive\r\nConnection: upgrade"},
		"odd options":  {"Connection: keep-alive, Upgrade", "Connection: keep alive, Upgrade;, "},
		"draft 8":      {"Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"},
		"no version":   {"Sec-WebSocket-Version: 13\r\n", ""},
		"expects":      {"Upgrade: WebSocket", "Upgrade: websocket\r\nExpect: 100-continue"},
		"empty length": {"Upgrade: WebSocket", "Upgrade: websocket\r\nContent-Length: 00"},
	} {
		request := strings.Replace(upgrade, replace[0], replace[1], 1)
		if request == upgrade {
			t.Fatalf("%s: nothing is replaced", name)
		}
		client := b.dial()
		server := s.receiveHead(client, request)
		server.Say(strings.Replace(upgraded, "\r\n\r\n", "\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 1) + frame("hello", false))
		if h := client.head(); h.first() != "HTTP/1.1 101 Switching Protocols" || h.all("Content-Length") != nil || h.all("Transfer-Encoding") != nil {
			t.Errorf("%s: the client got %q", name, h)
		}
		client.Hear(frame("hello", false))
		client.Close()
	}
}

// A tunnel ends for these reasons.
func TestTunnelEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		how    func(b *fixture, client, server *httpConn)
		reason session.Reason
	}{
		"client resets": {func(_ *fixture, client, server *httpConn) { client.Reset(); server.HearReset() }, session.ClientReset},
		"server resets": {func(_ *fixture, client, server *httpConn) { server.Reset(); client.HearReset() }, session.ServerReset},
		"server ends":   {func(_ *fixture, client, server *httpConn) { server.Finish(); client.HearEnd(); client.Close() }, session.ServerClosed},
		"bad frame": {func(_ *fixture, client, server *httpConn) {
			client.Say(frame("fine", true) + frame("not masked", false))
			server.Hear(frame("fine", true))
			client.HearCut()
			server.HearCut()
		}, session.ClientReset},
		"server down": {func(b *fixture, client, server *httpConn) {
			b.sessions(func(c session.Session) { c.ServerDown(conf.OnDownKeep) })
			client.Say(frame("still", true))
			server.Hear(frame("still", true))
			b.sessions(func(c session.Session) { c.ServerDown(conf.OnDownClose) })
			client.HearCut()
		}, session.ServerDown},
		"stopped": {func(b *fixture, client, server *httpConn) {
			b.sessions(func(c session.Session) { c.Drain() })
			client.Say(frame("still", true))
			server.Hear(frame("still", true))
			b.sessions(func(c session.Session) { c.Abort(session.Stopped) })
			client.HearCut()
		}, session.Stopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t)
			client, server := tunnelled(b, s)
			c.how(b, client, server)
			b.expect(c.reason, 1)
		})
	}
}

// A bad frame right after the handshake ends the tunnel before it begins.
func TestBadFrameAtOnce(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	client := b.dial()
	b.On(b.Engine.Loops()[0], func() { client.Say(upgrade + frame("not masked", false)) })
	server := s.next()
	server.head()
	server.Say(upgraded)
	server.HearCut()
	b.expect(session.ClientReset, 1)
	if n := b.frontend.Totals().BadFrames; n != 1 {
		t.Errorf("%d bad frames were counted, want 1", n)
	}
}

// The shorter of timeout_client and timeout_server applies to a tunnel.
func TestTunnelIdle(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, times)
	client, server := tunnelled(b, s)
	b.Advance(40 * time.Second)
	server.Say(frame("x", false))
	client.Hear(frame("x", false))
	b.Turns(2)
	b.silence(50 * time.Second)
	client.HearCut()
	b.expect(session.IdleTimeout, 1)
}

// Data frames are messages: over the rate, they wait.
func TestFramesAreLimited(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withStoppedTime, withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage = 1, 3, conf.Delay
	}))
	client, server := tunnelled(b, s) // the first message
	two := strings.Repeat(frame("x", true), 2)
	client.Say(two)
	server.Hear(two)
	client.Say(two)
	b.Turns(10)
	if n := b.frontend.Totals().MessagesIn; n != 3 {
		t.Fatalf("%d messages have passed", n)
	}
	for range 2 {
		b.Advance(time.Second)
		server.Hear(frame("x", true))
	}
}

// Frames of up to 16 MB arrive unchanged, in both directions at once.
func TestLargeFrames(t *testing.T) {
	t.Parallel()
	sizes := []int{0, 125, 126, 65535, 65536, 1 << 20}
	if harness.Long {
		sizes = append(sizes, 16<<20)
	}
	b, s := startServed(t)
	client, server := tunnelled(b, s)
	for _, size := range sizes {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		done := make(chan bool)
		for _, way := range []struct {
			from, to *httpConn
			frame    string
		}{{client, server, frame(string(p), true)}, {server, client, frame(string(p), false)}} {
			go func() {
				_, _ = way.from.Write([]byte(way.frame))
				done <- true
			}()
			go func() {
				got := make([]byte, len(way.frame))
				n := 0
				for n < len(got) {
					k, err := way.to.Reader.Read(got[n:])
					if err != nil {
						break
					}
					n += k
				}
				done <- bytes.Equal(got, []byte(way.frame))
			}()
		}
		for range 4 {
			if !endpoint.Receive(t, done) {
				t.Errorf("a frame of %d bytes arrived changed", size)
			}
		}
	}
}

// A WebSocket's request with a session goes to the session's server, as any other.
func TestWebSocketOfASession(t *testing.T) {
	t.Parallel()
	first, second := serve(t), serve(t)
	b := start(t, []string{first.Address, second.Address})
	for range 3 {
		client := b.dial()
		server := second.receiveHead(client, strings.Replace(upgrade, "Host: x", "Host: x\r\nCookie: SERVERID="+mcp.TagOf("s2").String(), 1))
		server.Say(upgraded)
		client.head()
		client.Close()
	}
}
