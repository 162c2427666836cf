package l7

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/session"
)

// Requests that exceed a limit get these responses.
func TestLimits(t *testing.T) {
	t.Parallel()
	const json = "Content-Type: application/json"
	for name, c := range map[string]struct {
		request string
		status  int
		why     Why
		closes  bool
		id      string // of the JSON-RPC error; "" = plain text
	}{
		"malformed":             {"GET  / HTTP/1.1\r\n\r\n", 400, BadRequest, true, ""},
		"bare LF":               {"GET / HTTP/1.1\nHost: x\n\n", 400, BadRequest, true, ""},
		"HTTP/2":                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, BadRequest, true, ""},
		"CONNECT":               {"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501, BadRequest, true, ""},
		"expectation":           {"POST / HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 1\r\n\r\na", 417, BadRequest, true, ""},
		"long target":           {"GET /" + strings.Repeat("a", 5000), 414, BadRequest, true, ""},
		"long head":             {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 5000), 431, BadRequest, true, ""},
		"long head, complete":   {get("/", "A: "+strings.Repeat("a", 5000)), 431, BadRequest, true, ""},
		"many fields":           {get("/", strings.Repeat("A: b\r\n", 200)+"C: d"), 431, BadRequest, true, ""},
		"long body":             {post("/", strings.Repeat("a", 1001)), 413, BodyTooLarge, false, ""},
		"long body to come":     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413, BodyTooLarge, true, ""},
		"long JSON":             {post("/", rpcBody(`"i"`)+strings.Repeat(" ", 1000), json), 413, BodyTooLarge, false, `"i"`},
		"long chunk":            {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413, BodyTooLarge, true, ""},
		"long chunks":           {"POST / HTTP/1.1\r\nHost: x\r\n" + json + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(rpcBody("1234567")) + "3e8\r\n", 413, BodyTooLarge, true, "1234567"},
		"bad chunk":             {"POST / HTTP/1.1\r\nHost: x\r\n" + json + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(rpcBody("1234567")) + "x\r\n", 400, BadRequest, true, "1234567"},
		"bad chunk at once":     {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\n", 400, BadRequest, true, ""},
		"foreign origin":        {get("/", "Origin: http://evil.example"), 403, OriginRefused, false, ""},
		"null origin":           {get("/", "Origin: null"), 403, OriginRefused, false, ""},
		"two origins":           {get("/", "Origin: http://good.example", "Origin: http://good.example"), 403, OriginRefused, false, ""},
		"longer origin":         {get("/", "Origin: http://good.example.evil"), 403, OriginRefused, false, ""},
		"origin of a POST":      {rpcPost("3", "Origin: http://evil.example"), 403, OriginRefused, false, "3"},
		"origin of a preflight": {"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n\r\n", 403, OriginRefused, false, ""},
		"HEAD":                  {"HEAD / HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n\r\n", 403, OriginRefused, false, ""},
	} {
		for _, piece := range []int{1 << 20, 1} {
			t.Run(fmt.Sprint(name, "/", piece), func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t, withFrontend(func(f *conf.Frontend) {
					f.MaxHeader, f.MaxBody, f.AllowedOrigins = 4<<10, 1000, []string{"http://good.example", "https://good.example"}
				}))
				client := b.dial()
				go func() {
					for rest := c.request; rest != ""; {
						n := min(piece, len(rest))
						if _, err := client.Write([]byte(rest[:n])); err != nil {
							return
						}
						rest = rest[n:]
					}
				}()
				method, _, _ := strings.Cut(c.request, " ")
				r, body := client.wantStatus(method, c.status)
				if r.Close != c.closes && piece > 1 {
					t.Errorf("the connection closes: %v", r.Close)
				}
				switch {
				case c.id != "":
					if e := parseRPC(t, body); string(e.ID) != c.id && !r.Close {
						t.Errorf("the body is %q", body)
					}
				case method != "HEAD" && strings.HasPrefix(body, "{"):
					t.Errorf("the body is %q", body)
				}
				if n := b.frontend.Totals().Own[c.why.String()]; n != 1 {
					t.Errorf("the balancer generated %v", harness.Nonzero(b.frontend.Totals().Own))
				}
				if !r.Close {
					server := s.receive(client, get("/", "Origin: HTTPS://good.example"))
					server.answer("fine")
					client.wantStatus("GET", 200)
				}
			})
		}
	}
}

// chunk returns data in the chunked coding.
func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

// Bytes after a HEAD request that are no request get a response with a body.
func TestRefusalAfterHead(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)})
	client := b.dial()
	client.Say("HEAD / HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
	client.wantStatus("HEAD", 200)
	if _, body := client.wantStatus("GET", 400); body == "" {
		t.Error("no body")
	}
	client.HearEnd()
	if n := b.frontend.Totals().Malformed["method"]; n != 1 {
		t.Errorf("malformed requests are counted as %v", harness.Nonzero(b.frontend.Totals().Malformed))
	}
}

