package l7

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
)

func TestRedispatch(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := start(t, []string{endpoint.Refuse(t), s.Address}, oneLoop)
	client := b.dial()
	for range 4 {
		client.Say(rpcPost("1"))
	}
	var server *httpConn
	for i := range 4 {
		if i == 0 {
			server = s.next()
		}
		if _, body := server.request(); body != rpcBody("1") {
			t.Errorf("body %q", body)
		}
		server.answer("fine")
		client.wantStatus("POST", 200)
	}
	down := b.pool.Servers()[0].Totals()
	if down.ConnectErrors != 2 || down.Redispatches != 2 {
		t.Errorf("the server that is down counts %+v", down)
	}
}

// When all attempts have failed, the client gets an error, keeps its connection, and is
// served as soon as a server is usable.
func TestNoServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		address string
		retries int
		state   backend.Health
		status  int
		code    int
	}{
		"refused": {endpoint.Refuse(t), 0, backend.Up, 503, 503},
		"down":    {endpoint.Refuse(t), 3, backend.Down, 503, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, []string{c.address}, withRetries(c.retries))
			b.pool.Servers()[0].SetHealth(c.state, "test", time.Now())
			client := b.dial()
			for i, request := range []string{rpcPost("17"), strings.Replace(rpcPost("18"), "\r\n\r\n", "\r\nX: y\r\n\r\n", 1)} {
				half := len(request) - 10 // the id is known only from the complete request
				client.Say(request[:half])
				b.Turns(5)
				client.Say(request[half:])
				r, body := client.wantStatus("POST", c.status)
				if e := parseRPC(t, body); string(e.ID) != fmt.Sprint(17+i) || e.Error.Code != c.code || r.Close {
					t.Errorf("%q, closes %v", body, r.Close)
				}
			}
			client.Say(get("/"))
			if r, body := client.wantStatus("GET", c.status); r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.HasPrefix(body, "no server ") {
				t.Errorf("the body is %q, the header %v", body, r.Header)
			}
			client.Say("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
			client.wantStatus("HEAD", c.status)
			client.Say(get("/", "Connection: close"))
			client.wantStatus("GET", c.status)
			client.HearEnd()
		})
	}
}

// When all servers have refused, one is tried again after a pause.
func TestRetryAfterPause(t *testing.T) {
	t.Parallel()
	address := endpoint.Refuse(t)
	b := start(t, []string{address}, withStoppedTime)
	client := b.dial()
	client.Say(rpcPost("1"))
	b.awaitState("pausing", 1)
	b.Advance(900 * time.Millisecond)
	b.awaitState("pausing", 1)
	if n := b.pool.Servers()[0].Totals().ConnectErrors; n != 1 {
		t.Errorf("%d attempts", n)
	}
	b.Advance(200 * time.Millisecond)
	b.Eventually("the server is tried again", func() bool { return b.pool.Servers()[0].Totals().ConnectErrors == 2 })
	client.Reset()
}

// A request waits for a slot, whatever else arrives of it and after it meanwhile.
func TestQueue(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withMaxConn(1), withFrontend(func(f *conf.Frontend) { f.MinBodyRate = 0 }))
	holder, server := b.pair(s, get("/"))
	client := b.dial()
	client.Say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	b.awaitState("queued", 1)
	client.Say(" more!" + get("/next"))
	b.Turns(3)
	server.answer("fine")
	holder.wantStatus("GET", 200)
	if next := s.tryNext(server, "POST"); next != server {
		t.Log("on a new connection") // the two clients are on different loops
		server = next
	}
	if _, body := server.request(); body != "half more!" {
		t.Errorf("body %q", body)
	}
	server.answer("fine")
	client.wantStatus("POST", 200)
	server.request()
	server.answer("fine")
	client.wantStatus("GET", 200)
	if wait := b.frontend.Totals().Queue; wait.Count != 1 {
		t.Errorf("the waits are counted as %+v, want one", wait)
	}
}

// tryNext returns the connection on which the next request arrives: known, or a new one.
func (s *server) tryNext(known *httpConn, method string) *httpConn {
	s.Helper()
	found := make(chan *net.TCPConn, 1)
	go func() {
		c, err := s.AcceptTCP()
		if err == nil {
			found <- c
			return
		}
		close(found)
	}()
	old := make(chan bool, 1)
	go func() {
		p, err := known.Reader.Peek(len(method))
		old <- err == nil && string(p) == method
	}()
	select {
	case c := <-found:
		return &httpConn{endpoint.New(s, c)}
	case ok := <-old:
		if ok {
			s.Close()
			return known
		}
		c, ok := <-found
		if !ok {
			s.Fatal("no connection")
		}
		return &httpConn{endpoint.New(s, c)}
	}
}

