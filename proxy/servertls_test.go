package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
)

// tlsServer is a server that presents a certificate, and what it has seen.
type tlsServer struct {
	address string
	mu      sync.Mutex
	states  []tls.ConnectionState // of its handshakes
}

func (s *tlsServer) note(state tls.ConnectionState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, state)
	return nil
}

// seen returns the server's handshakes.
func (s *tlsServer) seen() []tls.ConnectionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]tls.ConnectionState(nil), s.states...)
}

// serveHTTPS serves HTTP over TLS.
func serveHTTPS(t testing.TB, c *tls.Config, h http.HandlerFunc) *tlsServer {
	t.Helper()
	s := &tlsServer{}
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = c.Clone()
	server.TLS.VerifyConnection = s.note
	server.StartTLS()
	t.Cleanup(server.Close)
	s.address = server.Listener.Addr().String()
	return s
}

// serveTLS runs a script for every connection whose handshake is complete.
func serveTLS(t testing.TB, c *tls.Config, script func(*tls.Conn)) *endpoint.Server {
	t.Helper()
	return endpoint.Serve(t, func(raw *net.TCPConn) {
		conn := tls.Server(raw, c)
		if conn.Handshake() == nil {
			script(conn)
		}
	})
}

// issued returns a server's settings with a certificate for these names.
func (a *authority) issued(names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate.New(a.t, &a.cert, certificate.ECDSA(a.t), certificate.Today(), names...)}}
}

// table is the table tls of backend b, which trusts the authority.
func (a *authority) table(more ...string) string {
	certificate.Write(a.t, a.directory, "ca", a.cert)
	return fmt.Sprintf("[backend.b.tls]\nca = %q\n%s\n", filepath.Join(a.directory, "ca.pem"), strings.Join(more, "\n"))
}

// TestServerTLSHTTP sends requests, an event stream and a WebSocket to a server over
// TLS: they share kept-alive connections, and checks pass.
func TestServerTLSHTTP(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	next := make(chan string)
	server := serveHTTPS(t, a.issued("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) {
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
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}
	})
	r := start(t, frontendText("f", anyPort, "http", "b", a.usual())+a.table("checks = false")+httpBackend(server.address)+"[backend.b.check]\ninterval = \"1h\"\n")
	client := browser(t, r.address("f"), a.client())
	for range 5 {
		if answer := post(t, client, "https://a.test/", make([]byte, 3<<20)); answer != fmt.Sprint(3<<20) {
			t.Errorf("answered %q", answer)
		}
	}
	if seen := server.seen(); len(seen) != 1 || seen[0].ServerName != "" || seen[0].Version != tls.VersionTLS13 {
		t.Errorf("5 requests in a row made %d connections, want 1 of TLS 1.3 without SNI: %+v", len(seen), seen)
	}
	checkEvents(t, client, next)
	checkWebSocket(t, client)
	client.CloseIdleConnections()
	if shown := r.Snapshot().Backends[0].TLS; shown == nil || !shown.Verify || shown.Checks {
		t.Errorf("the status shows %+v", shown)
	}
}

// TestServerTLSResumes checks that a second connection resumes the session of the
// first: each full handshake costs a server a signature.
func TestServerTLSResumes(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		a := newAuthority(t)
		c := a.issued("mcp.internal")
		c.MaxVersion = version
		server := serveHTTPS(t, c, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "ok")
		})
		r := start(t, frontendText("f", anyPort, "http", "b")+a.table(`server_name = "mcp.internal"`, "checks = false")+httpBackend(server.address)+"[backend.b.check]\ninterval = \"1h\"\n")
		for range 3 {
			get(t, "http://"+r.address("f"))
		}
		seen := server.seen()
		if len(seen) != 3 || seen[0].DidResume || !seen[1].DidResume || !seen[2].DidResume || seen[0].ServerName != "mcp.internal" {
			t.Errorf("TLS %x: %+v", version, seen)
		}
	}
}

// get returns the status and the body of an answer.
func get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport, Timeout: endpoint.Patience}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

