package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"mcplb/conf"
	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// TestTLSRelay relays 20 MB both ways, in modes tcp and mcp, to an orderly end: each
// side sees that of the other.
func TestTLSRelay(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"tcp", "mcp"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			server := endpoint.Serve(t, endpoint.Echo)
			r := start(t, frontendText("f", anyPort, mode, "b", a.usual())+backendText("b", []string{server.Address}))
			conn := dialTLS(t, r.address("f"), a.client())
			body := bytes.Repeat([]byte("{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n"), 1000)
			noise := make([]byte, len(body))
			_, _ = rand.NewChaCha8([32]byte{5}).Read(noise)
			if mode == "tcp" {
				body = noise
			}
			rounds := 20 << 20 / len(body)
			go func() {
				for range rounds {
					if _, err := conn.Write(body); err != nil {
						return // the reader reports it
					}
				}
				_ = conn.CloseWrite()
			}()
			want, got := sha256.New(), sha256.New()
			for range rounds {
				want.Write(body)
			}
			n, err := io.Copy(got, conn)
			if err != nil || n != int64(rounds*len(body)) || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Fatalf("%d bytes came back, want %d: %v", n, rounds*len(body), err)
			}
			r.ended("f", "client_closed", 1)
			f := r.frontend("f")
			if f.BytesIn != uint64(n) || f.BytesOut != uint64(n) || f.TLS.Handshakes["full"] != 1 || f.TLS.Versions["1.3"] != 1 {
				t.Errorf("counted %d in, %d out, %+v", f.BytesIn, f.BytesOut, f.TLS)
			}
			if mode == "mcp" && f.MessagesIn != uint64(1000*rounds) {
				t.Errorf("counted %d messages", f.MessagesIn)
			}
		})
	}
}

// TestTLSBreaks checks that a connection broken on one side is reset on the other,
// rather than ended as if in order.
func TestTLSBreaks(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	heard, reported := make(chan struct{}, 1), make(chan error, 1)
	server := endpoint.Serve(t, func(c *net.TCPConn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		switch line {
		case "reset me\n":
			_ = c.SetLinger(0)
		case "hello\n": // not a health check
			heard <- struct{}{}
			_, err := io.Copy(io.Discard, c)
			reported <- err
		}
	})
	r := start(t, frontendText("f", anyPort, "tcp", "b", a.usual())+backendText("b", []string{server.Address}))
	conn := dialTLS(t, r.address("f"), a.client())
	fmt.Fprintln(conn, "reset me")
	if _, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server broke off, and the client saw %v", err)
	}
	conn = dialTLS(t, r.address("f"), a.client())
	fmt.Fprintln(conn, "hello")
	endpoint.Receive(t, heard) // otherwise the client may have left before it has a server
	if _, err := conn.NetConn().Write([]byte{23, 3, 3, 0, 20}); err != nil {
		t.Fatal(err)
	}
	conn.NetConn().Close()
	if err := endpoint.Receive(t, reported); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client left within a record, and the server saw %v", err)
	}
	r.ended("f", "server_reset", 1)
	r.ended("f", "client_reset", 1)
}

// TestTLSHTTP sends requests, an event stream and a WebSocket through.
func TestTLSHTTP(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	next := make(chan string)
	server := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for event := range next {
				fmt.Fprintf(w, "data: %s\n\n", event)
				w.(http.Flusher).Flush()
			}
		case "/ws":
			serveWebSocket(w, r)
		default:
			sum := sha256.New()
			n, _ := io.Copy(sum, r.Body)
			fmt.Fprintf(w, "%s %s %d %x", r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"), n, sum.Sum(nil))
		}
	})
	r := start(t, frontendText("f", anyPort, "http", "b", a.usual())+httpBackend(server))
	client := browser(t, r.address("f"), a.client())
	body := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(body)
	for range 3 { // on one connection
		answer := post(t, client, "https://a.test/", body)
		if want := fmt.Sprintf("https 127.0.0.1 %d %x", len(body), sha256.Sum256(body)); answer != want {
			t.Errorf("answered %q, want %q", answer, want)
		}
	}
	checkEvents(t, client, next)
	checkWebSocket(t, client)
	client.CloseIdleConnections()
	if f := r.frontend("f"); f.TLS.Handshakes["full"] == 0 || f.HTTP.Tunnels != 1 {
		t.Errorf("counted %+v, %+v", f.TLS, f.HTTP)
	}
}

