package session

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
	"mcplb/internal/proxyheaders"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// entrance is a frontend that lets clients enter, and serves none.
type entrance struct {
	*fixture
	settings Settings
	clients  chan *entering
}

// entering is a client of an entrance.
type entering struct {
	Client
	*entrance
	done    bool
	refusal Reason // 0: the client has entered, if it is done
}

// open opens an entrance without limits; change changes its settings.
func open(t testing.TB, limits conf.RateLimit, change ...func(*Settings)) *entrance {
	t.Helper()
	c := harness.Parse(t, "tcp", "tcp", []string{"127.0.0.1:9"})
	e := &entrance{fixture: startLoop(t, limits), settings: Settings{Frontend: c.Frontends[0]}, clients: make(chan *entering, 10)}
	for _, f := range change {
		f(&e.settings)
	}
	t.Cleanup(e.close)
	e.Listen("127.0.0.1:0", e, nil)
	return e
}

// close ends the clients that have entered, and checks that the limiter has every
// source back.
func (e *entrance) close() {
	defer e.Stop()
	e.Each(func(conn *reactor.Conn) {
		if c, ok := conn.Handler().(*entering); ok {
			c.end()
		}
	})
	e.AwaitIdle()
	e.CheckEmpty()
}

func (e *entrance) MayAccept() bool         { return true }
func (e *entrance) AcceptFailed(unix.Errno) {}

func (e *entrance) Accepted(loop *reactor.Loop, fd int, from netip.AddrPort) {
	c := &entering{entrance: e}
	c.Conn, _ = loop.Adopt(fd, c)
	c.From = from
	c.entered(c.Begin(&e.settings, e.Limiter))
	e.clients <- c
}

func (c *entering) Ready(*reactor.Conn) {
	switch {
	case c.done:
	case c.Conn.Failed():
		c.entered(true, ClientGone)
	default:
		c.entered(c.Enter(&c.settings, c.Limiter))
	}
}

func (c *entering) entered(done bool, refusal Reason) {
	c.done, c.refusal = done, refusal
	switch {
	case !done:
		c.loop.Arm(&c.Timer, c, c.Since+int64(c.Limit(&c.settings.Frontend)))
	case refusal != 0:
		c.Refuse(refusal)
		c.end()
	}
}

func (c *entering) Expired(*reactor.Timer) { c.entered(true, c.TooLate()) }

// end closes the connection and gives back what the client holds.
func (c *entering) end() {
	c.loop.Disarm(&c.Timer)
	c.Conn.Close()
	c.Source.Release()
	c.loop.AddLoad(-1)
}

// check waits until the client has entered or was refused, and checks which.
func (c *entering) check(want Reason) {
	c.Helper()
	c.Eventually("the client has entered, or is refused", func() (done bool) {
		c.do(func() { done = c.done })
		return done
	})
	c.do(func() {
		switch {
		case c.refusal != want:
			c.Errorf("the client is refused for %q, want %q (0: %q)", c.refusal, want, Reason(0))
		case want == 0 && (c.Stage != StageEntered || c.Timer.Armed()):
			c.Errorf("the client has entered in stage %v, its timer is armed: %v", c.Stage, c.Timer.Armed())
		}
	})
}

// checkWaits checks that the client is in a stage, for limit at most, and that it is
// refused for the reason then and not before.
func (c *entering) checkWaits(stage Stage, limit time.Duration, late Reason) {
	c.Helper()
	const margin = 20 * time.Millisecond
	c.Turns(2)
	c.do(func() {
		if c.Stage != stage || c.done {
			c.Errorf("the client is in stage %v, done: %v, want %v", c.Stage, c.done, stage)
		}
	})
	c.Advance(limit - margin)
	c.do(func() {
		if c.done {
			c.Errorf("the client is refused for %v before %v have passed", c.refusal, limit)
		}
	})
	c.Advance(margin / 2)
	c.check(late)
}

