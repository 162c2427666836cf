package tlsio

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"mcplb/internal/certificate"
	"mcplb/proxy/reactor"

	"golang.org/x/sys/unix"
)

// choppy is a connection whose writes are split at random.
type choppy struct {
	net.Conn
	random *rand.Rand
}

func (c *choppy) Write(p []byte) (sent int, err error) {
	for sent < len(p) {
		n := min(1+c.random.IntN(2000), len(p)-sent)
		if c.random.IntN(3) == 0 {
			n = 1
		}
		m, err := c.Conn.Write(p[sent : sent+n])
		sent += m
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// narrow is a kernel whose sockets hold few bytes, so that writes are short.
func narrow() *reactor.System {
	system := reactor.Kernel()
	accept := system.Accept
	system.Accept = func(fd int) (int, netip.AddrPort, unix.Errno) {
		made, from, errno := accept(fd)
		if errno == 0 {
			system.SetOption(made, unix.SOL_SOCKET, unix.SO_SNDBUF, 20<<10)
		}
		return made, from, errno
	}
	return system
}

// TestEcho moves complete streams both ways at once, in every version, with
// clients that send in pieces, and with a kernel that writes in pieces.
func TestEcho(t *testing.T) {
	t.Parallel()
	size := 20 << 20
	for name, c := range map[string]struct {
		version uint16
		system  *reactor.System
		chop    bool
	}{
		"1.2":                {tls.VersionTLS12, reactor.Kernel(), false},
		"1.3":                {tls.VersionTLS13, reactor.Kernel(), false},
		"1.3 in pieces":      {tls.VersionTLS13, reactor.Kernel(), true},
		"1.2 short writes":   {tls.VersionTLS12, narrow(), false},
		"1.3 all in pieces.": {tls.VersionTLS13, narrow(), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := begin(t, c.system, usual(t))
			var wire net.Conn = b.dialRaw()
			total := size
			if c.chop {
				wire, total = &choppy{wire, rand.New(rand.NewPCG(3, 4))}, size/4
			}
			if strings.Contains(name, "short") {
				total = size / 4
			}
			config := b.client()
			config.MinVersion, config.MaxVersion = c.version, c.version
			conn := tls.Client(wire, config)
			checkEcho(t, conn, total)
			if got := b.recorded(&b.reads); got != 0 {
				t.Errorf("the client's stream ended with %v", got)
			}
			totals := b.server.Totals()
			version := map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[c.version]
			if totals.Full != 1 || totals.Resumed != 0 || totals.Versions[version] != 1 {
				t.Errorf("counted %+v", totals)
			}
		})
	}
}

// checkEcho sends total bytes, half-closes, and expects them back.
func checkEcho(t *testing.T, conn *tls.Conn, total int) {
	t.Helper()
	sent := sha256.New()
	failed := make(chan error, 1)
	go func() {
		noise := rand.NewChaCha8([32]byte{9})
		_, err := io.CopyN(io.MultiWriter(conn, sent), noise, int64(total))
		if err == nil {
			err = conn.CloseWrite()
		}
		failed <- err
	}()
	got := sha256.New()
	n, err := io.Copy(got, conn)
	if err != nil || n != int64(total) {
		t.Fatalf("%d bytes came back, want %d: %v", n, total, err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		t.Error("the bytes that came back differ from those sent")
	}
}

// TestResumption checks that sessions are resumed in both versions, also after
// the settings have changed.
func TestResumption(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := usual(t)
		b := begin(t, reactor.Kernel(), config)
		client := b.client()
		client.MaxVersion = version
		client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		for i := range 3 {
			conn, _ := b.dial(client)
			checkEcho(t, conn, 10) // in 1.3 a ticket comes after the handshake
			if resumed := conn.ConnectionState().DidResume; resumed != (i > 0) {
				t.Errorf("version %x, connection %d: resumed %v", version, i, resumed)
			}
			config.Certificates = []tls.Certificate{certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "a.test"), config.Certificates[0]}
			b.server.Apply(config)
		}
		if totals := b.server.Totals(); totals.Full != 1 || totals.Resumed != 2 {
			t.Errorf("counted %+v", totals)
		}
	}
}

