package session

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// behavior is how a server of a test responds to a connection attempt.
type behavior int

const (
	accepts      behavior = iota
	refuses               // ECONNREFUSED
	hangs                 // the attempt has no outcome
	unreachable           // ENETUNREACH at once
	portless              // EADDRNOTAVAIL at once: the balancer has no port left
	closesEarly           // it accepts, and the PROXY header cannot be sent
	losesAttempt          // it accepts, and goes down before the loop notices
)

// address returns an address for a server that behaves so. Those of hangs,
// unreachable and portless are not used.
func (b behavior) address(t testing.TB) string {
	switch b {
	case refuses, hangs, unreachable, portless:
		return endpoint.Refuse(t)
	}
	return endpoint.Serve(t, endpoint.Echo).Address
}

// fixture is an engine of one loop whose time only Advance moves, and a pool of
// servers s1, s2, ... with round robin.
type fixture struct {
	*harness.Harness
	loop      *reactor.Loop
	pool      *backend.Pool
	behaviors []behavior
	outcomes  []backend.Outcome // of every slot that was released; the loop's goroutine
	streams   []*stream
}

// setup holds the settings of a fixture.
type setup struct {
	servers []behavior
	maxConn int // of every server; 0 = no limit
	retries int
}

const (
	queueTimeout   = 20 * time.Second
	connectTimeout = 4 * time.Second
)

// start starts a fixture. When the test ends, every stream ends, and no slot may
// be in use.
func start(t testing.TB, s setup) *fixture {
	t.Helper()
	var addresses []string
	for _, b := range s.servers {
		addresses = append(addresses, b.address(t))
	}
	c := harness.Parse(t, "tcp", "tcp", addresses)
	settings := c.Backends[0]
	settings.TimeoutQueue, settings.TimeoutConnect, settings.Retries = queueTimeout, connectTimeout, s.retries
	for i := range settings.Servers {
		settings.Servers[i].MaxConn = s.maxConn
	}
	pool, err := backend.NewPool(settings, 1, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	f := startLoop(t, c.RateLimit)
	f.pool, f.behaviors = pool, s.servers
	pool.Observe(func(_ *backend.Server, o backend.Outcome) { f.outcomes = append(f.outcomes, o) })
	t.Cleanup(f.end)
	return f
}

// startLoop starts a fixture without a pool, which the caller stops.
func startLoop(t testing.TB, limits conf.RateLimit) *fixture {
	t.Helper()
	s := harness.NewSetup(limits)
	s.Loops, s.LogOff = 1, true
	s.StopTime()
	h := harness.Start(t, s)
	return &fixture{Harness: h, loop: h.Engine.Loops()[0]}
}

// do runs a function on the loop, and waits for it.
func (f *fixture) do(run func()) { f.On(f.loop, run) }

// end ends every stream, and checks that no slot is in use and no stream waits.
func (f *fixture) end() {
	defer f.Stop()
	f.do(func() {
		for _, s := range f.streams {
			s.finish(backend.Completed)
		}
	})
	f.checkFree()
	f.CheckEmpty()
}

// checkFree checks that every slot is free and the queue is empty: a slot that is
// never released is lost to all clients, until the balancer refuses all of them.
func (f *fixture) checkFree() {
	f.Helper()
	f.Turns(2)
	for _, server := range f.pool.Servers() {
		if n := server.Conns(); n != 0 {
			f.Errorf("server %s has %d slots in use, want 0", server.Name(), n)
		}
	}
	if n := f.pool.Queued(); n != 0 {
		f.Errorf("%d streams are in the queue, want 0", n)
	}
}

// checkOutcomes checks how the slots that were released ended, in their order.
func (f *fixture) checkOutcomes(want ...backend.Outcome) {
	f.Helper()
	f.do(func() {
		if !slices.Equal(f.outcomes, want) {
			f.Errorf("slots were released with the outcomes %v, want %v", f.outcomes, want)
		}
	})
}

// server returns the server of the number, from 1.
func (f *fixture) server(n int) *backend.Server { return f.pool.Servers()[n-1] }

// stream is a Stream that records what its Dispatch does with it.
type stream struct {
	*fixture
	dispatch Dispatch
	timer    reactor.Timer
	counters Counters
	conn     *reactor.Conn // begun by Dial; nil = none
	trace    []string
	over     bool // established or unserved

	// What the stream does when it is called.
	ended     bool // Wanted: it has ended
	connected bool // Assigned: it has a connection already
	stays     bool // Wanted: its client cannot move to a new process
}

// stream returns a stream that has not begun.
func (f *fixture) stream() *stream {
	s := &stream{fixture: f, dispatch: Dispatch{Pool: f.pool}}
	f.streams = append(f.streams, s)
	return s
}

// begin begins a new stream.
func (f *fixture) begin() *stream {
	s := f.stream()
	f.do(func() { s.dispatch.Begin(s) })
	return s
}

// established begins a new stream, and waits until it has a server.
func (f *fixture) established() *stream {
	f.Helper()
	s := f.begin()
	s.settle()
	s.check("dial s1, established")
	return s
}

// finish ends the stream and releases what it holds.
func (s *stream) finish(o backend.Outcome) {
	s.dispatch.End(s)
	s.loop.Disarm(&s.timer)
	s.disconnect()
	s.dispatch.Release(s.loop, o)
}

// record adds an event to the trace.
func (s *stream) record(format string, a ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, a...))
}

