package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Long selects realistic sizes, which take minutes.
var Long = os.Getenv("MCPLB_LONG") != ""

// Parse returns a configuration with one frontend, f, which listens on any port
// in the given mode, and its backend, b, with servers s1, s2, ... at the given
// addresses. endpoint is the servers' key for an address (tcp, http). No rate
// is limited, balance is roundrobin, and everything else has its default.
func Parse(t testing.TB, mode, endpoint string, servers []string) *conf.Config {
	t.Helper()
	text := "[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n" +
		"[frontend.f]\nlisten = \"127.0.0.1:0\"\nmode = \"" + mode + "\"\nbackend = \"b\"\n[backend.b]\nbalance = \"roundrobin\"\n"
	for i, address := range servers {
		text += fmt.Sprintf("[[backend.b.server]]\nname = \"s%d\"\n%s = %q\n", i+1, endpoint, address)
	}
	c, err := conf.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Setup holds the settings of a Harness. NewSetup returns one.
type Setup struct {
	Limits conf.RateLimit
	Loops  int // loops of the engine
	Pipes  int // for splicing; 0 = none, everything is copied
	System *reactor.System
	LogOff bool // no access log
	now    *atomic.Int64
}

// NewSetup returns a Setup with two loops, no pipes, the real kernel, real time
// and the access log on.
func NewSetup(limits conf.RateLimit) Setup {
	return Setup{Limits: limits, Loops: 2, System: reactor.Kernel()}
}

// StopTime gives the engine a clock that only Advance moves.
func (s *Setup) StopTime() {
	s.now = &atomic.Int64{}
	s.now.Store(int64(time.Hour))
	s.System.Now = s.now.Load
}

// Harness is an engine under test.
type Harness struct {
	testing.TB
	Engine    *reactor.Engine
	Limiter   *ratelimit.Limiter
	AccessLog *accesslog.Log
	Address   string // the address of the last Listen
	logPath   string // "": the log is off
	now       *atomic.Int64
}

// Start starts an engine. Stop ends it.
func Start(t testing.TB, s Setup) *Harness {
	t.Helper()
	engine, err := reactor.Start(s.Loops, s.Pipes, s.System)
	if err != nil {
		t.Fatal(err)
	}
	h := &Harness{TB: t, Engine: engine, Limiter: ratelimit.New(s.Limits), now: s.now}
	h.openLog(s)
	return h
}

// Stop ends the engine. Nothing may still need its loops.
func (h *Harness) Stop() { h.Engine.Stop() }

// Listen passes the clients of an address to handler. control is the field of
// net.ListenConfig; nil = none.
func (h *Harness) Listen(address string, handler reactor.AcceptHandler, control func(network, address string, c syscall.RawConn) error) {
	h.Helper()
	socket, err := (&net.ListenConfig{Control: control}).Listen(context.Background(), "tcp", address)
	if err != nil {
		h.Fatal(err)
	}
	defer socket.Close()
	h.noDelay(socket.(*net.TCPListener))
	if _, err := h.Engine.Listen(socket.(*net.TCPListener), handler); err != nil {
		h.Fatal(err)
	}
	h.Address = socket.Addr().String()
}

// noDelay sets TCP_NODELAY for the connections that socket accepts, as package
// proxy does: otherwise every second response waits 40 ms.
func (h *Harness) noDelay(socket *net.TCPListener) {
	h.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		h.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) })
	if err := errors.Join(err, failed); err != nil {
		h.Fatal(err)
	}
}

// Now returns the stopped time, in nanoseconds.
func (h *Harness) Now() int64 { return h.now.Load() }

// Advance moves the time, which must be stopped, and waits until every timer
// that is due has run.
func (h *Harness) Advance(d time.Duration) {
	const tick = 10 * time.Millisecond // of the loops' timers
	h.now.Add(int64(d + tick))
	h.Turns(4)
}

// Turns waits until every loop has taken n turns.
func (h *Harness) Turns(n int) {
	for range n {
		for _, loop := range h.Engine.Loops() {
			h.On(loop, func() {})
		}
	}
}

// On runs f on a loop, and waits for it.
func (h *Harness) On(loop *reactor.Loop, f func()) {
	done := make(chan struct{})
	if !loop.Post(func() { f(); close(done) }) {
		h.Error("the loop has stopped")
		return
	}
	<-done
}

// Each calls f for every connection, on its loop, one loop after the other.
func (h *Harness) Each(f func(*reactor.Conn)) {
	for _, loop := range h.Engine.Loops() {
		h.sweep(loop, f)
	}
}

func (h *Harness) sweep(loop *reactor.Loop, f func(*reactor.Conn)) {
	done := make(chan struct{})
	if !loop.Post(func() { loop.Sweep(f, func() { close(done) }) }) {
		h.Error("the loop has stopped")
		return
	}
	<-done
}

// Parked returns the number of bytes parked in all connections.
func (h *Harness) Parked() (sum int) {
	h.Each(func(c *reactor.Conn) { sum += c.Parked() })
	return sum
}

// Fill sends pieces on c until no more are taken although the loops have taken
// turns meanwhile, or until 64 MB, far too much, are taken. It returns the
// number of bytes.
func (h *Harness) Fill(c *endpoint.Conn, piece []byte) (taken int) {
	h.Helper()
	const enough, while = 64 << 20, 50 * time.Millisecond
	rest := piece
	for blocked := 0; blocked < 2 && taken < enough; {
		if err := c.SetWriteDeadline(time.Now().Add(while)); err != nil {
			h.Fatal(err)
		}
		n, err := c.Write(rest)
		taken += n
		blocked++
		if n > 0 {
			blocked = 0
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			h.Fatalf("filling a connection: %v after %d bytes", err, taken)
		}
		if rest = rest[n:]; len(rest) == 0 {
			rest = piece
		}
		if err != nil {
			h.Turns(3)
		}
	}
	if err := c.SetDeadline(time.Now().Add(endpoint.Patience)); err != nil {
		h.Fatal(err)
	}
	return taken
}

// Eventually waits until done holds: see package endpoint.
func (h *Harness) Eventually(what string, done func() bool) {
	h.Helper()
	endpoint.Eventually(h, what, done)
}

// AwaitIdle waits until every session has ended.
func (h *Harness) AwaitIdle() {
	h.Helper()
	h.Eventually("every session ends", func() bool { return h.Engine.Load() == 0 })
}

// CheckEmpty checks that the limiter counts no connected source, and that only
// listeners are left on the loops.
func (h *Harness) CheckEmpty() {
	h.Helper()
	if n := h.Limiter.Stats(h.Engine.Now()).Connected; n != 0 {
		h.Errorf("left behind: %d connected sources", n)
	}
	for i, loop := range h.Engine.Loops() {
		listeners := 0
		h.sweep(loop, func(c *reactor.Conn) {
			if _, ok := c.Handler().(*reactor.Listener); ok {
				listeners++
			}
		})
		if n := h.conns(loop); n != listeners {
			h.Errorf("left behind: %d connections on loop %d", n-listeners, i)
		}
	}
}

func (h *Harness) conns(loop *reactor.Loop) (n int) {
	h.On(loop, func() {}) // what was closed in this turn is freed after it
	h.On(loop, func() { n = loop.Conns() })
	return n
}

// Open is the connection limiter of a frontend without a limit.
type Open struct{}

// MayEnter returns true.
func (Open) MayEnter() bool { return true }

// Left does nothing.
func (Open) Left() {}

// Failed does nothing.
func (Open) Failed(unix.Errno) {}
