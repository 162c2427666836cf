package l7

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/session"
)

// times sets timeouts that are all different, so that a test shows which one applied.
func times(s *setup) {
	withStoppedTime(s)
	s.frontend.TimeoutClient = 50 * time.Second
	s.frontend.TimeoutHTTPRequest = 10 * time.Second
	s.frontend.TimeoutKeepalive = 100 * time.Second
	s.frontend.MinBodyRate = 0
	s.backends[0].TimeoutConnect = 3 * time.Second
	s.backends[0].TimeoutQueue = 6 * time.Second
	s.backends[0].TimeoutServer = 80 * time.Second
	s.backends[0].Retries = 0
}

// silence lets just less than d pass, in which nothing may happen, and then the rest.
func (b *fixture) silence(d time.Duration) {
	b.Helper()
	load, own := b.Engine.Load(), harness.Sum(b.frontend.Totals().Own)
	b.Advance(d - 50*time.Millisecond)
	if b.Engine.Load() != load {
		b.Fatalf("a client was ended before %v had passed", d)
	}
	if harness.Sum(b.frontend.Totals().Own) != own {
		b.Fatalf("a client got a response before %v had passed", d)
	}
	b.Advance(100 * time.Millisecond)
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		until  func(b *fixture, s *server, client *httpConn)
		after  time.Duration
		status int // of the answer; 0 = none
		reason session.Reason
		cut    bool
		set    func(*setup)
	}{
		"a new connection": {until: func(*fixture, *server, *httpConn) {}, after: 10 * time.Second, reason: session.RequestTimeout},
		"between requests": {until: func(_ *fixture, s *server, client *httpConn) {
			server := s.receive(client, get("/"))
			server.answer("fine")
			client.wantStatus("GET", 200)
		}, after: 100 * time.Second, reason: session.IdleTimeout},
		"a head": {until: func(b *fixture, _ *server, client *httpConn) {
			b.Advance(8 * time.Second) // does not count
			client.Say("GET / HTTP")
			b.awaitPending(10)
			b.Advance(9 * time.Second)
			client.Say("/1.1\r\n") // does not extend the limit
			b.awaitPending(16)
		}, after: time.Second, status: 408, reason: session.ServerClosed},
		"a second head": {until: func(b *fixture, s *server, client *httpConn) {
			server := s.receive(client, get("/")+"GET / HTTP")
			b.Advance(70 * time.Second)
			server.answer("fine")
			client.wantStatus("GET", 200)
		}, after: 10 * time.Second, status: 408, reason: session.ServerClosed},
		"a body": {until: func(b *fixture, s *server, client *httpConn) {
			server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\npart")
			server.Hear("part")
			b.Advance(40 * time.Second)
			client.Say(" of")
			server.Hear(" of")
		}, after: 50 * time.Second, status: 408, reason: session.ServerClosed},
		"an answer": {until: func(b *fixture, s *server, client *httpConn) {
			client.Say(rpcPost("1"))
			s.next().request()
		}, after: 80 * time.Second, status: 504},
		"an answer's end": {until: func(b *fixture, s *server, client *httpConn) {
			server := s.receive(client, get("/"))
			b.Advance(60 * time.Second)
			server.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
			client.head()
			client.Hear("part")
			b.Advance(40 * time.Second)
			server.Say(" of")
			client.Hear(" of")
		}, after: 50 * time.Second, reason: session.IdleTimeout, cut: true},
		"the rest of an answer": {until: func(b *fixture, s *server, client *httpConn) {
			server := s.receive(client, get("/"))
			server.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			client.head()
		}, after: 50 * time.Second, reason: session.IdleTimeout, cut: true},
		"a connection": {until: func(b *fixture, _ *server, client *httpConn) {
			client.Say(rpcPost("1"))
			b.awaitState("connecting", 1)
		}, after: 3 * time.Second, status: 504, set: func(s *setup) { s.backends[0].Servers[0].HTTP = "black" }},
		"the queue": {until: func(b *fixture, s *server, client *httpConn) {
			holder := b.dial()
			holder.Say(get("/"))
			s.next().request()
			client.Say(rpcPost("1"))
			b.awaitState("queued", 1)
		}, after: 6 * time.Second, status: 503, set: withMaxConn(1)},
		"a client that lingers": {until: func(b *fixture, s *server, client *httpConn) {
			client.Say("nonsense\r\n\r\n")
			client.wantStatus("GET", 400)
		}, after: 5 * time.Second, reason: session.ServerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			set := []func(*setup){times}
			if c.set != nil {
				set = append(set, c.set, func(s *setup) {
					if s.backends[0].Servers[0].HTTP == "black" {
						s.backends[0].Servers[0].HTTP = endpoint.Blackhole(t)
					}
				})
			}
			b := start(t, []string{s.Address}, set...)
			client := b.dial()
			b.awaitState("reading", 1)
			c.until(b, s, client)
			b.Turns(3)
			b.silence(c.after)
			switch {
			case c.cut:
				client.HearCut()
			case c.status != 0:
				client.wantStatus("POST", c.status)
			default:
				client.HearEnd()
			}
			client.Close()
			if c.status != 503 && c.status != 504 {
				b.expect(c.reason, 1)
			}
			silent := uint64(0)
			if name == "an answer" {
				silent = 1
			}
			if n := b.pool.Servers()[0].Totals().Timeouts; n != silent {
				t.Errorf("%d requests were not answered in time, want %d", n, silent)
			}
		})
	}
}

