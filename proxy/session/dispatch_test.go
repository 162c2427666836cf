package session

import (
	"slices"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/metrics"
)

// TestAttempts checks which servers a client is sent to, in which order, and why
// it is refused in the end. If it fails, clients are refused although a server
// would serve them, or wait for a server that has refused them already.
func TestAttempts(t *testing.T) {
	t.Parallel()
	const (
		refused = backend.Refused
		timeout = backend.ConnectTimeout
		failed  = backend.Unreachable
		aborted = backend.Aborted
	)
	tests := []struct {
		name     string
		servers  []behavior
		retries  int
		want     string
		outcomes []backend.Outcome // of the failed attempts
	}{
		{name: "the first server accepts", servers: []behavior{accepts, accepts}, retries: 3, want: "dial s1, established"},
		{
			name: "a server refuses, the next accepts", servers: []behavior{refuses, accepts}, retries: 1,
			want: "dial s1, dial s2, established", outcomes: []backend.Outcome{refused},
		},
		{
			name: "no attempts are left for the next", servers: []behavior{refuses, accepts},
			want: "dial s1, connect_refused", outcomes: []backend.Outcome{refused},
		},
		{
			name: "all refuse", servers: []behavior{refuses, refuses}, retries: 1,
			want: "dial s1, dial s2, connect_refused", outcomes: []backend.Outcome{refused, refused},
		},
		{
			name: "the only server refuses", servers: []behavior{refuses}, retries: 2,
			want:     "dial s1, pausing, dial s1, pausing, dial s1, connect_refused",
			outcomes: []backend.Outcome{refused, refused, refused},
		},
		{
			name: "a server does not respond, the next accepts", servers: []behavior{hangs, accepts}, retries: 3,
			want: "dial s1, dial s2, established", outcomes: []backend.Outcome{timeout},
		},
		{
			name: "the last server does not respond", servers: []behavior{refuses, hangs}, retries: 1,
			want: "dial s1, dial s2, connect_timeout", outcomes: []backend.Outcome{refused, timeout},
		},
		{
			name: "the last server is unreachable", servers: []behavior{hangs, unreachable}, retries: 1,
			want: "dial s1, dial s2, connect_failed", outcomes: []backend.Outcome{timeout, failed},
		},
		{
			name: "the balancer has no port: no other server helps", servers: []behavior{portless, accepts}, retries: 3,
			want: "dial s1, no_resources", outcomes: []backend.Outcome{aborted},
		},
		{
			name: "the PROXY header cannot be sent", servers: []behavior{closesEarly, accepts}, retries: 1,
			want: "dial s1, dial s2, established", outcomes: []backend.Outcome{failed},
		},
		{
			name: "a server goes down as it accepts", servers: []behavior{losesAttempt, accepts}, retries: 1,
			want: "dial s1, reset, dial s2, established", outcomes: []backend.Outcome{failed},
		},
		{
			name: "the only server goes down as it accepts", servers: []behavior{losesAttempt}, retries: 1,
			want: "dial s1, reset, no_server", outcomes: []backend.Outcome{failed},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, setup{servers: test.servers, retries: test.retries})
			s := f.begin()
			s.settle()
			s.check(test.want)
			f.checkOutcomes(test.outcomes...)
			f.do(func() {
				if state := s.dispatch.State(); state != Idle {
					t.Errorf("the stream is %q in the end, want it idle", state)
				}
			})
		})
	}
}

// connects are the successful ones of the stream.
func connects(s *stream) (total metrics.TimingTotal) {
	total.Add(&s.counters.Connect)
	return total
}

// TestAttemptsAreCounted checks that every failed attempt is counted for its server,
// and what was tried instead. If it fails, the operator is shown healthy servers
// while clients wait.
func TestAttemptsAreCounted(t *testing.T) {
	t.Parallel()
	type counts struct{ errors, timeouts, retries, redispatches, connections uint64 }
	tests := []struct {
		servers []behavior
		want    []counts
	}{
		{[]behavior{refuses}, []counts{{errors: 3, retries: 2}}},
		{[]behavior{refuses, hangs, accepts}, []counts{{errors: 1, redispatches: 1}, {timeouts: 1, redispatches: 1}, {connections: 1}}},
		{[]behavior{unreachable, closesEarly, portless}, []counts{{errors: 1, redispatches: 1}, {errors: 1, redispatches: 1}, {}}},
	}
	for _, test := range tests {
		f := start(t, setup{servers: test.servers, retries: 2})
		s := f.begin()
		s.settle()
		for i, want := range test.want {
			c := f.server(i + 1).Totals()
			got := counts{c.ConnectErrors, c.ConnectTimeouts, c.Retries, c.Redispatches, c.Connections}
			if got != want {
				t.Errorf("servers %v: s%d counts %+v, want %+v", test.servers, i+1, got, want)
			}
		}
		if n := connects(s).Count; n != f.server(len(test.servers)).Totals().Connections {
			t.Errorf("servers %v: %d connects are timed", test.servers, n)
		}
	}
}

// TestConnectIsTimed checks that the time to connect covers the successful attempt
// alone. If it fails, the connect times that an operator sees are wrong.
func TestConnectIsTimed(t *testing.T) {
	t.Parallel()
	f := start(t, setup{servers: []behavior{hangs, accepts}, retries: 1})
	s := f.begin()
	s.settle()
	s.check("dial s1, dial s2, established")
	total := connects(s)
	if total.Count != 1 || total.Sum != 0 {
		t.Errorf("%d connects took %v, want 1 in no time: the time stands still", total.Count, total.Sum)
	}
	if n := f.server(2).Totals().Connections; n != 1 {
		t.Errorf("%d connections to s2 are counted, want 1", n)
	}
}

