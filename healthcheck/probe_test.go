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

// listen runs serve for every connection to a free port. At the end of the test every
// serve must have returned, that is, no probe may leave its connection open.
func listen(t *testing.T, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	s := endpoint.Serve(t, serve)
	t.Cleanup(func() { endpoint.Eventually(t, "every probe has gone", s.Idle) })
	return netip.MustParseAddrPort(s.Address)
}

// refusing returns an address without a listener.
func refusing(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(endpoint.Refuse(t))
}

// stuffed returns the address of a listener whose backlog is full: connects get no
// response.
func stuffed(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(endpoint.Blackhole(t))
}

// untilGone reads until the other side closes.
func untilGone(conn *net.TCPConn) { io.Copy(io.Discard, conn) }

// saying responds to any first line with text, and then waits until the other side
// closes.
func saying(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, text)
		untilGone(conn)
	}
}

// closing responds to any first line with text and closes.
func closing(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, text)
		conn.CloseWrite()
		untilGone(conn)
	}
}

// dripping responds to any first line by sending text repeatedly, a byte at a time,
// until the other side closes.
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

// resetting resets a connection immediately.
func resetting(conn *net.TCPConn) { conn.SetLinger(0) }

// flooding sends text repeatedly without a pause.
func flooding(text string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

// Probes of servers that work and of servers that misbehave.
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
		text  string // part of the result's text
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
		{"garbage", http, saying("SSH-2.0-OpenSSH_9.2\r\n"), L7RSP, "not an HTTP response"},
		{"huge head", http, flooding("HTTP/1.1 200 OK"), L7RSP, "not an HTTP response"},
		{"body cut short", http, closing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"), L7OK, "HTTP status 200"},
		{"event stream", http, saying("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n"), L7OK, "HTTP status 200"},
		{"own address refused as Host", http, saying("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), L7STS, "check.host sets another"},
		{"head cut short", http, closing("HTTP/1.1 200 OK\r\nServer: x\r\n"), L7RSP, "closed before an HTTP response"},
		{"garbage that garbles", http, saying("HTTP/1.1 200 OK\r\n\x1b[2J\xff\r\n\r\n"), L7RSP, "not an HTTP response"},
		{"silence", http, untilGone, L7TOUT, "waiting for an HTTP response"},
		{"body that never comes", http, saying("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"), L7OK, "HTTP status 200"},
		{"dripping head", http, dripping("HTTP/1.1 200 OK\r\nX: y\r\nX: y\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"), L7TOUT, "waiting for an HTTP response"},
		{"closes at once", http, func(*net.TCPConn) {}, L7RSP, ""},

		{"pong", mcp, saying(pongOK), L7OK, "ping answered"},
		{"pong with CRLF", mcp, saying(strings.TrimSpace(pongOK) + "\r\n"), L7OK, "ping answered"},
		{"error", mcp, saying(pongErr), L7OK, "ping answered with an error"},
		{"pong after notifications", mcp, saying(notice + "\n" + notice + pongOK), L7OK, "ping answered"},
		{"pong after a request with our id", mcp, saying(request + pongOK), L7OK, "ping answered"},
		{"another id", mcp, saying(`{"jsonrpc":"2.0","id":7,"result":{}}` + "\n"), L7RSP, "unknown request"},
		{"null id", mcp, saying(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}` + "\n"), L7RSP, "unknown request"},
		{"garbage", mcp, saying("220 smtp ready\n"), L7RSP, "not a JSON-RPC message"},
		{"an array", mcp, saying("[" + strings.TrimSpace(pongOK) + "]\n"), L7RSP, "not a JSON-RPC message"},
		{"huge line", mcp, flooding("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), L7RSP, "a line of more than"},
		{"notifications without end", mcp, flooding(notice), L7RSP, "closed before a response"},
		{"silence", mcp, untilGone, L7TOUT, "waiting for a response"},
		{"dripping", mcp, dripping(notice), L7TOUT, "waiting for a response"},
		{"closes at once", mcp, func(*net.TCPConn) {}, L7RSP, ""},
		{"half a response", mcp, closing(pongOK[:10]), L7RSP, "closed before a response"},
	} {
		t.Run(string(test.check)+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, test.serve)
			timeout := 10 * time.Second
			if test.want == L7TOUT {
				timeout = time.Second // including the connect
			}
			result := ask(t, test.check, addr, timeout)
			if result.Code != test.want || !strings.Contains(result.String(), test.text) {
				t.Errorf("%q, want %v and %q", result, test.want, test.text)
			}
		})
	}
}

// at is a server with these addresses.
func at(tcp, http netip.AddrPort) target {
	return target{Target: Target{TCP: Address{Addr: tcp}, HTTP: Address{Addr: http}}}
}

// only are the statuses that a check expects.
func only(statuses ...int) (set conf.Statuses) {
	for _, status := range statuses {
		set = append(set, conf.StatusRange{First: status, Last: status})
	}
	return set
}

// ask makes one probe of a server that has addr for everything.
func ask(t *testing.T, kind conf.CheckType, addr netip.AddrPort, timeout time.Duration) Result {
	t.Helper()
	return askAs(t, conf.Check{Type: kind, Path: "/health", Expect: only(200)}, at(addr, addr), timeout)
}

// askAs makes one probe.
func askAs(t *testing.T, check conf.Check, to target, timeout time.Duration) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	start := time.Now()
	result := probe(probeServer).timed(ctx, check, to)
	if took := time.Since(start); took > timeout+5*time.Second {
		t.Errorf("took %v, want at most %v", took, timeout)
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
				t.Errorf("no response: %q", r)
			}
			if r := ask(t, kind, netip.AddrPort{}, time.Second); r.Code != SOCKERR || r.finding() != nothing {
				t.Errorf("no address: %q", r)
			}
		})
	}
}

// A server that resets all connections fails every check that sends something. The
// reset may arrive before or after the end of the connect.
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

// The exact bytes of the request.
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
	if r := probeServer(ctx, conf.Check{Type: conf.CheckHTTP, Path: "/health?deep=1", Expect: only(204)}, at(netip.AddrPort{}, addr)); r.Code != L7OK {
		t.Fatalf("%q", r)
	}
	r := <-seen
	if r.Method != "GET" || r.RequestURI != "/health?deep=1" || r.Proto != "HTTP/1.1" || r.Host != addr.String() || !r.Close {
		t.Errorf("sent %+v", r)
	}
}

// A tcp check ends with a reset, so that no TIME_WAIT remains.
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

// A tcp check of a server with only an http address connects to that.
func TestTCPFallsBackToHTTPAddress(t *testing.T) {
	t.Parallel()
	addr := listen(t, untilGone)
	if r := probeServer(t.Context(), conf.Check{Type: conf.CheckTCP}, at(netip.AddrPort{}, addr)); r.Code != L4OK {
		t.Errorf("%q", r)
	}
}

// A canceled probe ends immediately, whatever it waits for.
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
		go func() { ended <- probeServer(ctx, conf.Check{Type: kind, Path: "/"}, at(addr, addr)) }()
		<-reached
		cancel()
		<-ended
	}
}

// A local failure of the balancer is not evidence.
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
