package proxy

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
	"mcplb/proxy/admin"
)

// bySNI is a balancer whose frontend tcp has routes by SNI, with a server in each of four
// backends.
type bySNI struct{ *running }

// namedRoutes are the routes of the tests, in an order in which a first match would be
// wrong.
const namedRoutes = `
[[frontend.tcp.route]]
sni = "*.example.com"
backend = "wild"
[[frontend.tcp.route]]
sni = ["*.deep.example.com"]
backend = "deep"
[[frontend.tcp.route]]
sni = ["A.example.com.", "b.example.org"]
backend = "exact"
[[frontend.tcp.route]]
sni = "own.example.com"
`

// namedText makes the configuration of routes, with the same servers each time; more are
// further keys of the frontend.
func namedText(t testing.TB) func(routes string, more ...string) string {
	backends := ""
	for _, b := range []string{"rest", "wild", "deep", "exact"} {
		backends += backendText(b, []string{endpoint.Serve(t, nameAndEcho(b)).Address})
	}
	return func(routes string, more ...string) string {
		return frontendText("tcp", anyPort, "tcp", "rest", more...) + routes + backends
	}
}

// nameAndEcho is a server that answers the first bytes with its name, and sends back all
// bytes.
func nameAndEcho(who string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		p := make([]byte, 4096)
		n, err := c.Read(p)
		if err != nil {
			return
		}
		if _, err := c.Write(append([]byte(who+"\n"), p[:n]...)); err == nil {
			endpoint.Echo(c)
		}
	}
}

func startNamed(t testing.TB, more ...string) *bySNI {
	return &bySNI{start(t, namedText(t)(namedRoutes, more...))}
}

// capture is a connection that keeps what is written.
type capture struct {
	net.Conn
	sent bytes.Buffer
}

func (c *capture) Write(p []byte) (int, error) { return c.sent.Write(p) }
func (c *capture) Read([]byte) (int, error)    { return 0, io.EOF }
func (c *capture) SetDeadline(time.Time) error { return nil }
func (c *capture) Close() error                { return nil }

// clientHello is what Go's client sends first, with a post-quantum key, when it asks for a
// name; "" = none.
func clientHello(name string) string {
	c := &capture{}
	_ = tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	return c.sent.String()
}

// inRecords is a ClientHello in records of n bytes.
func inRecords(hello string, n int) (split string) {
	for rest := hello[5:]; rest != ""; {
		part := rest[:min(n, len(rest))]
		rest = rest[len(part):]
		split += hello[:3] + string([]byte{byte(len(part) >> 8), byte(len(part))}) + part
	}
	return split
}

// padded is a ClientHello whose body has a length, by an extension of zeros.
func padded(hello string, length int) string {
	body := hello[9:]
	at := 2 + 32 // version, random
	at += 1 + int(body[at])
	at += 2 + int(body[at])<<8 + int(body[at+1])
	at += 1 + int(body[at])
	fill := length - len(body) - 4
	u16 := func(n int) string { return string([]byte{byte(n >> 8), byte(n)}) }
	body = body[:at] + u16(len(body)-at-2+4+fill) + body[at+2:] + u16(21) + u16(fill) + strings.Repeat("\x00", fill)
	message := "\x01" + string([]byte{0}) + u16(len(body)) + body
	return inRecords("\x16\x03\x01\x00\x00"+message, 1<<14)
}

// reaches checks that a client that has said hello reaches a backend, which gets every
// byte.
func (c *client) reaches(what, backend, hello string) {
	c.Helper()
	if who := c.Line(); who != backend {
		c.Fatalf("%s reaches %q, want %s", what, who, backend)
	}
	c.Hear(hello)
	if got := c.Ask("more"); got != "more" {
		c.Fatalf("%s: %q comes back", what, got)
	}
}

// say sends hello in pieces of a length, and checks which backend is reached.
func (n *bySNI) say(what, backend, hello string, length int) {
	n.t.Helper()
	c := dial(n.t, n.address("tcp"))
	for rest := hello; rest != ""; rest = rest[min(length, len(rest)):] {
		c.Say(rest[:min(length, len(rest))])
	}
	c.reaches(what, backend, hello)
	c.Close()
}