// Over the rate, with over_message = "reject", the response is 429 with Retry-After and
// the id, and the connection stays open, in whatever pieces the request comes.
func TestRateRejected(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage = 1, 1, conf.Reject
	}))
	client := b.dial()
	client.Say(rpcPost("1"))
	client.wantStatus("POST", 200)
	for i, pieces := range [][]string{
		{rpcPost(`"a"`)},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 29\r\n\r\n", `{"id":"a",`, `"method":"initial"}`},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1", "a\r\n" + `{"method":"x","`, `params":{},`, "\r\n9\r\n" + `"id":"a"}`, "\r\n0\r\n\r\n"},
	} {
		for _, piece := range pieces {
			client.Say(piece)
			b.Turns(5)
		}
		r, body := client.wantStatus("POST", 429)
		e := parseRPC(t, body)
		if r.Header.Get("Retry-After") != "1" || r.Close || string(e.ID) != `"a"` || e.Error.Code != 429 || e.Error.Data.RetryAfterMs != 1000 {
			t.Errorf("request %d: the header is %v, the body %q", i, r.Header, body)
		}
	}
	// A client that expects 100 gets the 429 at once.
	client.Say("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 27\r\n\r\n")
	if r, _ := client.wantStatus("POST", 429); !r.Close {
		t.Error("the connection stays open")
	}
	client.HearEnd()
	b.Advance(time.Second)
	client = b.dial()
	client.Say(rpcPost("1"))
	client.wantStatus("POST", 200)
	if n := b.frontend.Totals().Rejected; n != 4 {
		t.Errorf("%d requests were rejected", n)
	}
}

// A rejection waits for the rest of its request, but not forever, and not for too many
// bytes.
func TestRefusalThatWaits(t *testing.T) {
	t.Parallel()
	refuse := func(t *testing.T, framing string) (*fixture, *httpConn) {
		b := start(t, []string{endpoint.Refuse(t)}, times, withFrontend(func(f *conf.Frontend) { f.AllowedOrigins = []string{"http://x"} }))
		client := b.dial()
		client.Say("POST / HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\nContent-Type: application/json\r\n" + framing + "\r\n\r\n")
		b.awaitState("refusing", 1)
		return b, client
	}
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		b, client := refuse(t, "Content-Length: 100")
		client.Say(`{"id":3,"method":"x",`)
		b.Turns(3)
		b.silence(10 * time.Second)
		if r, body := client.wantStatus("POST", 403); string(parseRPC(t, body).ID) != "3" || !r.Close {
			t.Errorf("the body is %q", body)
		}
		client.HearEnd()
	})
	t.Run("size", func(t *testing.T) {
		t.Parallel()
		_, client := refuse(t, "Transfer-Encoding: chunked")
		client.Say("100000\r\n" + strings.Repeat(" ", 65<<10))
		if r, _ := client.wantStatus("POST", 403); !r.Close {
			t.Error("the connection stays open")
		}
	})
	t.Run("malformed", func(t *testing.T) {
		t.Parallel()
		_, client := refuse(t, "Transfer-Encoding: chunked")
		client.Say("zz")
		if r, _ := client.wantStatus("POST", 403); !r.Close {
			t.Error("the connection stays open")
		}
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		b, client := refuse(t, "Content-Length: 100")
		client.Close()
		b.expect(session.ClientClosed, 1)
	})
	t.Run("large", func(t *testing.T) {
		t.Parallel()
		b := start(t, []string{endpoint.Refuse(t)}, withFrontend(func(f *conf.Frontend) { f.AllowedOrigins = []string{"http://x"} }))
		client := b.dial()
		client.Say("POST / HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
		client.wantStatus("POST", 403)
	})
}

// What a client sends behind its last answer is read for a while, so that the answer is
// not destroyed on its way, but it is charged. If this fails, a malformed request buys 5 s
// of reading at full speed (issue 12, B2).
func TestDiscardedBytesAreCharged(t *testing.T) {
	t.Parallel()
	b := start(t, []string{endpoint.Refuse(t)}, withStoppedTime, withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage = 1, 8, conf.Delay
	}))
	conn := b.dial()
	conn.Say("GET  / HTTP/1.1\r\n\r\n")
	conn.wantStatus("GET", 400)
	ended := make(chan error, 1)
	var written atomic.Int64
	go func() {
		piece := make([]byte, 1<<20)
		for {
			if _, err := conn.Write(piece); err != nil {
				ended <- err
				return
			}
			written.Add(1)
		}
	}()
	b.Eventually("no more is read", func() bool {
		before := written.Load()
		b.Turns(50)
		return before > 0 && written.Load() == before
	})
	b.Advance(lingerTime)
	if err := <-ended; err == nil {
		t.Error("the client is not ended")
	}
}

// Over the rate, with over_message = "delay", the next request is read later.
func TestRateDelayed(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withStoppedTime, withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage = 1, 2, conf.Delay
	}))
	client, server := b.pair(s, get("/1")+get("/2")+get("/3")+get("/4"))
	server.answer("fine")
	client.wantStatus("GET", 200)
	server.request()
	server.answer("fine")
	client.wantStatus("GET", 200)
	for i := range 2 {
		b.Advance(900 * time.Millisecond)
		if n := b.frontend.Totals().Requests; n != uint64(2+i) {
			t.Fatalf("%d requests were read", n)
		}
		b.Advance(100 * time.Millisecond)
		server.request()
		server.answer("fine")
		client.wantStatus("GET", 200)
	}
	// A new connection does not help.
	client = b.dial()
	client.Say(get("/5"))
	b.Turns(5)
	if n := b.frontend.Totals().Requests; n != 4 {
		t.Fatalf("%d requests were read", n)
	}
	b.Advance(2 * time.Second)
	s.tryNext(server, "GET").request()
}

// Connections that the limiter refuses are reset.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	b := start(t, []string{endpoint.Refuse(t)}, withLimits(func(l *conf.RateLimit) { l.MaxConnections = 2 }))
	b.dial()
	b.dial()
	b.awaitState("reading", 2)
	if c, err := net.Dial("tcp", b.Address); err == nil {
		endpoint.New(t, c.(*net.TCPConn)).HearReset()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	b.expect(session.SourceConnections, 1)
}
