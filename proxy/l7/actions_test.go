package l7

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mcplb/conf"
)

// withRouteFile gives the frontend routes, as a configuration file has them.
func withRouteFile(t testing.TB, routes string) func(*setup) {
	t.Helper()
	return func(s *setup) {
		text := "[frontend.f]\nlisten = \":1\"\nmode = \"http\"\nbackend = \"b\"\n" + routes + "\n[[backend.b.server]]\nname = \"s\"\nhttp = \"192.0.2.1:1\"\nsse = \"192.0.2.1:2\"\n"
		c, err := conf.Parse("test.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s.frontend.Routes, s.frontend.ErrorPages, s.frontend.CORS = c.Frontends[0].Routes, c.Frontends[0].ErrorPages, c.Frontends[0].CORS
		s.frontend.AllowedOrigins = c.Frontends[0].AllowedOrigins
	}
}

// route is one route with the given keys.
func route(keys ...string) string { return "[[frontend.f.route]]\n" + strings.Join(keys, "\n") + "\n" }

// What a route says itself is answered here, in the operator's words, whatever the
// request is: no server sees it, and the connection goes on.
func TestAnsweredHere(t *testing.T) {
	t.Parallel()
	b := start(t, []string{"127.0.0.1:1"}, withRouteFile(t, route(`path = "/ok"`, `respond = { body = "fine" }`)+
		route(`path = "/gone"`, `respond = { status = 410, body = "<p>gone", content_type = "text/html" }`)+
		route(`path = "/empty"`, `respond = { status = 204 }`)+
		route(`path = "/old"`, `redirect = { to = "https://{host}/new{path}?{query}", status = 301 }`)+
		route(`path = "/tls"`, `redirect = { to = "https://{host}{uri}" }`)+
		route(`path = "/private"`, `deny = true`)))
	client := b.dial()
	for _, c := range []struct {
		request, method string
		status          int
		body, media     string
		location        string
	}{
		{get("/ok"), "GET", 200, "fine", "text/plain", ""},
		{"HEAD /ok HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD", 200, "", "text/plain", ""},
		{post("/ok", rpcBody("7"), "Content-Type: application/json"), "POST", 200, "fine", "text/plain", ""},
		{get("/gone/x"), "GET", 410, "<p>gone", "text/html", ""},
		{get("/empty"), "GET", 204, "", "", ""},
		{get("/old/a%2Fb?c=d"), "GET", 301, "", "", "https://x/new/old/a%2Fb?c=d"},
		{get("/tls?a=b"), "GET", 308, "", "", "https://x/tls?a=b"},
		{post("/tls", strings.Repeat("x", 100)), "POST", 308, "", "", "https://x/tls"},
		{get("/private"), "GET", 403, "this request is not allowed here\n", "text/plain; charset=utf-8", ""},
		{post("/private", rpcBody("7"), "Content-Type: application/json"), "POST", 403, `"id":7`, "application/json", ""},
	} {
		client.Say(c.request)
		r, body := client.wantStatus(c.method, c.status)
		if got := r.Header.Get("Location"); body != c.body && !(c.media == "application/json" && strings.Contains(body, c.body)) ||
			r.Header.Get("Content-Type") != c.media || got != c.location || r.Close {
			t.Errorf("%.30q: %q %q %q, close %t, want %q %q %q", c.request, body, r.Header.Get("Content-Type"), got, r.Close, c.body, c.media, c.location)
		}
	}
	if own := b.frontend.Totals().Own; own["responded"] != 5 || own["redirected"] != 3 || own["denied"] != 2 {
		t.Errorf("counted: %v", own)
	}
}

// A redirect leads where the operator meant, whatever the path and the query of the
// request: no line is added to the response, and no other host is named.
func TestRedirectsAreSafe(t *testing.T) {
	t.Parallel()
	b := start(t, []string{"127.0.0.1:1"}, withRouteFile(t, route(`redirect = { to = "https://{host}{uri}" }`, `host = "x"`)+
		route(`host = "relative"`, `redirect = { to = "/{path}" }`)+route(`host = "query"`, `redirect = { to = "/{query}" }`)+
		route(`host = "name"`, `redirect = { to = "/tools/{mcp_name}" }`)+route(`redirect = { to = "https://{host}/" }`)))
	for _, c := range []struct{ request, location string }{
		{get("//evil.example/x"), "https://x//evil.example/x"},
		{"GET //evil.example/ HTTP/1.1\r\nHost: relative\r\n\r\n", "/evil.example/"},
		{"GET /////evil.example/ HTTP/1.1\r\nHost: relative\r\n\r\n", "/evil.example/"},
		{"GET /x?/evil.example HTTP/1.1\r\nHost: query\r\n\r\n", "/evil.example"},
		{"GET /x?\\evil.example HTTP/1.1\r\nHost: query\r\n\r\n", "/evil.example"},
		{"GET /x?a\"<>`{|}^b HTTP/1.1\r\nHost: query\r\n\r\n", "/a%22%3C%3E%60%7B%7C%7D%5Eb"},
		{"GET / HTTP/1.1\r\nHost: name\r\nMcp-Name: =?base64?YQ0KU2V0LUNvb2tpZTogeD0xIMOk?=\r\n\r\n", "/tools/aSet-Cookie:%20x=1%20%C3%A4"},
		{get("/%0d%0aSet-Cookie:x"), ""},
		{"GET / HTTP/1.0\r\n\r\n", ""},
	} {
		client := b.dial()
		client.Say(c.request)
		status := 308
		if c.location == "" {
			status = 400
		}
		r, _ := client.wantStatus("GET", status)
		if got := r.Header.Get("Location"); got != c.location || r.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %q, want %q (%v)", c.request, got, c.location, r.Header)
		}
		client.Close()
	}
}

