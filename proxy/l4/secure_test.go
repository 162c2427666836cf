package l4

import (
	"crypto/x509"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// fakeTLS is a session.TLS whose handshake is one byte from the client: after 'y' it
// is complete, after 'n' it fails. The bytes after it pass unchanged.
type fakeTLS struct{ closed, reset atomic.Int64 }

func (g *fakeTLS) Secure(c *reactor.Conn) { c.SetTransport(&fakeHandshake{fakeTLS: g, conn: c}) }

func (*fakeTLS) Verification() uint64 { return 0 }

type fakeHandshake struct {
	*fakeTLS
	conn *reactor.Conn
}

func (g *fakeHandshake) Step() (done bool, errno unix.Errno) {
	for g.conn.Readable() {
		p := make([]byte, 1)
		n, errno := g.conn.RawRead(p)
		switch {
		case errno == unix.EAGAIN:
			continue
		case errno != 0 || n == 0:
			return true, unix.ECONNRESET
		case p[0] == 'y':
			return true, 0
		}
		g.conn.RawTrySend([]byte("no"))
		return true, unix.EPROTO
	}
	return false, 0
}

func (g *fakeHandshake) Version() string { return "1.3" }

func (*fakeHandshake) TakeCertificate() *x509.Certificate { return nil }

func (*fakeHandshake) Err() error { return nil }

func (g *fakeHandshake) Read(c *reactor.Conn, p []byte) (int, bool, unix.Errno) {
	n, errno := c.RawRead(p)
	return n, false, errno
}

func (g *fakeHandshake) Send(c *reactor.Conn, p []byte) unix.Errno { return c.RawSend(p) }
func (g *fakeHandshake) CloseWrite(*reactor.Conn)                  {}
func (g *fakeHandshake) Detachable() bool                          { return false }
func (g *fakeHandshake) Detach() reactor.Suspended                 { return nil }
func (g *fakeHandshake) Close(_ *reactor.Conn, reset bool) {
	g.closed.Add(1)
	if reset {
		g.reset.Add(1)
	}
}

// useTLS makes the frontend speak fakeTLS.
func (b *fixture) useTLS() *fakeTLS {
	g := &fakeTLS{}
	settings := *b.frontend.Settings()
	settings.TLS = g
	b.frontend.Apply(settings)
	return g
}

// TestTLS checks that a session begins with the handshake, that its bytes are copied
// and not spliced, and that it takes a slot only after the handshake.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := endpoint.Accept(t)
	b := start(t, []string{s.Address})
	g := b.useTLS()
	c := b.dial()
	b.Eventually("it is there", func() bool { return b.frontend.Current() == 1 })
	b.Turns(2)
	if n := b.pool.Servers()[0].Conns(); n != 0 {
		t.Errorf("%d slots are taken before the handshake", n)
	}
	c.Say("yhello")
	server := s.Next()
	server.Hear("hello")
	b.each(func(s *Session) {
		if (s.relay.Up.Flags & s.relay.Down.Flags & copied) == 0 {
			t.Error("bytes that a transport changes may be spliced")
		}
	})
	c.Finish()
	server.HearEnd()
	server.Finish()
	c.HearEnd()
	b.expect(session.ClientClosed, 1)
	if g.closed.Load() != 1 || g.reset.Load() != 0 {
		t.Errorf("%d transports were closed, %d by reset", g.closed.Load(), g.reset.Load())
	}
}

// TestTLSFails checks handshakes that fail, that the client breaks off, that take too
// long, and that the balancer ends because it stops.
func TestTLSFails(t *testing.T) {
	t.Parallel()
	s := endpoint.Accept(t)
	b := start(t, []string{s.Address}, withStoppedTime)
	g := b.useTLS()
	c := b.dial()
	c.Say("n")
	c.Hear("no")
	c.HearEnd() // and no RST, which would overtake the alert
	b.expect(session.TLSHandshake, 1)
	b.dial().Finish()
	b.expect(session.ClientGone, 1)
	b.dial().Reset()
	b.expect(session.ClientGone, 2)

	slow := b.dial()
	b.Eventually("it is there", func() bool { return b.frontend.Current() == 1 })
	b.Advance(session.HandshakeTimeout - time.Second)
	if n := b.frontend.Current(); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	b.Advance(time.Second)
	slow.HearReset()
	b.expect(session.TLSTimeout, 1)

	stopped := b.dial()
	b.Eventually("it is there", func() bool { return b.frontend.Current() == 1 })
	b.each(func(s *Session) {
		s.ServerDown(conf.OnDownClose) // it has no server yet
		s.Drain()
		s.Abort(session.Stopped)
	})
	stopped.HearReset()
	b.expect(session.Stopped, 1)
	if n := g.closed.Load(); n != 5 {
		t.Errorf("%d transports were closed, want 5", n)
	}
}
