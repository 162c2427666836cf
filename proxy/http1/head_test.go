package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func parseRequest(t *testing.T, text string) *RequestHead {
	t.Helper()
	var h RequestHead
	var scan Scan
	if n, r := h.Parse([]byte(text), &scan, testMax); n != len(text) {
		t.Fatalf("%q: %d bytes of %d, %v", text, n, len(text), r)
	}
	return &h
}

func TestRequestParts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ line, target, path, query, sent, host string }{
		{"GET / HTTP/1.1", "/", "/", "", "/", "a"},
		{"GET /b/c?d?e HTTP/1.1", "/b/c?d?e", "/b/c", "d?e", "/b/c?d?e", "a"},
		{"GET /b? HTTP/1.1", "/b?", "/b", "", "/b?", "a"},
		{"GET http://a HTTP/1.1", "http://a", "/", "", "/", "a"},
		{"GET http://a?b HTTP/1.1", "http://a?b", "/", "b", "/?b", "a"},
		{"GET https://A/b?c HTTP/1.1", "https://A/b?c", "/b", "c", "/b?c", "a"},
		{"OPTIONS * HTTP/1.1", "*", "*", "", "*", "a"},
		{"OPTIONS http://a HTTP/1.1", "http://a", "/", "", "*", "a"},
		{"OPTIONS http://a? HTTP/1.1", "http://a?", "/", "", "/?", "a"},
	} {
		h := parseRequest(t, test.line+"\r\nHost: a\r\n\r\n")
		got := fmt.Sprintf("%s %s %s %s %s", h.Target(), h.Path(), h.Query(), h.AppendTarget(nil), h.Host())
		want := fmt.Sprintf("%s %s %s %s %s", test.target, test.path, test.query, test.sent, test.host)
		if got != want {
			t.Errorf("%s: %s, want %s", test.line, got, want)
		}
	}
	if h := parseRequest(t, "GET /b? HTTP/1.1\r\nHost: a\r\n\r\n"); h.Query() == nil {
		t.Error("an empty query is nil")
	}
	if h := parseRequest(t, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"); h.Query() != nil {
		t.Error("no query is not nil")
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Method{
		"GET": MethodGet, "HEAD": MethodHead, "POST": MethodPost, "PUT": MethodPut, "DELETE": MethodDelete, "OPTIONS": MethodOptions,
		"TRACE": MethodTrace, "PATCH": MethodPatch, "get": MethodOther, "GETS": MethodOther, "M-SEARCH": MethodOther,
	} {
		h := parseRequest(t, name+" / HTTP/1.1\r\nHost: a\r\n\r\n")
		if h.Method != want || string(h.MethodName()) != name {
			t.Errorf("%s is %d, want %d", name, h.Method, want)
		}
		idempotent := want != MethodOther && want != MethodPost && want != MethodPatch
		if h.Method.Idempotent() != idempotent {
			t.Errorf("%s idempotent is not %v", name, idempotent)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	h := parseRequest(t, "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nCookie: a=b\r\nY:2\r\nCookie:  c=d \r\nMcp-Session-Id: e\r\n\r\n")
	if h.NumFields() != 6 || string(h.Name(3)) != "Y" || string(h.Value(4)) != "c=d" || h.ID(5) != HeaderMcpSessionID || h.ID(1) != HeaderOther {
		t.Error("fields by index")
	}
	if !h.Has(HeaderCookie) || !h.Repeated(HeaderCookie) || h.Repeated(HeaderHost) || h.Has(HeaderDate) || h.Get(HeaderDate) != nil {
		t.Error("Has, Repeated or Get")
	}
	var found []int
	for i := h.Find(HeaderCookie, 0); i >= 0; i = h.Find(HeaderCookie, i+1) {
		found = append(found, i)
	}
	if fmt.Sprint(found) != "[2 4]" {
		t.Errorf("cookies found at %v", found)
	}
	h.Drop(1)
	if got := string(h.AppendFields([]byte(">"), 1<<HeaderCookie|1<<HeaderHost)); got != ">Y:2\r\nMcp-Session-Id: e\r\n" {
		t.Errorf("AppendFields: %q", got)
	}
	if !h.Dropped(1) || h.Dropped(0) || string(h.Value(1)) != "1" {
		t.Error("Drop")
	}
}

// TestReuse checks that nothing of a head remains in the next.
func TestReuse(t *testing.T) {
	t.Parallel()
	var h RequestHead
	for _, text := range []string{
		"POST http://a/b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close, X\r\nX: y\r\nX_Real_IP: z\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a:\r\nContent-Length: 05, 5\r\nExpect:\r\nExpect: 100-continue\r\nConnection: close;\r\n\r\n",
		"DELETE /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.0\r\nX: y\r\nHost: c\r\nContent-Length: 1\r\n\r\n",
	} {
		for _, broken := range []string{"", "GET\x00", text[:len(text)-2], text[:len(text)-4] + "\x00"} {
			var scan Scan
			h.Parse([]byte(broken), &scan, testMax)
			scan = 0
			if n, r := h.Parse([]byte(text), &scan, testMax); n != len(text) || scan != 0 {
				t.Fatalf("%q: %d %v, scan %d", text, n, r, scan)
			}
			fresh := parseRequest(t, text)
			if got, want := describe(&h), describe(fresh); got != want {
				t.Errorf("%q: reused %s\nfresh %s", text, got, want)
			}
		}
	}
}

func describe(h *RequestHead) string {
	return fmt.Sprintf("%s %s %s %d %d %v %d %v %v %v %v %q", h.MethodName(), h.Target(), h.Host(), h.Method, h.Minor, h.Framing, h.Length,
		h.KeepAlive, h.ExpectContinue, h.WebSocket, h.UnexpectedBody, h.AppendFields(nil, 0))
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const line, host = "GET / HTTP/1.1\r\n", "Host: a\r\n"
	head := line + host + "X: " + strings.Repeat("x", 100) + "\r\n\r\n"
	var h RequestHead
	many := func(n int) string { return line + host + strings.Repeat("X: y\r\n", n-1) + "\r\n" }
	for _, test := range []struct {
		name, text string
		max        int
		want       Reason
	}{
		{"exactly", head, len(head), ReasonNone},
		{"one byte too large", head, len(head) - 1, ReasonHeadSize},
		{"too large and not complete", head[:100], 100, ReasonHeadSize},
		{"line too long", "GET /" + strings.Repeat("x", 100) + " HTTP/1.1\r\n", 100, ReasonLineSize},
		{"line too long, cut in the version", "GET / HTTP/1.1\r\n", 12, ReasonLineSize},
		{"line exactly, then too large", line + host, len(line), ReasonHeadSize},
		{"fault before the limit", "GET / HTTP/1.1\r\nX\r\n" + strings.Repeat("x", 100), 100, ReasonName},
		{"fault after the limit", line + strings.Repeat("x", 100) + "\n", 100, ReasonHeadSize},
		{"most fields", many(MaxFields), testMax, ReasonNone},
		{"one field too many", many(MaxFields + 1), testMax, ReasonFieldCount},
		{"more than can be counted", many(3 * MaxFields), testMax, ReasonFieldCount},
	} {
		var scan, byteScan Scan
		if n, r := h.Parse([]byte(test.text), &scan, test.max); r != test.want || (n > 0) != (r == ReasonNone) || scan != 0 {
			t.Errorf("%s: %d %v, scan %d, want %v", test.name, n, r, scan, test.want)
		}
		for i := range test.text {
			n, r := h.Parse([]byte(test.text[:i+1]), &byteScan, test.max)
			if n > 0 || r != ReasonNone {
				if r != test.want {
					t.Errorf("%s, byte by byte: %d %v, want %v", test.name, n, r, test.want)
				}
				break
			}
		}
	}
	var answer ResponseHead
	var scan Scan
	if _, r := answer.Parse([]byte("HTTP/1.1 200 OK\r\n"), &scan, 10, RequestContext{}); r != ReasonHeadSize {
		t.Errorf("a response that is too large: %v", r)
	}
}

// TestScanIsLinear checks that a head that arrives byte by byte is parsed at
// its beginning and end, and searched only once in between.
func TestScanIsLinear(t *testing.T) {
	t.Parallel()
	p := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+strings.Repeat("y", 500)+"\r\n", 60) + "\r\n")
	var scan Scan
	var h RequestHead
	parses := 0
	for i := range p {
		probe, before := scan, scan
		if probe.shouldParse(p[:i+1], testMax) {
			parses++
		}
		n, r := h.Parse(p[:i+1], &scan, testMax)
		if r != ReasonNone || (n > 0) != (i == len(p)-1) {
			t.Fatalf("at %d: %d %v", i, n, r)
		}
		if n == 0 && (scan < before || i > 3 && i-int(scan) > 3) {
			t.Fatalf("at %d: scan went from %d to %d", i, before, scan)
		}
	}
	if parses != 2 {
		t.Errorf("parsed %d times", parses)
	}
}