// refusals are servers that must not be used, with the reason of their checks.
var refusals = []struct {
	name, more, reason string
	kind               string // in metrics; "" = the handshake is complete when the server refuses it
	config             func(a *authority) *tls.Config
}{
	{"another authority", "", "certificate signed by unknown authority (none of those in backend.b.tls.ca)", "unknown_ca", func(a *authority) *tls.Config {
		return newAuthority(a.t).issued("127.0.0.1")
	}},
	{"expired", "", "certificate expired on 2020-05-01T00:00:00Z", "expired", func(a *authority) *tls.Config {
		then := time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC)
		return &tls.Config{Certificates: []tls.Certificate{certificate.New(a.t, &a.cert, certificate.ECDSA(a.t), certificate.UntilThen(then), "127.0.0.1")}}
	}},
	{"wrong address", "", "certificate is valid for 127.0.0.9, not 127.0.0.1", "wrong_name", func(a *authority) *tls.Config { return a.issued("127.0.0.9") }},
	{"wrong name", `server_name = "b.test"`, "certificate is valid for a.test, not b.test", "wrong_name", func(a *authority) *tls.Config { return a.issued("a.test") }},
	{"a name for an address", "", "certificate is valid for a.test, not 127.0.0.1", "wrong_name", func(a *authority) *tls.Config { return a.issued("a.test") }},
	{"too old", "min_version = \"1.3\"", "the server does not speak TLS 1.3 or later (backend.b.tls.min_version)", "server_alert", func(a *authority) *tls.Config {
		c := a.issued("127.0.0.1")
		c.MaxVersion = tls.VersionTLS12
		return c
	}},
	{"wants a certificate", "", "the server wants a certificate of the balancer: certificate required (set backend.b.tls.cert and key)", "", func(a *authority) *tls.Config {
		c := a.issued("127.0.0.1")
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, certificate.Pool(a.cert)
		return c
	}},
	{"no TLS", "", "the server does not speak TLS (leave [backend.b.tls] out, or use its TLS port)", "not_tls", nil},
}

// TestServerTLSRefuses checks that a server which must not be trusted gets no client:
// its checks say why, and before they do, clients are served by another one.
func TestServerTLSRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			var address string
			if test.config == nil {
				address = serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "bad") })
			} else {
				address = serveHTTPS(t, test.config(a), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "bad") }).address
			}
			for _, check := range []string{"tcp", "http"} {
				text := frontendText("f", anyPort, "http", "b") + a.table(test.more) + httpBackend(address) +
					fmt.Sprintf("[backend.b.check]\ntype = %q\ninterval = \"30ms\"\nfast_interval = \"30ms\"\n", check)
				r := start(t, text)
				r.awaitServer(admin.ServerDown, "L6RSP", "^"+regexp.QuoteMeta(test.reason)+"$")
				if status, body := get(t, "http://"+r.address("f")); status != 503 || strings.Contains(body, "bad") {
					t.Errorf("check %s: %d %q", check, status, body)
				}
			}
		})
	}
}

// awaitServer waits until s1 is in a state, and its last check has a code and a text that
// matches. On a busy machine, earlier checks may time out.
func (r *running) awaitServer(state admin.ServerState, code, text string) {
	r.t.Helper()
	r.awaitCheck("s1", state, code, text)
}

// awaitCheck is awaitServer for a server by name.
func (r *running) awaitCheck(name string, state admin.ServerState, code, text string) {
	r.t.Helper()
	var s admin.Server
	if want := regexp.MustCompile(text); !endpoint.Await(func() bool {
		s = r.server(name)
		return s.State == state && s.Check.Code == code && want.MatchString(s.Check.Text)
	}) {
		r.t.Fatalf("server %s is %s, its check says %s %q; want %s, %s %q", name, s.State, s.Check.Code, s.Check.Text, state, code, text)
	}
}

