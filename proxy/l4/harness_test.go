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

// bed is a frontend on an engine of its own, with a pool of servers behind it.
type fixture struct {
	*harness.Harness
	pool     *backend.Pool
	frontend *Frontend
}

// setup is what a test may change of a bed before it starts.
type setup struct {
	harness.Setup
	frontend conf.Frontend
	backend  conf.Backend
}

// begin starts a bed in front of the servers at the addresses: mode tcp, no
// rate limits, round robin, two loops, the access log on, and else the defaults
// of the configuration. When the test ends it checks that nothing is left of any
// session and that each has its line in the log, and stops.
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

// listen has the frontend accept at an address, too.
func (b *fixture) listen(address string) {
	b.Helper()
	b.Listen(address, b.frontend, nil)
}

// meeting is a bed in front of a server that the test plays itself, and a
// connection relayed between a client and that.
func startRelay(t testing.TB, change ...func(*setup)) (b *fixture, client, server *endpoint.Conn) {
	t.Helper()
	a := endpoint.Accept(t)
	b = start(t, []string{a.Address}, change...)
	client, server = b.relayTo(a)
	return b, client, server
}

// inMode and the like are changes of a setup.
func inMode(m conf.Mode) func(*setup) { return func(s *setup) { s.frontend.Mode = m } }
func withPipes(n int) func(*setup)    { return func(s *setup) { s.Pipes = n } }
func withRetries(n int) func(*setup)  { return func(s *setup) { s.backend.Retries = n } }
func withoutLog(s *setup)             { s.LogOff = true }
func oneLoop(s *setup)                { s.Loops = 1 }

// withStoppedTime has the bed live in a time of its own, which only Advance moves.
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

// end waits for every session to end, and checks that each is accounted for
// once and has given everything back.
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

// expect waits until as many sessions have ended for a reason.
func (b *fixture) expect(reason session.Reason, n uint64) {
	b.Helper()
	harness.Expect(b, func() (ended, refused harness.Counts) {
		totals := b.frontend.Totals()
		return totals.Ended, totals.Refused
	}, reason.String(), n)
}

// dial connects to the bed.
func (b *fixture) dial() *endpoint.Conn {
	b.Helper()
	return endpoint.Dial(b, b.Address)
}

// meet connects a client, and waits until the relay between both ends has begun.
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