// TestShortBuffer checks that a scan beyond the end of its input does no harm.
func TestShortBuffer(t *testing.T) {
	t.Parallel()
	scan := Scan(1000)
	var h RequestHead
	if n, r := h.Parse([]byte("GET / HTTP/1.1\r\n"), &scan, testMax); n != 0 || r != ReasonNone {
		t.Error(n, r)
	}
	if n, r := h.Parse(nil, &scan, testMax); n != 0 || r != ReasonNone {
		t.Error(n, r)
	}
}

func TestAllocations(t *testing.T) {
	var request RequestHead
	var response ResponseHead
	post, answer := []byte(mcpPost), []byte(mcpResponse)
	odd := []byte("get http://[::1]:80/?x HTTP/1.1\r\nHost: [::1]\r\nConnection: a, b, close\r\nA: \xff\r\nX_Forwarded_For: 1\r\nExpect: 100-continue, 100-continue\r\nTransfer-Encoding: chunked\r\nTrailer: A, Host\r\n\r\n")
	lengths := []byte("POST / HTTP/1.1\r\nHost: a:\r\nContent-Length: 005, 5\r\nContent-Length: 5\r\nConnection: \"a, close;\r\nExpect:\r\n\r\n")
	chunks := bytes.Repeat([]byte("5;a=\"b\"\r\nhello\r\n"), 20)
	chunks = append(chunks, "0\r\nX-Sum: 1\r\nHost: x\r\n\r\n"...)
	dst, now := make([]byte, 0, 8<<10), time.Now()
	for name, run := range map[string]func() bool{
		"request": func() bool {
			var scan Scan
			n, _ := request.Parse(post, &scan, testMax)
			dst = request.AppendFields(request.AppendRequestLine(dst[:0]), 1<<HeaderCookie)
			dst = AppendCookiesWithout(dst, request.Get(HeaderCookie), "SERVERID")
			return n == len(post) && string(FindCookie(request.Get(HeaderCookie), "SERVERID")) == "node1"
		},
		"odd request": func() bool {
			var scan Scan
			n, _ := request.Parse(odd, &scan, testMax)
			dst = request.AppendFields(request.AppendRequestLine(dst[:0]), 1<<HeaderCookie)
			dst = request.AppendTrailer(dst, request.Trailers())
			return n == len(odd)
		},
		"lengths": func() bool {
			var scan Scan
			n, _ := request.Parse(lengths, &scan, testMax)
			dst = request.AppendFields(request.AppendRequestLine(dst[:0]), 0)
			return n == len(lengths) && !request.DescribesBytes()
		},
		"response": func() bool {
			var scan Scan
			n, _ := response.Parse(answer, &scan, testMax, RequestContext{Method: MethodPost})
			dst = response.AppendFields(response.AppendStatusLine(dst[:0]), Forwarding)
			return n == len(answer)
		},
		"chunks": func() bool {
			var c Chunked
			n, _ := c.Pass(chunks)
			var more int
			dst, more, _ = c.AppendTrailers(dst[:0], chunks[n:])
			n += more
			var d Chunked
			data, _, _ := d.Next(chunks)
			dst = AppendChunk(dst[:0], data)
			return n == len(chunks)
		},
		"answer": func() bool {
			dst = AppendResponse(dst[:0], Response{Status: 503, KeepAlive: true, ContentType: "text/plain", Body: post})
			dst = AppendDate(AppendLength(dst, 1<<40), now)
			return !AcceptsCoding(request.Get(HeaderAcceptEncoding), "br")
		},
	} {
		if !run() {
			t.Errorf("%s: did not do what is measured", name)
		}
		if n := testing.AllocsPerRun(100, func() { run() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