// parkable is as much of a response as Linux sends in one segment over the loopback
// (half of a new connection's window): the balancer reads it at once, and parks what its
// client does not take. The rest of a longer response would stay with the server until
// the client reads.
const parkable = 24 << 10

// timeout_client applies to a client that does not read, whatever waits behind it.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request string
		state   string
	}{
		"behind an answer":      {get("/"), "reading"},
		"before another":        {get("/") + get("/"), "reading"},
		"before half another":   {get("/") + "GET /", "reading"},
		"behind the last one":   {get("/", "Connection: close"), "closing"},
		"behind it, talking on": {get("/", "Connection: close") + "more", "closing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, times, narrow)
			client := b.dialNarrow()
			server := s.receive(client, c.request)
			server.answer(strings.Repeat("x", parkable))
			b.awaitState(c.state, 1)
			if n := b.Parked(); n == 0 || n > 64<<10 {
				t.Fatalf("%d bytes are parked", n)
			}
			b.silence(50 * time.Second)
			client.HearReset()
		})
	}
	t.Run("within a response", func(t *testing.T) {
		t.Parallel()
		b, s := startServed(t, times, narrow)
		client := b.dialNarrow()
		server := s.receive(client, get("/"))
		server.Say("HTTP/1.1 200 OK\r\n\r\n")
		b.Fill(server.Conn, make([]byte, 64<<10))
		b.silence(50 * time.Second)
		client.HearReset()
		b.expect(session.IdleTimeout, 1)
	})
}

// A parked response is not cut off while the client reads it.
func TestSlowReaderOfTheLastResponse(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, times, narrow)
	client := b.dialNarrow()
	server := s.receive(client, get("/", "Connection: close"))
	server.answer(strings.Repeat("x", parkable))
	b.awaitState("closing", 1)
	b.Advance(40 * time.Second)
	if _, body := client.wantStatus("GET", 200); len(body) != parkable {
		t.Errorf("%d bytes", len(body))
	}
	client.HearEnd()
	b.Turns(2)
	b.silence(5 * time.Second) // from the end of the response on
}

// With all timeouts 0, no client is ended.
func TestNoTimeouts(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withStoppedTime, func(s *setup) {
		s.frontend.TimeoutClient, s.frontend.TimeoutHTTPRequest, s.frontend.TimeoutKeepalive = 0, 0, 0
		s.backends[0].TimeoutServer, s.backends[0].TimeoutQueue = 0, 0
	})
	client := b.dial()
	b.Advance(time.Hour)
	for range 3 {
		client.Say("GET / HTTP/1.1\r\n")
		b.awaitPending(16)
		b.Advance(time.Hour)
		server := s.receive(client, "Host: x\r\n\r\n")
		b.Advance(time.Hour)
		server.answer("fine")
		client.wantStatus("GET", 200)
		b.Advance(time.Hour)
	}
}

