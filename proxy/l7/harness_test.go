package l7

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/internal/leak"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fixture is a balancer of one frontend, with its engine and pools of servers.
type fixture struct {
	*harness.Harness
	workers  Workers
	pools    map[string]*backend.Pool
	pool     *backend.Pool // called "b", with the servers
	frontend *Frontend
}

// setup holds the settings of a fixture, which a test may change before the start.
type setup struct {
	harness.Setup
	frontend conf.Frontend
	backends []conf.Backend
	narrow   bool // the sockets to clients have the smallest buffers
}

// start starts a fixture for the servers at the addresses: mode http, no rate limits,
// round robin, two loops, the access log on, and otherwise the defaults of the
// configuration. When the test ends, it checks that no client has left anything
// behind and that each request has one line in the log, and stops.
func start(t testing.TB, servers []string, change ...func(*setup)) *fixture {
	t.Helper()
	c := harness.Parse(t, "http", "http", servers)
	s := &setup{Setup: harness.NewSetup(c.RateLimit), frontend: c.Frontends[0], backends: c.Backends}
	for _, f := range change {
		f(s)
	}
	s.frontend.HTTP2 = s.frontend.HTTP2 || throughHTTP2
	b := &fixture{Harness: harness.Start(t, s.Setup), pools: map[string]*backend.Pool{}}
	for _, c := range s.backends {
		pool, err := backend.NewPool(c, s.Loops, netip.ParseAddrPort)
		if err != nil {
			t.Fatal(err)
		}
		b.pools[c.Name] = pool
	}
	b.pool = b.pools["b"]
	b.workers = NewWorkers(b.Engine.Loops(), b.AccessLog)
	b.frontend = NewFrontend(NewSettings(s.frontend, NewDirectory(b.poolOf)), session.Shared{
		Limiter: b.Limiter, Accounts: ratelimit.NewAccounts(0), Connections: harness.Open{}, Log: b.AccessLog, Loops: s.Loops,
	}, b.workers)
	t.Cleanup(b.end)
	b.listen(s.frontend.Listen[0], s.narrow)
	if throughHTTP2 {
		b.Address = startGateway(t, b.Address)
	}
	return b
}

func (b *fixture) poolOf(name string) *backend.Pool { return b.pools[name] }

// listen makes the frontend accept clients at an address.
func (b *fixture) listen(address string, narrow bool) {
	b.Helper()
	if narrow {
		b.Listen(address, b.frontend, shrink(unix.SO_SNDBUF))
		return
	}
	b.Listen(address, b.frontend, nil)
}

// startServed starts a fixture with one server, which the test plays itself.
func startServed(t testing.TB, change ...func(*setup)) (*fixture, *server) {
	t.Helper()
	s := serve(t)
	return start(t, []string{s.Address}, change...), s
}

// startExchange starts a fixture with one request that its server has received. It
// returns the client and the server's end of the connection.
func startExchange(t testing.TB, request string, change ...func(*setup)) (b *fixture, client, server *httpConn) {
	t.Helper()
	b, s := startServed(t, change...)
	client, server = b.pair(s, request)
	return b, client, server
}

// shrink sets a buffer of a socket to the smallest size.
func shrink(option int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) (failed error) {
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1) })
		return errors.Join(err, failed)
	}
}

// narrow gives the sockets to clients the smallest buffers (see dialNarrow): the bytes
// for a client that does not read are parked.
func narrow(s *setup) { s.narrow = true }

// oneLoop and the following functions change a setup.
func oneLoop(s *setup)    { s.Loops = 1 }
func withoutLog(s *setup) { s.LogOff = true }

func withFrontend(f func(*conf.Frontend)) func(*setup) {
	return func(s *setup) { f(&s.frontend) }
}

func withBackend(f func(*conf.Backend)) func(*setup) {
	return func(s *setup) { f(&s.backends[0]) }
}

func withLimits(f func(*conf.RateLimit)) func(*setup) {
	return func(s *setup) { f(&s.Limits) }
}

