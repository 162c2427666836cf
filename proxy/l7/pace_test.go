package l7

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/session"
)

// bodyRate sets min_body_rate, and stops the time.
func bodyRate(rate int64) func(*setup) {
	return func(s *setup) {
		withStoppedTime(s)
		s.frontend.MinBodyRate = rate
	}
}

// trickle sends a byte per second.
func (b *fixture) trickle(c *httpConn, seconds int) {
	b.Helper()
	for range seconds {
		c.Say("1")
		b.Advance(time.Second)
	}
}

// trickleToTheEnd sends a byte per second until that is answered 408: within two windows,
// of which one has begun.
func (b *fixture) trickleToTheEnd(c *httpConn) {
	b.Helper()
	for range 20 {
		if b.frontend.Totals().Own["body_too_slow"] > 0 {
			break
		}
		b.trickle(c, 1)
	}
	c.wantStatus("POST", 408)
}

// A body that trickles is answered 408 after 10 s, and its server's slot is free for
// others; while slots are scarce it never gets one. If this fails, a handful of clients
// holds every slot (issue 12, B6).
func TestTricklingBody(t *testing.T) {
	t.Parallel()
	for framing, head := range map[string]string{
		"length": "Content-Length: 1000\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
		"asked for": "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
	} {
		for _, slots := range []int{1, 100} {
			t.Run(fmt.Sprintf("%s, %d slots", framing, slots), func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t, bodyRate(1<<10), withMaxConn(slots))
				client := b.dial()
				client.Say("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + head)
				state := "exchanging"
				if slots == 1 {
					state = "collecting"
				}
				b.awaitState(state, 1)
				if slots > 1 {
					if got := s.next().head().first(); got != "POST /slow HTTP/1.1" {
						t.Errorf("the server received %q", got)
					}
				}
				b.trickle(client, 5)
				other := b.dial()
				server := s.receive(other, get("/fast")) // at once
				server.answer("fine")
				other.wantStatus("GET", 200)
				b.trickle(client, 4)
				if n := harness.Sum(b.frontend.Totals().Own); n != 0 {
					t.Fatalf("the balancer generated %v too early", harness.Nonzero(b.frontend.Totals().Own))
				}
				b.Advance(time.Second)
				if framing == "asked for" && slots == 1 {
					client.Hear("HTTP/1.1 100 Continue\r\n\r\n")
				}
				if _, body := client.wantStatus("POST", 408); !strings.Contains(body, "slowly") {
					t.Errorf("the body is %q", body)
				}
				client.HearEnd()
				if n := b.frontend.Totals().Own["body_too_slow"]; n != 1 {
					t.Errorf("the balancer generated %v", harness.Nonzero(b.frontend.Totals().Own))
				}
				if n := b.pool.Servers()[0].Conns(); n != 0 {
					t.Errorf("%d slots are held", n)
				}
			})
		}
	}
}

// A body that is fast enough in every window arrives, however long it takes, and one
// that slows down later is cut off.
func TestBodyFastEnough(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 100} {
		b, s := startServed(t, bodyRate(1<<10), withMaxConn(slots))
		client := b.dial()
		client.Say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
		piece := strings.Repeat("x", 1100)
		for range 9 {
			client.Say(piece)
			b.Advance(time.Second)
		}
		client.Say(piece)
		server := s.next()
		server.head()
		for range 10 {
			server.Hear(piece)
		}
		for range 50 {
			client.Say(piece)
			server.Hear(piece)
			b.Advance(time.Second)
		}
		b.trickleToTheEnd(client)
	}
}

// What a body brought at first buys it no time: a slot is held for one window at most.
func TestBodyThatTricklesLater(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 100} {
		b, s := startServed(t, bodyRate(1<<10), withMaxConn(slots))
		client := b.dial()
		client.Say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 20_000))
		s.next().head()
		b.trickle(client, 9)
		b.Advance(time.Second)
		client.wantStatus("POST", 408)
		if n := b.pool.Servers()[0].Conns(); n != 0 {
			t.Errorf("%d slots are held", n)
		}
	}
}