// seen is a server that says what it has received: the target, and the fields that a
// test may want to know.
func seen(t testing.TB) string {
	return httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		names := make([]string, 0, len(r.Header))
		for name := range r.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		w.Header().Set("X-Server", "yes")
		w.Header().Set("Server", "node")
		_, _ = fmt.Fprintf(w, "%s Host=%s", r.RequestURI, r.Host)
		for _, name := range names {
			_, _ = fmt.Fprintf(w, " %s=%s", name, strings.Join(r.Header[name], "|"))
		}
	})
}

// A prefix is taken off the canonical path, and another put before it; the server
// learns which, and no path leads out of a prefix that was put before it.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	b := start(t, []string{seen(t)}, withRouteFile(t, route(`path = "/a"`, `strip_prefix = "/a"`)+
		route(`path = "/b"`, `strip_prefix = "/b/"`, `add_prefix = "/c/d"`)+route(`path = "/e"`, `add_prefix = "/tenant"`)+
		route(`host = "all"`, `strip_prefix = "/a"`)), trusting)
	client := b.dial()
	for _, c := range []struct{ host, target, want, prefix string }{
		{"x", "/a/x", "/x", "/a"}, {"x", "/a", "/", "/a"}, {"x", "/a/", "/", "/a"}, {"x", "/a/x/", "/x/", "/a"}, {"x", "/a?q=/a", "/?q=/a", "/a"},
		{"x", "//a//x%2Fy?z", "/x%2Fy?z", "/a"}, {"x", "/%61/%78", "/x", "/a"}, {"x", "/n/../a/x/./y/..", "/x/", "/a"},
		{"x", "http://x/a/x", "/x", "/a"}, {"x", "/a//evil.example", "/evil.example", "/a"},
		{"x", "/b/x", "/c/d/x", "/b"}, {"x", "/b", "/c/d", "/b"}, {"x", "/b/", "/c/d/", "/b"},
		{"x", "/e/x", "/tenant/e/x", ""}, {"x", "/e/../e/%2e%2e/e", "/tenant/e", ""}, {"x", "/../../e", "/tenant/e", ""},
		{"all", "/other//x/", "/other/x/", ""}, {"all", "/ax", "/ax", ""}, {"x", "/n//../m%41", "/n//../m%41", ""},
	} {
		client.Say("GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n")
		_, body := client.wantStatus("GET", 200)
		target, rest, _ := strings.Cut(body, " ")
		if target != c.want || strings.Contains(rest, "X-Forwarded-Prefix=") != (c.prefix != "") || !strings.Contains(rest+" ", "X-Forwarded-Prefix="+c.prefix+" ") && c.prefix != "" {
			t.Errorf("%s: the server received %s, want %s and the prefix %q", c.target, body, c.want, c.prefix)
		}
	}
	for _, target := range []string{"/b/..%2fx", "/b/x/..;/..;/y", "/b/..%5cx", "/e/%2e%2e%2F..%2fx", "/b/%252e%252e/x"} {
		client.Say(get(target))
		if _, body := client.wantStatus("GET", 400); !strings.Contains(body, "leads out of the prefix") {
			t.Errorf("%s: %s", target, body)
		}
	}
	client.Say(get("/a/x", "X-Forwarded-Prefix: /outer/"))
	if _, body := client.wantStatus("GET", 200); !strings.Contains(body, "X-Forwarded-Prefix=/outer/a") {
		t.Errorf("behind a trusted proxy: %s", body)
	}
	client.Say("OPTIONS * HTTP/1.1\r\nHost: all\r\n\r\n")
	if _, body := client.wantStatus("OPTIONS", 200); strings.Contains(body, "X-Forwarded-Prefix") {
		t.Errorf("OPTIONS *: %s", body)
	}
}

