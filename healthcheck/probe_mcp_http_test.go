package healthcheck

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcplb/conf"
	"mcplb/internal/endpoint"
)

// mcpServer is a server that counts its sessions. Its fields say how it differs from one
// that answers as it should.
type mcpServer struct {
	modern      bool // has server/discover, and no sessions
	stream      bool // answers initialize by an event stream
	stayOpen    bool // which does not end
	closes      bool // ends each connection after its response
	refusesEnd  bool // answers DELETE with 405, and ends the session itself
	anyRequest  bool // opens a session for any request
	sameConn    bool // knows a session only on the connection that opened it
	version     string
	wait        chan struct{} // before the head of a response to initialize; nil = not at all
	waitForBody chan struct{} // before its body

	mu       sync.Mutex // guards what follows
	opened   int
	ended    int
	requests []string // methods of HTTP and JSON-RPC, in order
	sessions map[string]string
}

const initialized = `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}}`

func (s *mcpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	method := "-"
	for _, known := range []string{"server/discover", "initialize"} {
		if strings.Contains(string(body), `"`+known+`"`) {
			method = known
		}
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+method)
	modern := s.modern
	s.mu.Unlock()
	if s.closes {
		w.Header().Set("Connection", "close")
	}
	switch {
	case r.Method == http.MethodDelete:
		s.end(w, r)
	case modern && method == "server/discover" && r.Header.Get("MCP-Protocol-Version") == "2026-07-28" && r.Header.Get("Mcp-Method") == method:
		io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}`)
	case !modern && method == "initialize":
		s.open(w, r)
	default:
		if s.anyRequest {
			w.Header().Set("Mcp-Session-Id", s.newSession(r))
		}
		http.Error(w, "Bad Request", http.StatusBadRequest)
	}
}

func (s *mcpServer) newSession(r *http.Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		s.sessions = map[string]string{}
	}
	s.opened++
	id := fmt.Sprintf("session-%d", s.opened)
	s.sessions[id] = r.RemoteAddr
	return id
}

func (s *mcpServer) open(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Mcp-Session-Id", s.newSession(r))
	if s.wait != nil {
		<-s.wait
	}
	if s.stream {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	if s.waitForBody != nil {
		<-s.waitForBody
	}
	if !s.stream {
		io.WriteString(w, initialized)
		return
	}
	io.WriteString(w, "id: 1\ndata: \n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\ndata: "+initialized+"\n\n")
	w.(http.Flusher).Flush()
	if s.stayOpen {
		<-r.Context().Done()
	}
}

func (s *mcpServer) end(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.Header.Get("Mcp-Session-Id")
	conn, known := s.sessions[id]
	switch {
	case !known, s.sameConn && conn != r.RemoteAddr:
		http.Error(w, "no such session", http.StatusNotFound)
		return
	case s.version != "" && r.Header.Get("MCP-Protocol-Version") != s.version:
		http.Error(w, "another version", http.StatusBadRequest)
		return
	}
	delete(s.sessions, id)
	s.ended++
	if s.refusesEnd {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *mcpServer) become(modern bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modern = modern
}

func (s *mcpServer) counts() (opened, ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.ended
}

// serveHTTP serves a handler and returns the address.
func serveHTTP(t *testing.T, handler http.Handler) netip.AddrPort {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String())
}

var mcpCheck = conf.Check{Type: conf.CheckMCP, Path: "/mcp"}

// askMCP makes one probe over HTTP.
func askMCP(t *testing.T, to target, timeout time.Duration) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return probeServer(ctx, mcpCheck, to)
}

// remembering is an HTTP server as a Checker sees it: what one probe finds, the next knows.
func remembering(addr netip.AddrPort) target {
	to := at(netip.AddrPort{}, addr)
	to.memory = &memory{endings: new(sync.WaitGroup)}
	return to
}

// A thousand checks leave no session on a server, however it answers: sessions that nobody
// ends fill its memory.
func TestChecksLeaveNoSession(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]*mcpServer{
		"modern":                    {modern: true},
		"same connection":           {sameConn: true, version: "2025-06-18"},
		"connections end":           {closes: true},
		"event stream":              {stream: true, version: "2025-06-18"},
		"event stream, connections": {stream: true, closes: true},
		"DELETE refused":            {refusesEnd: true},
		"session for any request":   {anyRequest: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := remembering(serveHTTP(t, server))
			for i := range 1000 {
				if r := askMCP(t, to, 30*time.Second); r.Code != L7OK {
					t.Fatalf("check %d: %q", i, r)
				}
			}
			to.memory.endings.Wait()
			opened, ended := server.counts()
			if opened != ended || server.modern != (opened == 0) {
				t.Errorf("%d sessions, %d ended", opened, ended)
			}
		})
	}
}

// The DELETE is sent even where the probe ends first: while the event stream stays open,
// when the body is late, and when the session is announced after the timeout.
func TestLateSessionsEnd(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	for name, test := range map[string]struct {
		server  *mcpServer
		timeout time.Duration
		want    Code
	}{
		"stream stays open": {&mcpServer{stream: true, stayOpen: true}, 30 * time.Second, L7OK},
		"body is late":      {&mcpServer{waitForBody: hold}, 300 * time.Millisecond, L7TOUT},
		"head is late":      {&mcpServer{wait: make(chan struct{})}, 300 * time.Millisecond, L7TOUT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := remembering(serveHTTP(t, test.server))
			to.memory.initializes.Store(true)
			if r := askMCP(t, to, test.timeout); r.Code != test.want {
				t.Errorf("%q, want %v", r, test.want)
			}
			if test.server.wait != nil {
				close(test.server.wait)
			}
			endpoint.Eventually(t, "the session is ended", func() bool {
				opened, ended := test.server.counts()
				return opened == 1 && ended == 1
			})
			if test.server.waitForBody != nil {
				close(hold)
			}
			to.memory.endings.Wait()
		})
	}
}

// A server that is replaced by one of the other era passes every check: it must not flap,
// nor be asked in vain for ever.
func TestServerChangesEra(t *testing.T) {
	t.Parallel()
	server := &mcpServer{}
	to := remembering(serveHTTP(t, server))
	steps := []struct {
		modern bool
		want   string
	}{
		{false, "POST server/discover, POST initialize, DELETE -"},
		{false, "POST initialize, DELETE -"},
		{true, "POST initialize, POST server/discover"},
		{true, "POST server/discover"},
		{false, "POST server/discover, POST initialize, DELETE -"},
	}
	for i, step := range steps {
		server.become(step.modern)
		if r := askMCP(t, to, 30*time.Second); r.Code != L7OK {
			t.Errorf("step %d: %q", i, r)
		}
		to.memory.endings.Wait()
		server.mu.Lock()
		if got := strings.Join(server.requests, ", "); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
		server.requests = nil
		server.mu.Unlock()
	}
}

// What shows that a server works, and what does not.
func TestMCPAnswersOverHTTP(t *testing.T) {
	t.Parallel()
	head := func(status int, kind, body string) string {
		return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, kind, len(body), body)
	}
	const (
		result   = `{"jsonrpc":"2.0","id":1,"result":{}}`
		rpcError = `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Server not initialized"}}`
		asJSON   = "application/json"
		asStream = "text/event-stream; charset=utf-8"
		open     = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	)
	for name, test := range map[string]struct {
		response string
		want     Code
		text     string
	}{
		"result":                        {head(200, asJSON, result), L7OK, "server/discover answered"},
		"result and null error":         {head(200, asJSON, `{"jsonrpc":"2.0","id":1,"result":{},"error":null}`), L7OK, "server/discover answered"},
		"error":                         {head(200, asJSON, rpcError), L7OK, "answered with an error"},
		"error with status 400":         {head(400, asJSON, rpcError), L7OK, "answered with an error"},
		"error with status 404":         {head(404, asJSON, rpcError), L7OK, "answered with an error"},
		"error with status 500":         {head(500, asJSON, rpcError), L7OK, "answered with an error"},
		"no type":                       {head(200, "", result), L7OK, "answered"},
		"batch":                         {head(200, asJSON, "["+result+"]"), L7OK, "answered"},
		"after an interim head":         {"HTTP/1.1 103 Early\r\n\r\n" + head(200, asJSON, result), L7OK, "answered"},
		"unauthorized":                  {head(401, "text/plain", "no"), L7OK, "401"},
		"forbidden":                     {head(403, "text/html", "no"), L7OK, "403"},
		"stream":                        {head(200, asStream, ": hi\r\n\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata:\"id\":1,\"result\":{}}\r\n\r\n"), L7OK, "answered"},
		"stream that stays open":        {open + "data: \n\ndata: " + result + "\n\n", L7OK, "answered"},
		"stream whose lines end by CR":  {open + "event: message\rdata: " + result + "\r\r", L7OK, "answered"},
		"stream with CR LF, stays open": {open + ":\r\n\r\ndata: " + result + "\r\n\r\n", L7OK, "answered"},
		"stream with a byte order mark": {open + "\ufeffdata: " + result + "\n\n", L7OK, "answered"},
		"stream without an answer":      {head(200, asStream, "data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n"), L7RSP, "the event stream ended"},
		"stream that says nothing":      {open + ": hi\n\n", L7TOUT, "timed out"},
		"body without its end":          {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + result, L7OK, "answered"},
		"web page":                      {head(200, "text/html", "<html>"), L7RSP, "no JSON-RPC answer to initialize"},
		"other JSON":                    {head(200, asJSON, `{"status":"ok"}`), L7RSP, "not a JSON-RPC response"},
		"a request":                     {head(200, asJSON, `{"jsonrpc":"2.0","id":1,"method":"ping"}`), L7RSP, "not a JSON-RPC response"},
		"empty":                         {head(200, asJSON, ""), L7RSP, "the body is empty"},
		"accepted":                      {"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", L7RSP, "no JSON-RPC answer"},
		"not found":                     {head(404, "text/plain", "no"), L7STS, "HTTP status 404 to initialize, and no JSON-RPC answer"},
		"redirection":                   {head(302, "text/plain", ""), L7STS, "302"},
		"unavailable":                   {head(503, "text/plain", "busy"), L7STS, "503"},
		"no HTTP":                       {"SSH-2.0-OpenSSH_9.2\r\n", L7RSP, "not an HTTP response"},
		"session ids that would inject": {"HTTP/1.1 200 OK\r\nMcp-Session-Id: a b\r\nContent-Length: 36\r\n\r\n" + result, L7OK, "answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, saying(test.response))
			timeout := 30 * time.Second
			if test.want == L7TOUT {
				timeout = time.Second
			}
			to := remembering(addr)
			if r := askMCP(t, to, timeout); r.Code != test.want || !strings.Contains(r.Text(), test.text) {
				t.Errorf("%q, want %v and %q", r, test.want, test.text)
			}
			to.memory.endings.Wait()
		})
	}
}

