package handover

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"mcplb/backend"
	"mcplb/backend/discovery"
	"mcplb/conf"
	"mcplb/proxy/l4"
	"mcplb/proxy/metrics"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// fixture is a small balancer, old or new: one loop, one frontend of mode tcp, one
// server.
type fixture struct {
	t        testing.TB
	config   *conf.Config
	engine   *reactor.Engine
	workers  *tlsio.Workers
	limiter  *ratelimit.Limiter
	pool     *backend.Pool
	frontend *l4.Frontend
	listener *net.TCPListener

	suspended  bool
	left       bool
	lacks      bool // the frontend
	shortage   bool // no descriptor is free for copies of its sockets
	alone      bool
	figures    Figures // restored
	names      []discovery.Handover
	oldClients int
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	config, err := conf.Parse("test.toml", []byte("[frontend.f]\nlisten = \"127.0.0.1:0\"\nmode = \"tcp\"\nbackend = \"b\"\n[[backend.b.server]]\nname = \"s\"\ntcp = \"127.0.0.1:1\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := reactor.Start(1, 0, reactor.Kernel())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Stop)
	f := &fixture{t: t, config: config, engine: engine, workers: tlsio.NewWorkers(engine.Loops(), 1), limiter: ratelimit.New(config.RateLimit), suspended: true}
	if f.pool, err = backend.NewPool(config.Backends[0], 1, netip.ParseAddrPort); err != nil {
		t.Fatal(err)
	}
	f.frontend = l4.NewFrontend(session.Settings{Frontend: config.Frontends[0], Pool: f.pool}, session.Shared{Limiter: f.limiter, Connections: open{}, Loops: 1})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	f.listener = listener.(*net.TCPListener)
	return f
}

// open lets everyone in.
type open struct{}

func (open) MayEnter() bool    { return true }
func (open) Left()             {}
func (open) Failed(unix.Errno) {}

func (f *fixture) Engine() *reactor.Engine       { return f.engine }
func (f *fixture) Accounts() *ratelimit.Accounts { return ratelimit.NewAccounts(0) }

func (f *fixture) Limiter() *ratelimit.Limiter { return f.limiter }
func (f *fixture) Suspend()                    { f.suspended = true }
func (f *fixture) Resume()                     { f.suspended = false; f.pool.Resume() }
func (f *fixture) Leave()                      { f.left = true }
func (f *fixture) Pools() []Pool               { return []Pool{{Pool: f.pool}} }
func (f *fixture) Figures() Figures            { return Figures{Peak: 77} }

func (f *fixture) Names() []discovery.Handover {
	return []discovery.Handover{{Use: discovery.Use{Server: "b/s1", Host: "a.test"}, Address: netip.MustParseAddr("127.0.0.1"), Good: 7}}
}

func (f *fixture) AdoptServers([]BackendState) {}

func (f *fixture) RestoreNames(names []discovery.Handover) { f.names = names }

func (f *fixture) EachCounters(visit func(name string, loop int, counters metrics.Set)) {
	visit("f", 0, f.frontend.Counters(0))
}

func (f *fixture) Sockets() ([]Socket, error) {
	if f.shortage {
		return nil, unix.EMFILE
	}
	file, err := f.listener.File()
	return []Socket{{Address: "here", File: file}}, err
}

func (f *fixture) Frontends() []FrontendState {
	return []FrontendState{{Name: "f", Stream: &f.config.Frontends[0], Peak: f.frontend.Peak()}}
}

func (f *fixture) Restore(figures Figures) error             { f.figures = figures; return nil }
func (f *fixture) Pool(*BackendState) (*backend.Pool, error) { return f.pool, nil }
func (f *fixture) SetOldClients(n int)                       { f.oldClients = n }
func (f *fixture) Disconnect(*backend.Server, conf.OnDown)   {}
func (f *fixture) Draining() bool                            { return false }
func (f *fixture) TLS() *tlsio.Workers                       { return f.workers }
func (f *fixture) Alone()                                    { f.alone = true }

func (f *fixture) Frontend(*FrontendState) Frontend {
	if f.lacks {
		return Frontend{}
	}
	return Frontend{Stream: f.frontend}
}

// connection is the two ends of a relayed connection that the test holds.
type connection struct{ client, server int }

// open begins to relay connections. The number of each is its client's port.
func (f *fixture) open(n int) (all []connection) {
	f.t.Helper()
	f.suspended = false
	loop := f.engine.Loops()[0]
	for i := range n {
		client, server := f.pair(), f.pair()
		loop.AddLoad(1)
		from := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1))
		source := f.limiter.Reinstate(uint64(i+1), f.engine.Now())
		slot := f.pool.Reinstate(f.pool.Servers()[0], 0)
		loop.Do(func() {
			detached := &session.Detached{Client: reactor.Detached{FD: client[0]}, Server: reactor.Detached{FD: server[0]}}
			h := &l4.Handover{Client: session.ClientState{From: from, Since: loop.Now()}, Relaying: true}
			h.Relay.Last = loop.Now()
			f.frontend.Adopt(loop, h, detached, source, slot)
		})
		all = append(all, connection{client[1], server[1]})
	}
	return all
}

// pair makes a connected pair of sockets: one end for the balancer, one for the
// test.
func (f *fixture) pair() [2]int {
	f.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { unix.Close(fds[1]) })
	if err := unix.SetNonblock(fds[0], true); err != nil {
		f.t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fds[1], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		f.t.Fatal(err)
	}
	return fds
}

// served returns the numbers of the connections that the balancer serves.
func (f *fixture) served() map[int]bool {
	var mu sync.Mutex
	found := map[int]bool{}
	for _, loop := range f.engine.Loops() {
		loop.Do(func() {
			loop.SweepFrom(0, func(c *reactor.Conn) bool {
				if s := session.Of(c); s != nil {
					mu.Lock()
					defer mu.Unlock()
					found[int(s.Info().Client.Port())] = true
				}
				return true
			})
		})
	}
	return found
}

// check compares what is taken with the connections that are served.
func (f *fixture) check() {
	f.t.Helper()
	n := len(f.served())
	if slots := f.pool.Servers()[0].Conns(); slots != n {
		f.t.Errorf("%d slots are taken for %d connections", slots, n)
	}
	if load := f.engine.Load(); load != n || f.frontend.Current() != n {
		f.t.Errorf("the loop counts %d connections, the frontend %d; they are %d", load, f.frontend.Current(), n)
	}
}

// readAgain reads from a blocking socket. One with a time limit is not read from again
// by the kernel after a signal (signal(7)), and Go's runtime sends itself signals.
func readAgain(fd int, p []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, p); err != unix.EINTR {
			return n, err
		}
	}
}

// checkTraffic sends a word through every one of the connections that is served.
func checkTraffic(t testing.TB, all []connection, served map[int]bool) {
	t.Helper()
	for i, c := range all {
		if !served[i+1] {
			continue
		}
		want := fmt.Sprint("connection ", i)
		if _, err := unix.Write(c.client, []byte(want)); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
		got := make([]byte, 100)
		if n, err := readAgain(c.server, got); err != nil || string(got[:n]) != want {
			t.Errorf("connection %d: %q has arrived, %v", i, got[:max(n, 0)], err)
		}
	}
}
