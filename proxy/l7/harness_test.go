//go:build linux

package l7

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/l4"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"
	"mcplb/testdata/leak"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// long asks for the sizes of the real thing, which take minutes.
var long = os.Getenv("MCPLB_LONG") != ""

// bed is a frontend on an engine of its own, with pools of servers behind it.
type bed struct {
	testing.TB
	engine   *reactor.Engine
	limiter  *ratelimit.Limiter
	workers  Workers
	pools    map[string]*backend.Pool
	pool     *backend.Pool // called "b", with the servers
	frontend *Frontend
	address  string
	clock    *clock // nil: real time
	log      *accesslog.Log
	logPath  string
}

// setup is what a test may change of a bed before it starts.
type setup struct {
	frontend conf.Frontend
	backends []conf.Backend
	limits   conf.RateLimit
	loops    int
	system   *reactor.System
	clock    *clock
	narrow   bool // the sockets of clients take little in
	logOff   bool
}

// openGate lets everybody in.
type openGate struct{}

func (openGate) MayEnter() bool    { return true }
func (openGate) Left()             {}
func (openGate) Failed(unix.Errno) {}

// begin starts a bed in front of the servers at the addresses: mode http, no
// rate limits, round robin, two loops, the access log on, and else the defaults
// of the configuration. When the test ends it checks that nothing is left of any
// client and that each request has its line in the log, and stops.
func begin(t testing.TB, servers []string, change ...func(*setup)) *bed {
	t.Helper()
	s := defaults(t, servers)
	for _, f := range change {
		f(s)
	}
	engine, err := reactor.Start(s.loops, 0, s.system)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{TB: t, engine: engine, limiter: ratelimit.New(s.limits), pools: map[string]*backend.Pool{}, clock: s.clock}
	for _, c := range s.backends {
		if b.pools[c.Name], err = backend.NewPool(c, s.loops, netip.ParseAddrPort); err != nil {
			t.Fatal(err)
		}
	}
	b.pool = b.pools["b"]
	b.openLog(s)
	b.workers = NewWorkers(engine.Loops(), b.log)
	b.frontend = NewFrontend(NewSettings(s.frontend, NewDirectory(b.poolOf)), b.limiter, openGate{}, b.workers)
	t.Cleanup(b.end)
	b.listen(s.frontend.Listen[0], s.narrow)
	return b
}

func (b *bed) poolOf(name string) *backend.Pool { return b.pools[name] }

func defaults(t testing.TB, servers []string) *setup {
	t.Helper()
	text := "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" +
		"[frontend.f]\nlisten = \"127.0.0.1:0\"\nmode = \"http\"\nbackend = \"b\"\n[backend.b]\nbalance = \"roundrobin\"\n"
	for i, address := range servers {
		text += fmt.Sprintf("[[backend.b.server]]\nname = \"s%d\"\nhttp = %q\n", i+1, address)
	}
	c, err := conf.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &setup{frontend: c.Frontends[0], backends: c.Backends, limits: c.RateLimit, loops: 2, system: reactor.Kernel()}
}

// listen has the frontend accept at an address.
func (b *bed) listen(address string, narrow bool) {
	b.Helper()
	var config net.ListenConfig
	if narrow {
		config.Control = shrink(unix.SO_SNDBUF)
	}
	socket, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	if _, err := b.engine.Listen(socket.(*net.TCPListener), b.frontend); err != nil {
		b.Fatal(err)
	}
	b.address = socket.Addr().String()
}

// shrink sets a buffer of a socket to the smallest size.
func shrink(option int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) (failed error) {
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1) })
		return errors.Join(err, failed)
	}
}

// narrow has little room between the bed and its clients (see dialNarrow): what
// is sent to one that does not read is parked.
func narrow(s *setup) { s.narrow = true }

// oneLoop and the like are changes of a setup.
func oneLoop(s *setup) { s.loops = 1 }