// A client cannot say which prefix was taken off.
func TestPrefixIsNotForged(t *testing.T) {
	t.Parallel()
	b := start(t, []string{seen(t)}, withRouteFile(t, route(`path = "/a"`, `strip_prefix = "/a"`)))
	client := b.dial()
	client.Say(get("/a/x", "X-Forwarded-Prefix: /forged", "X_Forwarded_Prefix: /forged"))
	if _, body := client.wantStatus("GET", 200); !strings.Contains(body, "X-Forwarded-Prefix=/a ") && !strings.HasSuffix(body, "X-Forwarded-Prefix=/a") || strings.Contains(body, "forged") {
		t.Errorf("the server received %s", body)
	}
}

// Request headers are removed in every spelling, set and added with what the names stand
// for, which cannot add a line.
func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	b := start(t, []string{seen(t)}, withRouteFile(t, route(
		`set_request_headers = { "X-Real-IP" = "{client_ip}", "X-User" = "{tls_subject}", "X-All" = "{method} {host} {path} {query} {uri} {scheme} {frontend} {backend} {server} {{{mcp_method}} {mcp_name}", "X-Forwarded-Proto" = "https" }`,
		`add_request_headers = { "X-Kept" = "mine" }`, `remove_request_headers = ["X-Secret", "Cookie"]`)))
	client := b.dial()
	client.Say(get("/p/%41?q=1", "X-Real-IP: 6.6.6.6", "x_real_ip: 6.6.6.6", "X-REAL_IP: 6.6.6.6", "X-User: root", "X_User: root", "x-secret: 1", "X_SECRET: 2", "X-Secrets: fine",
		"X-Kept: theirs", "Cookie: a=b", "X-All: forged", "Mcp-Method: tools/call", "Mcp-Name: =?base64?ZGVsZXRlDQpYLUV2aWw6IDE=?=", "traceparent: 00-1-2-03", "tracestate: a=b", "baggage: c=d", "X-Forwarded-Proto: forged"))
	_, body := client.wantStatus("GET", 200)
	for _, want := range []string{
		"/p/%41?q=1 ", " X-Real-Ip=127.0.0.1 ", " X-Secrets=fine", " X-Kept=theirs|mine ", " Traceparent=00-1-2-03 ", " Tracestate=a=b ", " Baggage=c=d ",
		" X-All=GET x /p/%41 q=1 /p/%41?q=1 http f b s1 {tools/call} deleteX-Evil: 1 ", " X-Forwarded-Proto=https ", " X-Forwarded-For=127.0.0.1 ",
	} {
		if !strings.Contains(body+" ", want) {
			t.Errorf("the server received %s, want %q", body, want)
		}
	}
	for _, unwanted := range []string{"6.6.6.6", "root", "X-Secret=", "X_", "Cookie", "forged", "X-Evil="} {
		if strings.Contains(body, unwanted) {
			t.Errorf("the server received %s, without %q", body, unwanted)
		}
	}
}

