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

// Long asks for the sizes of the real thing, which take minutes.
var Long = os.Getenv("MCPLB_LONG") != ""

// Parse is a configuration of one frontend, f, that listens on any port in a mode,
// and its backend, b, with servers s1, s2, ... at the addresses, where they serve
// an endpoint (a key of a server: tcp, http). No rate is limited, turns are taken,
// and else it has the defaults.
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

// Setup is what a test may change of a rig before it starts. NewSetup makes one.
type Setup struct {
	Limits conf.RateLimit
	Loops  int // of the engine
	Pipes  int // to splice by; 0 = none, everything is copied
	System *reactor.System
	LogOff bool // no access log
	now    *atomic.Int64
}

// NewSetup has two loops, no pipes, the kernel's own calls, real time and the
// access log on.
func NewSetup(limits conf.RateLimit) Setup {
	return Setup{Limits: limits, Loops: 2, System: reactor.Kernel()}
}

// StopTime has the engine live in a time of its own, which only Advance moves.
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
	Address   string // the last listened on
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
	r := &Harness{TB: t, Engine: engine, Limiter: ratelimit.New(s.Limits), now: s.now}
	r.openLog(s)
	return r
}

// Stop ends the engine. Nothing may have to be done on its loops any more.
func (r *Harness) Stop() { r.Engine.Stop() }

// Listen has h take in who comes to an address. control is that of a
// net.ListenConfig; nil = none.
func (r *Harness) Listen(address string, h reactor.AcceptHandler, control func(network, address string, c syscall.RawConn) error) {
	r.Helper()
	socket, err := (&net.ListenConfig{Control: control}).Listen(context.Background(), "tcp", address)
	if err != nil {
		r.Fatal(err)
	}
	defer socket.Close()
	if _, err := r.Engine.Listen(socket.(*net.TCPListener), h); err != nil {
		r.Fatal(err)
	}
	r.Address = socket.Addr().String()
}

// Now is the time that only Advance moves, in nanoseconds.
func (r *Harness) Now() int64 { return r.now.Load() }

// Advance lets time pass, and waits until all that falls due has happened. The
// time must have been stopped.
func (r *Harness) Advance(d time.Duration) {
	const tick = 10 * time.Millisecond // of the loops' timers
	r.now.Add(int64(d + tick))
	r.Turns(4)
}

// Turns waits until every loop has gone round n times.
func (r *Harness) Turns(n int) {
	for range n {
		for _, loop := range r.Engine.Loops() {
			r.On(loop, func() {})
		}
	}
}

// On runs f on a loop, and returns when it has run.
func (r *Harness) On(loop *reactor.Loop, f func()) {
	done := make(chan struct{})
	if !loop.Post(func() { f(); close(done) }) {
		r.Error("the loop has stopped")
		return
	}
	<-done
}

// Each calls f for every connection, one loop after the other, on its loop.
func (r *Harness) Each(f func(*reactor.Conn)) {
	for _, loop := range r.Engine.Loops() {
		r.sweep(loop, f)
	}
}

func (r *Harness) sweep(loop *reactor.Loop, f func(*reactor.Conn)) {
	done := make(chan struct{})
	if !loop.Post(func() { loop.Sweep(f, func() { close(done) }) }) {
		r.Error("the loop has stopped")
		return
	}
	<-done
}

// Parked is the number of bytes that wait in connections.
func (r *Harness) Parked() (sum int) {
	r.Each(func(c *reactor.Conn) { sum += c.Parked() })
	return sum
}

// Fill sends pieces on c until nobody takes any more, although the loops have gone
// round meanwhile, or until far too many were taken, 64 MB. It returns how many
// bytes that were.
func (r *Harness) Fill(c *endpoint.Conn, piece []byte) (taken int) {
	r.Helper()
	const enough, while = 64 << 20, 50 * time.Millisecond
	rest := piece
	for vain := 0; vain < 2 && taken < enough; {
		if err := c.SetWriteDeadline(time.Now().Add(while)); err != nil {
			r.Fatal(err)
		}
		n, err := c.Write(rest)
		taken += n
		vain++
		if n > 0 {
			vain = 0
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			r.Fatalf("filling a connection: %v after %d bytes", err, taken)
		}
		if rest = rest[n:]; len(rest) == 0 {
			rest = piece
		}
		if err != nil {
			r.Turns(3)
		}
	}
	if err := c.SetDeadline(time.Now().Add(endpoint.Patience)); err != nil {
		r.Fatal(err)
	}
	return taken
}

// Eventually waits until done holds: see package peer.
func (r *Harness) Eventually(what string, done func() bool) {
	r.Helper()
	endpoint.Eventually(r, what, done)
}

// AwaitIdle waits until every session has ended.
func (r *Harness) AwaitIdle() {
	r.Helper()
	r.Eventually("every session ends", func() bool { return r.Engine.Load() == 0 })
}

// CheckEmpty checks that the limiter knows of nobody who is connected, and that
// nothing is left on the loops but listeners.
func (r *Harness) CheckEmpty() {
	r.Helper()
	if n := r.Limiter.Stats(r.Engine.Now()).Connected; n != 0 {
		r.Errorf("left behind: %d connected sources", n)
	}
	for i, loop := range r.Engine.Loops() {
		listeners := 0
		r.sweep(loop, func(c *reactor.Conn) {
			if _, ok := c.Handler().(*reactor.Listener); ok {
				listeners++
			}
		})
		if n := r.conns(loop); n != listeners {
			r.Errorf("left behind: %d connections on loop %d", n-listeners, i)
		}
	}
}

func (r *Harness) conns(loop *reactor.Loop) (n int) {
	r.On(loop, func() {}) // what was closed in this turn is freed after it
	r.On(loop, func() { n = loop.Conns() })
	return n
}

// Open is the gate of a frontend that lets everybody in.
type Open struct{}

// MayEnter says yes.
func (Open) MayEnter() bool { return true }

// Left is not interested.
func (Open) Left() {}

// Failed is not interested.
func (Open) Failed(unix.Errno) {}
