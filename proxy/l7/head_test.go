package l7

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/mcp"
	"mcplb/proxy/rules"
)

// trusting makes the frontend trust the test's clients.
func trusting(s *setup) {
	s.frontend.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/24")}
}

// The server receives these fields.
func TestRequestHead(t *testing.T) {
	t.Parallel()
	tag := mcp.TagOf("s1").String()
	for name, c := range map[string]struct {
		request string // without Host and the end
		line    string // "" = as it was sent
		want    string // fields except Host and X-Forwarded-*
		host    string // "" = x
		from    string // X-Forwarded-For; "" = 127.0.0.1
		proto   string // "" = http
		other   string // X-Forwarded-Host; "" = x
		set     func(*setup)
	}{
		"plain":         {request: "GET /a?b=c HTTP/1.1\r\nUser-Agent: u\r\nAccept: */*\r\n", want: "User-Agent: u\nAccept: */*"},
		"old":           {request: "GET / HTTP/1.0\r\nA: b\r\n", line: "GET / HTTP/1.1", want: "A: b"},
		"absolute":      {request: "GET http://x/a HTTP/1.1\r\n", line: "GET /a HTTP/1.1"},
		"unknown":       {request: "BREW / HTTP/1.1\r\nMcp-Param-X: =?base64?eA==?=\r\nMcp-Name: n\r\n", want: "Mcp-Param-X: =?base64?eA==?=\nMcp-Name: n"},
		"hop by hop":    {request: "GET / HTTP/1.1\r\nConnection: X-Mine, close\r\nX-Mine: 1\r\nKeep-Alive: 3\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nProxy-Connection: y\r\nA: b\r\n", want: "A: b"},
		"protected":     {request: "GET / HTTP/1.1\r\nConnection: Authorization, X-Forwarded-For, Mcp-Session-Id\r\nAuthorization: me\r\n", want: "Authorization: me"},
		"liar":          {request: "GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX_Forwarded_For: 5.6.7.8\r\n"},
		"trusted":       {request: "GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: real\r\nForwarded: for=1.2.3.4\r\n", want: "Forwarded: for=1.2.3.4", from: "1.2.3.4, 5.6.7.8, 9.9.9.9, 127.0.0.1", proto: "https", other: "real", set: trusting},
		"trusted, mute": {request: "GET / HTTP/1.1\r\nX-Forwarded-For:\r\n", set: trusting},
		"host":          {request: "GET / HTTP/1.1\r\n", host: "server", set: withBackend(func(b *conf.Backend) { b.PreserveHost = false })},
		"session":       {request: "GET / HTTP/1.1\r\nmcp-session-id: abc." + tag + "\r\n", want: "Mcp-Session-Id: abc"},
		"own session":   {request: "GET / HTTP/1.1\r\nMcp-Session-Id: abc\r\n", want: "Mcp-Session-Id: abc"},
		"not sticky":    {request: "GET /?sessionId=abc." + tag + " HTTP/1.1\r\nMcp-Session-Id: abc." + tag + "\r\n", want: "Mcp-Session-Id: abc." + tag, set: withFrontend(func(f *conf.Frontend) { f.Sticky.Session = false })},
		"query":         {request: "POST /m?a=b&session_id=abc." + tag + "&c=d HTTP/1.1\r\nContent-Length: 0\r\n", line: "POST /m?a=b&session_id=abc&c=d HTTP/1.1", want: "Content-Length: 0"},
		"own cookie":    {request: "GET / HTTP/1.1\r\nCookie: a=b; SERVERID=" + tag + "; c=d\r\nCookie: SERVERID=x\r\nCookie: e=f\r\n", want: "Cookie: a=b; c=d\nCookie: e=f"},
		"no own cookie": {request: "GET / HTTP/1.1\r\nCookie: a=b; SERVERID=1\r\n", want: "Cookie: a=b; SERVERID=1", set: withFrontend(func(f *conf.Frontend) { f.Sticky.Cookie = "" })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			change := []func(*setup){}
			if c.set != nil {
				change = append(change, c.set)
			}
			b := start(t, []string{s.Address}, change...)
			client := b.dial()
			client.Say(c.request + "Host: x\r\n\r\n")
			h := s.next().head()
			line, _, _ := strings.Cut(c.request, "\r\n")
			if want := or(c.line, line); h.first() != want {
				t.Errorf("request line %q, want %q", h.first(), want)
			}
			rest := slices.DeleteFunc(slices.Clone(h[1:]), func(line string) bool {
				return strings.HasPrefix(line, "Host: ") || strings.HasPrefix(line, "X-Forwarded-")
			})
			if got := strings.Join(rest, "\n"); got != c.want {
				t.Errorf("fields %q, want %q", got, c.want)
			}
			host := or(c.host, "x")
			if host == "server" {
				host = s.Address
			}
			for field, want := range map[string]string{
				"Host": host, "X-Forwarded-For": or(c.from, "127.0.0.1"), "X-Forwarded-Proto": or(c.proto, "http"), "X-Forwarded-Host": or(c.other, "x"),
			} {
				if got := h.get(t, field); got != want {
					t.Errorf("%s: %q, want %q", field, got, want)
				}
			}
		})
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// The client receives these fields.
func TestResponseHead(t *testing.T) {
	t.Parallel()
	tag := mcp.TagOf("s1").String()
	cookie := "Set-Cookie: SERVERID=" + tag + "; Path=/; HttpOnly; SameSite=Lax"
	const modernVersion = "MCP-Protocol-Version: 2026-07-28"
	for name, c := range map[string]struct {
		request, response, want string // fields, except a Date that the server did not send
	}{
		"plain":           {get("/"), "Server: s\r\nContent-Length: 0\r\nDate: now\r\n", "Server: s\nContent-Length: 0\nDate: now\n" + cookie},
		"hop by hop":      {get("/"), "Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 3\r\nUpgrade: h2c\r\nContent-Length: 0\r\n", "Content-Length: 0\n" + cookie},
		"own cookies":     {get("/"), "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n", "Set-Cookie: a=b\nSet-Cookie: c=d\nContent-Length: 0\n" + cookie},
		"cookie":          {get("/", "Cookie: SERVERID="+tag), "Content-Length: 0\r\n", "Content-Length: 0"},
		"other cookie":    {get("/", "Cookie: SERVERID=aaaaaaaa"), "Content-Length: 0\r\n", "Content-Length: 0\n" + cookie},
		"session":         {get("/"), "mcp-session-id: abc\r\nContent-Length: 0\r\n", "Content-Length: 0\nMcp-Session-Id: abc." + tag + "\n" + cookie},
		"in session":      {get("/", "Mcp-Session-Id: abc."+tag), "Mcp-Session-Id: abc\r\nContent-Length: 0\r\n", "Content-Length: 0\nMcp-Session-Id: abc." + tag},
		"modern":          {get("/", modernVersion), "Mcp-Session-Id: abc\r\nContent-Length: 0\r\n", "Mcp-Session-Id: abc\nContent-Length: 0"},
		"chunked":         {get("/"), "Transfer-Encoding: chunked\r\nTrailer: T\r\n", "Trailer: T\n" + cookie + "\nTransfer-Encoding: chunked"},
		"the last":        {get("/", "Connection: close"), "Content-Length: 0\r\n", "Content-Length: 0\n" + cookie + "\nConnection: close"},
		"server's last":   {get("/"), "Content-Length: 0\r\nConnection: close\r\n", "Content-Length: 0\n" + cookie},
		"old keeps":       {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Content-Length: 0\r\n", "Content-Length: 0\n" + cookie + "\nConnection: keep-alive"},
		"open to the end": {get("/"), "", cookie + "\nConnection: close"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client, server := startExchange(t, c.request)
			server.Say("HTTP/1.1 200 Fine\r\n" + c.response + "\r\n")
			h := client.head()
			if h.first() != "HTTP/1.1 200 Fine" {
				t.Errorf("status line %q", h.first())
			}
			if date := h.get(t, "Date"); date == "" {
				t.Errorf("no Date: %q", h)
			} else if _, err := http.ParseTime(date); err != nil && date != "now" {
				t.Error(err)
			}
			rest := slices.DeleteFunc(slices.Clone(h[1:]), func(line string) bool {
				return strings.HasPrefix(line, "Date: ") && line != "Date: now"
			})
			if got := strings.Join(rest, "\n"); got != c.want {
				t.Errorf("fields %q, want %q", got, c.want)
			}
		})
	}
}

// The fields that net/http's client sends arrive at net/http's server as they would
// without the balancer, apart from those that it adds.
func TestHeadsAgainstDirect(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	direct := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Host", r.Host)
		r.Header.Set("Target", r.RequestURI)
		seen <- r.Header
		for name, values := range r.Header {
			if strings.HasPrefix(name, "Send-") {
				w.Header()[strings.TrimPrefix(name, "Send-")] = values
			}
		}
	})
	b := start(t, []string{direct}, withFrontend(func(f *conf.Frontend) { f.Sticky.Cookie = "" }))
	client := httpClient(t)
	for i, fields := range []http.Header{
		{},
		{"Accept": {"a", "b, c"}, "X-Empty": {""}, "X-Space": {"  a  b  "}},
		{"Accept-Encoding": {"gzip"}, "Cookie": {"a=b; c=d", "e=f"}, "Authorization": {"Bearer x"}},
		{"Last-Event-Id": {"7"}, "Mcp-Protocol-Version": {"2025-11-25"}, "Origin": {"http://here"}},
		{"Send-X": {"1", "2"}, "Send-Etag": {`"x"`}, "Send-Link": {"<a>; rel=b"}, "Send-Www-Authenticate": {"Bearer"}},
		{"X-Long": {strings.Repeat("long ", 1000)}, "X-Obs": {"\xe4\xf6\xfc"}, "Te": {"trailers"}},
	} {
		var got [2]http.Header
		var answered [2]http.Header
		for k, address := range []string{direct, b.Address} {
			r, err := http.NewRequest("GET", "http://"+address+"/a%20b?c=d", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header, r.Host = fields.Clone(), "example.org"
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			got[k], answered[k] = endpoint.Receive(t, seen), response.Header
		}
		got[0].Del("Te") // hop by hop
		for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "example.org"} {
			if value := got[1].Get(name); value != want {
				t.Errorf("request %d: field %s is %q", i, name, value)
			}
			got[1].Del(name)
		}
		answered[0].Del("Date")
		answered[1].Del("Date")
		if equal := maps.EqualFunc(got[0], got[1], slices.Equal); !equal {
			t.Errorf("%d: the server received\n%v\nwant\n%v", i, got[1], got[0])
		}
		if equal := maps.EqualFunc(answered[0], answered[1], slices.Equal); !equal {
			t.Errorf("%d: the client received\n%v\nwant\n%v", i, answered[1], answered[0])
		}
	}
}