// TestCertificates checks that the certificate matches the requested name, and
// the algorithms the client supports.
func TestCertificates(t *testing.T) {
	t.Parallel()
	first := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "a.test", "*.wild.test")
	older := certificate.New(t, nil, certificate.RSA(t), certificate.Today(), "a.test")
	other := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "b.test")
	b := begin(t, reactor.Kernel(), Config{Certificates: []tls.Certificate{first, older, other}, MinVersion: tls.VersionTLS12})
	for name, want := range map[string]tls.Certificate{
		"a.test": first, "b.test": other, "x.wild.test": first, "unknown.test": first, "": first,
	} {
		conn, _ := b.dial(&tls.Config{ServerName: name, InsecureSkipVerify: true})
		if got := conn.ConnectionState().PeerCertificates[0]; !got.Equal(want.Leaf) {
			t.Errorf("%q got the certificate of %v", name, got.DNSNames)
		}
		conn.Close()
	}
	conn, _ := b.dial(&tls.Config{
		ServerName: "a.test", RootCAs: b.roots, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	})
	if got := conn.ConnectionState().PeerCertificates[0]; !got.Equal(older.Leaf) {
		t.Errorf("a client that supports only RSA got the certificate of %v", got.PublicKeyAlgorithm)
	}
	conn.Close()
}

// TestProtocols checks ALPN (RFC 7301 section 3.2), and the versions supported.
func TestProtocols(t *testing.T) {
	t.Parallel()
	config := usual(t)
	config.Protocols = []string{"http/1.1"}
	config.MinVersion = tls.VersionTLS13
	b := begin(t, reactor.Kernel(), config)
	for _, c := range []struct {
		offered []string
		version uint16
		agreed  string
		fails   string
	}{
		{[]string{"h2", "http/1.1"}, 0, "http/1.1", ""},
		{nil, 0, "", ""},
		{[]string{"h2"}, 0, "", "no application protocol"},
		{nil, tls.VersionTLS12, "", "protocol version"},
	} {
		client := b.client()
		client.NextProtos, client.MaxVersion = c.offered, c.version
		conn := tls.Client(b.dialRaw(), client)
		err := conn.Handshake()
		if c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%v: %v, want it to fail with %q", c.offered, err, c.fails)
		}
		if c.fails == "" && (err != nil || conn.ConnectionState().NegotiatedProtocol != c.agreed) {
			t.Errorf("%v: %v, agreed on %q", c.offered, err, conn.ConnectionState().NegotiatedProtocol)
		}
		conn.Close()
	}
	b.eventually("the failures are counted", func() bool { return b.server.Totals().Failed["protocol"] == 2 })
}

// TestNoTLS sends bytes that are not a handshake.
func TestNoTLS(t *testing.T) {
	t.Parallel()
	config := usual(t)
	config.Protocols = []string{"http/1.1"}
	b := begin(t, reactor.Kernel(), config)
	for what, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n": "HTTP/1.1 400 ",
		"\x80\x2e\x01\x03\x01":                   "",
		"{\"jsonrpc\": \"2.0\"}\n":               "",
	} {
		raw := b.dialRaw()
		if _, err := io.WriteString(raw, what); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(raw)
		if err != nil || !strings.HasPrefix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("%q: %q, %v", what, got, err)
		}
		if errno := b.recorded(&b.errnos); errno != unix.EPROTO {
			t.Errorf("%q: %v", what, errno)
		}
	}
	// A handshake record with invalid content.
	raw := b.dialRaw()
	if _, err := raw.Write([]byte{22, 3, 1, 0, 4, 0xff, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(raw); err != nil || len(got) != 7 || got[0] != 21 {
		t.Errorf("garbage in a record: %x, %v; want an alert", got, err)
	}
	b.eventually("all is counted", func() bool {
		failed := b.server.Totals().Failed
		return failed["not_tls"] == 3 && failed["protocol"] == 1
	})
}

// flights records what a client writes, flight by flight.
type flights struct {
	net.Conn
	written [][]byte
}

func (f *flights) Write(p []byte) (int, error) {
	f.written = append(f.written, bytes.Clone(p))
	return f.Conn.Write(p)
}

// TestBrokenOff has clients that close after each part of their first flight,
// and within their second, with FIN and with RST.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	recorded := &flights{Conn: b.dialRaw()}
	conn := tls.Client(recorded, b.client())
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	hello := recorded.written[0]
	gone := uint64(0)
	for n := 0; n <= len(hello); n += 1 + n/3 {
		for _, rst := range []bool{false, true} {
			raw := b.dialRaw()
			if _, err := raw.Write(hello[:n]); err != nil {
				t.Fatal(err)
			}
			if rst {
				_ = raw.SetLinger(0)
			}
			raw.Close()
			gone++
		}
	}
	b.eventually("all have ended", func() bool { return b.server.Totals().Failed["client_gone"] == gone })
	if failed := b.server.Totals().Failed; failed["protocol"]+failed["not_tls"] > 0 {
		t.Errorf("failed: %v", failed)
	}
}

// TestClientRefuses has a client that sends an alert because it does not trust
// the certificate.
func TestClientRefuses(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	conn := tls.Client(b.dialRaw(), &tls.Config{ServerName: "wrong.test", RootCAs: b.roots, MaxVersion: tls.VersionTLS12})
	if err := conn.Handshake(); err == nil {
		t.Fatal("a wrong certificate is trusted")
	}
	b.eventually("it is counted", func() bool { return b.server.Totals().Failed["client_alert"] == 1 })
}

