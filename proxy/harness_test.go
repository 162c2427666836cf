//go:build linux

package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/reactor"
	"mcplb/testdata/leak"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// long asks for the sizes of the real thing, which take minutes.
var long = os.Getenv("MCPLB_LONG") != ""

// parse reads a configuration; nothing is limited but what it says itself.
func parse(t testing.TB, text string) *conf.Config {
	t.Helper()
	if !strings.Contains(text, "[ratelimit]") {
		text = "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" + text
	}
	c, err := conf.Parse("lb.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// frontendText and backendText write a part of a configuration; more are
// further lines of it.
func frontendText(name, listen, mode, backend string, more ...string) string {
	return fmt.Sprintf("[frontend.%s]\nlisten = %q\nmode = %q\nbackend = %q\n%s\n", name, listen, mode, backend, strings.Join(more, "\n"))
}

func backendText(name string, servers []string, more ...string) string {
	text := fmt.Sprintf("[backend.%s]\n%s\n", name, strings.Join(more, "\n"))
	for i, address := range servers {
		text += serverText(name, fmt.Sprintf("s%d", i+1), address)
	}
	return text
}

func serverText(backend, name, address string, more ...string) string {
	return fmt.Sprintf("[[backend.%s.server]]\nname = %q\ntcp = %q\n%s\n", backend, name, address, strings.Join(more, "\n"))
}

const anyPort = "127.0.0.1:0"

// options are those of every test.
func options() Options {
	return Options{Version: "test", Log: slog.New(slog.DiscardHandler), FileLimit: 10_000, System: reactor.Kernel()}
}

// running is a balancer under test.
type running struct {
	*Proxy
	t testing.TB
}

// start runs a configuration. When the test ends every client must have gone,
// and everything must have been given back.
func start(t testing.TB, text string) *running {
	t.Helper()
	p, err := Start(parse(t, text), options())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Proxy: p, t: t}
	t.Cleanup(r.end)
	return r
}

// end checks that nothing is left of any client, and stops.
func (r *running) end() {
	r.empty()
	if err := r.stop(); err != nil {
		r.t.Errorf("stopping: %v", err)
	}
}

func (r *running) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.Stop(ctx)
}

// empty waits until nobody is connected, and checks that what was taken was
// given back, and everything that began has ended for one reason.
func (r *running) empty() {
	r.t.Helper()
	r.eventually("every client has gone", func() bool { return r.Connections() == 0 })
	shown := r.Snapshot()
	for _, f := range shown.Frontends {
		if ended := sum(f.Refused) + sum(f.SessionsEnded); f.Connections.Current != 0 || f.Connections.Total != ended {
			r.t.Errorf("frontend %s: %d connections left, and of %d only %d have ended: %v, %v",
				f.Name, f.Connections.Current, f.Connections.Total, ended, f.Refused, f.SessionsEnded)
		}
	}
	for _, b := range shown.Backends {
		if b.QueueCurrent != 0 {
			r.t.Errorf("backend %s: %d left in the queue", b.Name, b.QueueCurrent)
		}
		for _, s := range b.Servers {
			if s.Connections.Current != 0 {
				r.t.Errorf("server %s: %d slots are left taken", s.Name, s.Connections.Current)
			}
		}
	}
}