func post(t *testing.T, client *http.Client, url string, body []byte) string {
	t.Helper()
	answer, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if cookie := answer.Header.Get("Set-Cookie"); answer.Request.Header.Get("Cookie") == "" && !strings.HasSuffix(cookie, "; Secure") {
		t.Errorf("the cookie on TLS is %q", cookie)
	}
	return string(text)
}

// checkEvents wants each event before the next is sent.
func checkEvents(t *testing.T, client *http.Client, next chan<- string) {
	t.Helper()
	go func() { next <- "0" }()
	answer, err := client.Get("https://a.test/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	events := bufio.NewReader(answer.Body)
	for i := range 5 {
		if line, err := events.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: %q, %v", i, line, err)
		}
		if _, err := events.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if i < 4 {
			next <- fmt.Sprint(i + 1)
		}
	}
	close(next)
	if _, err := events.ReadString('\n'); err != io.EOF {
		t.Errorf("after the last event: %v", err)
	}
}

// serveWebSocket echoes messages.
func serveWebSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func checkWebSocket(t *testing.T, client *http.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endpoint.Patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "wss://a.test/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for _, size := range []int{0, 1, 125, 126, 1 << 16, 4 << 20} {
		message := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{7}).Read(message)
		if err := c.Write(ctx, websocket.MessageBinary, message); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes: %d came back, %v", size, len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// TestProxyHeader checks that the header names the client in mode http, before plain
// HTTP and before TLS, and that only trusted peers may send one.
func TestProxyHeader(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-For"), " ", r.Header.Get("X-Forwarded-Proto"))
	})
	const trusted = "accept_proxy = true\ntrusted_proxies = [\"127.0.0.1/32\"]"
	r := start(t, frontendText("plain", anyPort, "http", "b", trusted)+
		frontendText("tls", "127.0.0.2:0", "http", "b", trusted, a.usual())+
		frontendText("others", "127.0.0.3:0", "http", "b", "accept_proxy = true\ntrusted_proxies = [\"192.0.2.0/24\"]")+
		httpBackend(server))
	v1 := "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x12\x67\x01\xbb"
	request := "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n"
	for header, client := range map[string]string{v1: "192.0.2.7", v2: "192.0.2.8", "PROXY UNKNOWN\r\n": "127.0.0.1"} {
		c := dialTCP(t, r.address("plain"))
		fmt.Fprint(c, header, request)
		want := client
		if client == "127.0.0.1" {
			want = "198.51.100.1, 127.0.0.1" // the peer itself is trusted
		}
		wantAnswer(t, c, want+" http")

		c = dialTCP(t, r.address("tls"))
		fmt.Fprint(c, header)
		secured := tls.Client(c, a.client())
		fmt.Fprint(secured, request)
		wantAnswer(t, secured, want+" https")
	}
	for _, wrong := range []string{request, v1[:20] + "\x00\r\n", "\x16\x03\x01\x00\x05hello"} {
		c := dialTCP(t, r.address("tls"))
		fmt.Fprint(c, wrong)
		if text, err := io.ReadAll(c); len(text) > 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%.10q was answered %q, %v", wrong, text, err)
		}
	}
	r.ended("tls", "proxy_header_invalid", 3)
	if c, err := net.DialTimeout("tcp", r.address("others"), endpoint.Patience); err == nil { // otherwise it was reset already
		defer c.Close()
		_, sent := fmt.Fprint(c, v1, request) // if this finds the reset, the read after it finds an end
		if text, err := io.ReadAll(c); len(text) > 0 || sent == nil && err == nil {
			t.Errorf("a peer that is not trusted was answered %q, %v", text, err)
		}
	}
	r.ended("others", "untrusted_proxy", 1)
	dialTCP(t, r.address("plain")).Close()
	r.ended("plain", "proxy_header_invalid", 1)
}

func wantAnswer(t *testing.T, c io.Reader, want string) *http.Response {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != want {
		t.Errorf("answered %q, %v, want %q", text, err, want)
	}
	return answer
}

