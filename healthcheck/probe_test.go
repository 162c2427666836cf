package healthcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
)

// listen runs serve for every connection to a free port, and wants it to have
// returned when the test ends: it does when the peer is gone, who must not stay.
func listen(t *testing.T, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	s := endpoint.Serve(t, serve)
	t.Cleanup(func() { endpoint.Eventually(t, "every probe has gone", s.Idle) })
	return netip.MustParseAddrPort(s.Address)
}

// refusing is an address on which nobody listens.
func refusing(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(endpoint.Refuse(t))
}

// stuffed is a listener whose backlog is full: connects go unanswered.
func stuffed(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(endpoint.Blackhole(t))
}

// untilGone reads what the peer sends until it is gone.
func untilGone(conn *net.TCPConn) { io.Copy(io.Discard, conn) }

// saying answers any first line with text, and then waits for the peer to go.
func saying(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, text)
		untilGone(conn)
	}
}

// closing answers any first line with text and closes.
func closing(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, text)
		conn.CloseWrite()
		untilGone(conn)
	}
}

// dripping answers any first line with text again and again, a byte at a time,
// for as long as the peer takes it.
func dripping(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		bufio.NewReader(conn).ReadString('\n')
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			<-tick.C
			if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
				return
			}
		}
	}
}

// resetting closes a connection with a reset as soon as it is there.
func resetting(conn *net.TCPConn) { conn.SetLinger(0) }