func withFrontend(f func(*conf.Frontend)) func(*setup) {
	return func(s *setup) { f(&s.frontend) }
}

func withBackend(f func(*conf.Backend)) func(*setup) {
	return func(s *setup) { f(&s.backends[0]) }
}

func withLimits(f func(*conf.RateLimit)) func(*setup) {
	return func(s *setup) { f(&s.limits) }
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

// withClock has the bed live in a time of its own, which only advance moves.
func withClock(s *setup) {
	s.clock = &clock{}
	s.clock.now.Store(int64(time.Hour))
	s.system.Now = s.clock.now.Load
}

// clock is a time that stands still.
type clock struct{ now atomic.Int64 }

// advance lets time pass, and waits until all that falls due has happened.
func (b *bed) advance(d time.Duration) {
	const tick = 10 * time.Millisecond // of the loops' timers
	b.clock.now.Add(int64(d + tick))
	b.turns(4)
}

// turns waits until every loop has gone round n times.
func (b *bed) turns(n int) {
	for range n {
		for _, loop := range b.engine.Loops() {
			b.on(loop, func() {})
		}
	}
}

// on runs f on a loop.
func (b *bed) on(loop *reactor.Loop, f func()) {
	done := make(chan struct{})
	if !loop.Post(func() { f(); close(done) }) {
		b.Error("the loop has stopped")
		return
	}
	<-done
}

// each calls f for every client, one loop after the other.
func (b *bed) each(f func(*client)) {
	for _, loop := range b.engine.Loops() {
		done := make(chan struct{})
		loop.Post(func() {
			loop.Sweep(func(conn *reactor.Conn) {
				if c, ok := Of(conn).(*client); ok {
					f(c)
				}
			}, func() { close(done) })
		})
		<-done
	}
}

// inState is how many clients are in a state.
func (b *bed) inState(s state) (n int) {
	b.each(func(c *client) {
		if c.state == s {
			n++
		}
	})
	return n
}

// reach waits until n clients are in a state.
func (b *bed) reach(s state, n int) {
	b.Helper()
	b.eventually(fmt.Sprintf("%d clients are in state %d", n, s), func() bool { return b.inState(s) == n })
}

// parked is the number of bytes that wait in connections.
func (b *bed) parked() (sum int) {
	for _, loop := range b.engine.Loops() {
		b.on(loop, func() {
			loop.Sweep(func(c *reactor.Conn) { sum += c.Parked() }, func() {})
		})
	}
	return sum
}

// pending is the number of bytes read from clients that wait.
func (b *bed) pending() (sum int) {
	b.each(func(c *client) { sum += c.pending.Len() })
	return sum
}

// end waits for every client to end, and checks that each is accounted for
// once and has given everything back.
func (b *bed) end() {
	defer b.engine.Stop()
	b.eventually("every client ends", func() bool { return b.engine.Load() == 0 })
	if b.frontend.Current() != 0 {
		b.Errorf("left behind: %d clients", b.frontend.Current())
	}
	for _, pool := range b.pools {
		b.checkPool(pool)
	}
	if n := b.limiter.Stats(b.engine.Now()).Connected; n != 0 {
		b.Errorf("left behind: %d connected sources", n)
	}
	totals := b.frontend.Totals()
	if ended := sum(totals.Ended) + sum(totals.Refused); ended != totals.Sessions {
		b.Errorf("%d clients have come, %d have ended (%v, %v)", totals.Sessions, ended, nonzero(totals.Ended), nonzero(totals.Refused))
	}
	b.checkLog(&totals)
	for i, loop := range b.engine.Loops() {
		listeners := 0
		b.on(loop, func() {
			loop.Sweep(func(c *reactor.Conn) {
				if _, ok := c.Handler().(*reactor.Listener); ok {
					listeners++
				}
			}, func() {})
		})
		if n := b.conns(loop); n != listeners {
			b.Errorf("left behind: %d connections on loop %d", n-listeners, i)
		}
	}
}

// checkPool checks that nobody uses the pool's servers, and closes the
// connections kept to them.
func (b *bed) checkPool(pool *backend.Pool) {
	if n := pool.Queued(); n != 0 {
		b.Errorf("left behind: %d in the queue", n)
	}
	for _, server := range pool.Servers() {
		if n := server.Conns(); n != 0 {
			b.Errorf("left behind: %d slots of server %s", n, server.Name())
		}
		b.workers.CloseIdle(server)
		b.turns(1)
		if n := b.workers.Idle(server); n != 0 {
			b.Errorf("%d connections to server %s count as kept, and are closed", n, server.Name())
		}
	}
}

func (b *bed) conns(loop *reactor.Loop) (n int) {
	b.on(loop, func() {}) // what was closed in this turn is freed after it
	b.on(loop, func() { n = loop.Conns() })
	return n
}

func sum(counts map[string]uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

func nonzero(counts map[string]uint64) map[string]uint64 {
	found := map[string]uint64{}
	for reason, n := range counts {
		if n > 0 {
			found[reason] = n
		}
	}
	return found
}

// expect waits until as many clients have ended for a reason.
func (b *bed) expect(reason l4.Reason, n uint64) {
	b.Helper()
	count := func() uint64 {
		totals := b.frontend.Totals()
		return totals.Ended[reason.String()] + totals.Refused[reason.String()]
	}
	if !await(func() bool { return count() >= n }) || count() != n {
		totals := b.frontend.Totals()
		b.Fatalf("%d clients ended by %v, want %d (all: %v, %v)", count(), reason, n, nonzero(totals.Ended), nonzero(totals.Refused))
	}
}

// await waits until done holds, and tells whether it did in time.
func await(done func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func (b *bed) eventually(what string, done func() bool) {
	b.Helper()
	if !await(done) {
		b.Fatalf("in vain waited until %s", what)
	}
}

// refuse is an address on which nobody listens.
func refuse(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// blackhole is an address that does not answer a SYN: its backlog is full.
func blackhole(t testing.TB) string {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	raw, err := socket.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	address := socket.Addr().String()
	for range 8 {
		c, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("a backlog of 0 takes in 8 connections")
	return ""
}

// peer is a test's end of a connection: a client's, or a server's.
type peer struct {
	*net.TCPConn
	t      testing.TB
	reader *bufio.Reader
}

func newPeer(t testing.TB, c *net.TCPConn) *peer {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reset(c) })
	return &peer{TCPConn: c, t: t, reader: bufio.NewReader(c)}
}

// dial connects to the bed. The connection is reset when the test ends.
func (b *bed) dial() *peer {
	b.Helper()
	return dialFrom(b, "", b.address)
}

// dialNarrow is dial for a client that takes little in.
func (b *bed) dialNarrow() *peer {
	b.Helper()
	d := net.Dialer{Timeout: patience, Control: shrink(unix.SO_RCVBUF)}
	c, err := d.Dial("tcp", b.address)
	if err != nil {
		b.Fatal(err)
	}
	return newPeer(b, c.(*net.TCPConn))
}

func dialFrom(t testing.TB, local, address string) *peer {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, c.(*net.TCPConn))
}

// reset closes with RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// say sends text.
func (p *peer) say(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatalf("sending %.40q: %v", text, err)
	}
}

// hear wants to receive exactly text next.
func (p *peer) hear(text string) {
	p.t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(p.reader, got); err != nil || string(got) != text {
		p.t.Fatalf("received %.200q, %v, want %.200q", got[:n], err, text)
	}
}

// hearEnd wants the other's end, in order: FIN.
func (p *peer) hearEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.reader); err != nil || len(rest) > 0 {
		p.t.Fatalf("received %.200q, %v, want the end", rest, err)
	}
}

