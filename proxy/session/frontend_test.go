package session

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// poolOf returns a pool without servers, whose backend has this timeout and policy.
func poolOf(t *testing.T, timeout time.Duration) *backend.Pool {
	t.Helper()
	pool, err := backend.NewPool(conf.Backend{Name: "b", Balance: conf.BalanceLeastConn, TimeoutServer: timeout}, 1, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// TestIdle checks which timeout applies to a silent relay: the shortest, of which 0 is
// none. If it fails, sessions are cut off early, or dead ones are kept forever.
func TestIdle(t *testing.T) {
	t.Parallel()
	const short, long = time.Minute, time.Hour
	for _, test := range []struct {
		client, server, halfClosed time.Duration
		want, wantHalfClosed       time.Duration
	}{
		{0, 0, 0, 0, 0},
		{short, long, 0, short, short},
		{long, short, 0, short, short},
		{0, long, short, long, short},
		{short, 0, long, short, short},
		{0, 0, short, 0, short},
	} {
		s := &Settings{Frontend: conf.Frontend{TimeoutClient: test.client, TimeoutHalfClosed: test.halfClosed}}
		pool := poolOf(t, test.server)
		if got, half := s.Idle(pool, false), s.Idle(pool, true); got != test.want || half != test.wantHalfClosed {
			t.Errorf("timeouts %v, %v, %v: %v, half-closed %v, want %v and %v",
				test.client, test.server, test.halfClosed, got, half, test.want, test.wantHalfClosed)
		}
	}
}

// TestBalance checks that a frontend's policy overrides its backend's.
func TestBalance(t *testing.T) {
	t.Parallel()
	s := &Settings{Pool: poolOf(t, 0)}
	if got := s.Balance(); got != conf.BalanceLeastConn {
		t.Errorf("the policy is %s, want the backend's", got)
	}
	s.Frontend.Balance = conf.BalanceSource
	if got := s.Balance(); got != conf.BalanceSource {
		t.Errorf("the policy is %s, want the frontend's", got)
	}
}

// connections counts the calls of a ConnectionLimiter.
type connections struct {
	full         bool
	left, failed int
}

func (c *connections) MayEnter() bool    { return !c.full }
func (c *connections) Left()             { c.left++ }
func (c *connections) Failed(unix.Errno) { c.failed++ }

// TestFrontend checks the numbers of a frontend's clients, and that a client that leaves
// gives back its place in every limit. If it fails, the balancer stops accepting
// clients once maxconn of them have come and gone.
func TestFrontend(t *testing.T) {
	t.Parallel()
	f := startLoop(t, conf.RateLimit{MaxConnections: 1})
	t.Cleanup(f.Stop)
	var limiter connections
	var frontend Frontend[Settings, Counters]
	frontend.Init(Settings{}, Shared{Limiter: f.Limiter, Connections: &limiter, Loops: 1})

	check := func(current, peak int) {
		t.Helper()
		if frontend.Current() != current || frontend.Peak() != peak {
			t.Errorf("%d clients, %d at most; want %d and %d", frontend.Current(), frontend.Peak(), current, peak)
		}
	}
	address := netip.MustParseAddr("192.0.2.1")
	source, verdict := f.Limiter.Admit(address, f.Now())
	if verdict != ratelimit.Admitted {
		t.Fatal(verdict)
	}
	frontend.Enter()
	frontend.Enter()
	f.loop.AddLoad(2)
	check(2, 2)
	frontend.Leave(source, f.loop)
	check(1, 2)
	frontend.ClearPeak()
	check(1, 1)
	frontend.RestorePeak(5)
	frontend.RestorePeak(3)
	check(1, 5)
	if limiter.left != 1 || f.loop.Load() != 1 {
		t.Errorf("%d clients left maxconn, and the load of the loop is %d; want 1 and 1", limiter.left, f.loop.Load())
	}
	again, verdict := f.Limiter.Admit(address, f.Now())
	if verdict != ratelimit.Admitted {
		t.Errorf("the next client is refused: %v", verdict)
	}
	frontend.Leave(again, f.loop)
	check(0, 5)
	f.CheckEmpty()

	frontend.AcceptFailed(unix.EMFILE)
	mayAccept := frontend.MayAccept()
	limiter.full = true
	if limiter.failed != 1 || !mayAccept || frontend.MayAccept() {
		t.Errorf("%d failed accepts are counted, want 1; may accept: %v and %v, want only the first", limiter.failed, mayAccept, frontend.MayAccept())
	}
	frontend.Apply(Settings{Frontend: conf.Frontend{Name: "new"}})
	if name := frontend.Settings().Frontend.Name; name != "new" {
		t.Errorf("the settings in force are those of %q, want new", name)
	}
}

// TestTotals checks that the counters of all loops are added, refusals apart from ends.
func TestTotals(t *testing.T) {
	t.Parallel()
	totals := NewTotals()
	for i := range uint64(2) {
		c := &Counters{}
		c.Sessions.Add(3)
		c.BytesIn.Add(10 + i)
		c.Ended[ClientClosed].Add(1)
		c.Ended[Banned].Add(2)
		c.Queue.Add(int64(time.Second) * int64(1+i))
		totals.Add(c)
		c.ClearPeaks()
	}
	if totals.Sessions != 6 || totals.BytesIn != 21 || totals.Ended["client_closed"] != 2 || totals.Refused["banned"] != 4 ||
		totals.Queue.Count != 2 || totals.Queue.Max != 2*time.Second || totals.Queue.Sum != 3*time.Second {
		t.Errorf("the totals are %+v", totals)
	}
	if n := len(totals.Ended) + len(totals.Refused); n != int(Reasons) {
		t.Errorf("%d reasons are listed, want all %d", n, Reasons)
	}
}

// TestDetached checks which descriptors of a session go to the new process: the client's
// first.
func TestDetached(t *testing.T) {
	t.Parallel()
	alone := ClientOnly(reactor.Detached{FD: 7})
	both := Detached{Client: reactor.Detached{FD: 7}, Server: reactor.Detached{FD: 8}}
	if fds := alone.FDs(); !slices.Equal(fds, []int{7}) {
		t.Errorf("the descriptors of a client are %v, want 7", fds)
	}
	if fds := both.FDs(); !slices.Equal(fds, []int{7, 8}) {
		t.Errorf("the descriptors of a relay are %v, want 7 and 8", fds)
	}
}
