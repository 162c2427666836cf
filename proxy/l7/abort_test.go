package l7

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/session"
)

// When a client leaves, by FIN or RST, in any phase, its server sees RST at once, and
// nothing of the client is left.
func TestClientGoes(t *testing.T) {
	t.Parallel()
	const begun = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\npart"
	for name, c := range map[string]struct {
		// until brings the client to the phase, and returns the server's end, if there is one.
		until  func(b *fixture, s *server, client *httpConn) *httpConn
		reason session.Reason
	}{
		"at once": {func(*fixture, *server, *httpConn) *httpConn { return nil }, session.ClientClosed},
		"in a head": {func(b *fixture, _ *server, client *httpConn) *httpConn {
			client.Say("GET /")
			b.awaitPending(5)
			return nil
		}, session.ClientClosed},
		"in a body": {func(_ *fixture, s *server, client *httpConn) *httpConn {
			server := s.receiveHead(client, begun)
			server.Hear("part")
			return server
		}, session.ClientReset},
		"in a chunk": {func(_ *fixture, s *server, client *httpConn) *httpConn {
			server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart")
			server.Hear("9\r\npart")
			return server
		}, session.ClientReset},
		"before the answer": {func(_ *fixture, s *server, client *httpConn) *httpConn {
			server := s.receive(client, rpcPost("1"))
			return server
		}, session.ClientReset},
		"in the answer's head": {func(b *fixture, s *server, client *httpConn) *httpConn {
			server := s.receive(client, get("/"))
			server.Say("HTTP/1.1 200 OK\r\n")
			return server
		}, session.ClientReset},
		"in the answer": {func(_ *fixture, s *server, client *httpConn) *httpConn {
			server := s.receive(client, get("/"))
			server.Say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\ndata: x\n\n")
			client.head()
			client.Hear("data: x\n\n")
			return server
		}, session.ClientReset},
		"between requests": {func(_ *fixture, s *server, client *httpConn) *httpConn {
			server := s.receive(client, get("/"))
			server.answer("fine")
			client.wantStatus("GET", 200)
			return nil
		}, session.ClientClosed},
	} {
		for _, how := range []string{"FIN", "RST"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t)
				client := b.dial()
				b.awaitState("reading", 1)
				server := c.until(b, s, client)
				if how == "RST" {
					client.Reset()
				} else {
					client.Close()
				}
				if server != nil {
					server.HearReset()
				}
				b.expect(c.reason, 1)
			})
		}
	}
}

// awaitPending waits until n bytes of clients are pending.
func (b *fixture) awaitPending(n int) {
	b.Eventually("bytes are pending", func() bool { return b.pending() == n })
}

// Clients leave while they wait for a server.
func TestClientGoesWithoutServer(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"FIN", "RST"} {
		for name, c := range map[string]struct {
			state  string
			server func(testing.TB) string
			set    func(*setup)
		}{
			"connecting": {"connecting", endpoint.Blackhole, func(*setup) {}},
			"pausing":    {"pausing", endpoint.Refuse, withStoppedTime},
			"queued":     {"queued", endpoint.Refuse, withMaxConn(1)},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				b := start(t, []string{c.server(t)}, c.set)
				if c.state == "queued" {
					slot, result := b.pool.Acquire(&backend.Request{}, nil)
					if result != backend.Granted {
						t.Fatal(result)
					}
					defer slot.Release(backend.Completed, 0)
				}
				client := b.dial()
				client.Say(rpcPost("1"))
				b.awaitState(c.state, 1)
				client.Say("more")
				if how == "RST" {
					client.Reset()
				} else {
					client.Close()
				}
				b.expect(session.ClientGone, 1)
				if n := b.pool.Queued(); n != 0 {
					t.Errorf("%d clients are in the queue, want 0", n)
				}
			})
		}
	}
}

// A client has finished sending, and then breaks off.
func TestHalfClosedClientGoes(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	client := b.dial()
	b.On(b.Engine.Loops()[0], func() {
		client.Say(get("/"))
		client.Finish()
	})
	server := s.next()
	server.request()
	client.Reset()
	server.HearReset()
	b.expect(session.ClientReset, 1)
}

// rpcError is the error of a JSON-RPC response.
type rpcError struct {
	ID    json.RawMessage
	Error struct {
		Code    int
		Message string
		Data    struct{ RetryAfterMs int }
	}
}

