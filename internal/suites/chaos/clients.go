package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"
)

// patience is the longest that a client waits for anything. The balancer has the
// race detector and shares the machine with all clients.
const patience = 40 * time.Second

// identityHeader marks requests and their responses.
const identityHeader = "X-Identity"

// errWrong marks a response that no fault of a server excuses.
var errWrong = errors.New("wrong")

// errAborted marks a connection that the client ended itself.
var errAborted = errors.New("aborted")

// kind is a way to use the balancer.
type kind struct {
	name string
	use  func(c *client, ctx context.Context) error
}

var kinds = []kind{
	{"tcp", func(c *client, ctx context.Context) error { return c.speak(ctx, tcpPort, "") }},
	{"mcp", func(c *client, ctx context.Context) error { return c.speak(ctx, mcpPort, "") }},
	{"PROXY header", (*client).speakBehindProxy},
	{"half-closed tcp", (*client).halfClose},
	{"requests", func(c *client, ctx context.Context) error { return c.request(ctx, false) }},
	{"TLS requests", func(c *client, ctx context.Context) error { return c.request(ctx, true) }},
	{"pipelined requests", (*client).pipeline},
	{"event stream", (*client).listen},
	{"WebSocket", func(c *client, ctx context.Context) error { return c.exchange(ctx, false) }},
	{"TLS WebSocket", func(c *client, ctx context.Context) error { return c.exchange(ctx, true) }},
	{"HTTP/2", func(c *client, ctx context.Context) error { return c.multiplex(ctx, false) }},
	{"HTTP/2 over TLS", func(c *client, ctx context.Context) error { return c.multiplex(ctx, true) }},
	{"TLS lines", func(c *client, ctx context.Context) error { return c.speak(ctx, mcpsPort, "") }},
	{"TLS passed through", func(c *client, ctx context.Context) error { return c.speak(ctx, sniPort, "") }},
	{"TLS 1.2 requests", func(c *client, ctx context.Context) error { c.version = tls.VersionTLS12; return c.request(ctx, true) }},
	{"garbage", (*client).garbage},
	{"garbage in HTTP/2", (*client).garbageHTTP2},
}

// client is one client. Each use of the balancer has a new connection.
type client struct {
	scene  *scene
	number int
	steady bool // a failure is a finding, and it never aborts
	calm   bool // it never aborts
	random *rand.Rand
	uses   int
	dialer net.Dialer

	version uint16 // of TLS at the most, in this use; 0 = any
}

func newClient(s *scene, number int, steady bool) *client {
	c := &client{scene: s, number: number, steady: steady, calm: steady}
	source, seed := s.disturbedSource(number), number
	if steady {
		source, seed = fmt.Sprintf("127.78.2.%d", number%250+1), number+100_000
	}
	c.random = s.report.random(seed)
	c.dialer = net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(source), 0))}
	return c
}

// work uses the balancer in all kinds until ctx ends.
func (c *client) work(ctx context.Context) {
	for ctx.Err() == nil {
		k := kinds[c.random.IntN(len(kinds))]
		err := c.once(ctx, k)
		c.report(k, err)
		if err != nil {
			pause(ctx, time.Duration(c.random.IntN(200))*time.Millisecond)
		}
	}
}

// once is one use. It continues when ctx ends, so that its end can be checked.
func (c *client) once(ctx context.Context, k kind) error {
	c.uses++
	c.version = 0
	return k.use(c, ctx)
}

func (c *client) report(k kind, err error) {
	who := "disturbed: "
	if c.steady {
		who = "steady: "
	}
	switch {
	case err == nil:
		c.scene.report.succeeded(who + k.name)
	case errors.Is(err, errAborted):
		c.scene.report.failure("aborted: " + k.name)
	case errors.Is(err, errWrong) || c.steady:
		c.scene.report.finding("%s%s, client %d: %v", who, k.name, c.number, err)
	default:
		c.scene.report.failure(who + k.name)
	}
}

// identity is unique to a use and a message of it.
func (c *client) identity(n int) string {
	return fmt.Sprintf("%t-%d-%d-%d", c.steady, c.number, c.uses, n)
}

// dial connects to a port of the frontends that the client belongs to.
func (c *client) dial(port int) (net.Conn, error) {
	if c.steady {
		port += steadyOffset
	}
	conn, err := c.dialer.Dial("tcp", address(port))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return nil, err
	}
	switch port % steadyOffset {
	case httpsPort % steadyOffset, mcpsPort % steadyOffset:
		return c.secure(conn), nil
	case http2sPort % steadyOffset:
		return c.secure(conn, "h2"), nil
	case sniPort % steadyOffset:
		return c.secure(conn), nil
	}
	return conn, nil
}

// secure is TLS on a connection; the certificate is created for the run.
func (c *client) secure(conn net.Conn, protocols ...string) net.Conn {
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "node1.chaos.test", NextProtos: protocols, MaxVersion: c.version})
}

// dialHTTP connects to a frontend of mode http.
func (c *client) dialHTTP(secure bool) (net.Conn, error) {
	if secure {
		return c.dial(httpsPort)
	}
	return c.dial(httpPort)
}

// aborts decides whether the client ends its connection here, and how.
func (c *client) aborts(conn net.Conn) bool {
	if c.calm || c.random.IntN(30) != 0 {
		return false
	}
	switch c.random.IntN(4) {
	case 0:
		reset(conn)
	case 1: // it leaves without a word, after it did not read for a while
		time.Sleep(time.Duration(c.random.IntN(1500)) * time.Millisecond)
	}
	conn.Close()
	return true
}

// reset makes closing a connection send a reset.
func reset(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// size is the size of a message: mostly small.
func (c *client) size() int {
	switch c.random.IntN(20) {
	case 0:
		return c.random.IntN(300_000)
	case 1, 2, 3:
		return c.random.IntN(20_000)
	default:
		return c.random.IntN(300)
	}
}

// message is number n of a use, on one line.
func (c *client) message(n int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"echo","params":{"of":%q,"text":%q}}`+"\n", n, c.identity(n), strings.Repeat("x", c.size()))
}

// wrong describes a response that is not the one expected.
func wrong(what string, got, want string) error {
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	cut := func(s string) string { return s[min(at, len(s)):min(at+80, len(s))] }
	return fmt.Errorf("%w: %s: %d bytes, want %d; from byte %d on %q, want %q", errWrong, what, len(got), len(want), at, cut(got), cut(want))
}
