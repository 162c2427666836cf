package healthcheck

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/backend"
	"mcplb/conf"
)

// nodes returns a backend of servers with these tcp addresses, named node1, node2...
func nodes(addrs ...netip.AddrPort) conf.Backend {
	b := conf.Backend{Name: "nodes", Balance: conf.BalanceLeastConn}
	for i, addr := range addrs {
		b.Servers = append(b.Servers, conf.Server{Name: fmt.Sprintf("node%d", i+1), TCP: addr.String(), Weight: 100})
	}
	return b
}

// made returns n addresses, for fake probes.
func made(n int) []netip.AddrPort {
	addrs := make([]netip.AddrPort, n)
	for i := range addrs {
		addrs[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 9000)
	}
	return addrs
}

func newPool(t testing.TB, b conf.Backend) *backend.Pool {
	t.Helper()
	pool, err := backend.NewPool(b, 1, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// cluster is a pool with its Checker and a record of the probes, whose results behave
// determines.
type cluster struct {
	pool    *backend.Pool
	checker *Checker
	behave  atomic.Pointer[behavior]

	mu     sync.Mutex
	starts map[netip.AddrPort][]time.Time // guarded by mu
}

func newCluster(t *testing.T, b conf.Backend, behave behavior) *cluster {
	c := &cluster{pool: newPool(t, b), starts: map[netip.AddrPort][]time.Time{}}
	c.behave.Store(&behave)
	c.checker = New(c.pool, slog.New(slog.DiscardHandler))
	c.checker.probe = c.probe
	c.pool.Observe(c.checker.Observe)
	t.Cleanup(c.checker.Stop)
	return c
}

func (c *cluster) probe(ctx context.Context, _ conf.Check, to target) Result {
	c.mu.Lock()
	c.starts[to.TCP.Addr] = append(c.starts[to.TCP.Addr], time.Now())
	c.mu.Unlock()
	return (*c.behave.Load())(ctx)
}

// probed returns the number of probes of server that were started.
func (c *cluster) probed(server *backend.Server) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.starts[server.Addr(conf.EndpointTCP)])
}

// nth returns the times of the n-th probe of every server, from 0, in order.
func (c *cluster) nth(n int) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var times []time.Time
	for _, starts := range c.starts {
		if len(starts) > n {
			times = append(times, starts[n])
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// First checks start quickly, but never all at once. Later ones are evenly spread
// over the interval.
func TestChecksAreSpread(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 4, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			c := newCluster(t, nodes(made(n)...), answers)
			c.checker.Apply(standard, c.pool.Servers())
			time.Sleep(100 * time.Second)
			c.checker.Stop()

			for addr, starts := range c.starts {
				for i := 1; i < len(starts); i++ {
					within(t, addr.String(), starts[i].Sub(starts[i-1]), standard.FastInterval, standard.Interval)
				}
			}
			first := c.nth(0)
			if len(first) != n || len(slices.Compact(slices.Clone(first))) != n {
				t.Errorf("%d servers: %d first checks, not all at different times", n, len(first))
			}
			within(t, "the first of all", first[0].Sub(begin), 0, time.Millisecond)
			within(t, "the last first", first[n-1].Sub(begin), 0, firstWithin)

			for _, round := range []int{1, 30} {
				checks := c.nth(round)
				if n >= 100 && busiest(checks, standard.Interval/10) > n/3 {
					t.Errorf("%d servers, round %d: %d checks within a tenth of the interval",
						n, round, busiest(checks, standard.Interval/10))
				}
			}
			if usable := c.pool.Usable(); usable != n {
				t.Errorf("%d usable of %d", usable, n)
			}
		})
	}
}

// busiest returns the maximum number of times within one window.
func busiest(times []time.Time, window time.Duration) int {
	most, first := 0, 0
	for i, at := range times {
		for at.Sub(times[first]) > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestVerdictsReachThePool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes(made(2)...), answers)
		server := c.pool.Servers()[0]
		c.checker.Apply(standard, c.pool.Servers())
		time.Sleep(time.Second)
		if st := server.State(); st.Health != backend.Up || st.Reason != "L7OK answered" {
			t.Errorf("initially %+v", st)
		}
		var hang behavior = hangs
		c.behave.Store(&hang)
		time.Sleep(4 * time.Second)
		if st := server.State(); st.Health != backend.Up || !st.Degraded {
			t.Errorf("4 s after it hung: %+v", st)
		}
		time.Sleep(4 * time.Second)
		if st := server.State(); st.Health != backend.Down || st.Degraded || st.Reason != "L7TOUT no response in time" {
			t.Errorf("8 s after it hung: %+v", st)
		}
		c.checker.Stop()
	})
}