// behindProxy makes the entrance expect PROXY headers of clients on this machine.
func behindProxy(s *Settings) {
	s.Frontend.AcceptProxy = true
	s.Frontend.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// TestProxyHeader checks that the client is the one that the PROXY header names, and
// that the bytes after the header are left for the server. If it fails, limits and
// logs apply to the proxy in front instead of its clients, or requests lose bytes.
func TestProxyHeader(t *testing.T) {
	t.Parallel()
	e := open(t, conf.RateLimit{}, behindProxy)
	const payload = "hello"
	for _, test := range proxyheaders.Good {
		for _, inPieces := range []bool{false, true} {
			conn := endpoint.Dial(t, e.Address)
			c := endpoint.Receive(t, e.clients)
			want := conn.TCPConn.LocalAddr().String()
			if test.Client != "" {
				want = test.Client
			}
			if inPieces {
				for _, piece := range []string{test.Header[:1], test.Header[1 : len(test.Header)/2], test.Header[len(test.Header)/2 : len(test.Header)-1]} {
					conn.Say(piece)
					e.Turns(1)
				}
				conn.Say(test.Header[len(test.Header)-1:] + payload)
			} else {
				conn.Say(test.Header + payload)
			}
			c.check(0)
			if got := c.read(len(payload)); got != payload || c.From.String() != want {
				t.Errorf("%s, in pieces %v: the client is %v and sends %q, want %s and %q", test.Name, inPieces, c.From, got, want, payload)
			}
		}
	}
}

// read reads what the client has sent after it entered.
func (c *entering) read(n int) (text string) {
	c.Eventually("the bytes arrive", func() bool {
		c.do(func() {
			p := make([]byte, n-len(text))
			if got, errno := c.Conn.Read(p); errno == 0 {
				text += string(p[:got])
			}
		})
		return len(text) == n
	})
	return text
}

// TestBadProxyHeader checks that a client without a valid PROXY header is refused at
// once, with RST: its address is unknown, so no limit could apply to it.
func TestBadProxyHeader(t *testing.T) {
	t.Parallel()
	e := open(t, conf.RateLimit{}, behindProxy)
	for _, test := range proxyheaders.Bad {
		t.Run(test.Name, func(t *testing.T) {
			conn := endpoint.Dial(t, e.Address)
			c := endpoint.Receive(t, e.clients)
			conn.Say(test.Header)
			c.check(ProxyHeaderInvalid)
			conn.HearReset()
		})
	}
}

// TestProxyHeaderBreaksOff checks that a client that ends within its PROXY header
// does not hold its connection until the time limit.
func TestProxyHeaderBreaksOff(t *testing.T) {
	t.Parallel()
	e := open(t, conf.RateLimit{}, behindProxy)
	for _, header := range proxyheaders.Short {
		for reason, end := range map[Reason]func(*endpoint.Conn){
			ProxyHeaderInvalid: (*endpoint.Conn).Finish,
			ClientGone:         (*endpoint.Conn).Reset,
		} {
			conn := endpoint.Dial(t, e.Address)
			c := endpoint.Receive(t, e.clients)
			conn.Say(header)
			e.Turns(2)
			end(conn)
			c.check(reason)
		}
	}
}

// TestProxyHeaderLate checks that a client that sends no complete PROXY header is
// refused after HeaderTimeout: silent clients must not collect.
func TestProxyHeaderLate(t *testing.T) {
	t.Parallel()
	e := open(t, conf.RateLimit{}, behindProxy)
	for _, header := range []string{"", "PROXY TCP4 "} {
		conn := endpoint.Dial(t, e.Address)
		c := endpoint.Receive(t, e.clients)
		conn.Say(header)
		c.checkWaits(StageHeader, HeaderTimeout, ProxyHeaderTimeout)
		conn.HearReset()
	}
}

// TestUntrustedProxy checks that only trusted proxies may name a client. If it fails,
// anyone can pretend to be anyone, and evade limits and bans.
func TestUntrustedProxy(t *testing.T) {
	t.Parallel()
	e := open(t, conf.RateLimit{}, behindProxy, func(s *Settings) {
		s.Frontend.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::/0")}
	})
	endpoint.TurnedAway(t, e.Address)
	endpoint.Receive(t, e.clients).check(UntrustedProxy)
}

// TestAdmission checks that every limit refuses clients, with RST and under its own
// reason, and that a client behind a proxy is limited by its own address: if it
// fails, one greedy client locks out all others behind the same proxy.
func TestAdmission(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits conf.RateLimit
		banned string
		second Reason // why another connection of the first client is refused
		other  Reason // why another client is
	}{
		{name: "no limits"},
		{name: "connection_rate", limits: conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1}, second: ConnectionRate},
		{name: "max_connections", limits: conf.RateLimit{MaxConnections: 1}, second: SourceConnections},
		{name: "global_connection_rate", limits: conf.RateLimit{GlobalConnectionRate: 1}, second: GlobalConnectionRate, other: GlobalConnectionRate},
		{name: "a ban", banned: "192.0.2.9", other: Banned},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := open(t, test.limits, behindProxy)
			if test.banned != "" {
				e.Limiter.Ban(netip.MustParseAddr(test.banned), time.Hour, e.Now())
			}
			enter := func(client string, want Reason) {
				conn := endpoint.Dial(t, e.Address)
				c := endpoint.Receive(t, e.clients)
				conn.Say("PROXY TCP4 " + client + " 192.0.2.2 12345 80\r\n")
				c.check(want)
				if want != 0 {
					conn.HearReset()
				}
			}
			enter("192.0.2.1", 0)
			enter("192.0.2.1", test.second)
			enter("192.0.2.9", test.other)
		})
	}
}

