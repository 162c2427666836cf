package http1

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestNextElement(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"": "[]", "a": "[a]", " a , b\t,c": "[a b c]", ",,a,,": "[a]", " , ": "[]", "a b": "[a b]", `a="b,c", d`: `[a="b,c" d]`,
		`a="b\",c", d`: `[a="b\",c" d]`, `a="b, c`: `[a="b, c]`, `"`: `["]`, `"\`: `["\]`,
	} {
		var got []string
		for e, rest := NextElement([]byte(list)); e != nil; e, rest = NextElement(rest) {
			got = append(got, string(e))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%q: %q, want %s", list, got, want)
		}
	}
	if !HasToken([]byte("a, Upgrade"), "upgrade") || HasToken([]byte("upgraded"), "upgrade") || HasToken(nil, "") {
		t.Error("HasToken")
	}
}

func TestAcceptsCoding(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]bool{
		"gzip": true, "GZIP": true, "deflate, gzip": true, "gzip;q=0.5": true, "gzip; Q=1.000": true, "gzip ; q=0.001": true, "*": true, "*;q=0.1": true,
		"br, *;q=0.1": true, "gzip;q=1.": true,
		"": false, "deflate": false, "gzip;q=0": false, "gzip;q=0.000": false, "gzip;q=0, *": false, "*, gzip;q=0": false, "*;q=0": false, "identity": false,
		"gzip;q=": false, "gzip;q=2": false, "gzip;q=1.1": false, "gzip;q=0.0001": false, "gzip;q=.5": false, "gzip;q=0x": false, "gzip;x=1": false, "gzip;": false,
		"gzipped": false,
	} {
		if AcceptsCoding([]byte(list), "gzip") != want {
			t.Errorf("%q: not %v", list, want)
		}
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ cookies, value, left string }{
		{"SERVERID=node1", "node1", ""},
		{"a=b", "<nil>", "a=b"},
		{"", "<nil>", ""},
		{"a=b; SERVERID=node1; c=d", "node1", "a=b; c=d"},
		{"SERVERID=1; a=b; SERVERID=2", "1", "a=b"},
		{"a=b;SERVERID=1;c=d;", "1", "a=b; c=d"},
		{` SERVERID = "node1" ;; a="b c"`, "node1", `a="b c"`},
		{`a="b; SERVERID=node1; c"`, "node1", `a="b; c"`},
		{"serverid=1; SERVERID2=2; XSERVERID=3", "<nil>", "serverid=1; SERVERID2=2; XSERVERID=3"},
		{"SERVERID; a=b", "<nil>", "SERVERID; a=b"},
		{"SERVERID=; a=b=c", "", "a=b=c"},
		{"SERVERID=a=b", "a=b", ""},
		{`SERVERID="`, `"`, ""},
		{`SERVERID=""`, "", ""},
	} {
		got := "<nil>"
		if v := FindCookie([]byte(test.cookies), "SERVERID"); v != nil {
			got = string(v)
		}
		left := string(AppendCookiesWithout([]byte("Cookie: "), []byte(test.cookies), "SERVERID"))
		if got != test.value || left != "Cookie: "+test.left {
			t.Errorf("%q: value %q, rest %q", test.cookies, got, left)
		}
	}
}

