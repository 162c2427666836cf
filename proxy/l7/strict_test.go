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

// slowly sets the message rate, with over_message = "delay".
func slowly(rate, burst int) func(*setup) {
	return withLimits(func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst, l.OverMessage = rate, burst, conf.Delay })
}

// rejecting sets the message rate, with over_message = "reject" and without bans.
func rejecting(rate, burst int) func(*setup) {
	return withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage, l.BanAfter = rate, burst, conf.Reject, 0
	})
}

// Whatever is asked for and however it is answered, no more requests than the burst pass
// at once, on all connections of a source together. If this fails, a flood that is
// refused costs the balancer work without end (issue 12, B2).
func TestEveryRequestIsCharged(t *testing.T) {
	t.Parallel()
	const burst, count = 5, 20
	for name, request := range map[string]string{
		"served":                 get("/"),
		"foreign origin":         get("/", "Origin: http://evil.example"),
		"long body":              post("/", strings.Repeat("a", 1001)),
		"malformed":              "GET  / HTTP/1.1\r\n\r\n",
		"empty lines":            "\r\n\r\n\r\n\r\n",
		"expectation":            "POST / HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 1\r\n\r\na",
		"long head":              get("/", "A: "+strings.Repeat("a", 5000)),
		"session that is gone":   get("/", "Mcp-Session-Id: x.00000000"),
		"several hosts":          "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"refused, one at a time": rpcPost("1", "Origin: http://evil.example"),
	} {
		for _, mode := range []func(*setup){slowly(1, burst), rejecting(1, burst)} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := start(t, []string{httpServer(t, echo)}, withStoppedTime, mode, withFrontend(func(f *conf.Frontend) {
					f.MaxBody, f.MaxHeader, f.AllowedOrigins = 1000, 4096, []string{"http://good.example"}
				}))
				for range count {
					b.dial().Say(request) // answered or not, it stays open
				}
				otherwise := func(totals Totals) uint64 { return harness.Sum(totals.Status) - totals.Own["rate_limited"] }
				endpoint.Await(func() bool { // who is over the rate may be counted before those who are not are answered
					totals := b.frontend.Totals()
					return totals.Rejected+totals.Delayed >= count-burst && totals.Own["rate_limited"] >= totals.Rejected && otherwise(totals) >= burst
				})
				b.Turns(3)
				totals := b.frontend.Totals()
				if totals.Rejected == 0 && totals.Delayed != count-burst || totals.Rejected != totals.Own["rate_limited"] || totals.Rejected+totals.Delayed != count-burst {
					t.Errorf("%d were delayed, %d rejected; responses %v", totals.Delayed, totals.Rejected, harness.Nonzero(totals.Status))
				}
				if n := otherwise(totals); n != burst {
					t.Errorf("%d were served or answered otherwise, want %d", n, burst)
				}
			})
		}
	}
}

// Pipelined requests pass at the rate, one by one, each answered in its turn; those of
// several connections take turns.
func TestPipelinedRequestsPassAtTheRate(t *testing.T) {
	t.Parallel()
	const rate, burst, each, connections = 10, 20, 25, 2
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, slowly(rate, burst))
	var clients []*httpConn
	for range connections {
		client := b.dial()
		var all strings.Builder
		for i := range each {
			all.WriteString(rpcPost(fmt.Sprint(i)))
		}
		client.Say(all.String())
		clients = append(clients, client)
	}
	begin := b.Now()
	served := func() uint64 { return b.frontend.Totals().Status["2xx"] }
	b.Eventually("the burst passes", func() bool { return served() >= burst })
	for b.Now()-begin < 2*int64(time.Second) {
		b.Turns(3)
		if most := burst + uint64((b.Now()-begin)*rate/int64(time.Second)); b.frontend.Totals().Requests > most {
			t.Fatalf("%d requests have passed in %v, want at most %d", b.frontend.Totals().Requests, time.Duration(b.Now()-begin), most)
		}
		b.Advance(30 * time.Millisecond)
	}
	b.Eventually("all are served", func() bool { b.Advance(10 * time.Millisecond); return served() == each*connections })
	for _, client := range clients {
		for i := range each {
			if _, body := client.wantStatus("POST", 200); body != rpcBody(fmt.Sprint(i)) {
				t.Fatalf("response %d is %q", i, body)
			}
		}
	}
}

// A client that leaves while its request waits is neither served nor charged.
func TestWhoLeavesIsNotCharged(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withStoppedTime, slowly(1, 1), oneLoop)
	b.pair(s, get("/1"))
	client := b.dial()
	client.Say(get("/2"))
	b.Eventually("it waits", func() bool { return b.frontend.Totals().Delayed == 1 })
	client.Close()
	b.expect(session.ClientClosed, 1)
	other := b.dial()
	other.Say(get("/3"))
	b.Eventually("the other waits", func() bool { return b.frontend.Totals().Delayed == 2 })
	b.Advance(time.Second)
	if got := s.next().head().first(); got != "GET /3 HTTP/1.1" {
		t.Errorf("the server received %q", got)
	}
}