// A name that is read wrongly sends a client to the servers of somebody else.
func TestSNIChoosesTheBackend(t *testing.T) {
	t.Parallel()
	n := startNamed(t)
	long := clientHello("a.example.com")
	for _, c := range []struct{ what, hello, backend string }{
		{"an exact name", long, "exact"},
		{"in upper case", clientHello("A.EXAMPLE.COM"), "exact"},
		{"another of the list", clientHello("b.example.org"), "exact"},
		{"a wildcard", clientHello("x.example.com"), "wild"},
		{"of several labels", clientHello("x.y.z.example.com"), "wild"},
		{"the longer wildcard", clientHello("x.deep.example.com"), "deep"},
		{"its domain, which it is not", clientHello("deep.example.com"), "wild"},
		{"the domain of a wildcard", clientHello("example.com"), "rest"},
		{"a name that ends like it", clientHello("xexample.com"), "rest"},
		{"a route to the frontend's backend", clientHello("own.example.com"), "rest"},
		{"another name", clientHello("public.ech.example"), "rest"},
		{"no name", clientHello(""), "rest"},
		{"no TLS", "GET / HTTP/1.1\r\n\r\n", "rest"},
		{"one byte that is no TLS", "S", "rest"},
		{"almost TLS", "\x16\x50", "rest"},
		{"records of 1 byte", inRecords(long, 1), "exact"},
		{"records of 100 bytes", inRecords(long, 100), "exact"},
		{"early data behind it", long + "\x17\x03\x03\x00\x03abc", "exact"},
		{"16 KB", padded(long, 16<<10), "exact"},
		{"more than 16 KB", padded(long, 16<<10+1), "rest"},
		{"more than 60 KB", padded(long, 60<<10), "rest"},
	} {
		for _, pieces := range []int{1, 2} {
			n.say(c.what, c.backend, c.hello, (len(c.hello)+pieces-1)/pieces)
		}
	}
	n.say("byte by byte", "exact", long, 1)
	n.say("9 KB in records of a byte, in small pieces", "exact", inRecords(padded(long, 9<<10), 1), 7)
	routes := n.frontend("tcp").SNIRoutes
	for _, name := range []string{"*.example.com", "*.deep.example.com", "a.example.com,b.example.org", "own.example.com", "default"} {
		if routes[name] < 2 {
			t.Errorf("route %q is counted %d times: %v", name, routes[name], routes)
		}
	}
}

// What a client that never finishes its hello holds must be given back and be counted.
func TestSNIClientGoesAway(t *testing.T) {
	t.Parallel()
	n := startNamed(t)
	hello := clientHello("a.example.com")
	for i, said := range []string{"", "\x16", hello[:100], ""} {
		c := dial(t, n.address("tcp"))
		c.Say(said)
		n.eventually("it is waited for", func() bool { return n.waits() == 1 })
		if i%2 == 0 {
			c.Reset()
		} else {
			c.Close()
		}
		n.ended("tcp", "client_gone", uint64(i+1))
	}
	for _, b := range n.Snapshot().Backends {
		if total := b.Servers[0].Connections.Total; total != 0 {
			t.Errorf("backend %s was connected to", b.Name)
		}
	}
}

// list returns all connections.
func (n *bySNI) list() []admin.Connection {
	n.t.Helper()
	list, err := n.ListConnections(n.t.Context(), admin.ConnectionFilter{}, 100)
	if err != nil {
		n.t.Fatal(err)
	}
	return list.Connections
}

// waits is the number of clients whose hello is awaited.
func (n *bySNI) waits() (count int) {
	for _, c := range n.list() {
		if c.State == "hello" {
			count++
		}
	}
	return count
}

// The limits and the PROXY header come before the hello, as without routes.
func TestSNIBehindProxy(t *testing.T) {
	t.Parallel()
	n := startNamed(t, "accept_proxy = true", `trusted_proxies = ["127.0.0.0/8"]`, `deny = ["192.0.2.66"]`)
	hello := clientHello("a.example.com")
	const header = "PROXY TCP4 192.0.2.%d 192.0.2.200 12345 443\r\n"
	c := dial(t, n.address("tcp"))
	c.Say(fmt.Sprintf(header, 7) + hello)
	c.reaches("behind a proxy", "exact", hello)
	denied := dial(t, n.address("tcp"))
	denied.Say(fmt.Sprintf(header, 66) + hello)
	denied.HearReset()
	n.ended("tcp", "access_denied", 1)
}

