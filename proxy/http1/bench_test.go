package http1

import "testing"

// mcpPost is a tools/call within a session, as the official SDKs send it.
const mcpPost = "POST /mcp HTTP/1.1\r\n" +
	"Host: mcp.example.com:8080\r\n" +
	"User-Agent: Go-http-client/1.1\r\n" +
	"Content-Length: 109\r\n" +
	"Accept: application/json, text/event-stream\r\n" +
	"Content-Type: application/json\r\n" +
	"Mcp-Protocol-Version: 2025-11-25\r\n" +
	"Mcp-Session-Id: 6b1d6a2e9c5f4b0f8d3a7e1c2b4d6f80\r\n" +
	"Cookie: SERVERID=node1; theme=dark\r\n" +
	"X-Request-Id: 0f8fad5b-d9cb-469f-a165-70867728950e\r\n" +
	"Accept-Encoding: gzip\r\n\r\n"

// mcpResponse is the server's response to it.
const mcpResponse = "HTTP/1.1 200 OK\r\n" +
	"Content-Type: text/event-stream\r\n" +
	"Cache-Control: no-cache, no-transform\r\n" +
	"Connection: keep-alive\r\n" +
	"Mcp-Session-Id: 6b1d6a2e9c5f4b0f8d3a7e1c2b4d6f80\r\n" +
	"Date: Sat, 21 Nov 2026 21:37:00 GMT\r\n" +
	"Transfer-Encoding: chunked\r\n\r\n"

func BenchmarkRequestHead(b *testing.B) {
	var h RequestHead
	p := []byte(mcpPost)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		var scan Scan
		if n, r := h.Parse(p, &scan, 32<<10); n != len(p) || r != ReasonNone {
			b.Fatal(n, r)
		}
	}
}

func BenchmarkResponseHead(b *testing.B) {
	var h ResponseHead
	p := []byte(mcpResponse)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		var scan Scan
		if n, r := h.Parse(p, &scan, 32<<10, RequestContext{Method: MethodPost}); n != len(p) || r != ReasonNone {
			b.Fatal(n, r)
		}
	}
}

func BenchmarkAppendFields(b *testing.B) {
	var h RequestHead
	var scan Scan
	p := []byte(mcpPost)
	h.Parse(p, &scan, 32<<10)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = h.AppendFields(dst[:0], 1<<HeaderCookie|1<<HeaderMcpSessionID)
	}
}