// TestServerTLSRedispatches checks that a handshake that fails costs a client nothing
// where another server is there, and that the log has the reason.
func TestServerTLSRedispatches(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	bad := serveHTTPS(t, newAuthority(t).issued("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "bad") })
	good := serveHTTPS(t, a.issued("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "good") })
	var log lockedBuffer
	o := options()
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	text := frontendText("f", anyPort, "http", "b", `balance = "roundrobin"`) + a.table("checks = false") + httpBackend(bad.address) +
		fmt.Sprintf("[[backend.b.server]]\nname = \"s2\"\nhttp = %q\n[backend.b.check]\ninterval = \"1h\"\nobserve = false\n", good.address)
	p, err := Start(parse(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, p)
	t.Cleanup(r.end)
	for range 6 {
		if status, body := get(t, "http://"+r.address("f")); status != 200 || body != "good" {
			t.Errorf("%d %q", status, body)
		}
	}
	if !strings.Contains(log.String(), "server=b/s1") || !strings.Contains(log.String(), "signed by unknown authority") {
		t.Errorf("the log does not say why: %s", log.String())
	}
}

// lockedBuffer is a buffer that several goroutines may use.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// TestServerTLSCommonName checks that a common name alone counts for nothing, as
// everywhere since RFC 2818.
func TestServerTLSCommonName(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert := certificate.New(t, &a.cert, certificate.ECDSA(t), certificate.Today(), "a.test")
	template := *cert.Leaf
	template.DNSNames, template.ExtraExtensions, template.Extensions = nil, nil, nil
	der, err := x509.CreateCertificate(nil, &template, a.cert.Leaf, cert.Leaf.PublicKey, a.cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	server := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: cert.PrivateKey}}}, func(c *tls.Conn) {})
	r := start(t, frontendText("f", anyPort, "tcp", "b")+a.table(`server_name = "a.test"`)+backendText("b", []string{server.Address}, "[backend.b.check]\ninterval = \"30ms\"\n"))
	r.awaitServer(admin.ServerDown, "L6RSP", "its common name does not count")
}

// TestServerTLSUnverified checks that verify = false takes any certificate, and that
// the operator sees it.
func TestServerTLSUnverified(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := serveHTTPS(t, newAuthority(t).issued("b.test"), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	text := frontendText("f", anyPort, "http", "b") + a.table("verify = false") + httpBackend(server.address)
	if warnings := parse(t, text).Warnings(time.Now()); len(warnings) != 1 || !strings.HasPrefix(warnings[0], "backend.b.tls.verify: is false") {
		t.Errorf("warnings: %q", warnings)
	}
	r := start(t, text)
	if status, body := get(t, "http://"+r.address("f")); status != 200 || body != "ok" {
		t.Errorf("%d %q", status, body)
	}
	if shown := r.Snapshot().Backends[0].TLS; shown == nil || shown.Verify {
		t.Errorf("the status shows %+v", shown)
	}
}

// TestServerTLSClientCertificate checks that the balancer shows its certificate, to
// clients' connections and to checks.
func TestServerTLSClientCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	own := certificate.New(t, &a.cert, certificate.ECDSA(t), certificate.Today(), "mcplb")
	certificate.Write(t, a.directory, "own", own)
	c := a.issued("127.0.0.1")
	c.ClientAuth, c.ClientCAs = tls.RequireAnyClientCert, certificate.Pool(a.cert)
	server := serveHTTPS(t, c, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	path := filepath.Join(a.directory, "own")
	r := start(t, frontendText("f", anyPort, "http", "b")+a.table(fmt.Sprintf("cert = %q\nkey = %q", path+".pem", path+".key"))+httpBackend(server.address)+"[backend.b.check]\ninterval = \"30ms\"\n")
	r.awaitServer(admin.ServerUp, "L6OK", "")
	if status, body := get(t, "http://"+r.address("f")); status != 200 || body != "mcplb" {
		t.Errorf("%d %q", status, body)
	}
}

// TestServerTLSRelay relays both ways in modes tcp and mcp, with the PROXY header before
// the ClientHello, to an orderly end.
func TestServerTLSRelay(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"tcp", "mcp"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			c, headers := a.issued("127.0.0.1"), make(chan string, 1)
			server := endpoint.Serve(t, func(raw *net.TCPConn) {
				buffered := bufio.NewReader(raw)
				header, _ := buffered.ReadString('\n')
				if !strings.HasPrefix(header, "PROXY TCP4 127.0.0.1 ") {
					return
				}
				headers <- header
				conn := tls.Server(&readAhead{raw, buffered}, c)
				_, _ = io.Copy(conn, conn)
				_ = conn.CloseWrite()
			})
			r := start(t, frontendText("f", anyPort, mode, "b")+a.table("checks = false")+backendText("b", []string{server.Address}, "send_proxy = \"v1\"\n[backend.b.check]\ninterval = \"1h\"\n")+"")
			conn := dialTCP(t, r.address("f"))
			body := bytes.Repeat([]byte("{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n"), 50_000)
			go func() {
				_, _ = conn.Write(body) // the reader reports it
				_ = conn.CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d bytes of %d came back: %v", len(got), len(body), err)
			}
			endpoint.Receive(t, headers)
			r.ended("f", "client_closed", 1)
		})
	}
}

// readAhead is a connection of which something has been read.
type readAhead struct {
	net.Conn
	buffered *bufio.Reader
}