func withRetries(n int) func(*setup) { return withBackend(func(b *conf.Backend) { b.Retries = n }) }

// withMaxConn sets every server's limit.
func withMaxConn(n int) func(*setup) {
	return withBackend(func(b *conf.Backend) {
		for i := range b.Servers {
			b.Servers[i].MaxConn = n
		}
	})
}

// withStoppedTime stops the time: only Advance moves it.
func withStoppedTime(s *setup) { s.StopTime() }

// each calls f for every client, those of streams of HTTP/2 included, one loop after the other.
func (b *fixture) each(f func(*client)) {
	b.Each(func(conn *reactor.Conn) {
		session.Each(conn, func(s session.Session) {
			if c, ok := s.(*client); ok {
				f(c)
			}
		})
	})
}

// sessions calls f for every client as a session.
func (b *fixture) sessions(f func(session.Session)) { b.each(func(c *client) { f(c) }) }

// inState returns the number of clients in a state.
func (b *fixture) inState(s string) (n int) {
	b.each(func(c *client) {
		if c.Info().State == s {
			n++
		}
	})
	return n
}

// awaitState waits until n clients are in a state.
func (b *fixture) awaitState(s string, n int) {
	b.Helper()
	b.Eventually(fmt.Sprintf("%d clients are %s", n, s), func() bool { return b.inState(s) == n })
}

// pending returns the number of bytes that were read from clients and wait.
func (b *fixture) pending() (sum int) {
	b.each(func(c *client) { sum += c.pending.Len() })
	return sum
}

// end waits for every client to end, and checks that each is counted once and has
// released everything.
func (b *fixture) end() {
	defer b.Stop()
	b.AwaitIdle()
	if b.frontend.Current() != 0 {
		b.Errorf("left behind: %d clients", b.frontend.Current())
	}
	for _, pool := range b.pools {
		b.checkPool(pool)
	}
	totals := b.frontend.Totals()
	harness.CheckSum(b, totals.Sessions, totals.Ended, totals.Refused)
	b.checkLog(&totals)
	b.CheckEmpty()
}

// checkPool checks that no slot of the pool's servers is in use, and closes the idle
// connections to them.
func (b *fixture) checkPool(pool *backend.Pool) {
	if n := pool.Queued(); n != 0 {
		b.Errorf("left behind: %d in the queue", n)
	}
	for _, server := range pool.Servers() {
		if n := server.Conns(); n != 0 {
			b.Errorf("left behind: %d slots of server %s", n, server.Name())
		}
		b.workers.CloseIdle(server)
		b.Turns(1)
		if n := b.workers.Idle(server); n != 0 {
			b.Errorf("%d connections to server %s count as idle after all were closed", n, server.Name())
		}
	}
}

// expect waits until n clients have ended for a reason.
func (b *fixture) expect(reason session.Reason, n uint64) {
	b.Helper()
	harness.Expect(b, func() (ended, refused harness.Counts) {
		totals := b.frontend.Totals()
		return totals.Ended, totals.Refused
	}, reason.String(), n)
}

// httpConn is a test's end of an HTTP connection, the client's or the server's.
type httpConn struct{ *endpoint.Conn }

// dial connects a client.
func (b *fixture) dial() *httpConn {
	b.Helper()
	return &httpConn{endpoint.Dial(b, b.Address)}
}

// dialNarrow connects a client whose receive buffer has the smallest size.
func (b *fixture) dialNarrow() *httpConn {
	b.Helper()
	d := net.Dialer{Timeout: endpoint.Patience, Control: shrink(unix.SO_RCVBUF)}
	c, err := d.Dial("tcp", b.Address)
	if err != nil {
		b.Fatal(err)
	}
	return &httpConn{endpoint.New(b, c.(*net.TCPConn))}
}

