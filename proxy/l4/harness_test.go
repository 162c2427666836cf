//go:build linux

package l4

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/accesslog"
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

// bed is a frontend on an engine of its own, with a pool of servers behind it.
type bed struct {
	testing.TB
	engine   *reactor.Engine
	limiter  *ratelimit.Limiter
	pool     *backend.Pool
	frontend *Frontend
	address  string
	clock    *clock // nil: real time
	log      *accesslog.Log
	logPath  string
}

// setup is what a test may change of a bed before it starts.
type setup struct {
	frontend conf.Frontend
	backend  conf.Backend
	limits   conf.RateLimit
	loops    int
	pipes    int
	system   *reactor.System
	clock    *clock
	logOff   bool
}

// openGate lets everybody in.
type openGate struct{}

func (openGate) MayEnter() bool    { return true }
func (openGate) Left()             {}
func (openGate) Failed(unix.Errno) {}

// begin starts a bed in front of the servers at the addresses: mode tcp, no
// rate limits, round robin, two loops, the access log on, and else the defaults
// of the configuration. When the test ends it checks that nothing is left of any
// session and that each has its line in the log, and stops.
func begin(t testing.TB, servers []string, change ...func(*setup)) *bed {
	t.Helper()
	s := defaults(t, servers)
	for _, f := range change {
		f(s)
	}
	engine, err := reactor.Start(s.loops, s.pipes, s.system)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := backend.NewPool(s.backend, s.loops, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{TB: t, engine: engine, limiter: ratelimit.New(s.limits), pool: pool, clock: s.clock}
	b.openLog(s)
	b.frontend = NewFrontend(Settings{Frontend: s.frontend, Pool: pool}, b.limiter, openGate{}, b.log, s.loops)
	t.Cleanup(b.end)
	b.listen(s.frontend.Listen[0])
	return b
}

func defaults(t testing.TB, servers []string) *setup {
	t.Helper()
	text := "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" +
		"[frontend.f]\nlisten = \"127.0.0.1:0\"\nmode = \"mcp\"\nbackend = \"b\"\n[backend.b]\nbalance = \"roundrobin\"\n"
	for i, address := range servers {
		text += fmt.Sprintf("[[backend.b.server]]\nname = \"s%d\"\ntcp = %q\n", i+1, address)
	}
	c, err := conf.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{frontend: c.Frontends[0], backend: c.Backends[0], limits: c.RateLimit, loops: 2, pipes: 16, system: reactor.Kernel()}
	s.frontend.Mode = conf.ModeTCP
	return s
}

// listen has the frontend accept at an address, too.
func (b *bed) listen(address string) {
	b.Helper()
	socket, err := net.Listen("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	if _, err := b.engine.Listen(socket.(*net.TCPListener), b.frontend); err != nil {
		b.Fatal(err)
	}
	b.address = socket.Addr().String()
}

// inMode and the like are changes of a setup.
func inMode(m conf.Mode) func(*setup) { return func(s *setup) { s.frontend.Mode = m } }
func withPipes(n int) func(*setup)    { return func(s *setup) { s.pipes = n } }
func withRetries(n int) func(*setup)  { return func(s *setup) { s.backend.Retries = n } }

// withClock has the bed live in a time of its own, which only advance moves.
func withClock(s *setup) {
	s.clock = &clock{}
	s.clock.now.Store(int64(time.Hour))
	s.system.Now = s.clock.now.Load
}

// withMaxConn sets every server's limit.
func withMaxConn(n int) func(*setup) {
	return func(s *setup) {
		for i := range s.backend.Servers {
			s.backend.Servers[i].MaxConn = n
		}
	}
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

// each calls f for every session, one loop after the other.
func (b *bed) each(f func(*Session)) {
	for _, loop := range b.engine.Loops() {
		done := make(chan struct{})
		loop.Post(func() {
			loop.Sweep(func(c *reactor.Conn) {
				if s := Of(c); s != nil {
					f(s)
				}
			}, func() { close(done) })
		})
		<-done
	}
}

// parked is the number of bytes that wait in connections.
func (b *bed) parked() int {
	sum := 0
	for _, loop := range b.engine.Loops() {
		b.on(loop, func() {
			loop.Sweep(func(c *reactor.Conn) { sum += c.Parked() }, func() {})
		})
	}
	return sum
}

// end waits for every session to end, and checks that each is accounted for
// once and has given everything back.
func (b *bed) end() {
	defer b.engine.Stop()
	b.eventually("every session ends", func() bool { return b.engine.Load() == 0 })
	if b.frontend.Current() != 0 || b.pool.Queued() != 0 {
		b.Errorf("left behind: %d sessions, %d in the queue", b.frontend.Current(), b.pool.Queued())
	}
	for _, server := range b.pool.Servers() {
		if n := server.Conns(); n != 0 {
			b.Errorf("left behind: %d slots of server %s", n, server.Name())
		}
	}
	if n := b.limiter.Stats(b.engine.Now()).Connected; n != 0 {
		b.Errorf("left behind: %d connected sources", n)
	}
	totals := b.frontend.Totals()
	if ended := sum(totals.Ended) + sum(totals.Refused); ended != totals.Sessions {
		b.Errorf("%d sessions have begun, %d have ended (%v, %v)", totals.Sessions, ended, totals.Ended, totals.Refused)
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

// expect waits until as many sessions have ended for a reason.
func (b *bed) expect(reason Reason, n uint64) {
	b.Helper()
	count := func() uint64 {
		totals := b.frontend.Totals()
		return totals.Ended[reason.String()] + totals.Refused[reason.String()]
	}
	if !await(func() bool { return count() >= n }) || count() != n {
		totals := b.frontend.Totals()
		b.Fatalf("%d sessions ended by %v, want %d (all: %v, %v)", count(), reason, n, nonzero(totals.Ended), nonzero(totals.Refused))
	}
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

// server is a scripted server.
type server struct {
	address  string
	accepted atomic.Int64
	mu       sync.Mutex
	conns    map[net.Conn]struct{} // guarded by mu
}

// serve runs script on every connection, which is closed after it. When the
// test ends, what is left is closed.
func serve(t testing.TB, script func(*net.TCPConn)) *server {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", script)
}

func serveAt(t testing.TB, address string, script func(*net.TCPConn)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: listener.Addr().String(), conns: map[net.Conn]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			s.track(c)
			running.Go(func() {
				script(c.(*net.TCPConn))
				s.drop(c)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.closeAll()
		running.Wait()
	})
	return s
}

func (s *server) track(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
}

func (s *server) drop(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// idle tells whether every connection's script has run to its end.
func (s *server) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) == 0
}

// echo sends back what comes, and finishes when the client has. It does not
// splice: the pipes of package net are closed by the garbage collector only.
func echo(c *net.TCPConn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

// refusing is an address that refuses connections until listen is called.
type refusing struct {
	address string
	fd      int
}

// refuse takes a port on which nobody listens.
func refuse(t testing.TB) *refusing {
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
	return &refusing{address: fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), fd: fd}
}

// listen ends the refusing: connections are taken in, and nobody serves them.
func (r *refusing) listen(t testing.TB, backlog int) {
	t.Helper()
	if err := unix.Listen(r.fd, backlog); err != nil {
		t.Fatal(err)
	}
}

// blackhole is an address that does not answer a SYN: its backlog is full.
func blackhole(t testing.TB) string {
	t.Helper()
	r := refuse(t)
	r.listen(t, 0)
	for range 8 {
		c, err := net.DialTimeout("tcp", r.address, 50*time.Millisecond)
		if err != nil {
			return r.address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("a backlog of 0 takes in 8 connections")
	return ""
}

// client is a test's connection to the frontend.
type client struct {
	*net.TCPConn
	t       testing.TB
	scanner *bufio.Reader
}

// dial connects to the bed. The connection is reset when the test ends.
func (b *bed) dial() *client {
	b.Helper()
	return dialFrom(b, "", b.address)
}

func dialFrom(t testing.TB, local, address string) *client {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	tcp := c.(*net.TCPConn)
	if err := tcp.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reset(tcp) })
	return &client{TCPConn: tcp, t: t, scanner: bufio.NewReader(tcp)}
}

// turnedAway connects and wants to be refused, as soon or late as may be.
func (b *bed) turnedAway() {
	b.Helper()
	c, err := net.DialTimeout("tcp", b.address, patience)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		b.Fatalf("a client that was to be refused got %v", err)
	}
}

// reset closes with RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// say sends text.
func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("sending %.40q: %v", text, err)
	}
}

// hear wants to receive exactly text next.
func (c *client) hear(text string) {
	c.t.Helper()
	p := make([]byte, len(text))
	if n, err := io.ReadFull(c.scanner, p); err != nil || string(p) != text {
		c.t.Fatalf("received %.60q, %v, want %.60q", p[:n], err, text)
	}
}

// line receives one line, without its newline.
func (c *client) line() string {
	c.t.Helper()
	text, err := c.scanner.ReadString('\n')
	if err != nil {
		c.t.Fatalf("received %.60q, %v, want a line", text, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// hearEnd wants the server's end, in order: FIN.
func (c *client) hearEnd() {
	c.t.Helper()
	if p, err := io.ReadAll(c.scanner); err != nil || len(p) > 0 {
		c.t.Fatalf("received %.60q, %v, want the end", p, err)
	}
}

// hearReset wants RST, whatever came before it.
func (c *client) hearReset() {
	c.t.Helper()
	if _, err := io.ReadAll(c.scanner); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("received %v, want connection reset", err)
	}
}

// acceptor is a server that the test plays itself.
type acceptor struct {
	t        testing.TB
	listener *net.TCPListener
	address  string
}

func accept(t testing.TB) *acceptor {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &acceptor{t: t, listener: listener.(*net.TCPListener), address: listener.Addr().String()}
}

// next is the server's end of the next connection.
func (a *acceptor) next() *client {
	a.t.Helper()
	if err := a.listener.SetDeadline(time.Now().Add(patience)); err != nil {
		a.t.Fatal(err)
	}
	c, err := a.listener.AcceptTCP()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { reset(c) })
	return &client{TCPConn: c, t: a.t, scanner: bufio.NewReader(c)}
}

// meet connects a client, and waits until the relay between both ends has begun.
func (b *bed) meet(a *acceptor) (c, s *client) {
	b.Helper()
	begun := func() (n uint64) {
		for _, server := range b.pool.Servers() {
			n += server.Totals().Connections
		}
		return n
	}
	before := begun()
	c, s = b.dial(), a.next()
	b.eventually("the relay begins", func() bool { return begun() > before })
	return c, s
}

// finish sends FIN.
func (c *client) finish() {
	c.t.Helper()
	if err := c.CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
}