func (r *readAhead) Read(p []byte) (int, error) { return r.buffered.Read(p) }

// TestServerTLSCut checks that a server's end without close_notify is a cut: anybody on
// the way could have made it.
func TestServerTLSCut(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := serveTLS(t, a.issued("127.0.0.1"), func(c *tls.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		if strings.HasPrefix(line, "GET") {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
		}
		fmt.Fprint(c, "part")
		if strings.Contains(line, "/orderly") {
			c.Close()
		}
		c.NetConn().Close() // with FIN: all was read
	})
	text := frontendText("h", anyPort, "http", "b") + frontendText("t", "127.0.0.2:0", "tcp", "b") + a.table("checks = false") +
		fmt.Sprintf("[[backend.b.server]]\nname = \"s1\"\ntcp = %q\nhttp = %q\n[backend.b.check]\ninterval = \"1h\"\n", server.Address, server.Address)
	r := start(t, text)
	for path, orderly := range map[string]bool{"/orderly": true, "/cut": false} {
		answer, err := http.Get("http://" + r.address("h") + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if (err == nil) != orderly || orderly && string(body) != "part" {
			t.Errorf("%s: the client read %q, %v", path, body, err)
		}
		conn := dialTCP(t, r.address("t"))
		fmt.Fprintln(conn, path)
		got, err := io.ReadAll(conn)
		if orderly && (err != nil || string(got) != "part") || !orderly && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("mode tcp, %s: the client read %q, %v", path, got, err)
		}
		conn.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestServerTLSReload checks that a CA file that has changed, and TLS that is switched
// off, reach connections that were kept alive before.
func TestServerTLSReload(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	server := serveHTTPS(t, a.issued("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "tls") })
	plain := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "plain") })
	front := "[global]\nthreads = 1\n" + frontendText("f", anyPort, "http", "b") // each loop keeps its own connections
	rest := httpBackend(server.address) + "[backend.b.check]\ninterval = \"1h\"\nobserve = false\n"
	text := front + a.table("checks = false") + rest
	r := start(t, text)
	want := func(status int, body string) {
		t.Helper()
		if s, b := get(t, "http://"+r.address("f")); s != status || body != "" && b != body {
			t.Errorf("%d %q, want %d %q", s, b, status, body)
		}
	}
	want(200, "tls")
	if summary := r.apply(text); summary != "nothing changed" {
		t.Error(summary)
	}
	want(200, "tls")
	if seen := server.seen(); len(seen) != 1 {
		t.Errorf("a reload without a change ended the kept-alive connection: %d connections", len(seen))
	}
	certificate.Write(t, a.directory, "ca", other.cert)
	if summary := r.apply(text); !strings.HasPrefix(summary, "~backend.b.tls.ca (") {
		t.Error(summary)
	}
	want(503, "")
	if err := os.Remove(filepath.Join(a.directory, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	r.apply(front + a.table("checks = false") + rest)
	want(200, "tls")
	if seen := server.seen(); len(seen) == 0 || seen[len(seen)-1].DidResume {
		t.Error("a session made under old settings was resumed")
	}
	r.apply(front + httpBackend(plain) + "[backend.b.check]\ninterval = \"1h\"\n")
	want(200, "plain")
}

// TestServerTLSHangs checks that a server which says nothing costs timeout_connect, and
// holds up nobody.
func TestServerTLSHangs(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	silent := endpoint.Serve(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	r := start(t, frontendText("f", anyPort, "http", "b")+a.table()+"[backend.b]\ntimeout_connect = \"300ms\"\nretries = 0\n"+
		fmt.Sprintf("[[backend.b.server]]\nname = \"s1\"\nhttp = %q\n[backend.b.check]\ninterval = \"50ms\"\nfast_interval = \"50ms\"\ntimeout = \"200ms\"\nfall = 10\n", silent.Address))
	if status, _ := get(t, "http://"+r.address("f")); status != 504 && status != 503 {
		t.Errorf("status %d", status)
	}
	r.eventually("the check times out", func() bool { return r.server("s1").Check.Code == "L6TOUT" })
}

// TestServerTLSOpenSSL talks to openssl's server, which asks for a certificate, in both
// versions; a balancer without one finds out by its checks, also where TLS 1.3 shows it
// only after the handshake.
func TestServerTLSOpenSSL(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			a.issue("server", certificate.RSA(t), "node.internal")
			a.issue("own", certificate.ECDSA(t), "mcplb")
			path := func(name string) string { return filepath.Join(a.directory, name) }
			address := a.openssl(version, "-CAfile", path("ca.pem"), "-Verify", "1", "-verify_return_error")
			rest := backendText("b", []string{address}, "[backend.b.check]\ninterval = \"50ms\"\nfast_interval = \"50ms\"\n")
			front := frontendText("f", anyPort, "tcp", "b")
			const named = `server_name = "node.internal"`
			r := start(t, front+a.table(named, fmt.Sprintf("cert = %q\nkey = %q", path("own.pem"), path("own.key")))+rest)
			r.eventually("the server is up", func() bool { return r.server("s1").State == "up" })
			conn := endpoint.Dial(t, r.address("f"))
			if answer := conn.Ask("abc"); answer != "cba" {
				t.Errorf("answered %q", answer)
			}
			conn.Close()
			r.apply(front + a.table(named) + rest)
			r.awaitServer(admin.ServerDown, "L6RSP", "^the server (wants a certificate of the balancer|refused the handshake)")
		})
	}
}

// openssl runs openssl's server, which answers each line with its reverse, until the
// test ends.
func (a *authority) openssl(arguments ...string) (address string) {
	a.t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		a.t.Skip("openssl is not installed")
	}
	certificate.Write(a.t, a.directory, "ca", a.cert)
	listener, err := net.Listen("tcp", "127.0.0.9:0") // nobody else is there: the port stays free
	if err != nil {
		a.t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	path := filepath.Join(a.directory, "server")
	server := exec.Command(program, append([]string{"s_server", "-accept", address, "-cert", path + ".pem", "-key", path + ".key", "-rev", "-quiet"}, arguments...)...)
	if err := server.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed
	})
	return address
}