func sum(counts map[string]uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// frontend shows one of them.
func (r *running) frontend(name string) admin.Frontend {
	r.t.Helper()
	for _, f := range r.Snapshot().Frontends {
		if f.Name == name {
			return f
		}
	}
	r.t.Fatalf("there is no frontend %s", name)
	return admin.Frontend{}
}

// server shows one of them.
func (r *running) server(name string) admin.Server {
	r.t.Helper()
	for _, b := range r.Snapshot().Backends {
		for _, s := range b.Servers {
			if s.Name == name {
				return s
			}
		}
	}
	r.t.Fatalf("there is no server %s", name)
	return admin.Server{}
}

// address is the first that a frontend listens on.
func (r *running) address(frontend string) string {
	r.t.Helper()
	listen := r.frontend(frontend).Listen
	if len(listen) == 0 {
		r.t.Fatalf("frontend %s does not listen", frontend)
	}
	return listen[0]
}

// apply changes the configuration.
func (r *running) apply(text string) string {
	r.t.Helper()
	summary, err := r.Apply(parse(r.t, text))
	if err != nil {
		r.t.Fatal(err)
	}
	return summary
}

// ended waits until as many clients have gone for a reason.
func (r *running) ended(frontend, reason string, n uint64) {
	r.t.Helper()
	count := func() uint64 {
		f := r.frontend(frontend)
		return f.SessionsEnded[reason] + f.Refused[reason]
	}
	if !await(func() bool { return count() >= n }) || count() != n {
		f := r.frontend(frontend)
		r.t.Fatalf("%d clients have gone by %s, want %d: %v, %v", count(), reason, n, f.SessionsEnded, f.Refused)
	}
}

func (r *running) eventually(what string, done func() bool) {
	r.t.Helper()
	if !await(done) {
		r.t.Fatalf("in vain waited until %s", what)
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

// peer is a scripted server.
type peer struct {
	t        testing.TB
	address  string
	script   func(*net.TCPConn)
	accepted atomic.Int64
	running  sync.WaitGroup
	mu       sync.Mutex
	listener net.Listener          // guarded by mu
	conns    map[net.Conn]struct{} // guarded by mu
}

// serve runs script on every connection, which is closed after it. When the
// test ends, what is left is closed.
func serve(t testing.TB, script func(*net.TCPConn)) *peer {
	t.Helper()
	s := &peer{t: t, address: anyPort, script: script, conns: map[net.Conn]struct{}{}}
	s.open()
	t.Cleanup(func() {
		s.shut()
		s.cut()
		s.running.Wait()
	})
	return s
}

// open listens, again perhaps.
func (s *peer) open() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	s.address = listener.Addr().String()
	s.running.Go(func() { s.accept(listener) })
}

func (s *peer) accept(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.running.Go(func() {
			s.script(c.(*net.TCPConn))
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// shut takes no more connections; those there are stay.
func (s *peer) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
}

// cut closes every connection.
func (s *peer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// echo sends back what comes, and finishes when the client has. It does not
// splice: the pipes of package net are closed by the garbage collector only.
func echo(c *net.TCPConn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

// name says who it is, line by line, to whoever asks.
func name(who string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if _, err := fmt.Fprintln(c, who); err != nil {
				return
			}
		}
	}
}

// refuse takes a port on which nobody listens.
func refuse(t testing.TB) string {
	t.Helper()
	_, address := bound(t)
	return address
}

// blackhole is an address that does not answer a SYN: its backlog is full.
func blackhole(t testing.TB) string {
	t.Helper()
	fd, address := bound(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
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

// bound is a socket that has a port and does not listen.
func bound(t testing.TB) (fd int, address string) {
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
	return fd, fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// client is a test's connection to the balancer.
type client struct {
	*net.TCPConn
	t      testing.TB
	reader *bufio.Reader
}

// dial connects. The connection is reset when the test ends.
func dial(t testing.TB, address string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	tcp := c.(*net.TCPConn)
	if err := tcp.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reset(tcp) })
	return &client{TCPConn: tcp, t: t, reader: bufio.NewReader(tcp)}
}

// reset closes with RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// ask sends a line and returns the answer.
func (c *client) ask(text string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, text); err != nil {
		c.t.Fatalf("asking %.40q: %v", text, err)
	}
	answer, err := c.reader.ReadString('\n')
	if err != nil {
		c.t.Fatalf("asking %.40q: %v", text, err)
	}
	return strings.TrimSuffix(answer, "\n")
}

// hearEnd wants FIN.
func (c *client) hearEnd() {
	c.t.Helper()
	if text, err := io.ReadAll(c.reader); err != nil || len(text) > 0 {
		c.t.Fatalf("received %q, %v, want the end", text, err)
	}
}

// hearReset wants RST.
func (c *client) hearReset() {
	c.t.Helper()
	if _, err := io.ReadAll(c.reader); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("received %v, want connection reset", err)
	}
}

// turnedAway connects and wants to be refused, as soon or late as may be.
func turnedAway(t testing.TB, address string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a client that was to be refused got %v", err)
	}
}
