package l7

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"unsafe"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
)

// toolsCall is a POST as MCP clients send it; toolsAnswer is a response to it.
var (
	toolsCall = post("/mcp", `{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello world"}}}`,
		"Content-Type: application/json", "Accept: application/json, text/event-stream", "Accept-Encoding: gzip, deflate, br",
		"Mcp-Session-Id: 1868a90c-7b2c-4f5e-9d1e-1234567890ab."+mcp.TagOf("s1").String(), "MCP-Protocol-Version: 2025-06-18", "User-Agent: python-httpx/0.27.0")
	toolsAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: 1868a90c-7b2c-4f5e-9d1e-1234567890ab\r\nContent-Length: 38\r\n\r\n" +
		`{"jsonrpc":"2.0","id":17,"result":{}}` + "\n"
)

// limited turns on all limits that are on by default, at rates that are never reached.
func limited(s *setup) {
	s.Limits = conf.RateLimit{MessageRate: 1e9, MessageBurst: 1e9, ConnectionRate: 1e9, ConnectionBurst: 1e9, TableSize: 1000, OverMessage: conf.Delay}
	s.frontend.RequestsPerConnection = 0
}

// fixed starts a server that answers every read with the same bytes.
func fixed(t testing.TB, answer string) string {
	t.Helper()
	return endpoint.Serve(t, func(c *net.TCPConn) {
		in, out := make([]byte, 64<<10), []byte(answer)
		for {
			if _, err := c.Read(in); err != nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}).Address
}

// pingPong returns a function that sends a request and reads a response of the length
// of the first one.
func pingPong(t testing.TB, b *fixture, request string) (round func()) {
	client := b.dial()
	out, in := []byte(request), make([]byte, 64<<10)
	client.Say(request)
	n := 0
	for !strings.HasSuffix(string(in[:n]), "}\n") && !strings.HasSuffix(string(in[:n]), "0\r\n\r\n") {
		k, err := client.Read(in[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	return func() {
		if _, err := client.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client.TCPConn, in[:n]); err != nil {
			t.Fatal(err)
		}
	}
}

// A request on kept-alive connections allocates nothing, with everything on that is on
// by default, whatever the kind of request.
func TestAllocations(t *testing.T) {
	large := strings.Repeat("x", 2000) + "}\n"
	for name, c := range map[string]struct{ request, answer string }{
		"POST":    {toolsCall, toolsAnswer},
		"cookie":  {get("/", "Cookie: a=b; SERVERID="+mcp.TagOf("s1").String()), toolsAnswer},
		"modern":  {rpcPost("1", "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call"), toolsAnswer},
		"nothing": {get("/"), toolsAnswer},
		"query":   {post("/m?sessionId=a."+mcp.TagOf("s1").String(), "x"), toolsAnswer},
		"chunks":  {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
		"stream":  {get("/"), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n"},
		"gzip":    {get("/", "Accept-Encoding: gzip"), fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(large), large)},
		"ours":    {get("/", "Origin: http://good"), toolsAnswer},
	} {
		b := start(t, []string{fixed(t, c.answer)}, oneLoop, withoutLog, limited, withFrontend(func(f *conf.Frontend) { f.AllowedOrigins = []string{"http://bad", "http://good"} }))
		round := pingPong(t, b, c.request)
		if n := testing.AllocsPerRun(200, round); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// An idle client holds less than 600 bytes.
func TestMemoryOfAnIdleClient(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(client{}) + unsafe.Sizeof(reactor.Conn{}); size > 600 {
		t.Errorf("an idle client holds %d bytes, want at most 600", size)
	}
}

func BenchmarkRequest(b *testing.B) {
	balancer := start(b, []string{fixed(b, toolsAnswer)}, oneLoop, withoutLog, limited)
	round := pingPong(b, balancer, toolsCall)
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}

func BenchmarkGzip(b *testing.B) {
	body := strings.Repeat(`{"type":"text","text":"some text of an answer"},`, 100) + "{}\n"
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	balancer := start(b, []string{fixed(b, answer)}, oneLoop, withoutLog, limited)
	round := pingPong(b, balancer, toolsCall)
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
}