// A request goes to the route of its path however that is written, and to no other: a
// private backend is not reached by, nor hidden from, another spelling.
func TestRoutes(t *testing.T) {
	pools := map[string]*backend.Pool{}
	for _, name := range []string{"a", "b"} {
		c := conf.Backend{Name: name, Balance: conf.BalanceRoundRobin, Servers: []conf.Server{{Name: "s", HTTP: "127.0.0.1:1", SSE: "127.0.0.1:2"}}}
		pool, err := backend.NewPool(c, 1, netip.ParseAddrPort)
		if err != nil {
			t.Fatal(err)
		}
		pools[name] = pool
	}
	directory := NewDirectory(func(name string) *backend.Pool { return pools[name] })
	settings := NewSettings(conf.Frontend{Backend: "a", Routes: []conf.Route{
		{Path: "/mcp", Endpoint: conf.EndpointHTTP},
		{Path: "/mcp/sse", Endpoint: conf.EndpointSSE},
		{Path: "/b/", Backend: "b", Endpoint: conf.EndpointHTTP},
		{Path: "//c/./%64//", Backend: "b", Endpoint: conf.EndpointSSE},
		{Path: "/e%2ff", Backend: "b", Endpoint: conf.EndpointHTTP},
	}}, directory)
	w := &worker{}
	for path, want := range map[string]string{
		"/": "a http", "*": "a http", "/mcp": "a http", "/mcp/": "a http", "/mcp/ssex": "a http",
		"/mcp/sse": "a sse", "/mcp/sse/more": "a sse", "/b": "b http", "/b/": "b http", "/b/c": "b http",
		"//b": "b http", "/%62": "b http", "/x/../b": "b http", "/./b": "b http", "/x//../b/c": "b http", "/b//": "b http", "/../b": "b http",
		"/%2e%2E/b": "b http", "/B": "a http", "/bx": "a http", "/x%2F..%2Fb": "a http", "/b%2F": "a http", "/%2562": "a http",
		"/b/..": "a http", "/b/../mcp//sse": "a sse", "/b;x": "a http",
		"/c/d": "b sse", "/c%2Fd": "a http", "/c": "a http", "/e%2Ff": "b http", "/e/f": "a http",
	} {
		r := routeOf(&settings, w, []byte(path))
		if got := fmt.Sprint(r.Pool.Name(), " ", r.Endpoint); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	all := NewSettings(conf.Frontend{Backend: "a", Routes: []conf.Route{{Path: "/", Backend: "b", Endpoint: conf.EndpointHTTP}}}, directory)
	for path, want := range map[string]string{"/": "b", "//": "b", "/..": "b", "/x": "b", "*": "a"} {
		if got := routeOf(&all, w, []byte(path)).Pool.Name(); got != want {
			t.Errorf("with a route of /, %s goes to %s, want %s", path, got, want)
		}
	}
	odd, plain := []byte("/x/../%62//"), []byte("/mcp/sse")
	if n := testing.AllocsPerRun(100, func() { routeOf(&settings, w, odd); routeOf(&settings, w, plain) }); n != 0 {
		t.Errorf("routing allocates %v times", n)
	}
}

// routeOf is the route of a request for path.
func routeOf(s *Settings, w *worker, path []byte) *Route {
	d := s.matcher.Match(&rules.Request{Path: path}, &w.matching)
	if d.Route == rules.NoRoute {
		return &s.fallback
	}
	return &s.routes[d.Route]
}

// However a path is written, its request goes to its route's backend, in origin form and
// in absolute form, and the server receives the target as it came.
func TestRoutedTargets(t *testing.T) {
	t.Parallel()
	target := func(name string) string {
		return httpServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name+" "+r.RequestURI) })
	}
	b := start(t, []string{target("public")}, func(s *setup) {
		private := s.backends[0]
		private.Name, private.Servers = "private", []conf.Server{{Name: "p", HTTP: target("private"), Weight: 100}}
		s.backends = append(s.backends, private)
		s.frontend.Routes = []conf.Route{{Path: "/private/", Backend: "private", Endpoint: conf.EndpointHTTP}}
	})
	client := b.dial()
	for path, want := range map[string]string{
		"/private": "private", "/private/x?y=/../z": "private", "//private": "private", "/%70rivate": "private", "/x/../private": "private",
		"/private/": "private", "/./private": "private", "/%2e/x/%2E%2e/private": "private", "/private/../private/%2F": "private",
		"/PRIVATE": "public", "/privatex": "public", "/x%2F..%2Fprivate": "public", "/private/..": "public", "/?/private": "public", "/%2570rivate": "public",
	} {
		for _, authority := range []string{"", "http://x"} {
			client.Say(get(authority + path))
			if _, body := client.wantStatus("GET", 200); body != want+" "+path {
				t.Errorf("%s%s: %q, want %s", authority, path, body, want)
			}
		}
	}
	client.Say("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	client.wantStatus("OPTIONS", 200)
	if n := b.pools["private"].Servers()[0].Totals().MessagesIn; n != 2*9 {
		t.Errorf("the private server received %d requests, want 18", n)
	}
}