func TestWriters(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 3600)
	for _, test := range []struct{ got, want string }{
		{string(AppendField([]byte("x"), "Name", "value")), "xName: value\r\n"},
		{string(AppendField(nil, "Name", []byte("value"))), "Name: value\r\n"},
		{string(AppendLength(nil, 1<<40)), "Content-Length: 1099511627776\r\n"},
		{string(AppendDate(nil, time.Date(2026, 11, 1, 0, 30, 9, 5, berlin))), "Sat, 31 Oct 2026 23:30:09 GMT"},
		{string(AppendStatusLine(nil, 431)), "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		{string(AppendStatusLine(nil, 599)), "HTTP/1.1 599 \r\n"},
		{string(AppendChunkHeader(nil, 65535)), "ffff\r\n"},
		{string(AppendChunk(nil, []byte("hello"))), "5\r\nhello\r\n"},
		{string(AppendChunk(nil, nil)), ""},
		{string(AppendResponse(nil, Response{Status: 404, Body: []byte("no")})), "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"},
		{
			string(AppendResponse(nil, Response{Status: 429, KeepAlive: true, Head: true, Date: []byte("D"), ContentType: "a/b", Fields: []byte("Retry-After: 1\r\n"), Body: []byte("no")})),
			"HTTP/1.1 429 Too Many Requests\r\nDate: D\r\nContent-Type: a/b\r\nContent-Length: 2\r\nRetry-After: 1\r\nConnection: keep-alive\r\n\r\n",
		},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
	if n := len(AppendChunkHeader(nil, int(^uint(0)>>1))); n != MaxChunkHeader {
		t.Errorf("the longest chunk header has %d bytes, not %d", n, MaxChunkHeader)
	}
}

// TestResponsesParse checks that a generated response parses, for every status.
func TestResponsesParse(t *testing.T) {
	t.Parallel()
	for status := 200; status < 600; status++ {
		if status == 204 || status == 304 {
			continue
		}
		r := &reader{response: true, asked: RequestContext{Method: MethodPost}}
		got := exchange(r, AppendResponse(nil, Response{Status: status, KeepAlive: true, Body: []byte("x")}))
		if want := fmt.Sprintf(`%d HTTP/1.1 length body="x" keep`, status); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestChunkBounds(t *testing.T) {
	t.Parallel()
	data := strings.Repeat("x", 1000)
	for _, test := range []struct {
		name, body string
		want       Reason
	}{
		{"longest extension", "1;" + strings.Repeat("a", maxExtensions-1) + "\r\nx\r\n", ReasonNone},
		{"endless extension", "1;" + strings.Repeat("a", maxExtensions) + "\r\nx\r\n", ReasonExtensionSize},
		{"endless quoted value", `1;a="` + strings.Repeat("a", maxExtensions), ReasonExtensionSize},
		{"extensions that add up", strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\nx\r\n", 50), ReasonExtensionSize},
		{"extensions that the data outweigh", strings.Repeat("3e8;"+strings.Repeat("a", 900)+"\r\n"+data+"\r\n", 50), ReasonNone},
		{"longest trailers", "0\r\n" + strings.Repeat("A: "+strings.Repeat("x", 95)+"\r\n", 80), ReasonNone},
		{"endless trailers", "0\r\n" + strings.Repeat("A: "+strings.Repeat("x", 95)+"\r\n", 90), ReasonTrailerSize},
		{"endless trailer", "0\r\nA: " + strings.Repeat("x", 9000), ReasonTrailerSize},
		{"endless trailer name", "0\r\n" + strings.Repeat("x", 9000), ReasonTrailerSize},
	} {
		var c Chunked
		_, n, r := pass(&c, nil, []byte(test.body))
		if r != test.want || r == ReasonNone && n != len(test.body) {
			t.Errorf("%s: %v after %d of %d bytes", test.name, r, n, len(test.body))
		}
		if _, _, again := pass(&c, nil, []byte("0\r\n\r\n")); r != ReasonNone && again != r || c.Done() && r != ReasonNone {
			t.Errorf("%s: failed with %v, then %v", test.name, r, again)
		}
	}
}

func TestChunkedSize(t *testing.T) {
	t.Parallel()
	var c Chunked
	for _, step := range []struct {
		in   string
		want int64
	}{{"", 0}, {"5", 0}, {"\r", 0}, {"\n", 5}, {"hello\r\n", 5}, {"ffffffff\r\n", 5 + 0xffffffff}} {
		if n, r := c.Pass([]byte(step.in)); n != len(step.in) || r != ReasonNone || c.Size() != step.want {
			t.Fatalf("after %q: %d %v, size %d, want %d", step.in, n, r, c.Size(), step.want)
		}
	}
	var empty Chunked
	if n, r := empty.Pass([]byte("0\r\n\r\nGET")); n != 5 || r != ReasonNone || !empty.Done() || empty.Size() != 0 {
		t.Error(n, r, empty.Done(), empty.Size())
	}
	if n, r := empty.Pass([]byte("GET")); n != 0 || r != ReasonNone {
		t.Error("bytes after the body were read:", n, r)
	}
}