// fakeTLS is a TLS whose handshake is done when the client sends "y", and fails when
// it sends "n"; the client is sent "alert" then, if the connection is not reset.
type fakeTLS struct{}

func (fakeTLS) Secure(c *reactor.Conn) { c.SetTransport(&fakeHandshake{conn: c}) }

func (fakeTLS) Verification() uint64 { return 0 }

type fakeHandshake struct {
	conn *reactor.Conn
	done bool
}

func (h *fakeHandshake) Step() (done bool, errno unix.Errno) {
	for p := make([]byte, 1); ; {
		n, errno := h.conn.RawRead(p)
		switch {
		case errno == unix.EAGAIN:
			return false, 0
		case errno != 0:
			return true, errno
		case n == 0:
			return true, unix.ECONNRESET
		case p[0] == 'n':
			return true, unix.EPROTO
		case p[0] == 'y':
			h.done = true
			return true, 0
		}
	}
}

func (h *fakeHandshake) Version() string { return "1.3" }

func (*fakeHandshake) TakeCertificate() *x509.Certificate { return nil }

func (*fakeHandshake) Err() error { return nil }

func (h *fakeHandshake) Read(c *reactor.Conn, p []byte) (n int, more bool, errno unix.Errno) {
	n, errno = c.RawRead(p)
	return n, false, errno
}
func (h *fakeHandshake) Send(c *reactor.Conn, p []byte) unix.Errno { return c.RawSend(p) }
func (h *fakeHandshake) CloseWrite(*reactor.Conn)                  {}
func (h *fakeHandshake) Detachable() bool                          { return false }
func (h *fakeHandshake) Detach() reactor.Suspended                 { return nil }

func (h *fakeHandshake) Close(c *reactor.Conn, cut bool) {
	if !h.done && !cut {
		c.RawTrySend([]byte("alert"))
	}
}

// withTLS makes the entrance speak fakeTLS.
func withTLS(s *Settings) { s.TLS = fakeTLS{} }

// TestHandshake checks that a client enters when its handshake is done, and what a
// client sees whose handshake fails: the alert, which says why, and which RST would
// overtake.
func TestHandshake(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(*endpoint.Conn)
		want Reason
		sees func(*endpoint.Conn)
	}{
		{"done", func(c *endpoint.Conn) { c.Say("...y") }, 0, nil},
		{"failed", func(c *endpoint.Conn) { c.Say(".n") }, TLSHandshake, func(c *endpoint.Conn) { c.Hear("alert"); c.HearEnd() }},
		{"client ends", func(c *endpoint.Conn) { c.Say("."); c.Finish() }, ClientGone, (*endpoint.Conn).HearReset},
		{"client resets", (*endpoint.Conn).Reset, ClientGone, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := open(t, conf.RateLimit{}, withTLS)
			conn := endpoint.Dial(t, e.Address)
			c := endpoint.Receive(t, e.clients)
			test.do(conn)
			c.check(test.want)
			if test.sees != nil {
				test.sees(conn)
			}
			if test.want != 0 {
				return
			}
			e.do(func() {
				if v := TLSVersion(c.Conn); v != "1.3" {
					t.Errorf("the version of TLS is %q, want 1.3", v)
				}
			})
		})
	}
}

