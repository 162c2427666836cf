package l7

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	first, second := b.dial(), b.dial()
	first.Say(get("/1"))
	server := s.next()
	for i := range 5 {
		// One connection to a server serves both clients in turn.
		for _, c := range []*httpConn{first, second} {
			if i > 0 || c == second {
				c.Say(get("/again"))
			}
			server.request()
			server.answer(fmt.Sprint("answer ", i))
			if _, body := c.wantStatus("GET", 200); body != fmt.Sprint("answer ", i) {
				t.Fatalf("body %q", body)
			}
		}
	}
	s.expectNoConn()
	node := b.pool.Servers()[0]
	if got := node.Totals(); got.Response.Count() != 10 || got.Responses[2] != 10 || got.Connect.Count() != 1 {
		t.Errorf("%d responses and %d connects were timed, and counted as %v", got.Response.Count(), got.Connect.Count(), got.Responses)
	}
	if n := b.workers.Idle(node); n != 1 {
		t.Errorf("%d connections are idle", n)
	}
}

// A server may respond before it has read a byte, as soon as the connection opens (429,
// 503). The kernel reports both in one event, and only once.
func TestServerSpeaksAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	connects, spoken := make(chan struct{}), make(chan struct{})
	b := start(t, []string{s.Address}, func(s *setup) {
		connect := s.System.Connect
		s.System.Connect = func(fd int, address netip.AddrPort) unix.Errno {
			errno := connect(fd, address)
			close(connects)
			<-spoken // the loop receives no event before
			return errno
		}
	})
	client := b.dial()
	client.Say(get("/"))
	endpoint.Receive(t, connects)
	server := s.next()
	server.Say("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
	close(spoken)
	if _, body := client.wantStatus("GET", 503); body != "busy" {
		t.Errorf("the response is %q", body)
	}
}

// A server that responds before it has read the complete request gets no other request
// on that connection, which would wait behind bytes that are never read.
func TestUnreadRequestIsNotFollowed(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, func(s *setup) {
		write, shut := s.System.Write, s.System.Close
		var stuck atomic.Int64 // the descriptor that takes no more
		s.System.Close = func(fd int) unix.Errno {
			stuck.CompareAndSwap(int64(fd), -1)
			return shut(fd)
		}
		s.System.Write = func(fd int, p []byte) (int, unix.Errno) {
			switch {
			case stuck.Load() == int64(fd):
				return 0, unix.EAGAIN
			case bytes.HasPrefix(p, []byte("POST /stuck")):
				stuck.Store(int64(fd))
				return write(fd, p[:len(p)-4])
			}
			return write(fd, p)
		}
	})
	client := b.dial()
	server := s.receiveHead(client, post("/stuck", "body"))
	server.answer("early")
	client.wantStatus("POST", 200)
	client.Say(post("/next", "body"))
	other := s.next()
	if r, body := other.request(); r.URL.Path != "/next" || body != "body" {
		t.Errorf("another connection brought %s %q", r.URL.Path, body)
	}
	other.answer("fine")
	client.wantStatus("POST", 200)
}

// Pipelined requests are answered in their order, in whatever pieces they come.
func TestPipelining(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)})
	var requests, want strings.Builder
	for i := range 40 {
		body := strings.Repeat(fmt.Sprint(i, " "), i)
		if i%3 == 0 {
			fmt.Fprintf(&requests, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body)+1, body+"!")
			body += "!"
		} else {
			requests.WriteString(post("/", body))
		}
		want.WriteString(body)
	}
	for _, piece := range []int{1, 2, 7, 100, 1000, 1 << 20} {
		c := b.dial()
		go func() {
			for rest := requests.String(); rest != ""; {
				n := min(piece, len(rest))
				if _, err := io.WriteString(c, rest[:n]); err != nil {
					return // the reader reports it
				}
				rest = rest[n:]
			}
		}()
		var got strings.Builder
		for range 40 {
			_, body := c.wantStatus("POST", 200)
			got.WriteString(body)
		}
		if got.String() != want.String() {
			t.Errorf("pieces of %d: got %q", piece, got.String())
		}
	}
}