// After maintenance the first check decides immediately.
func TestAdminMaintenance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes(made(1)...), answers)
		server := c.pool.Servers()[0]
		c.checker.Apply(standard, c.pool.Servers())
		time.Sleep(10 * time.Second)
		server.SetAdmin(backend.Maint, "test", time.Now())
		synctest.Wait()
		n := c.probed(server)
		time.Sleep(time.Minute)
		if c.probed(server) != n {
			t.Errorf("%d probes in maintenance", c.probed(server)-n)
		}
		var refuse behavior = refuses
		c.behave.Store(&refuse)
		server.SetAdmin(backend.Ready, "test", time.Now())
		synctest.Wait()
		if st := server.State(); st.Health != backend.Down {
			t.Errorf("after maintenance: %+v", st)
		}
		c.checker.Stop()
	})
}

// A reload does not disturb the checks of servers that stay, starts those of new
// servers immediately, and ends the others.
func TestApply(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		addrs := made(4)
		c := newCluster(t, nodes(addrs[:3]...), answers)
		c.checker.Apply(standard, c.pool.Servers())
		time.Sleep(10 * time.Second)
		stays, goes := c.pool.Servers()[0], c.pool.Servers()[2]
		before, _ := c.checker.Status(stays)

		var hang behavior = hangs
		c.behave.Store(&hang) // probes are in flight during the reload
		time.Sleep(3 * time.Second)
		config := nodes(addrs[0], addrs[1], addrs[3])
		config.Servers[2].Name = "node4"
		if _, err := c.pool.Apply(config, netip.ParseAddrPort); err != nil {
			t.Fatal(err)
		}
		var answer behavior = answers
		c.behave.Store(&answer)
		c.checker.Apply(standard, c.pool.Servers())
		n, comes := c.probed(goes), c.pool.Servers()[2]
		time.Sleep(500 * time.Millisecond)

		if c.pool.Servers()[0] != stays {
			t.Fatal("the pool did not keep its server")
		}
		if after, ok := c.checker.Status(stays); !ok || after.Health != backend.Up || after.Since != before.Since || after.Checks < before.Checks {
			t.Errorf("stays: %+v, before %+v", after, before)
		}
		if status, ok := c.checker.Status(comes); !ok || status.Health != backend.Up || status.Checks != 1 {
			t.Errorf("comes: %+v", status)
		}
		if _, ok := c.checker.Status(goes); ok || c.probed(goes) != n {
			t.Errorf("goes: status %v, %d probes after the reload", ok, c.probed(goes)-n)
		}
		c.checker.Observe(goes, backend.Refused) // a connection to a removed server
		c.checker.Stop()
		c.checker.Stop()
		c.checker.Apply(standard, c.pool.Servers())
		n = c.probed(stays)
		time.Sleep(time.Minute)
		if c.probed(stays) != n {
			t.Error("probes after Stop")
		}
	})
}

// A shorter interval counts from the reload on, also within the first of the former one:
// otherwise clients go to a server that has died for as long as the old interval lasts.
func TestShorterIntervalCountsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes(made(10)...), answers)
		long := standard
		long.Interval, long.FastInterval = time.Hour, time.Hour
		c.checker.Apply(long, c.pool.Servers())
		time.Sleep(time.Second)
		c.checker.Apply(standard, c.pool.Servers())
		time.Sleep(10 * standard.Interval)
		for _, server := range c.pool.Servers() {
			if n := c.probed(server); n < 10 || n > 13 {
				t.Errorf("%s was checked %d times in 10 intervals", server.Name(), n)
			}
		}
		c.checker.Stop()
	})
}

// A server that has a verdict does not start as unchecked.
func TestInheritedVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes(made(2)...), answers)
		down := c.pool.Servers()[0]
		down.SetHealth(backend.Down, "inherited", time.Now())
		c.checker.Apply(standard, c.pool.Servers())
		time.Sleep(500 * time.Millisecond)
		if st := down.State(); st.Health != backend.Down {
			t.Errorf("up after one check: %+v", st)
		}
		time.Sleep(time.Second)
		if st := down.State(); st.Health != backend.Up {
			t.Errorf("not up after two: %+v", st)
		}
		c.checker.Stop()
	})
}

// A server that an earlier Checker left suspect stops being suspect after the first
// passed check.
func TestInheritedSuspicion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes(made(1)...), answers)
		server := c.pool.Servers()[0]
		server.SetHealth(backend.Up, "inherited", time.Now())
		server.SetDegraded(true, "inherited")
		c.checker.Apply(standard, c.pool.Servers())
		synctest.Wait()
		if st := server.State(); st.Health != backend.Up || st.Degraded {
			t.Errorf("after a pass: %+v", st)
		}
		c.checker.Stop()
	})
}