// head receives a message's head, and returns its lines.
func (p *httpConn) head() head {
	p.Helper()
	var lines head
	for {
		line, err := p.Reader.ReadString('\n')
		if err != nil {
			p.Fatalf("received %q and %q, %v, want a head", lines, line, err)
		}
		if line == "\r\n" {
			return lines
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
	}
}

// head holds the lines of a message's head.
type head []string

// first returns the request or status line.
func (h head) first() string { return h[0] }

// all returns the values of a field.
func (h head) all(name string) (values []string) {
	for _, line := range h[1:] {
		if got, value, _ := strings.Cut(line, ": "); strings.EqualFold(got, name) {
			values = append(values, value)
		}
	}
	return values
}

// get returns the value of a field that may occur once.
func (h head) get(t testing.TB, name string) string {
	t.Helper()
	values := h.all(name)
	if len(values) > 1 {
		t.Errorf("%s occurs %d times: %q", name, len(values), h)
	}
	return strings.Join(values, "")
}

// response receives a complete response to a request of a method.
func (p *httpConn) response(method string) (*http.Response, string) {
	p.Helper()
	r, err := http.ReadResponse(p.Reader, &http.Request{Method: method})
	if err != nil {
		p.Fatalf("receiving a response: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.Fatalf("receiving a response's body: %v (%d %.100q)", err, r.StatusCode, body)
	}
	return r, string(body)
}

// wantStatus receives a complete response to a request of a method, and checks its
// status.
func (p *httpConn) wantStatus(method string, status int) (*http.Response, string) {
	p.Helper()
	r, body := p.response(method)
	if r.StatusCode != status {
		p.Fatalf("status %d, want %d: %.200q", r.StatusCode, status, body)
	}
	return r, body
}

// request receives a complete request.
func (p *httpConn) request() (*http.Request, string) {
	p.Helper()
	r, err := http.ReadRequest(p.Reader)
	if err != nil {
		p.Fatalf("receiving a request: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.Fatalf("receiving a request's body: %v", err)
	}
	return r, string(body)
}

// answer sends a response with a body.
func (p *httpConn) answer(body string, fields ...string) {
	p.Helper()
	p.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", strings.Join(append(fields, ""), "\r\n"), len(body), body))
}

// post returns a POST of a body.
func post(path, body string, fields ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, strings.Join(append(fields, ""), "\r\n"), len(body), body)
}

// rpcPost returns a POST of a JSON-RPC request with an id.
func rpcPost(id string, fields ...string) string {
	return post("/mcp", rpcBody(id), append(fields, "Content-Type: application/json")...)
}

func rpcBody(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{}}`
}

// get returns a GET.
func get(path string, fields ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, strings.Join(append(fields, ""), "\r\n"))
}

// server is a server that the test plays itself.
type server struct {
	testing.TB
	*endpoint.Acceptor
}

func serve(t testing.TB) *server {
	t.Helper()
	return &server{t, endpoint.Accept(t)}
}

// next returns the server's end of the next connection.
func (s *server) next() *httpConn {
	s.Helper()
	return &httpConn{s.Next()}
}

// receive sends a client's request, receives it completely on a new connection, and
// returns the server's end of that.
func (s *server) receive(client *httpConn, request string) *httpConn {
	s.Helper()
	client.Say(request)
	server := s.next()
	server.request()
	return server
}

// receiveHead is receive, but receives only the head of the request.
func (s *server) receiveHead(client *httpConn, request string) *httpConn {
	s.Helper()
	client.Say(request)
	server := s.next()
	server.head()
	return server
}

// expectNoConn checks that no connection was opened.
func (s *server) expectNoConn() {
	s.Helper()
	if err := s.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		s.Fatal(err)
	}
	if c, err := s.AcceptTCP(); err == nil {
		c.Close()
		s.Error("a connection was opened, want none")
	}
}

// httpServer starts a real server and returns its address.
func httpServer(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// echo answers with the request's body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_, _ = io.Copy(w, bytes.NewReader(body))
}

// httpClient returns a real client, which keeps its connections alive and adds no fields
// by itself.
func httpClient(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: endpoint.Patience}
}

// pair connects a client and sends its request. It returns the client and the end of
// the server that has received the request.
func (b *fixture) pair(s *server, request string) (client, server *httpConn) {
	b.Helper()
	client = b.dial()
	return client, s.receive(client, request)
}