// A trailer cannot bring again what a route has taken off.
func TestTrailersCannotBringBack(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withRouteFile(t, route(`remove_request_headers = ["X-User"]`)))
	client := b.dial()
	client.Say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-User\r\n\r\n" + chunk("x") + "0\r\nX-User: root\r\n\r\n")
	server := s.next()
	r, body := server.request()
	if len(r.Trailer) > 0 || body != "x" {
		t.Errorf("the server received %q and the trailers %v", body, r.Trailer)
	}
	server.answer("fine")
	client.wantStatus("POST", 200)
}

// oddName is a spelling of X-Powered-By that some servers would understand.
var oddName = "X_powered-BY"

// Response headers are edited in servers' responses and in generated ones, for whatever
// reason; what the balancer itself needs stays.
func TestResponseHeaders(t *testing.T) {
	t.Parallel()
	edits := `
		set_response_headers = { "Strict-Transport-Security" = "max-age=31536000", "X-Node" = "{server}", "X-Request" = "{path}", "Vary" = "X-Mine" }
		add_response_headers = { "X-Added" = "1" }
		remove_response_headers = ["Server", "Set-Cookie", "X-Powered-By"]`
	server := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Server", "node")
		h[oddName] = []string{"php"}
		h.Set("Set-Cookie", "theirs=1")
		h.Set("Strict-Transport-Security", "max-age=0")
		h.Set("X-Added", "0")
		h.Set("Content-Type", "text/plain")
		h.Set("ETag", `"1"`)
		_, _ = io.WriteString(w, strings.Repeat("text ", 1000))
	})
	b := start(t, []string{server}, withRouteFile(t, "allowed_origins = [\"https://app.example\"]\n"+route(edits)+route(`path = "/denied"`, `deny = true`, edits)+
		route(`path = "/here"`, `respond = { status = 503, body = "no" }`, edits)+route(`path = "/there"`, `redirect = { to = "/" }`, edits)+
		route(`path = "/large"`, `max_body = 1`, edits)))
	for _, c := range []struct {
		request, node string
		status        int
		cookie        bool
		encoding      string
		vary          string
	}{
		{get("/x"), "s1", 200, true, "", "X-Mine,Accept-Encoding"},
		{get("/x", "Accept-Encoding: gzip"), "s1", 200, true, "gzip", "X-Mine,Accept-Encoding"},
		{get("/denied"), "", 403, false, "", "X-Mine"},
		{get("/here"), "", 503, false, "", "X-Mine"},
		{get("/there"), "", 308, false, "", "X-Mine,Origin"}, // caches keep it
		{get("/denied", "Origin: https://app.example"), "", 403, false, "", "X-Mine,Origin"},
		{get("/x", "Origin: https://evil.example"), "", 403, false, "", "X-Mine"},
		{post("/large", "12"), "", 413, false, "", "X-Mine"},
	} {
		client := b.dial()
		client.Say(c.request)
		r, _ := client.response("GET")
		h := r.Header
		path := strings.Fields(c.request)[1]
		if r.StatusCode != c.status || strings.Join(h.Values("Strict-Transport-Security"), ",") != "max-age=31536000" || h.Get("X-Node") != c.node || h.Get("X-Request") != path ||
			h.Get("Server")+strings.Join(h[oddName], "") != "" || !slices.Contains(h.Values("X-Added"), "1") || strings.Join(h.Values("Vary"), ",") != c.vary ||
			h.Get("Content-Encoding") != c.encoding || h.Get("Date") == "" {
			t.Errorf("%.40q: %d %v", c.request, r.StatusCode, h)
		}
		cookies := h.Values("Set-Cookie")
		if c.cookie != (len(cookies) == 1) || c.cookie && !strings.HasPrefix(cookies[0], "SERVERID=") {
			t.Errorf("%.40q: the cookies are %q", c.request, cookies)
		}
		client.Close()
	}
}

// A response that is generated because a server failed has its route's headers, too,
// whether or not the request had been forwarded.
func TestResponseHeadersOfFailures(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withRouteFile(t, route(`set_response_headers = { "X-Node" = "{server}", "X-Path" = "{path}" }`)), withRetries(0))
	client := b.dial()
	server := s.receive(client, rpcPost("5"))
	server.Close()
	r, body := client.wantStatus("POST", 502)
	if r.Header.Get("X-Node") != "s1" || r.Header.Get("X-Path") != "/mcp" || !strings.Contains(body, `"id":5`) {
		t.Errorf("%v %s", r.Header, body)
	}
	s.Close()
	client.Say(rpcPost("6"))
	r, body = client.wantStatus("POST", 503)
	if r.Header.Get("X-Path") != "/mcp" || !strings.Contains(body, `"id":6`) {
		t.Errorf("%v %s", r.Header, body)
	}
}