// TestEnds checks how a stream ends: normally with close_notify, and with FIN
// between two records; broken with FIN within a record, and with RST.
func TestEnds(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	for name, c := range map[string]struct {
		end  func(*tls.Conn, *net.TCPConn)
		want unix.Errno
	}{
		"close_notify":       {func(c *tls.Conn, _ *net.TCPConn) { c.CloseWrite() }, 0},
		"FIN":                {func(_ *tls.Conn, raw *net.TCPConn) { raw.CloseWrite() }, 0},
		"FIN in a header":    {func(_ *tls.Conn, raw *net.TCPConn) { raw.Write([]byte{23, 3}); raw.CloseWrite() }, unix.ECONNRESET},
		"FIN in a record":    {func(_ *tls.Conn, raw *net.TCPConn) { raw.Write([]byte{23, 3, 3, 1, 0, 7}); raw.CloseWrite() }, unix.ECONNRESET},
		"RST":                {func(_ *tls.Conn, raw *net.TCPConn) { raw.SetLinger(0); raw.Close() }, unix.ECONNRESET},
		"a forged record":    {func(_ *tls.Conn, raw *net.TCPConn) { raw.Write(append([]byte{23, 3, 3, 0, 30}, make([]byte, 30)...)) }, unix.EPROTO},
		"an oversize record": {func(_ *tls.Conn, raw *net.TCPConn) { raw.Write([]byte{23, 3, 3, 0xff, 0xff}) }, unix.EPROTO},
	} {
		conn, raw := b.dial(b.client())
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		c.end(conn, raw)
		if got := b.recorded(&b.reads); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if c.want == 0 {
			if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
				t.Errorf("%s: the response is %q, %v; want close_notify", name, rest, err)
			}
		}
		if c.want == unix.EPROTO {
			_, err := io.ReadAll(conn)
			if alert := new(net.OpError); !errors.As(err, &alert) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: the client received %v", name, err)
			}
		}
	}
}

// TestSmallReads has a handler that reads in pieces smaller than records:
// neither the rest of a record nor the bytes after it are lost.
func TestSmallReads(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	for _, most := range []int64{1, 7, 1000, 5000} {
		b.most.Store(most)
		conn, _ := b.dial(b.client())
		message := make([]byte, 6000)
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, message); err != nil {
			t.Fatalf("read %d bytes at once: %v", most, err)
		}
		checkEcho(t, conn, int(most)*1000)
	}
}

// recording records the bytes a client receives.
type recording struct {
	net.Conn
	heard []byte
}

func (h *recording) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.heard = append(h.heard, p[:n]...)
	return n, err
}

// TestCloseNotify checks that a normal end is announced in the last record (in
// TLS 1.2 its type, alert, is visible), whether by CloseWrite or by Close
// alone.
func TestCloseNotify(t *testing.T) {
	t.Parallel()
	b := begin(t, reactor.Kernel(), usual(t))
	for _, ends := range []func(*tls.Conn) error{(*tls.Conn).CloseWrite, func(c *tls.Conn) error {
		for _, loop := range b.engine.Loops() {
			loop.Post(func() {
				loop.Sweep(func(c *reactor.Conn) {
					if e, ok := c.Handler().(*echo); ok {
						e.end(c, false)
					}
				}, func() {})
			})
		}
		return nil
	}} {
		h := &recording{Conn: b.dialRaw()}
		client := b.client()
		client.MaxVersion = tls.VersionTLS12
		conn := tls.Client(h, client)
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		if err := ends(conn); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		const alert = headerSize + 8 + 2 + 16 // nonce, alert, tag
		if last := h.heard[len(h.heard)-alert:]; last[0] != 21 || last[4] != alert-headerSize {
			t.Errorf("the last record is %x", last)
		}
		conn.Close()
	}
}

// TestStopDuringHandshake checks that stopping an engine ends the goroutines of
// handshakes: the leak check would find them.
func TestStopDuringHandshake(t *testing.T) {
	t.Parallel()
	engine, err := reactor.Start(1, 0, reactor.Kernel())
	if err != nil {
		t.Fatal(err)
	}
	b := &fixture{TB: t, engine: engine, server: NewServer(usual(t), NewWorkers(engine.Loops(), 1))}
	b.listen()
	for range 20 {
		raw := b.dialRaw()
		if _, err := raw.Write([]byte{22, 3, 1, 2, 0, 1, 0}); err != nil {
			t.Fatal(err)
		}
	}
	b.eventually("all are there", func() bool { return engine.Load() == 20 })
	engine.Stop()
}