// A request that waits moves to a new process, and is served there in its time.
func TestRequestThatWaitsIsHandedOver(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withStoppedTime, slowly(1, 1), oneLoop, withoutLog)
	client := b.dial()
	server := s.receive(client, get("/1")+get("/2"))
	server.answer("fine")
	client.wantStatus("GET", 200)
	b.Eventually("the second waits", func() bool { return b.frontend.Totals().Delayed == 1 })
	b.handOver()
	b.Advance(900 * time.Millisecond)
	if n := b.frontend.Totals().Requests; n != 1 {
		t.Fatalf("%d requests have passed", n)
	}
	b.Advance(100 * time.Millisecond)
	server = s.tryNext(server, "GET")
	server.request()
	server.answer("fine")
	client.wantStatus("GET", 200)
}

// clientFrame is a frame of a client, with a payload shorter than 126 bytes.
func clientFrame(first byte, payload string) string {
	return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

// However many frames one write brings, and of what kind, no more than the burst pass
// at once. If this fails, a flood of pings is free (issue 12, B1 and B2).
func TestFramesOfEveryKindAreCharged(t *testing.T) {
	t.Parallel()
	const rate, burst, count = 10, 30, 60
	for name, frames := range map[string]string{
		"text":       clientFrame(0x81, "x"),
		"empty":      clientFrame(0x82, ""),
		"ping":       clientFrame(0x89, "x"),
		"empty ping": clientFrame(0x89, ""),
		"pong":       clientFrame(0x8a, ""),
		"fragments":  clientFrame(0x01, "a") + strings.Repeat(clientFrame(0x00, ""), 8) + clientFrame(0x80, "b"),
		"mixed":      clientFrame(0x01, "a") + clientFrame(0x89, "p") + clientFrame(0x80, strings.Repeat("c", 125)) + clientFrame(0x88, ""),
	} {
		for _, set := range []func(*setup){slowly(rate, burst+1), rejecting(rate, burst+1)} { // one for the upgrade
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t, withStoppedTime, set)
				client, server := tunnelled(b, s)
				begin := b.Now()
				var one []int // ends of the frames
				all := ""
				for len(one) < count {
					at := len(all)
					all += frames
					for at < len(all) {
						at += 6 + int(all[at+1]&0x7f)
						one = append(one, at)
					}
				}
				client.Say(all)
				server.Hear(all[:one[burst-1]])
				for passed, at := burst, one[burst-1]; passed < len(one); {
					n := heardNow(b, server)
					at += n
					for passed < len(one) && one[passed] <= at {
						passed++
					}
					if at != one[passed-1] {
						t.Fatalf("%d bytes came: frames are torn", n)
					}
					if most := burst + int((b.Now()-begin)*rate/int64(time.Second)); passed > most {
						t.Fatalf("%d frames have passed in %v, want at most %d", passed, time.Duration(b.Now()-begin), most)
					}
					if b.Now()-begin > int64(time.Minute) {
						t.Fatalf("%d frames have passed in a minute: the rest is lost", passed)
					}
					b.Advance(40 * time.Millisecond)
				}
				if n := b.frontend.Totals().Rejected; n != 0 {
					t.Errorf("%d frames were rejected", n)
				}
			})
		}
	}
}

// heardNow returns how many bytes a peer has received by now.
func heardNow(b *fixture, s *httpConn) (n int) {
	b.Helper()
	b.Turns(2)
	if err := s.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		b.Fatal(err)
	}
	for {
		if _, err := s.Reader.Peek(1); err != nil {
			break
		}
		k, _ := s.Reader.Discard(s.Reader.Buffered())
		n += k
	}
	if err := s.SetReadDeadline(time.Now().Add(endpoint.Patience)); err != nil {
		b.Fatal(err)
	}
	return n
}

// Frames that came right behind the request for the upgrade are charged as others, and
// frames that wait move to a new process.
func TestFramesThatWaitAreHandedOver(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withStoppedTime, slowly(1, 3), oneLoop, withoutLog)
	client := b.dial()
	x, ping := clientFrame(0x81, "x"), clientFrame(0x89, "")
	client.Say(upgrade + x + ping + x)
	server := s.next()
	server.head()
	server.Say(upgraded)
	client.head()
	server.Hear(x + ping)
	b.Eventually("the third waits", func() bool { return b.frontend.Totals().Delayed == 1 })
	b.handOver()
	client.Say(ping)
	if n := heardNow(b, server); n > 0 {
		t.Fatalf("%d bytes came too early", n)
	}
	b.Advance(time.Second)
	server.Hear(x)
	b.Advance(time.Second)
	server.Hear(ping)
}