// Host and headers of the configuration are in every request, also in the one that ends
// the session: an authorizing proxy would refuse that otherwise.
func TestMCPRequestsOverHTTP(t *testing.T) {
	t.Parallel()
	server := &mcpServer{}
	var wrong atomic.Value
	to := remembering(serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "mcp.example.com" || r.Header.Get("Authorization") != "Bearer x" || r.URL.Path != "/deep/mcp" {
			wrong.Store(fmt.Sprintf("%s %s %s %v", r.Method, r.Host, r.URL, r.Header))
		}
		server.ServeHTTP(w, r)
	})))
	check := mcpCheck
	check.Path, check.Host, check.Headers = "/deep/mcp", "mcp.example.com", []conf.Header{{Name: "Authorization", Value: "Bearer x"}}
	if r := probeServer(t.Context(), check, to); r.Code != L7OK {
		t.Errorf("%q", r)
	}
	to.memory.endings.Wait()
	if got := wrong.Load(); got != nil {
		t.Error(got)
	}
	if opened, ended := server.counts(); opened != 1 || ended != 1 {
		t.Errorf("%d sessions, %d ended", opened, ended)
	}
}

// The SDK's own server of either era passes, without and with sessions, and has none left.
func TestSDKServersKeepNoSession(t *testing.T) {
	t.Parallel()
	for name, stateless := range map[string]bool{"sessions": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mcp.NewServer(&mcp.Implementation{Name: "x", Version: "1"}, nil)
			handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: stateless})
			to := remembering(serveHTTP(t, handler))
			for i := range 100 {
				if r := askMCP(t, to, 30*time.Second); r.Code != L7OK || strings.Contains(r.Text(), "HTTP status") {
					t.Fatalf("check %d: %q", i, r)
				}
			}
			to.memory.endings.Wait()
			endpoint.Eventually(t, "no session is left", func() bool {
				for range server.Sessions() {
					return false
				}
				return true
			})
		})
	}
}