// The limits of successive states apply, a short one after a long one and vice versa.
func TestTimersOfStatesInTurn(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, times)
	client := b.dial()
	var server *httpConn
	for i := range 4 {
		if i > 0 {
			b.Advance(90 * time.Second) // of 100
		}
		client.Say("GET / HTTP/1.1\r\n")
		b.awaitPending(16)
		b.Advance(9 * time.Second) // of 10
		server = s.receive(client, "Host: x\r\n\r\n")
		b.Advance(79 * time.Second) // of 80
		server.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
		client.head()
		client.Hear("a")
		b.Advance(49 * time.Second) // of 50
		server.Say("b")
		client.Hear("b")
		if n := harness.Sum(b.frontend.Totals().Own); n != 0 {
			t.Fatalf("round %d: the balancer generated %v", i, harness.Nonzero(b.frontend.Totals().Own))
		}
	}
}

// Idle connections to servers expire, and not too early.
func TestIdleExpires(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withStoppedTime)
	client := b.dial()
	client.Say(get("/"))
	server := s.next()
	for range 3 {
		server.request()
		b.Advance(4100 * time.Millisecond) // in use, it does not expire
		server.answer("fine")
		client.wantStatus("GET", 200)
		b.Advance(3900 * time.Millisecond)
		client.Say(get("/"))
	}
	server.request()
	server.answer("fine")
	client.wantStatus("GET", 200)
	b.Advance(4100 * time.Millisecond)
	server.HearEnd()
	if n := b.workers.Idle(b.pool.Servers()[0]); n != 0 {
		t.Errorf("%d connections are idle", n)
	}
}

// max_idle limits the idle connections of all loops together.
func TestMostIdle(t *testing.T) {
	t.Parallel()
	for _, most := range []int{0, 1, 3, 10} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			b := start(t, []string{httpServer(t, echo)}, withBackend(func(b *conf.Backend) { b.MaxIdle = most }))
			var clients []*httpConn
			for range 8 {
				c := b.dial()
				c.Say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
				clients = append(clients, c)
			}
			b.awaitState("exchanging", 8)
			for _, c := range clients {
				c.Say("ab")
				c.wantStatus("POST", 200)
			}
			b.awaitState("reading", 8)
			if n, want := b.workers.Idle(b.pool.Servers()[0]), min(most, 8); n > want || most != 1 && n < want {
				t.Errorf("%d connections are idle, want %d", n, want)
			}
		})
	}
}

// The idle connections to a server that a reload removed are closed, and its exchanges
// continue.
func TestForget(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop, withStoppedTime)
	idle, first := b.pair(s, get("/"))
	busy, second := b.pair(s, get("/"))
	first.answer("fine")
	idle.wantStatus("GET", 200)
	gone := b.pool.Servers()[0]
	changed := b.pool.Config()
	changed.Servers = []conf.Server{{Name: "s2", HTTP: s.Address, Weight: 1}}
	if _, err := b.pool.Apply(changed, netip.ParseAddrPort); err != nil {
		t.Fatal(err)
	}
	b.frontend.Apply(NewSettings(b.frontend.Settings().Frontend, NewDirectory(b.poolOf)))
	b.workers.Forget(gone)
	first.HearEnd()
	second.answer("fine")
	busy.wantStatus("GET", 200)
	second.HearEnd()
	if n := b.workers.Idle(gone); n != 0 {
		t.Errorf("%d connections to the server are idle", n)
	}
	third := s.receive(idle, get("/"))
	third.answer("fine")
	idle.wantStatus("GET", 200)
	b.checkServer(gone)
}

// checkServer checks that no slot of a server is in use.
func (b *fixture) checkServer(server *backend.Server) {
	b.Helper()
	if n := server.Conns(); n != 0 {
		b.Errorf("%d slots of server %s are in use", n, server.Name())
	}
}
