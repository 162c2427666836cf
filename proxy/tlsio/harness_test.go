package tlsio

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
	"mcplb/internal/leak"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fixture is an engine that serves TLS on one address.
type fixture struct {
	testing.TB
	engine  *reactor.Engine
	server  *Server
	workers *Workers
	address string
	roots   *x509.CertPool
	most    atomic.Int64 // bytes per read of a client; 0 = no limit

	mu     sync.Mutex
	errnos []unix.Errno // outcomes of handshakes, 0 = complete; guarded by mu
	reads  []unix.Errno // ends of streams, 0 = normal; guarded by mu
}

// begin serves TLS with the settings c: it echoes every client, and closes when
// the client does.
func begin(t testing.TB, system *reactor.System, c Config) *fixture {
	t.Helper()
	engine, err := reactor.Start(2, 0, system)
	if err != nil {
		t.Fatal(err)
	}
	workers := NewWorkers(engine.Loops(), 1)
	b := &fixture{TB: t, engine: engine, workers: workers, server: NewServer(c, workers), roots: certificate.Pool(c.Certificates...)}
	b.listen()
	t.Cleanup(func() {
		b.eventually("every connection ends", func() bool { return engine.Load() == 0 })
		engine.Stop()
	})
	return b
}

// listen makes the fixture accept clients.
func (b *fixture) listen() {
	b.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	b.address = socket.Addr().String()
	if _, err := b.engine.Listen(socket.(*net.TCPListener), acceptor{b}); err != nil {
		b.Fatal(err)
	}
}

// acceptor echoes every client.
type acceptor struct{ *fixture }

func (acceptor) MayAccept() bool         { return true }
func (acceptor) AcceptFailed(unix.Errno) {}
func (a acceptor) Accepted(loop *reactor.Loop, fd int, _ netip.AddrPort) {
	c, errno := loop.Adopt(fd, &echo{fixture: a.fixture})
	if errno != 0 {
		a.Error(errno)
		return
	}
	a.server.Secure(c)
}

// echo is the handler of one client.
type echo struct {
	*fixture
	open, finSent bool
}

// Ready implements reactor.Handler.
func (e *echo) Ready(c *reactor.Conn) {
	if !e.open {
		done, errno := c.Transport().(*Transport).Step()
		if !done {
			return
		}
		e.record(&e.errnos, errno)
		if errno != 0 {
			e.end(c, false)
			return
		}
		e.open = true
	}
	for moved := 0; c.Readable() && !c.Blocked() && !e.finSent; {
		if moved > reactor.Budget {
			c.Yield()
			return
		}
		p := c.Loop().Scratch()
		if most := e.most.Load(); most > 0 {
			p = p[:most]
		}
		n, errno := c.Read(p)
		switch {
		case errno == unix.EAGAIN:
		case errno != 0:
			e.record(&e.reads, errno)
			e.end(c, true)
			return
		case n == 0:
			e.record(&e.reads, 0)
			e.finSent = true
			c.CloseWrite()
		default:
			moved += n
			if errno := c.Send(p[:n]); errno != 0 {
				e.record(&e.reads, errno)
				e.end(c, true)
				return
			}
		}
	}
	if e.finSent && c.Parked() == 0 {
		e.end(c, false)
	}
}

func (e *echo) end(c *reactor.Conn, broken bool) {
	if broken {
		c.Reset()
	} else {
		c.Close()
	}
	c.Loop().AddLoad(-1)
}

func (b *fixture) record(list *[]unix.Errno, errno unix.Errno) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*list = append(*list, errno)
}

// recorded waits until the list has an entry, and removes it.
func (b *fixture) recorded(list *[]unix.Errno) (first unix.Errno) {
	b.Helper()
	b.eventually("an outcome is recorded", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(*list) == 0 {
			return false
		}
		first, *list = (*list)[0], (*list)[1:]
		return true
	})
	return first
}

func (b *fixture) eventually(what string, done func() bool) {
	b.Helper()
	endpoint.Eventually(b, what, done)
}

// dialRaw connects without TLS.
func (b *fixture) dialRaw() *net.TCPConn {
	b.Helper()
	return endpoint.Dial(b, b.address).TCPConn
}

// client returns the settings of a test's client.
func (b *fixture) client() *tls.Config {
	return &tls.Config{RootCAs: b.roots, ServerName: "a.test"}
}

// dial connects, and completes the handshake.
func (b *fixture) dial(c *tls.Config) (*tls.Conn, *net.TCPConn) {
	b.Helper()
	raw := b.dialRaw()
	conn := tls.Client(raw, c)
	if err := conn.Handshake(); err != nil {
		b.Fatalf("handshake: %v", err)
	}
	return conn, raw
}

// usual returns the settings of a server for a.test.
func usual(t testing.TB) Config {
	t.Helper()
	return Config{Certificates: []tls.Certificate{certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "a.test")}, MinVersion: tls.VersionTLS12}
}