// A server dies under load: the connections of 25,000 clients end, on several event
// loops, and the server is down soon.
func TestServerDiesUnderLoad(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dies := listener.Addr().(*net.TCPAddr).AddrPort()
	lives := listen(t, untilGone)

	var log strings.Builder
	pool := newPool(t, nodes(dies, lives))
	checker := New(pool, slog.New(slog.NewTextHandler(&log, nil)))
	changes := make(chan backend.Health, 10)
	pool.OnChange(func(s *backend.Server, _, st backend.State) {
		if s.Name() == "node1" {
			changes <- st.Health
		}
	})
	check := standard
	check.Type, check.Interval = conf.CheckTCP, time.Hour
	checker.Apply(check, pool.Servers())
	if health := <-changes; health != backend.Up {
		t.Fatalf("initially %v", health)
	}
	for { // also wait for the other server's first check, which the log line counts
		if status, _ := checker.Status(pool.Servers()[1]); status.Health == backend.Up {
			break
		}
		time.Sleep(time.Millisecond)
	}

	listener.Close()
	start := time.Now()
	var loops sync.WaitGroup
	for range 4 {
		loops.Go(func() {
			for range 25000 / 4 {
				checker.Observe(pool.Servers()[0], backend.ServerReset)
				checker.Observe(pool.Servers()[1], backend.Completed)
			}
		})
	}
	health := <-changes
	took := time.Since(start)
	loops.Wait()
	status, _ := checker.Status(pool.Servers()[0])
	checker.Stop()
	if health != backend.Down {
		t.Errorf("%v", health)
	}
	within(t, "down", took, 0, time.Minute) // long before the next check, 20 ms on an idle machine
	t.Logf("down after %v", took)
	if most := 3 + uint64(time.Since(start)/check.FastInterval); status.Observed != 25000 || uint64(status.Checks) > most {
		t.Errorf("status %+v", status)
	}
	if want := "server nodes/node1 is DOWN, reason: L4CON connection refused, check duration"; strings.Count(log.String(), want) != 1 ||
		!strings.Contains(log.String(), ". 1 server left") {
		t.Errorf("log:\n%s", log.String())
	}
}

// Observe is on the path of event loops.
func TestObserveAllocatesNothing(t *testing.T) {
	pool := newPool(t, nodes(made(1)...))
	checker := New(pool, slog.New(slog.DiscardHandler))
	checker.probe = func(context.Context, conf.Check, target) Result { return Result{Code: L4OK} }
	check := standard
	check.Interval, check.Observe = time.Hour, false
	checker.Apply(check, pool.Servers())
	defer checker.Stop()
	server := pool.Servers()[0]
	for _, outcome := range []backend.Outcome{backend.Completed, backend.Refused, backend.ServerReset} {
		if n := testing.AllocsPerRun(1000, func() { checker.Observe(server, outcome) }); n > 0 {
			t.Errorf("%v: %v allocations", outcome, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, outcome := range []backend.Outcome{backend.Completed, backend.ServerReset, backend.Refused} {
		b.Run(outcome.String(), func(b *testing.B) {
			pool := newPool(b, nodes(made(4)...))
			checker := New(pool, slog.New(slog.DiscardHandler))
			checker.probe = func(context.Context, conf.Check, target) Result { return Result{Code: L4OK} }
			checker.Apply(standard, pool.Servers())
			defer checker.Stop()
			server := pool.Servers()[0]
			b.ReportAllocs()
			for b.Loop() {
				checker.Observe(server, outcome)
			}
		})
	}
}

// A test over real sockets: a server that responds to pings, and later only accepts
// connections.
func TestServerHangsForReal(t *testing.T) {
	t.Parallel()
	var hung atomic.Bool
	pong := saying(`{"jsonrpc":"2.0","id":1,"result":{}}` + "\n")
	addr := listen(t, func(conn *net.TCPConn) {
		if hung.Load() {
			untilGone(conn)
			return
		}
		pong(conn)
	})
	pool := newPool(t, nodes(addr))
	states := make(chan backend.State, 10)
	pool.OnChange(func(_ *backend.Server, _, st backend.State) { states <- st })
	checker := New(pool, slog.New(slog.DiscardHandler))
	defer checker.Stop()
	check := standard
	check.Interval, check.FastInterval, check.Timeout = time.Second, 200*time.Millisecond, time.Second
	checker.Apply(check, pool.Servers())
	await := func(what string, is func(backend.State) bool) {
		t.Helper()
		for timeout := time.After(3 * time.Minute); ; {
			select {
			case st := <-states:
				if is(st) {
					return
				}
			case <-timeout:
				t.Fatalf("never %s", what)
			}
		}
	}
	await("up", func(st backend.State) bool { return st.Health == backend.Up && !st.Degraded })
	hung.Store(true) // how long what follows takes is tested with a clock of the test
	await("suspect", func(st backend.State) bool { return st.Health == backend.Up && st.Degraded })
	await("down", func(st backend.State) bool { return st.Health == backend.Down })
	await("no longer suspect", func(st backend.State) bool { return st.Health == backend.Down && !st.Degraded })
}