// flooding sends text without end.
func flooding(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

// Probes meet peers that behave and peers that do not.
func TestProbes(t *testing.T) {
	t.Parallel()
	const (
		ok      = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		pongOK  = `{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"
		pongErr = `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}` + "\n"
		notice  = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}` + "\n"
		request = `{"jsonrpc":"2.0","id":1,"method":"roots/list"}` + "\n"
	)
	tcp, http, mcp := conf.CheckTCP, conf.CheckHTTP, conf.CheckMCP
	for _, test := range []struct {
		name  string
		check conf.CheckType
		serve func(*net.TCPConn)
		want  Code
		text  string // contained in the result's
	}{
		{"accepts", tcp, untilGone, L4OK, "connected"},

		{"ok", http, saying(ok), L7OK, "HTTP status 200"},
		{"ok by HTTP/1.0, until the end", http, closing("HTTP/1.0 200 OK\r\n\r\nfine"), L7OK, "HTTP status 200"},
		{"ok after interim heads", http, saying("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok), L7OK, "HTTP status 200"},
		{"ok in chunks", http, saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), L7OK, "HTTP status 200"},
		{"endless body", http, flooding(ok + "HTTP/1.1 200 OK\r\n\r\n"), L7OK, "HTTP status 200"},
		{"body longer than wanted", http, saying("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", maxBody)), L7OK, "HTTP status 200"},
		{"no interim head ends", http, flooding("HTTP/1.1 100 Continue\r\n\r\n"), L7RSP, "interim"},
		{"wrong status", http, saying("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), L7STS, "HTTP status 503, expected 200"},
		{"redirection", http, saying("HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n"), L7STS, "HTTP status 302, expected 200"},
		{"unasked upgrade", http, saying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), L7STS, "HTTP status 101"},
		{"garbage", http, saying("SSH-2.0-OpenSSH_9.2\r\n"), L7RSP, "not an HTTP answer"},
		{"huge head", http, flooding("HTTP/1.1 200 OK"), L7RSP, "not an HTTP answer"},
		{"body cut short", http, closing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"), L7RSP, "closed before the end of the body"},
		{"head cut short", http, closing("HTTP/1.1 200 OK\r\nServer: x\r\n"), L7RSP, "closed before an HTTP answer"},
		{"garbage that garbles", http, saying("HTTP/1.1 200 OK\r\n\x1b[2J\xff\r\n\r\n"), L7RSP, "not an HTTP answer"},
		{"silence", http, untilGone, L7TOUT, "waiting for an HTTP answer"},
		{"body that never comes", http, saying("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"), L7TOUT, "the end of the body"},
		{"dripping head", http, dripping("HTTP/1.1 200 OK\r\nX: y\r\nX: y\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"), L7TOUT, "waiting for an HTTP answer"},
		{"closes at once", http, func(*net.TCPConn) {}, L7RSP, ""},

		{"pong", mcp, saying(pongOK), L7OK, "ping answered"},
		{"pong with CRLF", mcp, saying(strings.TrimSpace(pongOK) + "\r\n"), L7OK, "ping answered"},
		{"error", mcp, saying(pongErr), L7OK, "ping answered with an error"},
		{"pong after notifications", mcp, saying(notice + "\n" + notice + pongOK), L7OK, "ping answered"},
		{"pong after a request with our id", mcp, saying(request + pongOK), L7OK, "ping answered"},
		{"another id", mcp, saying(`{"jsonrpc":"2.0","id":7,"result":{}}` + "\n"), L7RSP, "never asked"},
		{"null id", mcp, saying(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}` + "\n"), L7RSP, "never asked"},
		{"garbage", mcp, saying("220 smtp ready\n"), L7RSP, "not a JSON-RPC message"},
		{"an array", mcp, saying("[" + strings.TrimSpace(pongOK) + "]\n"), L7RSP, "not a JSON-RPC message"},
		{"huge line", mcp, flooding("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), L7RSP, "a line of more than"},
		{"notifications without end", mcp, flooding(notice), L7RSP, "closed before an answer"},
		{"silence", mcp, untilGone, L7TOUT, "waiting for an answer"},
		{"dripping", mcp, dripping(notice), L7TOUT, "waiting for an answer"},
		{"closes at once", mcp, func(*net.TCPConn) {}, L7RSP, ""},
		{"half an answer", mcp, closing(pongOK[:10]), L7RSP, "closed before an answer"},
	} {
		t.Run(string(test.check)+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, test.serve)
			timeout := 10 * time.Second
			if test.want == L7TOUT {
				timeout = time.Second // of which connecting is a part
			}
			result := ask(t, test.check, addr, timeout)
			if result.Code != test.want || !strings.Contains(result.String(), test.text) {
				t.Errorf("%q, want %v and %q", result, test.want, test.text)
			}
		})
	}
}

// ask sends one probe.
func ask(t *testing.T, kind conf.CheckType, addr netip.AddrPort, timeout time.Duration) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	check := conf.Check{Type: kind, Path: "/health", Expect: 200}
	start := time.Now()
	result := probe(probeServer).timed(ctx, check, target{tcp: addr, http: addr})
	if took := time.Since(start); took > timeout+5*time.Second {
		t.Errorf("took %v, allowed were %v", took, timeout)
	}
	if result.Latency <= 0 || result.At.Before(start) {
		t.Errorf("not timed: %+v", result)
	}
	return result
}

func TestProbesThatCannotConnect(t *testing.T) {
	t.Parallel()
	for _, kind := range []conf.CheckType{conf.CheckTCP, conf.CheckHTTP, conf.CheckMCP} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			if r := ask(t, kind, refusing(t), 10*time.Second); r.String() != "L4CON connection refused" {
				t.Errorf("refused: %q", r)
			}
			if r := ask(t, kind, stuffed(t), 100*time.Millisecond); r.String() != "L4TOUT connection timed out" {
				t.Errorf("unanswered: %q", r)
			}
			if r := ask(t, kind, netip.AddrPort{}, time.Second); r.Code != SOCKERR || r.finding() != nothing {
				t.Errorf("no address: %q", r)
			}
		})
	}
}

// A server that resets what it accepts fails every check that asks it
// something. Whether the reset comes before or after the end of the connect is
// chance.
func TestProbesOfServerThatResets(t *testing.T) {
	t.Parallel()
	addr := listen(t, resetting)
	for range 50 {
		for _, kind := range []conf.CheckType{conf.CheckHTTP, conf.CheckMCP} {
			if r := ask(t, kind, addr, 10*time.Second); r.Code != L4CON && r.Code != L7RSP {
				t.Errorf("%v: %q", kind, r)
			}
		}
	}
}

// The request that a server sees, to the byte.
func TestHTTPRequest(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	addr := listen(t, func(conn *net.TCPConn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			t.Error(err)
			return
		}
		seen <- request
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		untilGone(conn)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if r := probeHTTP(ctx, addr, "/health?deep=1", 204); r.Code != L7OK {
		t.Fatalf("%q", r)
	}
	r := <-seen
	if r.Method != "GET" || r.RequestURI != "/health?deep=1" || r.Proto != "HTTP/1.1" || r.Host != addr.String() || !r.Close {
		t.Errorf("sent %+v", r)
	}
}

// A tcp check ends with a reset: the balancer keeps no TIME_WAIT.
func TestTCPClosesWithReset(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	addr := listen(t, func(conn *net.TCPConn) {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	})
	if r := ask(t, conf.CheckTCP, addr, 10*time.Second); r.Code != L4OK {
		t.Fatalf("%q", r)
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want a reset", err)
	}
}

// A check that only knows HTTP servers still connects to them.
func TestTCPFallsBackToHTTPAddress(t *testing.T) {
	t.Parallel()
	addr := listen(t, untilGone)
	if r := probeServer(t.Context(), conf.Check{Type: conf.CheckTCP}, target{http: addr}); r.Code != L4OK {
		t.Errorf("%q", r)
	}
}

// A probe that is called off ends at once, whatever it waits for.
func TestProbeCalledOff(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 1)
	addr := listen(t, func(conn *net.TCPConn) {
		reached <- struct{}{}
		untilGone(conn)
	})
	for _, kind := range []conf.CheckType{conf.CheckHTTP, conf.CheckMCP} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan Result)
		go func() { ended <- probeServer(ctx, conf.Check{Type: kind, Path: "/"}, target{tcp: addr, http: addr}) }()
		<-reached
		cancel()
		<-ended
	}
}

// A fault of the balancer's own is no evidence.
func TestConnectResult(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want string
	}{
		{syscall.EMFILE, "SOCKERR too many open files"},
		{syscall.ENFILE, "SOCKERR too many open files in system"},
		{syscall.ENOBUFS, "SOCKERR no buffer space available"},
		{syscall.ENOMEM, "SOCKERR cannot allocate memory"},
		{syscall.EADDRNOTAVAIL, "SOCKERR cannot assign requested address"},
		{syscall.EADDRINUSE, "SOCKERR address already in use"},
		{syscall.EAGAIN, "SOCKERR resource temporarily unavailable"},
		{syscall.ECONNREFUSED, "L4CON connection refused"},
		{syscall.EHOSTUNREACH, "L4CON no route to host"},
		{syscall.ENETUNREACH, "L4CON network is unreachable"},
		{syscall.ECONNRESET, "L4CON connection reset by peer"},
		{syscall.ETIMEDOUT, "L4TOUT connection timed out"},
		{context.DeadlineExceeded, "L4TOUT connection timed out"},
	} {
		wrapped := &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connect: %w", test.err)}
		if got := connectResult(wrapped).String(); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	if len(codes) != int(L7RSP)+1 {
		t.Errorf("%d codes in the table", len(codes))
	}
	for c, row := range codes {
		if row.name == "" || row.text == "" {
			t.Errorf("code %d has no name or text", c)
		}
	}
	if got := Code(200).String(); got != "Code(200)" {
		t.Error(got)
	}
	if got := (Result{}).String(); got != "UNK not checked yet" {
		t.Error(got)
	}
	if text, err := L4CON.MarshalText(); string(text) != "L4CON" || err != nil {
		t.Error(string(text), err)
	}
}