// TestTLSAfterLimits checks that a refused client costs no handshake, and that the
// limits apply to the PROXY header's address.
func TestTLSAfterLimits(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := endpoint.Serve(t, endpoint.Echo)
	r := startFrozen(t, "[ratelimit]\nconnection_rate = 1\nconnection_burst = 1\nban_after = 0\n"+
		frontendText("f", anyPort, "tcp", "b", a.usual(), "accept_proxy = true\ntrusted_proxies = [\"127.0.0.1/32\"]")+
		backendText("b", []string{server.Address}))
	knock := func(from string) error {
		c := dialTCP(t, r.address("f"))
		fmt.Fprintf(c, "PROXY TCP4 %s 192.0.2.1 4711 443\r\n", from)
		return tls.Client(c, a.client()).Handshake()
	}
	for _, from := range []string{"192.0.2.7", "192.0.2.8"} {
		if err := knock(from); err != nil {
			t.Errorf("%s: %v", from, err)
		}
		if err := knock(from); err == nil {
			t.Errorf("%s: a second connection within a second is accepted", from)
		}
	}
	r.ended("f", "connection_rate", 2)
	r.eventually("two handshakes are counted", func() bool { return r.frontend("f").TLS.Handshakes["full"] == 2 })
	if f := r.frontend("f"); harness.Sum(f.TLS.Failed) != 0 {
		t.Errorf("counted %+v", f.TLS)
	}
}

// TestTLSTimeouts checks clients that send nothing, or not everything.
func TestTLSTimeouts(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
	r := start(t, frontendText("f", anyPort, "http", "b", "timeout_http_request = \"100ms\"", a.usual())+httpBackend(server))
	for _, said := range []string{"", "\x16\x03\x01\x02\x00\x01\x00"} {
		c := dialTCP(t, r.address("f"))
		fmt.Fprint(c, said)
		if text, err := io.ReadAll(c); len(text) > 0 || err == nil {
			t.Errorf("%q was answered %q, %v", said, text, err)
		}
	}
	r.ended("f", "tls_timeout", 2)
}

// TestTLSReload renews certificates in place: a broken one changes nothing,
// connections stay, sessions are resumed.
func TestTLSReload(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := endpoint.Serve(t, endpoint.Echo)
	first := a.issue("lb", certificate.ECDSA(t), "a.test")
	text := frontendText("f", anyPort, "tcp", "b", a.line("", "lb")) + backendText("b", []string{server.Address})
	r := start(t, text)
	client := a.client()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	lives := dialTLS(t, r.address("f"), client)
	checkLine(t, lives)

	key := filepath.Join(a.directory, "lb.key")
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := conf.Parse("lb.toml", []byte(text)); err == nil {
		t.Fatal("a broken key is accepted")
	}
	if err := os.WriteFile(key, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if summary := r.apply(text); summary != "nothing changed" {
		t.Errorf("nothing was changed: %s", summary)
	}
	second := a.issue("lb", certificate.RSA(t), "a.test")
	if summary := r.apply(text); !strings.HasPrefix(summary, "~frontend.f.tls.certificates[0] (valid until ") {
		t.Errorf("the certificate was renewed: %s", summary)
	}
	checkLine(t, lives)
	resumed := dialTLS(t, r.address("f"), client)
	checkLine(t, resumed)
	if state := resumed.ConnectionState(); !state.DidResume || !state.PeerCertificates[0].Equal(first) {
		t.Errorf("resumed: %v", state.DidResume)
	}
	fresh := dialTLS(t, r.address("f"), a.client())
	if !fresh.ConnectionState().PeerCertificates[0].Equal(second) {
		t.Error("the previous certificate is presented")
	}
	r.apply(strings.Replace(text, "}] }", "}], min_version = \"1.3\" }", 1))
	older := a.client()
	older.MaxVersion = tls.VersionTLS12
	if err := tls.Client(dialTCP(t, r.address("f")), older).Handshake(); err == nil {
		t.Error("TLS 1.2 is spoken below min_version")
	}
	shown := r.frontend("f").TLS
	if shown.Certificates[0].Algorithm != "RSA" || !shown.Certificates[0].NotAfter.Equal(second.NotAfter) || shown.Handshakes["resumed"] != 1 {
		t.Errorf("shown: %+v", shown)
	}
	// Then TLS is removed: connections that use it continue.
	r.apply(frontendText("f", anyPort, "tcp", "b") + backendText("b", []string{server.Address}))
	checkLine(t, lives)
	plain := dialTCP(t, r.address("f"))
	checkLine(t, plain)
}

func checkLine(t *testing.T, c net.Conn) {
	t.Helper()
	const line = "hello\n"
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != line {
		t.Fatalf("%q came back, %v", got, err)
	}
}

// TestStopWhileShaking checks that a stop waits for handshakes no longer than
// allowed, and that a client that has completed its handshake gets its answer.
func TestStopWhileShaking(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	p, err := Start(parse(t, "[global]\nthreads = 1\n"+frontendText("f", anyPort, "http", "b", a.usual())+httpBackend(server)), options())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Proxy: p, t: t}
	idle := dialTLS(t, r.address("f"), a.client())
	silent := dialTCP(t, r.address("f"))
	fmt.Fprint(silent, "\x16\x03\x01\x02\x00\x01\x00")
	late := dialTCP(t, r.address("f"))
	r.eventually("all have connected", func() bool { return r.Connections() == 3 && r.frontend("f").TLS.Handshakes["full"] == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(ctx) }()
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a client that waits for nothing: %v, want the end", err)
	}
	secured := tls.Client(late, a.client())
	fmt.Fprint(secured, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	wantAnswer(t, secured, "ok")
	if _, err := secured.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the answer: %v, want the end", err)
	}
	secured.Close()
	r.eventually("the late one has gone", func() bool { return r.Connections() == 1 })
	cancel()
	if err := endpoint.Receive(t, stopped); err == nil || !strings.Contains(err.Error(), "1 connections were cut off") {
		t.Errorf("stopped: %v", err)
	}
}