// A reload changes where new clients go, and leaves those alone who are there; an
// upgrade loses no client whose hello is half read.
func TestSNIReloadAndUpgrade(t *testing.T) {
	t.Parallel()
	text := namedText(t)
	n := &bySNI{startOld(t, text(namedRoutes))}
	hello := clientHello("a.example.com")
	served := dial(t, n.address("tcp"))
	served.Say(hello)
	served.reaches("before", "exact", hello)

	half := dial(t, n.address("tcp"))
	half.Say(hello[:700])
	silent := dial(t, n.address("tcp"))
	n.eventually("both are waited for", func() bool { return n.waits() == 2 })

	changed := text(strings.Replace(namedRoutes, `backend = "exact"`, `backend = "deep"`, 1))
	n.apply(changed)
	if got := served.Ask("still here"); got != "still here" {
		t.Errorf("after the reload: %q", got)
	}
	h := &bySNI{n.upgrade(changed)}
	if got := h.waits(); got != 2 {
		t.Errorf("%d clients are waited for in the new process, want 2", got)
	}
	half.Say(hello[700:])
	half.reaches("half read", "deep", hello)
	silent.Say("no TLS")
	silent.reaches("silent", "rest", "no TLS")
	if got := served.Ask("and here"); got != "and here" {
		t.Errorf("after the upgrade: %q", got)
	}
	shown := map[string]bool{}
	for _, c := range h.list() {
		shown[fmt.Sprintf("%s %s", cmp.Or(c.SNI, "-"), c.Backend)] = true
	}
	for _, want := range []string{"a.example.com exact", "a.example.com deep", "- rest"} {
		if !shown[want] {
			t.Errorf("the connections are %v, want %q among them", shown, want)
		}
	}
	if got := h.frontend("tcp").SNIRoutes["a.example.com,b.example.org"]; got != 2 {
		t.Errorf("the route is counted %d times after the upgrade, want 2", got)
	}
	h.apply(text("")) // without routes
	late := dial(t, h.address("tcp"))
	late.Say(hello)
	late.reaches("without routes", "rest", hello)
	for _, c := range []*client{served, half, silent, late} {
		c.Close()
	}
	h.end()
}

// TestSNIPeers: the clients that people have reach the server whose certificate they
// expect.
func TestSNIPeers(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	text := frontendText("tcp", anyPort, "tcp", "rest") + "[[frontend.tcp.route]]\nsni = \"*.a.test\"\nbackend = \"a\"\n[[frontend.tcp.route]]\nsni = \"b.test\"\nbackend = \"b\"\n"
	for backend, host := range map[string]string{"rest": "rest.test", "a": "x.a.test", "b": "b.test"} {
		a.issue(backend, certificate.ECDSA(t), host)
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.directory, backend+".pem"), filepath.Join(a.directory, backend+".key"))
		if err != nil {
			t.Fatal(err)
		}
		text += backendText(backend, []string{endpoint.Serve(t, tellOverTLS(pair, backend)).Address})
	}
	r := start(t, text)
	address := r.address("tcp")
	for host, backend := range map[string]string{"x.a.test": "a", "b.test": "b", "rest.test": "rest"} {
		for _, max := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := a.client()
			c.ServerName, c.MaxVersion = host, max
			if got := whoIs(dialTLS(t, address, c)); got != backend {
				t.Errorf("Go's client, %s: %q", host, got)
			}
		}
		_, port, _ := net.SplitHostPort(address)
		for tool, args := range map[string][]string{
			"curl":    {"-sS", "--cacert", filepath.Join(a.directory, "ca.pem"), "--resolve", host + ":" + port + ":127.0.0.1", "https://" + host + ":" + port + "/"},
			"openssl": {"s_client", "-connect", address, "-servername", host, "-verify_hostname", host, "-CAfile", filepath.Join(a.directory, "ca.pem"), "-verify_return_error", "-quiet", "-ign_eof"},
		} {
			if _, err := exec.LookPath(tool); err != nil {
				t.Logf("%s is not installed", tool)
				continue
			}
			certificate.Write(t, a.directory, "ca", a.cert)
			cmd := exec.CommandContext(t.Context(), tool, args...)
			cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "I am "+backend) {
				t.Errorf("%s, %s: %v: %s", tool, host, err, out)
			}
		}
	}
}

// tellOverTLS is a server that answers one request with its name.
func tellOverTLS(pair tls.Certificate, who string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		conn := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
		p := make([]byte, 4096)
		if _, err := conn.Read(p); err == nil {
			fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\nI am %s", len("I am ")+len(who), who)
		}
		conn.Close()
	}
}

// whoIs asks for the name of a server.
func whoIs(c *tls.Conn) string {
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	answer, _ := io.ReadAll(c)
	_, who, _ := strings.Cut(string(answer), "I am ")
	return who
}