// A WebSocket's 101 has the headers of its route.
func TestResponseHeadersOfWebSockets(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, withRouteFile(t, route(`set_response_headers = { "X-Node" = "{server}" }`, `remove_response_headers = ["Server"]`)))
	client := b.dial()
	server := s.receiveHead(client, upgrade)
	server.Say("HTTP/1.1 101 Switching Protocols\r\nServer: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n")
	h := client.head()
	if h.get(t, "X-Node") != "s1" || len(h.all("Server")) != 0 || h.get(t, "Upgrade") != "websocket" || h.get(t, "Sec-WebSocket-Accept") != accept {
		t.Errorf("the head is %q", h)
	}
	client.Reset()
	server.HearReset()
}

// A request that is sent to another server says which: headers are written for each
// attempt.
func TestHeadersOfRetries(t *testing.T) {
	t.Parallel()
	dead := serve(t)
	dead.Close()
	alive := serve(t)
	b := start(t, []string{dead.Address, alive.Address}, withRouteFile(t, route(`set_request_headers = { "X-Node" = "{server}" }`, `set_response_headers = { "X-Node" = "{server}" }`)))
	for range 2 {
		client := b.dial()
		client.Say(get("/"))
		server := alive.next()
		if r, _ := server.request(); r.Header.Get("X-Node") != "s2" {
			t.Errorf("the server is called %q", r.Header.Get("X-Node"))
		}
		server.answer("fine", "Connection: close")
		if r, _ := client.wantStatus("GET", 200); r.Header.Get("X-Node") != "s2" {
			t.Errorf("the client's server is called %q", r.Header.Get("X-Node"))
		}
		client.Close()
	}
}

// Error pages are for people: their own status goes before the class, JSON-RPC requests
// get JSON-RPC, HEAD no body, and what a route responds is left as it is.
func TestErrorPages(t *testing.T) {
	t.Parallel()
	pages := withFrontend(func(f *conf.Frontend) {
		f.ErrorPages = []conf.ErrorPage{
			{Status: 403, ContentType: "text/html; charset=utf-8", Body: []byte("<p>no")},
			{Status: 4, ContentType: "text/plain; charset=utf-8", Body: []byte("another 4xx")},
			{Status: 503, ContentType: "application/json", Body: []byte("{}")},
		}
	})
	s := serve(t)
	s.Close()
	b := start(t, []string{s.Address}, withRouteFile(t, route(`path = "/denied"`, `deny = true`)+route(`path = "/here"`, `respond = { status = 403, body = "mine" }`)), pages, withRetries(0))
	for _, c := range []struct {
		request, method string
		status          int
		media, body     string
	}{
		{get("/denied"), "GET", 403, "text/html; charset=utf-8", "<p>no"},
		{"HEAD /denied HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD", 403, "text/html; charset=utf-8", ""},
		{get("/here"), "GET", 403, "text/plain", "mine"},
		{get("/%zz"), "GET", 400, "text/plain; charset=utf-8", "another 4xx"},
		{"GET / HTTP/1.1\r\n\r\n", "GET", 400, "text/plain; charset=utf-8", "another 4xx"},
		{get("/"), "GET", 503, "application/json", "{}"},
	} {
		client := b.dial()
		client.Say(c.request)
		r, body := client.wantStatus(c.method, c.status)
		if r.Header.Get("Content-Type") != c.media || body != c.body || c.method == "HEAD" && r.ContentLength != 5 {
			t.Errorf("%.30q: %q %q, want %q %q", c.request, r.Header.Get("Content-Type"), body, c.media, c.body)
		}
		client.Close()
	}
	client := b.dial()
	client.Say(post("/denied", rpcBody("3"), "Content-Type: application/json"))
	if r, body := client.wantStatus("POST", 403); r.Header.Get("Content-Type") != "application/json" || !strings.Contains(body, `"id":3`) {
		t.Errorf("JSON-RPC: %v %s", r.Header, body)
	}
	changed := *b.frontend.Settings()
	changed.pages = newPages([]conf.ErrorPage{{Status: 403, ContentType: "text/plain", Body: []byte("other")}})
	b.frontend.Apply(changed)
	client.Say(get("/denied"))
	if _, body := client.wantStatus("GET", 403); body != "other" {
		t.Errorf("after a reload: %q", body)
	}
}