// The server of a kept-alive connection ends it during a request.
func TestKeptAliveConnectionEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request string
		before  string // what the server sends before it ends
		again   bool   // the request is sent again
	}{
		"GET":              {get("/2"), "", true},
		"DELETE":           {"DELETE /2 HTTP/1.1\r\nHost: x\r\n\r\n", "", true},
		"PUT":              {"PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nput", "", true},
		"POST":             {rpcPost("5"), "", false},
		"PATCH":            {"PATCH /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nput", "", false},
		"unknown":          {"BREW /2 HTTP/1.1\r\nHost: x\r\n\r\n", "", false},
		"large PUT":        {"PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000), "", false},
		"GET, half answer": {get("/2"), "HTTP/1.1 200", false},
		"GET, interim":     {get("/2"), "HTTP/1.1 103 Early Hints\r\n\r\n", false},
	} {
		for _, how := range []string{"FIN", "RST"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				b, s := startServed(t, oneLoop)
				client, server := b.pair(s, get("/1"))
				server.answer("fine")
				client.wantStatus("GET", 200)
				client.Say(c.request + get("/3"))
				server.request()
				if c.before != "" {
					server.Say(c.before)
				}
				if how == "FIN" {
					server.Close()
				} else {
					server.Reset()
				}
				if strings.Contains(c.before, " 103 ") {
					client.head()
				}
				method, _, _ := strings.Cut(c.request, " ")
				server = s.next()
				if c.again {
					r, body := server.request()
					if want := c.request[strings.Index(c.request, "\r\n\r\n")+4:]; r.Method != method || r.URL.Path != "/2" || body != want {
						t.Errorf("sent again: %s %s %q", r.Method, r.URL, body)
					}
					server.answer("fine")
					client.wantStatus(method, 200)
				} else {
					_, body := client.wantStatus(method, 502)
					if method == "POST" && string(parseRPC(t, body).ID) != "5" {
						t.Errorf("the body is %q", body)
					}
				}
				if r, _ := server.request(); r.URL.Path != "/3" {
					t.Errorf("%s follows", r.URL)
				}
				server.answer("fine")
				client.wantStatus("GET", 200)
				s.expectNoConn()
				if n := b.pool.Servers()[0].Totals().Resets; n != 0 && c.before == "" {
					t.Errorf("%d resets are counted", n)
				}
			})
		}
	}
}

// A kept-alive connection that has ended before a request is never used for it, even if
// the loop has not received the event yet.
func TestKeptAliveConnectionHasEnded(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	s := endpoint.Serve(t, func(c *net.TCPConn) {
		p := make([]byte, 1000)
		for range 2 {
			if _, err := c.Read(p); err != nil {
				return
			}
			served.Add(1)
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	b := start(t, []string{s.Address})
	// Every second response is followed by the end at once. The next request may be
	// sent before the end arrives, so it must not be a POST.
	client := b.dial()
	for i := range 300 {
		client.Say(get(fmt.Sprint("/", i)))
		client.wantStatus("GET", 200)
	}
	if n := served.Load(); n != 300 {
		t.Errorf("%d requests were served, want 300", n)
	}
}

// Bytes that a server sends without a request end the idle connection to it.
func TestUnsolicitedBytes(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	client, server := b.pair(s, get("/1"))
	server.answer("fine")
	client.wantStatus("GET", 200)
	server.Say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	server.HearReset()
	server = s.receive(client, get("/2"))
	server.answer("good")
	if _, body := client.wantStatus("GET", 200); body != "good" {
		t.Errorf("body %q", body)
	}
}

// Each endpoint of a server has separate connections.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	http, sse := serve(t), serve(t)
	b := start(t, []string{http.Address}, oneLoop, withBackend(func(b *conf.Backend) { b.Servers[0].SSE = sse.Address }),
		withFrontend(func(f *conf.Frontend) { f.Routes = []conf.Route{{Path: "/sse", Endpoint: conf.EndpointSSE}} }))
	client := b.dial()
	var first, second *httpConn
	for i := range 3 {
		client.Say(get("/sse/x") + get("/x"))
		if i == 0 {
			second = sse.next()
		}
		if r, _ := second.request(); r.URL.Path != "/sse/x" {
			t.Error(r.URL)
		}
		second.answer("fine")
		client.wantStatus("GET", 200)
		if i == 0 {
			first = http.next()
		}
		if r, _ := first.request(); r.URL.Path != "/x" {
			t.Error(r.URL)
		}
		first.answer("fine")
		client.wantStatus("GET", 200)
	}
}

// The source addresses are used in turn.
func TestSourceAddresses(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop, withBackend(func(b *conf.Backend) {
		b.Source = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	}))
	used := map[string]int{}
	for range 4 {
		_, server := b.pair(s, get("/"))
		used[server.RemoteAddr().(*net.TCPAddr).IP.String()]++
	}
	if used["127.0.0.2"] != 2 || used["127.0.0.3"] != 2 {
		t.Error(used)
	}
}