// While others wait for the slot that a trickling body holds, it is given back in time for
// them: within two of the shorter windows, of which one has begun. A body that is fast
// enough keeps it. If this fails, one client that sends 10 KB and then a byte per second
// makes everybody wait past timeout_queue (issue 12, B6).
func TestTricklingBodyWhileOthersWait(t *testing.T) {
	t.Parallel()
	const upload = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
	t.Run("trickles", func(t *testing.T) {
		t.Parallel()
		b, s := startServed(t, bodyRate(1<<10), withMaxConn(1))
		client := b.dial()
		client.Say(upload + strings.Repeat("x", 20_000))
		s.next().head()
		other := b.dial()
		other.Say(get("/other"))
		b.awaitState("queued", 1)
		b.trickle(client, 2)
		client.wantStatus("POST", 408)
		server := s.next()
		if got := server.head().first(); got != "GET /other HTTP/1.1" {
			t.Errorf("the server received %q", got)
		}
		server.answer("fine")
		other.wantStatus("GET", 200)
	})
	t.Run("is fast enough", func(t *testing.T) {
		t.Parallel()
		b, s := startServed(t, bodyRate(1<<10), withMaxConn(1))
		client := b.dial()
		client.Say(upload + strings.Repeat("x", 20_000))
		s.next().head()
		other := b.dial()
		other.Say(get("/other"))
		b.awaitState("queued", 1)
		for range 4 {
			client.Say(strings.Repeat("x", 1100))
			b.Turns(3)
			b.Advance(time.Second)
		}
		if n := harness.Sum(b.frontend.Totals().Own); n != 0 {
			t.Errorf("the balancer generated %v", harness.Nonzero(b.frontend.Totals().Own))
		}
	})
}

// Where the answer has begun, a client whose body is too slow is visibly cut.
func TestTricklingBodyThatIsAnswered(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, bodyRate(1<<10))
	client := b.dial()
	server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
	server.Say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
	client.head()
	client.Hear("x")
	b.trickle(client, 9)
	b.Advance(time.Second)
	client.HearCut()
	b.expect(session.BodyTooSlow, 1)
}

// stopped reports whether a body is not read, because its server takes no more.
func (b *fixture) stopped() (yes bool) {
	b.each(func(c *client) { yes = yes || c.exchange.pace != nil && c.exchange.pace.stopped != 0 })
	return yes
}

// The time in which the server takes nothing is not the client's.
func TestSlowServerIsNotTheClientsFault(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, bodyRate(1<<10), withFrontend(func(f *conf.Frontend) { f.MaxBody = 0 }))
	client := b.dial()
	const size = 64 << 20
	server := s.receiveHead(client, fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size))
	sent := make(chan error, 1)
	go func() {
		_, err := client.Write(make([]byte, size))
		sent <- err
	}()
	b.Eventually("the server takes no more", b.stopped)
	b.Advance(2 * time.Minute)
	if n := harness.Sum(b.frontend.Totals().Own); n != 0 {
		t.Fatalf("the balancer generated %v", harness.Nonzero(b.frontend.Totals().Own))
	}
	if _, err := server.Reader.Discard(size); err != nil {
		t.Fatal(err)
	}
	if err := endpoint.Receive(t, sent); err != nil {
		t.Fatal(err)
	}
	server.answer("fine")
	client.wantStatus("POST", 200)
}

// min_body_rate = 0 lets bodies take their time, and a reload's value holds at once.
func TestNoMinBodyRate(t *testing.T) {
	t.Parallel()
	var f conf.Frontend
	b, s := startServed(t, bodyRate(0), withMaxConn(1), func(s *setup) { f = s.frontend })
	client := b.dial()
	server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	b.trickle(client, 60)
	server.Hear(strings.Repeat("1", 60))
	f.MinBodyRate = 1 << 10
	b.frontend.Apply(NewSettings(f, NewDirectory(b.poolOf)))
	b.trickleToTheEnd(client)
}

// Bodies that come behind their heads, but at once, are served as others while slots are
// scarce, and what is pipelined behind them, too; a malformed one is refused.
func TestCollectedBodies(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, bodyRate(1<<10), withMaxConn(1))
	client := b.dial()
	for _, pieces := range [][]string{
		{"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n", "abc", "def"},
		{"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na", "bc\r\n3\r\ndef", "\r\n0\r\n", "\r\n"},
		{"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n", "abcdef" + post("/4", "abcdef")},
	} {
		for _, piece := range pieces {
			client.Say(piece)
			b.Turns(3)
		}
		if _, body := client.wantStatus("POST", 200); body != "abcdef" {
			t.Errorf("the body is %q", body)
		}
	}
	if _, body := client.wantStatus("POST", 200); body != "abcdef" {
		t.Errorf("the pipelined body is %q", body)
	}
	client.Say("POST /5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	b.awaitState("collecting", 1)
	client.Say("nonsense\r\n")
	client.wantStatus("POST", 400)
	client.HearEnd()

	client = b.dial()
	client.Say("POST /6 HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
	b.awaitState("collecting", 1)
	client.Close()
	b.expect(session.ClientReset, 1)
}

// A connection without a byte is closed after timeout_http_request, silently, and with
// its reason in the log. (With TLS the time begins with the end of the handshake.)
func TestConnectionWithoutAByte(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, times)
	client := b.dial()
	b.awaitState("reading", 1)
	b.silence(10 * time.Second)
	client.HearEnd()
	b.expect(session.RequestTimeout, 1)
	if l := b.only(); l.Reason != "request_timeout" || l.Phase != "request" || l.Status != 0 {
		t.Errorf("the log has the line %+v", l)
	}
}
