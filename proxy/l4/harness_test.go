package l4

import (
	"net/netip"
	"testing"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/internal/leak"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fixture is a balancer of one frontend, with its engine and a pool of servers.
type fixture struct {
	*harness.Harness
	pool     *backend.Pool
	frontend *Frontend
}

// setup holds the settings of a fixture, which a test may change before the start.
type setup struct {
	harness.Setup
	frontend conf.Frontend
	backend  conf.Backend
}

// start starts a fixture for the servers at the addresses: mode tcp, no rate limits,
// round robin, two loops, the access log on, and otherwise the defaults of the
// configuration. When the test ends, it checks that no session has left anything
// behind and that each has one line in the log, and stops.
func start(t testing.TB, servers []string, change ...func(*setup)) *fixture {
	t.Helper()
	c := harness.Parse(t, "mcp", "tcp", servers)
	s := &setup{Setup: harness.NewSetup(c.RateLimit), frontend: c.Frontends[0], backend: c.Backends[0]}
	s.frontend.Mode, s.Pipes = conf.ModeTCP, 16
	for _, f := range change {
		f(s)
	}
	pool, err := backend.NewPool(s.backend, s.Loops, netip.ParseAddrPort)
	if err != nil {
		t.Fatal(err)
	}
	b := &fixture{Harness: harness.Start(t, s.Setup), pool: pool}
	b.frontend = NewFrontend(session.Settings{Frontend: s.frontend, Pool: pool}, session.Shared{
		Limiter: b.Limiter, Connections: harness.Open{}, Log: b.AccessLog, Loops: s.Loops,
	})
	t.Cleanup(b.end)
	b.listen(s.frontend.Listen[0])
	return b
}

// listen makes the frontend accept clients at an address, too.
func (b *fixture) listen(address string) {
	b.Helper()
	b.Listen(address, b.frontend, nil)
}

// startRelay starts a fixture with one server, which the test plays itself, and
// returns both ends of a connection that is relayed between a client and it.
func startRelay(t testing.TB, change ...func(*setup)) (b *fixture, client, server *endpoint.Conn) {
	t.Helper()
	a := endpoint.Accept(t)
	b = start(t, []string{a.Address}, change...)
	client, server = b.relayTo(a)
	return b, client, server
}

// inMode and the following functions change a setup.
func inMode(m conf.Mode) func(*setup) { return func(s *setup) { s.frontend.Mode = m } }
func withPipes(n int) func(*setup)    { return func(s *setup) { s.Pipes = n } }
func withRetries(n int) func(*setup)  { return func(s *setup) { s.backend.Retries = n } }
func withoutLog(s *setup)             { s.LogOff = true }
func oneLoop(s *setup)                { s.Loops = 1 }

// withStoppedTime stops the time: only Advance moves it.
func withStoppedTime(s *setup) { s.StopTime() }

// withMaxConn sets every server's limit.
func withMaxConn(n int) func(*setup) {
	return func(s *setup) {
		for i := range s.backend.Servers {
			s.backend.Servers[i].MaxConn = n
		}
	}
}

// each calls f for every session, one loop after the other.
func (b *fixture) each(f func(*Session)) {
	b.Each(func(c *reactor.Conn) {
		if s, ok := session.Of(c).(*Session); ok {
			f(s)
		}
	})
}

// end waits for every session to end, and checks that each is counted once and has
// released everything.
func (b *fixture) end() {
	defer b.Stop()
	b.AwaitIdle()
	if b.frontend.Current() != 0 || b.pool.Queued() != 0 {
		b.Errorf("left behind: %d sessions, %d in the queue", b.frontend.Current(), b.pool.Queued())
	}
	for _, server := range b.pool.Servers() {
		if n := server.Conns(); n != 0 {
			b.Errorf("left behind: %d slots of server %s", n, server.Name())
		}
	}
	totals := b.frontend.Totals()
	harness.CheckSum(b, totals.Sessions, totals.Ended, totals.Refused)
	b.checkLog(&totals)
	b.CheckEmpty()
}

// expect waits until n sessions have ended for a reason.
func (b *fixture) expect(reason session.Reason, n uint64) {
	b.Helper()
	harness.Expect(b, func() (ended, refused harness.Counts) {
		totals := b.frontend.Totals()
		return totals.Ended, totals.Refused
	}, reason.String(), n)
}

// dial connects a client.
func (b *fixture) dial() *endpoint.Conn {
	b.Helper()
	return endpoint.Dial(b, b.Address)
}

// relayTo connects a client, and waits until it is relayed to a. It returns both ends.
func (b *fixture) relayTo(a *endpoint.Acceptor) (c, s *endpoint.Conn) {
	b.Helper()
	begun := func() (n uint64) {
		for _, server := range b.pool.Servers() {
			n += server.Totals().Connections
		}
		return n
	}
	before := begun()
	c, s = b.dial(), a.Next()
	b.Eventually("the relay begins", func() bool { return begun() > before })
	return c, s
}