// Stop waits for the sessions of its checks: a process that ends at once would leave them.
func TestStopEndsSessions(t *testing.T) {
	t.Parallel()
	server := &mcpServer{}
	addr := serveHTTP(t, server)
	b := conf.Backend{Name: "nodes", Balance: conf.BalanceLeastConn, Servers: []conf.Server{{Name: "node1", HTTP: addr.String(), Weight: 100}}}
	pool := newPool(t, b)
	checker := New(pool, nil)
	check := standard
	check.Path, check.Interval, check.FastInterval, check.Timeout = "/mcp", 50*time.Millisecond, 50*time.Millisecond, 30*time.Second
	checker.Apply(check, pool.Servers())
	endpoint.Eventually(t, "some checks were made", func() bool { opened, _ := server.counts(); return opened > 3 })
	checker.Stop()
	if opened, ended := server.counts(); opened != ended {
		t.Errorf("%d sessions, %d ended", opened, ended)
	}
}

// Once ends the session before it returns, since its process ends then.
func TestOnceEndsItsSession(t *testing.T) {
	t.Parallel()
	server := &mcpServer{}
	addr := serveHTTP(t, server)
	if r := Once(t.Context(), mcpCheck, Target{HTTP: Address{Addr: addr}}); !r.Passed() {
		t.Errorf("%q", r)
	}
	if opened, ended := server.counts(); opened != 1 || ended != 1 {
		t.Errorf("%d sessions, %d ended", opened, ended)
	}
}