// TestServerTLSUpgrade checks that a stream over TLS 1.2 to a server goes on in the old
// process of an upgrade, and that the new process serves over TLS. (TLS 1.3:
// TestHandOverStreams.)
func TestServerTLSUpgrade(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.issue("own", certificate.ECDSA(t), "mcplb")
	settings := a.issued("127.0.0.1")
	settings.MaxVersion = tls.VersionTLS12
	server := serveTLS(t, settings, func(c *tls.Conn) {
		_, _ = io.Copy(c, c)
		_ = c.CloseWrite()
	})
	own := filepath.Join(a.directory, "own")
	text := frontendText("f", anyPort, "tcp", "b") + a.table(fmt.Sprintf("cert = %q\nkey = %q", own+".pem", own+".key")) + backendText("b", []string{server.Address})
	r := startOld(t, text)
	before := endpoint.Dial(t, r.address("f"))
	if answer := before.Ask("before"); answer != "before" {
		t.Errorf("before the upgrade: %q", answer)
	}
	h := r.newProcess(text)
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
	r.handOverTo(h)
	if answer := before.Ask("still there"); answer != "still there" {
		t.Errorf("the old process answered %q", answer)
	}
	if n := r.Connections(); n != 1 {
		t.Errorf("the old process has %d clients, want 1", n)
	}
	after := endpoint.Dial(t, h.address("f"))
	if answer := after.Ask("after"); answer != "after" {
		t.Errorf("the new process answered %q", answer)
	}
	before.Close()
	after.Close()
}

// TestServerTLSCheckMCP checks that checks of type mcp ask over TLS, on either endpoint.
func TestServerTLSCheckMCP(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	const answer = `{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"
	lines := serveTLS(t, a.issued("127.0.0.1"), func(c *tls.Conn) {
		if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			fmt.Fprint(c, answer)
		}
	})
	requests := serveHTTPS(t, a.issued("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	})
	r := start(t, frontendText("f", anyPort, "tcp", "b")+a.table()+"[backend.b.check]\ntype = \"mcp\"\ninterval = \"50ms\"\n"+serverText("b", "s1", lines.Address)+
		"[backend.c]\n[backend.c.tls]\nca = \""+filepath.Join(a.directory, "ca.pem")+"\"\n[backend.c.check]\ntype = \"mcp\"\ninterval = \"50ms\"\n"+
		fmt.Sprintf("[[backend.c.server]]\nname = \"s2\"\nhttp = %q\n", requests.address)+frontendText("g", "127.0.0.2:0", "http", "c"))
	for _, name := range []string{"s1", "s2"} {
		r.awaitCheck(name, admin.ServerUp, "L7OK", "")
	}
}