// check checks what has happened to the stream.
func (s *stream) check(want string) {
	s.Helper()
	s.do(func() {
		if got := strings.Join(s.trace, ", "); got != want {
			s.Errorf("what happened to the client: %s, want: %s", got, want)
		}
	})
}

// checkState checks where the stream is on its way.
func (s *stream) checkState(state DispatchState, phase accesslog.Phase) {
	s.Helper()
	s.do(func() {
		if got := s.dispatch.State(); got != state || s.dispatch.Phase() != phase {
			s.Errorf("the stream is %q in phase %v, want %q in phase %v", got, s.dispatch.Phase(), state, phase)
		}
	})
}

// settle waits until the stream has a server or is given up. A state that only its
// time limit ends lasts exactly so long.
func (s *stream) settle() {
	s.Helper()
	for {
		var over, waits bool
		s.Eventually("the stream has a server, or waits for time to pass", func() bool {
			s.do(func() { over, waits = s.over, s.waitsForTime() })
			return over || waits
		})
		if over {
			return
		}
		s.passLimit()
	}
}

// waitsForTime reports whether nothing but time can bring the stream on.
func (s *stream) waitsForTime() bool {
	state := s.dispatch.State()
	return state == Pausing || state == Queued || state == Connecting && s.behavior() == hangs
}

// passLimit lets the limit of the stream's state pass, and checks that it holds
// until then.
func (s *stream) passLimit() {
	s.Helper()
	const margin = 20 * time.Millisecond
	var state DispatchState
	var limit time.Duration
	var events int
	s.do(func() { state, limit, events = s.dispatch.State(), s.dispatch.Limit(), len(s.trace) })
	if limit == 0 {
		s.Fatalf("state %q has no limit", state)
	}
	s.Advance(limit - margin)
	s.do(func() {
		if s.dispatch.State() != state || len(s.trace) != events {
			s.Errorf("state %q ended before its limit of %v: %v", state, limit, s.trace)
		}
	})
	s.Advance(margin / 2)
}

// behavior is that of the server whose slot the stream holds.
func (s *stream) behavior() behavior {
	return s.behaviors[slices.Index(s.pool.Servers(), s.dispatch.Slot.Server())]
}

func (s *stream) Loop() *reactor.Loop       { return s.loop }
func (s *stream) Log() *accesslog.Record    { return nil }
func (s *stream) Counters() *Counters       { return &s.counters }
func (s *stream) Granted(slot backend.Slot) { s.dispatch.Granted(s, slot) }
func (s *stream) Ready(c *reactor.Conn)     { s.ready(c) }
func (s *stream) Expired(*reactor.Timer)    { s.dispatch.Expired(s) }
func (s *stream) Target() conf.Endpoint     { return conf.EndpointTCP }
func (s *stream) Wanted(bool) (backend.Request, bool) {
	return backend.Request{Tried: s.dispatch.Tried(), Stay: s.stays, Now: s.loop.Now()}, !s.ended
}

func (s *stream) ready(c *reactor.Conn) {
	if s.dispatch.State() == Connecting {
		s.dispatch.Ready(s, c)
	}
}

func (s *stream) Assigned(waited bool) (connect bool) {
	s.loop.Disarm(&s.timer)
	if waited {
		s.record("granted")
	}
	s.dispatch.Note(s)
	return !s.connected
}

func (s *stream) Waits() {
	if state := s.dispatch.State(); state != Connecting {
		s.record("%s", state)
	}
	s.loop.Arm(&s.timer, s, s.dispatch.Since+int64(s.dispatch.Limit()))
}

func (s *stream) Dial(reactor.Liveness, []netip.Addr) (errno unix.Errno) {
	server := s.dispatch.Slot.Server()
	s.record("dial %s", server.Name())
	switch s.behavior() {
	case hangs:
		return 0
	case unreachable:
		return unix.ENETUNREACH
	case portless:
		return unix.EADDRNOTAVAIL
	case losesAttempt:
		defer server.SetHealth(backend.Down, "test", time.Now())
	}
	s.conn, errno = s.loop.Dial(reactor.DialOptions{To: server.Addr(conf.EndpointTCP)}, s)
	return errno
}

func (s *stream) Preface() unix.Errno {
	if s.behavior() == closesEarly {
		return unix.EPIPE
	}
	return 0
}

func (s *stream) Established() {
	s.record("established")
	s.loop.Disarm(&s.timer)
	s.over = true
	s.dispatch.Forget()
}

func (s *stream) Disconnect(reset bool) {
	if reset {
		s.record("reset")
	}
	s.disconnect()
}

// disconnect closes the connection to the server, if there is one.
func (s *stream) disconnect() {
	if s.conn != nil {
		s.conn.Reset()
		s.conn = nil
	}
}

func (s *stream) Unserved(reason Reason) {
	s.record("%v", reason)
	s.loop.Disarm(&s.timer)
	s.over = true
	if server := s.dispatch.Slot.Server(); server != nil {
		s.Errorf("a slot of %s is held when the stream is given up", server.Name())
	}
}