// A response ends as its framing says, and the connections stay open if they can.
func TestFraming(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request, response, want string
		serverEnds              bool // the server's connection is closed after the response
		closes                  bool // the client's connection is closed after the response
		reused                  bool // the server's connection is used again
	}{
		"length":                 {get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, false, true},
		"empty":                  {get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", false, false, true},
		"chunked":                {get("/"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n4;a=b\r\n you\r\n0\r\nX: y\r\n\r\n", "hi you", false, false, true},
		"close":                  {get("/"), "HTTP/1.1 200 OK\r\n\r\nhi", "hi", true, true, false},
		"HTTP/1.0":               {get("/"), "HTTP/1.0 200 OK\r\n\r\nhi", "hi", true, true, false},
		"HTTP/1.0 length":        {get("/"), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, false, false},
		"HTTP/1.0 keep":          {get("/"), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", "hi", false, false, true},
		"server closes":          {get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", "hi", false, false, false},
		"server ends":            {get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", true, false, false},
		"client closes":          {get("/", "Connection: close"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, true, true},
		"HEAD":                   {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "", false, false, true},
		"HEAD length":            {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "", false, false, false},
		"HEAD chunked":           {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", false, false, false},
		"204":                    {get("/"), "HTTP/1.1 204 No Content\r\n\r\n", "", false, false, true},
		"304":                    {get("/"), "HTTP/1.1 304 Not Modified\r\n\r\n", "", false, false, true},
		"304 length":             {get("/"), "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "", false, false, false},
		"202":                    {get("/"), "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "", false, false, true},
		"too much":               {get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "hi", false, false, false},
		"body on GET":            {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, false, false},
		"old client":             {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, true, true},
		"old client keeps":       {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, false, true},
		"old client, chunked":    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n4\r\n you\r\n0\r\nX: y\r\n\r\n", "hi you", false, true, true},
		"upgrade not to be had":  {upgrade, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, false, false},
		"upgrade to another":     {get("/", "Connection: Upgrade", "Upgrade: h2c"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, false, true},
		"interim":                {get("/"), "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, false, true},
		"interim for old client": {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false, true, true},
	} {
		for _, piece := range []int{1 << 20, 1} {
			t.Run(fmt.Sprint(name, "/", piece), func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t, oneLoop)
				client, server := b.pair(s, c.request)
				for rest := c.response; rest != ""; {
					n := min(piece, len(rest))
					if _, err := io.WriteString(server, rest[:n]); err != nil && name != "too much" {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				if c.serverEnds {
					server.Finish()
				}
				method, _, _ := strings.Cut(c.request, " ")
				if strings.Contains(c.response, " 103 ") {
					if got := client.head(); got.first() != "HTTP/1.1 103 Early Hints" || got.get(t, "Link") != "x" {
						t.Errorf("interim head %q", got)
					}
				}
				r, body := client.response(method)
				if body != c.want || r.Close != c.closes {
					t.Errorf("body %q, want %q; closes %v, want %v", body, c.want, r.Close, c.closes)
				}
				if c.closes {
					client.HearEnd()
					client = b.dial()
				}
				client.Say(get("/again"))
				if !c.reused {
					if !c.serverEnds && name != "too much" {
						server.HearEnd()
					}
					server = s.next()
				}
				server.request()
				server.answer("fine")
				if _, body := client.wantStatus("GET", 200); body != "fine" {
					t.Errorf("body %q", body)
				}
			})
		}
	}
}

// A client of HTTP/1.1 receives chunks as the server sent them, with their trailers and
// extensions, and a server receives the client's so.
func TestChunksPassAsTheyAre(t *testing.T) {
	t.Parallel()
	const body = "5;name=\"quoted; \\\" value\"\r\nhello\r\n00b\r\n, how are y\r\n3\r\nou?\r\n0\r\nX-Trailer: yes\r\nX-Other: no\r\n\r\n"
	b, s := startServed(t)
	client := b.dial()
	client.Say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n" + body)
	server := s.next()
	if h := server.head(); h.get(t, "Transfer-Encoding") != "chunked" || h.get(t, "Trailer") != "X-Trailer" || h.get(t, "Content-Length") != "" {
		t.Errorf("head %q", h)
	}
	server.Hear(body)
	server.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n" + body)
	if h := client.head(); h.get(t, "Transfer-Encoding") != "chunked" || h.get(t, "Trailer") != "X-Trailer" {
		t.Errorf("head %q", h)
	}
	client.Hear(body)
	client.Say(get("/"))
	server.request()
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	client := b.dial()
	client.Say("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	server := s.next()
	if h := server.head(); h.get(t, "Expect") != "100-continue" {
		t.Errorf("head %q", h)
	}
	server.Say("HTTP/1.1 100 Continue\r\n\r\n")
	client.Hear("HTTP/1.1 100 Continue\r\n\r\n")
	client.Say("hello")
	server.Hear("hello")
	server.answer("thanks")
	if r, _ := client.wantStatus("POST", 200); r.Close {
		t.Error("the connection ends")
	}
	// A client that gets no 100 does not send its body, and its connection ends.
	client.Say("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	server.head()
	server.Say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
	if r, _ := client.wantStatus("POST", 401); !r.Close {
		t.Error("the connection stays open")
	}
	client.HearEnd()
	server.HearReset()
}

// When a server responds before the request is complete, the response reaches the
// client, and both connections end.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	for name, framing := range map[string]string{"length": "Content-Length: 8\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n8\r\n"} {
		for _, ends := range []string{"waits", "finishes", "closes", "resets"} {
			t.Run(name+" "+ends, func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t)
				client := b.dial()
				server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\n"+framing+"part")
				server.Say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch")
				switch ends {
				case "finishes":
					_ = server.CloseWrite() // fails if the balancer has closed the connection already
				case "closes":
					server.Close()
				}
				if r, body := client.wantStatus("POST", 413); body != "much" || !r.Close {
					t.Errorf("body %q, closes %v", body, r.Close)
				}
				if ends == "resets" {
					server.Reset()
				}
				client.Say("more") // is discarded
				client.HearEnd()
			})
		}
	}
}

// When a server stops reading a request because it has responded, the response is read.
func TestServerStopsReading(t *testing.T) {
	t.Parallel()
	b, s := startServed(t)
	client := b.dial()
	server := s.receiveHead(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n")
	server.Say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch")
	server.Close()
	go func() {
		p := make([]byte, 1<<16)
		for {
			if _, err := client.Write(p); err != nil {
				return
			}
		}
	}()
	if _, body := client.wantStatus("POST", 413); body != "much" {
		t.Errorf("body %q", body)
	}
	client.Reset()
}

// Bodies of any size arrive complete, in both directions at once, in every framing.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		if r.Header.Get("X-Length") != "" {
			w.Header().Set("Content-Length", r.Header.Get("X-Length"))
		}
		w.WriteHeader(200)
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})}, withFrontend(func(f *conf.Frontend) { f.MaxBody = 0 }))
	sizes := []int64{0, 1, 1000, 60 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 5<<20 + 3}
	if harness.Long {
		sizes = append(sizes, 64<<20)
	} else {
		sizes = append(sizes, 16<<20)
	}
	for _, size := range sizes {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(size, chunked), func(t *testing.T) {
				t.Parallel()
				echoBody(t, b.Address, size, chunked)
			})
		}
	}
}

// echoBody sends a body, which the server sends back, and compares them.
func echoBody(t *testing.T, address string, size int64, chunked bool) {
	source := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)})
	sent, received := sha256.New(), sha256.New()
	request, err := http.NewRequest("POST", "http://"+address+"/", io.NopCloser(io.TeeReader(io.LimitReader(source, size), sent)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Full-Duplex", "yes") // for the gateway of TestOverHTTP2
	if !chunked {
		request.ContentLength = size
		request.Header.Set("X-Length", fmt.Sprint(size))
		if size == 0 {
			request.Body = http.NoBody
		}
	}
	response, err := httpClient(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(received, response.Body)
	if err != nil || n != size {
		t.Fatalf("received %d bytes of %d, %v", n, size, err)
	}
	if s, r := hex.EncodeToString(sent.Sum(nil)), hex.EncodeToString(received.Sum(nil)); s != r {
		t.Errorf("sent %s, received %s", s, r)
	}
}

// A client that has finished sending when its request is read waits for the response;
// one that ends later has left.
func TestHalfClosedClient(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	client := b.dial()
	// The loop is busy until everything has arrived.
	b.On(b.Engine.Loops()[0], func() {
		client.Say(get("/1") + get("/2"))
		client.Finish()
	})
	server := s.next()
	for range 2 {
		server.request()
		server.answer("fine")
		client.wantStatus("GET", 200)
	}
	client.HearEnd()
	b.expect(session.ClientClosed, 1)
}

// The balancer reads a bounded number of bytes from a client during an exchange, and
// while the client does not read its responses.
func TestFloodOfRequests(t *testing.T) {
	t.Parallel()
	// The sockets in between take some megabytes.
	const most = 32 << 20
	burst := func(request string) []byte { return []byte(strings.Repeat(request, 1000)) }
	t.Run("during an exchange", func(t *testing.T) {
		t.Parallel()
		b, client, server := startExchange(t, get("/"))
		if n := b.Fill(client.Conn, burst(get("/more"))); n > most {
			t.Errorf("%d bytes were taken", n)
		}
		if n := b.pending(); n > 64<<10 {
			t.Errorf("%d bytes are pending", n)
		}
		client.Reset()
		server.HearReset()
	})
	for name, request := range map[string]string{
		"answers of ours": get("/", "Origin: http://evil.example"),
		"answers":         get("/"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, []string{httpServer(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(make([]byte, 30000))
			})}, narrow, withFrontend(func(f *conf.Frontend) { f.AllowedOrigins = []string{"http://good.example"} }))
			client := b.dialNarrow()
			if n := b.Fill(client.Conn, burst(request)); n > most {
				t.Errorf("%d bytes were taken", n)
			}
			if n := b.Parked(); n > 64<<10 {
				t.Errorf("%d bytes are parked", n)
			}
			client.Reset()
		})
	}
}