// A route has its own limit of a request's body, in whatever framing, and its own media
// types to compress.
func TestRouteLimits(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("text ", 1000)
	server := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, text)
	})
	b := start(t, []string{server}, withRouteFile(t, route(`path = "/small"`, `max_body = "1k"`)+route(`path = "/any"`, `max_body = 0`, `compress = []`)+route(`path = "/type"`, `compress = ["text/csv"]`)),
		withFrontend(func(f *conf.Frontend) { f.MaxBody = 4 << 10 }))
	chunked := func(path string, n int) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(strings.Repeat("x", n)) + "0\r\n\r\n"
	}
	for _, c := range []struct {
		request string
		status  int
	}{
		{post("/small", strings.Repeat("x", 1<<10)), 200}, {post("/small", strings.Repeat("x", 1<<10+1)), 413}, {chunked("/small", 1<<10), 200}, {chunked("/small", 1<<10+1), 413},
		{post("/", strings.Repeat("x", 4<<10)), 200}, {post("/", strings.Repeat("x", 4<<10+1)), 413},
		{post("/any", strings.Repeat("x", 8<<10)), 200}, {chunked("/any", 8<<10), 200},
	} {
		client := b.dial()
		client.Say(c.request)
		client.wantStatus("POST", c.status)
		client.Close()
	}
	client := b.dial()
	for path, encoding := range map[string]string{"/": "gzip", "/any": "", "/type": ""} {
		client.Say(get(path, "Accept-Encoding: gzip"))
		if r, _ := client.wantStatus("GET", 200); r.Header.Get("Content-Encoding") != encoding {
			t.Errorf("%s: encoded %q", path, r.Header.Get("Content-Encoding"))
		}
	}
}

// An edit finds a field in every spelling, and no other.
func TestFieldEdits(t *testing.T) {
	t.Parallel()
	e := newFieldEdits([]conf.HeaderValue{{Name: "X-Set", Value: "1"}}, []conf.HeaderValue{{Name: "X-Add", Value: "{{}"}}, []string{"X_Gone"})
	for in, want := range map[string]string{
		"":                                     "",
		"X-Gone: 1\r\n":                        "",
		"A: 1\r\nx_gone: 2\r\nB: 3\r\n":        "A: 1\r\nB: 3\r\n",
		"X-Gon: 1\r\nX-Gones: 2\r\nX:Gone\r\n": "X-Gon: 1\r\nX-Gones: 2\r\nX:Gone\r\n",
		"x-SET: 0\r\nX_Set:\r\nX-Gone:\r\n":    "",
		"A: X-Gone: 1\r\n":                     "A: X-Gone: 1\r\n",
	} {
		line := "HTTP/1.1 200 OK\r\n"
		got := string(e.apply([]byte(line+in), len(line), e.fixed))
		if got != line+want+"X-Set: 1\r\nX-Add: {}\r\n" {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// A route sets Host, but never to nothing or to what is none: servers would refuse the
// request, or take it for another host's.
func TestHostIsSet(t *testing.T) {
	t.Parallel()
	b := start(t, []string{seen(t)}, withRouteFile(t, route(`set_request_headers = { Host = "{mcp_name}.internal:80" }`)+
		route(`path = "/maybe"`, `set_request_headers = { Host = "{mcp_name}" }`)))
	client := b.dial()
	for _, c := range []struct{ path, name, want string }{
		{"/", "tool", "tool.internal:80"}, {"/", "a b/c", "x"}, {"/maybe", "", "x"}, {"/maybe", "other", "other"},
	} {
		client.Say(get(c.path, "Mcp-Name: "+c.name))
		if _, body := client.wantStatus("GET", 200); !strings.Contains(body, " Host="+c.want+" ") || strings.Contains(body, "X-Forwarded-Host=") && !strings.Contains(body, "X-Forwarded-Host=x") {
			t.Errorf("%s, %q: the server received %s", c.path, c.name, body)
		}
	}
}