func parseRPC(t testing.TB, body string) (e rpcError) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Errorf("the body is not JSON-RPC: %q: %v", body, err)
	}
	return e
}

// When a server leaves, by FIN or RST, in any phase, the client sees it: before the
// response as an error with its id, within the response as a broken connection.
func TestServerGoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent    string // before the server goes
		status  int    // 0 = cut off
		orderly bool   // FIN is the end of the response
	}{
		"before its answer":  {"", 502, false},
		"in the status line": {"HTTP/1.1 20", 502, false},
		"in the head":        {"HTTP/1.1 200 OK\r\nContent-Le", 502, false},
		"after 100":          {"HTTP/1.1 100 Continue\r\n\r\n", 502, false},
		"after the head":     {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 0, false},
		"in the body":        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart", 0, false},
		"in a chunk":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart", 0, false},
		"after a chunk":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", 0, false},
		"in the trailers":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nA: b", 0, false},
		"an open end":        {"HTTP/1.1 200 OK\r\n\r\nall of it", 0, true},
	} {
		for _, how := range []string{"FIN", "RST"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t)
				client := b.dial()
				request := rpcPost(`"a\"b"`)
				client.Say(request[:len(request)-60]) // the id comes later
				server := s.next()
				server.head()
				client.Say(request[len(request)-60:])
				server.Hear(request[strings.Index(request, "{"):])
				if c.sent != "" {
					server.Say(c.sent)
				}
				if strings.Contains(c.sent, " 100 ") {
					client.head()
				}
				if c.status == 0 {
					client.head()
					b.Turns(1)
				}
				if how == "FIN" {
					server.Finish()
				} else {
					server.Reset()
				}
				switch {
				case c.orderly && how == "FIN":
					client.Hear("all of it")
					client.HearEnd()
				case c.status == 0 && c.orderly:
					client.HearReset() // FIN would be the end of the response
				case c.status == 0:
					client.HearCut()
				default:
					r, body := client.wantStatus("POST", c.status)
					if e := parseRPC(t, body); string(e.ID) != `"a\"b"` || e.Error.Code != 502 || r.Close {
						t.Errorf("the body is %q, the connection closes: %v", body, r.Close)
					}
					next := s.receive(client, get("/next"))
					next.answer("fine")
					client.wantStatus("GET", 200)
				}
			})
		}
	}
}

// A malformed response is never forwarded.
func TestMalformedAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		status int // 0 = cut off
	}{
		"no HTTP":           {"SSH-2.0-OpenSSH_9.9\r\n", 502},
		"HTTP/2":            {"HTTP/2 200\r\n\r\n", 502},
		"bare LF":           {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", 502},
		"two lengths":       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 502},
		"length and coding": {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na", 502},
		"bad length":        {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", 502},
		"unasked 101":       {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502},
		"endless head":      {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 60<<10), 502},
		"bad chunk":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0},
		"chunk with LF":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client, server := startExchange(t, rpcPost("7"))
			go func() { _, _ = io.WriteString(server, c.answer) }()
			if c.status == 0 {
				client.HearCut()
				return
			}
			_, body := client.wantStatus("POST", c.status)
			if e := parseRPC(t, body); string(e.ID) != "7" {
				t.Errorf("the body is %q", body)
			}
			server.HearReset()
		})
	}
}

// When a server goes down or is removed, its exchanges end.
func TestServerDown(t *testing.T) {
	t.Parallel()
	down := func(b *fixture, policy conf.OnDown) {
		server := b.pool.Servers()[0]
		server.SetHealth(backend.Down, "test", time.Now())
		b.workers.CloseIdle(server)
		b.each(func(c *client) {
			if c.Server() == server {
				c.ServerDown(policy)
			}
		})
	}
	t.Run("before the answer", func(t *testing.T) {
		t.Parallel()
		b, client, server := startExchange(t, rpcPost("1"))
		down(b, conf.OnDownClose)
		client.wantStatus("POST", 502)
		server.HearReset()
	})
	t.Run("in the answer", func(t *testing.T) {
		t.Parallel()
		b, client, server := startExchange(t, get("/"))
		server.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
		client.head()
		down(b, conf.OnDownClose)
		client.HearCut()
		server.HearReset()
		b.expect(session.ServerDown, 1)
	})
	t.Run("keep", func(t *testing.T) {
		t.Parallel()
		b, client, server := startExchange(t, get("/"), withStoppedTime)
		down(b, conf.OnDownKeep)
		server.answer("fine")
		client.wantStatus("GET", 200)
		server.HearEnd() // the connection is not used again
	})
	t.Run("connecting", func(t *testing.T) {
		t.Parallel()
		s := serve(t)
		b := start(t, []string{endpoint.Blackhole(t), s.Address})
		client := b.dial()
		client.Say(rpcPost("1"))
		b.awaitState("connecting", 1)
		down(b, conf.OnDownClose)
		server := s.next()
		server.request()
		server.answer("fine")
		client.wantStatus("POST", 200)
	})
	t.Run("kept alive", func(t *testing.T) {
		t.Parallel()
		b, client, server := startExchange(t, get("/"))
		server.answer("fine")
		client.wantStatus("GET", 200)
		down(b, conf.OnDownClose)
		server.HearEnd()
		client.Say(get("/"))
		client.wantStatus("GET", 503)
	})
}