// TestListenFails checks that an address that cannot be listened on fails a reload,
// which then has changed nothing.
func TestListenFails(t *testing.T) {
	t.Parallel()
	server := endpoint.Serve(t, endpoint.Echo)
	o := options()
	var full atomic.Bool
	add := o.System.EpollAdd
	o.System.EpollAdd = func(epoll, fd int, event unix.EpollEvent) unix.Errno {
		if full.Load() {
			return unix.ENOSPC
		}
		return add(epoll, fd, event)
	}
	text := backendText("b", []string{server.Address})
	p, err := Start(parse(t, frontendText("f", anyPort, "tcp", "b")+text), o)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Proxy: p, t: t}
	t.Cleanup(r.end)
	before := r.essence()
	more := frontendText("f", anyPort, "tcp", "b") + frontendText("g", reserved(t), "tcp", "b") + text
	full.Store(true)
	if _, err := r.Apply(parse(t, more)); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "frontend g: listening on ") {
		t.Errorf("Apply: %v", err)
	}
	full.Store(false)
	if now := r.essence(); now != before {
		t.Errorf("before:\n%s\nnow:\n%s", before, now)
	}
	r.apply(more)
	checkLine(t, dialTCP(t, r.address("g")))
}

// TestTLSAllocations bounds the cost of a request on a kept-alive TLS connection:
// only the small reader that crypto/tls allocates for each record it reads, here one
// in the client and one in the balancer.
func TestTLSAllocations(t *testing.T) {
	a := newAuthority(t)
	answer := []byte("HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	server := endpoint.Serve(t, func(c *net.TCPConn) {
		for p := make([]byte, 4096); ; {
			if _, err := c.Read(p); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	r := start(t, frontendText("f", anyPort, "http", "b", "requests_per_connection = 0", a.usual())+
		httpBackend(server.Address)+"[backend.b.check]\ninterval = \"1h\"\n")
	conn := dialTLS(t, r.address("f"), a.client())
	request := []byte("POST /mcp HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n" +
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	p := make([]byte, 4096)
	round := func() {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(p); err != nil || !bytes.HasSuffix(p[:n], []byte("{}")) {
			t.Fatalf("answered %q, %v", p[:n], err)
		}
	}
	round()
	n := testing.AllocsPerRun(500, round)
	t.Logf("%v allocations per request", n)
	if n > 3 && !raceEnabled {
		t.Errorf("%v allocations per request", n)
	}
}