// Whatever a server sends, it is taken for an answer only if it is one.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n" + `{"jsonrpc":"2.0","id":1,"result":{}}`,
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: " + initialized + "\n\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata\ndata:\n\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
		"HTTP/1.1 400 X\r\n\r\n[{},{\"jsonrpc\":\"2.0\",\"error\":1}]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		if _, ok := parseReply([]byte(sent)); ok && !json.Valid([]byte(sent)) {
			t.Errorf("%q was accepted", sent)
		}
		response, err := readFinal(bufio.NewReader(&boundedReader{reader: strings.NewReader(sent), left: maxHead}), http.MethodPost)
		if err != nil {
			return
		}
		found, _ := readReply(response)
		if found.version != "" && !protocolVersion.MatchString(found.version) {
			t.Errorf("version %q", found.version)
		}
	})
}

// A check of a backend that sends the PROXY header sends it, too: before anything else.
func TestChecksSendProxyHeader(t *testing.T) {
	t.Parallel()
	const v2 = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	for _, test := range []struct {
		kind    conf.CheckType
		version conf.SendProxy
		want    string
	}{
		{conf.CheckTCP, conf.SendProxyV1, "PROXY UNKNOWN\r\n"},
		{conf.CheckTCP, conf.SendProxyV2, v2},
		{conf.CheckHTTP, conf.SendProxyV1, "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n"},
		{conf.CheckHTTP, conf.SendProxyV2, v2 + "GET / HTTP/1.1\r\n"},
		{conf.CheckMCP, conf.SendProxyV2, v2 + "{"},
	} {
		seen := make(chan string, 1)
		addr := listen(t, func(conn *net.TCPConn) {
			got := make([]byte, len(test.want))
			_, _ = io.ReadFull(conn, got)
			seen <- string(got)
			untilGone(conn)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		ended := make(chan Result, 1)
		go func() {
			ended <- probeServer(ctx, conf.Check{Type: test.kind, Path: "/", Expect: only(200), ProxyHeader: test.version}, at(addr, addr))
		}()
		if got := <-seen; got != test.want {
			t.Errorf("%s, %s: sent %q, want %q", test.kind, test.version, got, test.want)
		}
		cancel() // the server never answers
		<-ended
	}
}