// hearReset wants RST, whatever came before it.
func (p *peer) hearReset() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.reader); !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatalf("received %.200q, %v, want connection reset", rest, err)
	}
}

// finish sends FIN.
func (p *peer) finish() {
	p.t.Helper()
	if err := p.CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
}

// head receives a message's head, and returns its lines.
func (p *peer) head() head {
	p.t.Helper()
	var lines head
	for {
		line, err := p.reader.ReadString('\n')
		if err != nil {
			p.t.Fatalf("received %q and %q, %v, want a head", lines, line, err)
		}
		if line == "\r\n" {
			return lines
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
	}
}

// head is the lines of a message's head.
type head []string

// first is the request or status line.
func (h head) first() string { return h[0] }

// all are the values of a field.
func (h head) all(name string) (values []string) {
	for _, line := range h[1:] {
		if got, value, _ := strings.Cut(line, ": "); strings.EqualFold(got, name) {
			values = append(values, value)
		}
	}
	return values
}

// get is the value of a field that may be there once.
func (h head) get(t testing.TB, name string) string {
	t.Helper()
	values := h.all(name)
	if len(values) > 1 {
		t.Errorf("%s is there %d times: %q", name, len(values), h)
	}
	return strings.Join(values, "")
}

// response receives a whole response to a request of a method.
func (p *peer) response(method string) (*http.Response, string) {
	p.t.Helper()
	r, err := http.ReadResponse(p.reader, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("receiving a response: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatalf("receiving a response's body: %v (%d %.100q)", err, r.StatusCode, body)
	}
	return r, string(body)
}

// wantStatus receives a whole response to a request of a method.
func (p *peer) wantStatus(method string, status int) (*http.Response, string) {
	p.t.Helper()
	r, body := p.response(method)
	if r.StatusCode != status {
		p.t.Fatalf("status %d, want %d: %.200q", r.StatusCode, status, body)
	}
	return r, body
}

// request receives a whole request.
func (p *peer) request() (*http.Request, string) {
	p.t.Helper()
	r, err := http.ReadRequest(p.reader)
	if err != nil {
		p.t.Fatalf("receiving a request: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatalf("receiving a request's body: %v", err)
	}
	return r, string(body)
}

// answer sends a response with a body.
func (p *peer) answer(body string, fields ...string) {
	p.t.Helper()
	p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", strings.Join(append(fields, ""), "\r\n"), len(body), body))
}

// post is a POST of a body.
func post(path, body string, fields ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, strings.Join(append(fields, ""), "\r\n"), len(body), body)
}

// rpcPost is a POST of a JSON-RPC request with an id.
func rpcPost(id string, fields ...string) string {
	return post("/mcp", rpcBody(id), append(fields, "Content-Type: application/json")...)
}

func rpcBody(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{}}`
}

// get is a GET.
func get(path string, fields ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, strings.Join(append(fields, ""), "\r\n"))
}

// server is a server that the test plays itself.
type server struct {
	t        testing.TB
	listener *net.TCPListener
	address  string
}

func serve(t testing.TB) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &server{t: t, listener: listener.(*net.TCPListener), address: listener.Addr().String()}
}

// next is the server's end of the next connection.
func (s *server) next() *peer {
	s.t.Helper()
	if err := s.listener.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	c, err := s.listener.AcceptTCP()
	if err != nil {
		s.t.Fatal(err)
	}
	return newPeer(s.t, c)
}

// nobody wants no connection to be there.
func (s *server) nobody() {
	s.t.Helper()
	if err := s.listener.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		s.t.Fatal(err)
	}
	if c, err := s.listener.AcceptTCP(); err == nil {
		c.Close()
		s.t.Error("a connection too many was opened")
	}
}

// web is a real server.
func web(t testing.TB, handler http.HandlerFunc) string {
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

// httpClient is a real client, which keeps its connections and adds nothing by
// itself.
func httpClient(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// pair is a client and its server's end of the connection that a request opened,
// which was received.
func (b *bed) pair(s *server, request string) (client, server *peer) {
	b.Helper()
	client = b.dial()
	client.say(request)
	server = s.next()
	server.request()
	return client, server
}