// Abort ends a client in every state.
func TestAbort(t *testing.T) {
	t.Parallel()
	for name, until := range map[string]func(*fixture, *server, *httpConn){
		"reading": func(b *fixture, _ *server, _ *httpConn) { b.awaitState("reading", 1) },
		"exchanging": func(b *fixture, s *server, client *httpConn) {
			client.Say(get("/"))
			s.next().request()
		},
		"closing": func(b *fixture, _ *server, client *httpConn) {
			client.Say("nonsense\r\n\r\n")
			client.wantStatus("GET", 400)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t)
			client := b.dial()
			until(b, s, client)
			b.sessions(func(c session.Session) { c.Abort(session.Stopped); c.Abort(session.Stopped) })
			if name != "closing" {
				client.HearReset()
			}
			b.expect(session.Stopped, 1)
		})
	}
}

// A drain ends clients without a request at once, and all others with a response that
// announces the end: no request is lost.
func TestDrain(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	idle := b.dial()
	busy, server := b.pair(s, get("/"))
	streaming, stream := b.pair(s, get("/"))
	stream.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
	streaming.head()
	half := b.dial()
	half.Say("GET / HTTP/1.1\r\n")
	b.awaitPending(len("GET / HTTP/1.1\r\n"))
	b.frontend.Drain()
	b.each(func(c *client) { c.Drain() })
	idle.HearEnd()
	server.answer("fine")
	if r, _ := busy.wantStatus("GET", 200); !r.Close {
		t.Error("the response does not announce the end of the connection")
	}
	busy.HearEnd()
	half.Say("Host: x\r\n\r\n")
	server.request()
	server.answer("fine")
	if r, _ := half.wantStatus("GET", 200); !r.Close {
		t.Error("the response does not announce the end of the connection")
	}
	half.HearEnd()
	stream.Say("  rest")
	streaming.Hear("part  rest")
	streaming.Say(get("/")) // its response began before the drain, and could not announce the end
	stream.request()
	stream.answer("fine")
	if r, _ := streaming.wantStatus("GET", 200); !r.Close {
		t.Error("the response does not announce the end of the connection")
	}
	streaming.HearEnd()
	late := b.dial() // accepted although the frontend is draining
	b.awaitState("reading", 1)
	late.Say(get("/"))
	stream.request()
	stream.answer("fine")
	if r, _ := late.wantStatus("GET", 200); !r.Close {
		t.Error("the response does not announce the end of the connection")
	}
	late.HearEnd()
	for _, c := range []*httpConn{idle, busy, half, streaming, late} {
		c.Close()
	}
	b.expect(session.ServerClosed, 5)
}

// A client that is accepted after a drain has visited all others ends, too.
func TestDrainOfALateClient(t *testing.T) {
	t.Parallel()
	b := start(t, []string{endpoint.Refuse(t)}, oneLoop, times)
	b.frontend.Drain()
	client := b.dial()
	b.awaitState("reading", 1)
	b.silence(b.frontend.Settings().Frontend.TimeoutHTTPRequest)
	client.HearEnd()
}

// A connection ends after requests_per_connection requests.
func TestRequestsPerConnection(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withFrontend(func(f *conf.Frontend) { f.RequestsPerConnection = 3 }))
	client := b.dial()
	for i := range 3 {
		client.Say(post("/", fmt.Sprint(i)))
		if r, body := client.wantStatus("POST", 200); body != fmt.Sprint(i) || r.Close != (i == 2) {
			t.Errorf("request %d: the body is %q, the connection closes: %v", i, body, r.Close)
		}
	}
	client.HearEnd()
}