// TestHandshakeLate checks that a handshake may take as long as its mode allows, from
// the PROXY header on, and no longer: handshakes that hang must not collect.
func TestHandshakeLate(t *testing.T) {
	t.Parallel()
	httpMode := func(s *Settings) { s.Frontend.Mode, s.Frontend.TimeoutHTTPRequest = conf.ModeHTTP, time.Minute }
	for _, test := range []struct {
		name   string
		change []func(*Settings)
		header string
		limit  time.Duration
	}{
		{"mode tcp", []func(*Settings){withTLS}, "", HandshakeTimeout},
		{"mode http", []func(*Settings){withTLS, httpMode}, "", time.Minute},
		{"after a PROXY header", []func(*Settings){withTLS, behindProxy}, "PROXY UNKNOWN\r\n", HandshakeTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := open(t, conf.RateLimit{}, test.change...)
			conn := endpoint.Dial(t, e.Address)
			c := endpoint.Receive(t, e.clients)
			if test.header != "" {
				e.Advance(HeaderTimeout / 2)
				conn.Say(test.header)
			}
			e.Eventually("the handshake begins", func() (begun bool) {
				e.do(func() { begun = c.Stage == StageHandshake })
				return begun
			})
			conn.Say(strings.Repeat(".", 3)) // progress does not extend the limit
			c.checkWaits(StageHandshake, test.limit, TLSTimeout)
			conn.HearReset()
		})
	}
}

// TestLimitsComeBeforeTLS checks that a refused client costs no handshake, which is
// what an attacker would want the balancer to compute.
func TestLimitsComeBeforeTLS(t *testing.T) {
	t.Parallel()
	e := open(t, conf.RateLimit{MaxConnections: 1}, withTLS)
	endpoint.Dial(t, e.Address)
	endpoint.Receive(t, e.clients)
	endpoint.TurnedAway(t, e.Address)
	c := endpoint.Receive(t, e.clients)
	c.check(SourceConnections)
	e.do(func() {
		if c.Stage != StageAdmission || c.Conn.HasTransport() {
			t.Errorf("the client is refused in stage %v, with TLS: %v", c.Stage, c.Conn.HasTransport())
		}
	})
}

// TestStages checks what status and the access log show of every stage.
func TestStages(t *testing.T) {
	t.Parallel()
	for stage, want := range map[Stage]struct {
		name  string
		phase accesslog.Phase
	}{
		StageHeader:    {"header", accesslog.PhaseProxy},
		StageAdmission: {"admission", accesslog.PhaseAdmission},
		StageHandshake: {"handshake", accesslog.PhaseHandshake},
		StageEntered:   {"entered", accesslog.PhaseNone},
	} {
		if stage.String() != want.name || stage.Phase() != want.phase {
			t.Errorf("stage %d is %q in phase %v, want %q and %v", stage, stage, stage.Phase(), want.name, want.phase)
		}
	}
}

// TestLimited checks which reasons count as refusals of the limiter: exactly those that
// stand for one of its verdicts.
func TestLimited(t *testing.T) {
	t.Parallel()
	for reason := range Reasons {
		limited := false
		for verdict := ratelimit.RefusedBanned; verdict <= ratelimit.RefusedGlobalRate; verdict++ {
			limited = limited || RefusalOf(verdict) == reason
		}
		if reason.Limited() != limited {
			t.Errorf("%v counts as refused by the limiter: %v, want %v", reason, reason.Limited(), limited)
		}
	}
}