// TestNoServer checks that a client is refused at once when no server is usable:
// it must not wait in a queue that does not move.
func TestNoServer(t *testing.T) {
	t.Parallel()
	f := start(t, setup{servers: []behavior{accepts}, retries: 3})
	f.server(1).SetHealth(backend.Down, "test", time.Now())
	s := f.begin()
	s.checkState(Idle, accesslog.PhaseQueue)
	s.check("no_server")
	f.checkOutcomes()
}

// TestServerDown checks that a client whose server goes down is sent to another
// one at once, whatever it was waiting for. If it fails, clients wait for a server
// that is known to be down until timeout_connect.
func TestServerDown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		servers []behavior
		state   DispatchState // when the server goes down
		retries int
		want    string
	}{
		{"while connecting", []behavior{hangs, accepts}, Connecting, 1, "dial s1, reset, dial s2, established"},
		{"while connecting, the last attempt", []behavior{hangs, accepts}, Connecting, 0, "dial s1, reset, connect_failed"},
		{"while connecting to the only server", []behavior{hangs}, Connecting, 3, "dial s1, reset, no_server"},
		{"while pausing", []behavior{refuses}, Pausing, 3, "dial s1, pausing, reset, no_server"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, setup{servers: test.servers, retries: test.retries})
			s := f.begin()
			f.Eventually("the stream waits", func() (waits bool) {
				f.do(func() { waits = s.dispatch.State() == test.state })
				return waits
			})
			s.checkState(test.state, accesslog.PhaseConnect)
			f.do(func() {
				server := s.dispatch.Slot.Server()
				server.SetHealth(backend.Down, "test", time.Now())
				if reason := s.dispatch.DownOf(); reason != ServerDown {
					t.Errorf("the reason is %v, want %v", reason, ServerDown)
				}
				s.dispatch.ServerDown(s)
			})
			s.settle()
			s.check(test.want)
		})
	}
}

// TestPausingServerIsReplaced checks that a client that waits to try a server again
// goes to one that has come up meanwhile, once its own goes down.
func TestPausingServerIsReplaced(t *testing.T) {
	t.Parallel()
	f := start(t, setup{servers: []behavior{refuses, accepts}, retries: 3})
	f.server(2).SetHealth(backend.Down, "test", time.Now())
	s := f.begin()
	f.Eventually("the stream pauses", func() (pauses bool) {
		f.do(func() { pauses = s.dispatch.State() == Pausing })
		return pauses
	})
	f.server(2).SetHealth(backend.Up, "test", time.Now())
	f.do(func() {
		f.server(1).SetAdmin(backend.Maint, "test", time.Now())
		if reason := s.dispatch.DownOf(); reason != ServerMaint {
			t.Errorf("the reason is %v, want %v", reason, ServerMaint)
		}
		s.dispatch.ServerDown(s)
	})
	s.settle()
	s.check("dial s1, pausing, reset, dial s2, established")
}

// TestServerDownIsIgnored checks that a stream without an attempt under way does
// not lose its place, or its server, to a server that goes down: what is relayed
// ends by on_down, not here.
func TestServerDownIsIgnored(t *testing.T) {
	t.Parallel()
	f := start(t, setup{servers: []behavior{accepts}, maxConn: 1})
	first := f.established()
	queued := f.begin()
	f.do(func() {
		first.dispatch.ServerDown(first)
		queued.dispatch.ServerDown(queued)
	})
	first.check("dial s1, established")
	queued.check("queued")
	queued.checkState(Queued, accesslog.PhaseQueue)
}

// TestStreamDecides checks that no connection is made for a stream that has ended
// or has one already: the server would wait on it for nothing.
func TestStreamDecides(t *testing.T) {
	t.Parallel()
	f := start(t, setup{servers: []behavior{accepts}})
	ended, connected := f.stream(), f.stream()
	ended.ended, connected.connected = true, true
	f.do(func() {
		ended.dispatch.Begin(ended)
		connected.dispatch.Begin(connected)
		if server := ended.dispatch.Slot.Server(); server != nil {
			t.Errorf("a stream that has ended holds a slot of %s", server.Name())
		}
		if connected.dispatch.Slot.Server() == nil {
			t.Error("a stream with a connection holds no slot")
		}
	})
	ended.check("")
	connected.check("")
	connected.checkState(Idle, accesslog.PhaseQueue)
}

// TestRestart checks that the next exchange of a client has all attempts and all
// servers again: what failed for the last one says nothing about it.
func TestRestart(t *testing.T) {
	t.Parallel()
	f := start(t, setup{servers: []behavior{refuses}, retries: 1})
	s := f.begin()
	s.settle()
	if tried := s.dispatch.Tried(); !slices.Equal(tried, f.pool.Servers()) {
		t.Errorf("the servers tried are %v, want s1", tried)
	}
	f.do(func() {
		s.trace, s.over = nil, false
		s.dispatch.Restart()
		s.dispatch.Begin(s)
	})
	s.settle()
	s.check("dial s1, pausing, dial s1, connect_refused")
}
