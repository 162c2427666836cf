package l7

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/mcp"
)

// checkCORS checks what a response says to a page of that origin: "" = the page must
// not read it.
func checkCORS(t testing.TB, what string, h http.Header, origin string, credentials bool) {
	t.Helper()
	if origin == "" {
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
				t.Errorf("%s: %s is %q, want none", what, name, h[name])
			}
		}
		return
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": "Mcp-Session-Id, Retry-After, WWW-Authenticate",
		"Access-Control-Allow-Credentials": map[bool]string{true: "true"}[credentials],
	} {
		if got := strings.Join(h[name], "|"); got != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
}

// A page of another origin can read every response that the balancer generates: or else
// a browser's client does not see the 404 that makes it initialize again, nor how long
// to wait.
func TestGeneratedResponsesHaveCORS(t *testing.T) {
	t.Parallel()
	const page = "https://app.example"
	limited := func(s *setup) {
		s.Limits.MessageRate, s.Limits.MessageBurst, s.Limits.OverMessage = 1, 1, conf.Reject
		s.StopTime()
	}
	short := withFrontend(func(f *conf.Frontend) { f.MaxHeader, f.MaxBody = 4<<10, 1000 })
	gone := "Mcp-Session-Id: abc." + mcp.TagOf("gone").String()
	tag := "Mcp-Session-Id: abc." + mcp.TagOf("s1").String()
	for name, c := range map[string]struct {
		request string // {} is where Origin stands
		status  int
		set     func(*setup)
		server  func(b *fixture, s *server) // plays the server
	}{
		"malformed, before":    {"GET / HTTP/1.1\r\nHost: x\r\n{}Bad Line\r\n\r\n", 400, nil, nil},
		"malformed, behind":    {"GET / HTTP/1.1\r\nHost: x\r\nBad Line\r\n{}\r\n", 400, nil, nil},
		"contradiction":        {"POST / HTTP/1.1\r\nHost: x\r\n{}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, nil, nil},
		"bad target":           {"GET x HTTP/1.1\r\nHost: x\r\n{}\r\n", 400, nil, nil},
		"bad chunk":            {"POST / HTTP/1.1\r\nHost: x\r\n{}Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, nil, nil},
		"session gone":         {"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + gone + "\r\n{}Content-Length: 40\r\n\r\n" + `{"jsonrpc":"2.0","id":1,"method":"ping"}` + "", 404, nil, nil},
		"session gone, GET":    {"GET / HTTP/1.1\r\nHost: x\r\n{}" + gone + "\r\n\r\n", 404, nil, nil},
		"session gone, HEAD":   {"HEAD / HTTP/1.1\r\nHost: x\r\n{}" + gone + "\r\n\r\n", 404, nil, nil},
		"session gone, DELETE": {"DELETE / HTTP/1.1\r\nHost: x\r\n{}" + gone + "\r\n\r\n", 404, nil, nil},
		"slow head": {"GET / HTTP/1.1\r\nHost: x\r\n{}X-Y", 408, withStoppedTime, func(b *fixture, _ *server) {
			b.Eventually("the head is there", func() bool { return b.pending() > 20 })
			b.Advance(11 * time.Second)
		}},
		"slow body": {"POST / HTTP/1.1\r\nHost: x\r\n{}Content-Length: 5\r\n\r\nab", 408, withStoppedTime, func(b *fixture, s *server) {
			s.next().head()
			b.awaitState("exchanging", 1)
			b.Advance(301 * time.Second)
		}},
		"long body":   {"POST / HTTP/1.1\r\nHost: x\r\n{}Content-Length: 1001\r\n\r\n", 413, short, nil},
		"long chunks": {"POST / HTTP/1.1\r\nHost: x\r\n{}Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413, short, nil},
		"expectation": {"POST / HTTP/1.1\r\nHost: x\r\n{}Expect: more\r\nContent-Length: 1\r\n\r\na", 417, nil, nil},
		"rate":        {"GET / HTTP/1.1\r\nHost: x\r\n{}" + gone + "\r\n\r\n", 429, limited, nil},
		"long head":   {"GET / HTTP/1.1\r\nHost: x\r\n{}A: " + strings.Repeat("a", 5000) + "\r\n\r\n", 431, short, nil},
		"bad answer":  {"GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", 502, nil, func(_ *fixture, s *server) { c := s.next(); c.head(); c.Say("what?\r\n\r\n") }},
		"no answer":   {"POST / HTTP/1.1\r\nHost: x\r\n{}Content-Length: 0\r\n\r\n", 502, nil, func(_ *fixture, s *server) { c := s.next(); c.head(); c.Reset() }},
		"no server":   {"GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", 503, func(s *setup) { s.backends[0].Servers[0].HTTP = "refuse" }, nil},
		"late answer": {"GET / HTTP/1.1\r\nHost: x\r\n{}" + tag + "\r\n\r\n", 504, withStoppedTime, func(b *fixture, s *server) {
			s.next().head()
			b.awaitState("exchanging", 1)
			b.Advance(301 * time.Second)
		}},
	} {
		for origin, want := range map[string]struct{ open, listed string }{
			"Origin: " + page + "\r\n": {page, page}, "Origin: null\r\n": {"null", ""}, "": {"", ""},
		} {
			for _, allowed := range [][]string{nil, {"http://other.example", page}} {
				if allowed != nil && strings.Contains(origin, "null") && c.status > 400 {
					continue // 403: see TestRefusedOriginHasNoCORS
				}
				t.Run(fmt.Sprint(name, "/", origin, len(allowed)), func(t *testing.T) {
					t.Parallel()
					s := serve(t)
					b := start(t, []string{s.Address}, withRetries(0), withFrontend(func(f *conf.Frontend) { f.AllowedOrigins = allowed }), func(s *setup) {
						if c.set != nil {
							c.set(s)
						}
						if s.backends[0].Servers[0].HTTP == "refuse" {
							s.backends[0].Servers[0].HTTP = endpoint.Refuse(t)
						}
					})
					if name == "no server" {
						b.down(0)
					}
					client := b.dial()
					request := strings.Replace(c.request, "{}", origin, 1)
					method, _, _ := strings.Cut(request, " ")
					if c.status == 429 {
						client.Say(request)
						client.wantStatus(method, 404)
					}
					client.Say(request)
					if c.server != nil {
						c.server(b, s)
					}
					r, _ := client.response(method)
					if r.StatusCode == 403 && origin == "Origin: null\r\n" && allowed != nil {
						return
					}
					if r.StatusCode != c.status {
						t.Fatalf("status %d, want %d", r.StatusCode, c.status)
					}
					if allowed == nil {
						checkCORS(t, name, r.Header, want.open, false)
					} else {
						checkCORS(t, name, r.Header, want.listed, true)
					}
				})
			}
		}
	}
}

// A page whose origin is not allowed reads nothing, and neither does one with two.
func TestRefusedOriginHasNoCORS(t *testing.T) {
	t.Parallel()
	b, _ := startServed(t, withFrontend(func(f *conf.Frontend) {
		f.AllowedOrigins, f.CORS.Preflight = []string{"https://app.example"}, true
	}))
	client := b.dial()
	for _, request := range []string{
		get("/", "Origin: https://evil.example"), get("/", "Origin: null"), get("/", "Origin: https://app.example.evil"), get("/", "Origin: "),
		rpcPost("1", "Origin: https://evil.example"), get("/", "Origin: https://app.example", "Origin: https://app.example"),
		"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
	} {
		client.Say(request)
		r, _ := client.wantStatus("GET", 403)
		checkCORS(t, request, r.Header, "", false)
	}
	for _, origin := range []string{"https://app.example x", "a,b", `"a"`, "*", "\xc3\xa4", strings.Repeat("a", 1000)} {
		b, _ := startServed(t)
		client := b.dial()
		client.Say(rpcPost("1", "Origin: "+origin, "Mcp-Session-Id: abc."+mcp.TagOf("gone").String()))
		r, _ := client.wantStatus("POST", 404)
		checkCORS(t, origin, r.Header, "", false)
	}
}

// One page's origin is not told to another, over one connection or after a reload, and
// the list of exposed fields is the configured one.
func TestCORSOfEachRequest(t *testing.T) {
	t.Parallel()
	b, _ := startServed(t)
	client := b.dial()
	gone := "Mcp-Session-Id: abc." + mcp.TagOf("gone").String()
	for _, origin := range []string{"https://a.example", "", "https://b.example", "null", "https://a.example"} {
		fields := []string{gone}
		if origin != "" {
			fields = append(fields, "Origin: "+origin)
		}
		client.Say(get("/", fields...))
		r, _ := client.wantStatus("GET", 404)
		checkCORS(t, origin, r.Header, origin, false)
	}
	f := b.frontend.Settings().Frontend
	f.CORS.Expose = []string{"X-A"}
	b.frontend.Apply(NewSettings(f, NewDirectory(b.poolOf)))
	client.Say(get("/", gone, "Origin: https://a.example"))
	if r, _ := client.wantStatus("GET", 404); r.Header.Get("Access-Control-Expose-Headers") != "X-A" {
		t.Errorf("after the reload, the header is %v", r.Header)
	}
	f.CORS.Expose = nil
	b.frontend.Apply(NewSettings(f, NewDirectory(b.poolOf)))
	client.Say("GET  / HTTP/1.1\r\nOrigin: https://c.example\r\n\r\n")
	if r, _ := client.wantStatus("GET", 400); r.Header.Get("Access-Control-Allow-Origin") != "https://c.example" || len(r.Header["Access-Control-Expose-Headers"]) != 0 {
		t.Errorf("of a malformed request, the header is %v", r.Header)
	}
}

// With preflight, a browser's question is answered here, and only that.
func TestPreflight(t *testing.T) {
	t.Parallel()
	const page = "https://app.example"
	ask := func(fields ...string) string {
		return "OPTIONS /mcp HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(slices.Clone(fields), ""), "\r\n") + "\r\n"
	}
	question := []string{"Origin: " + page, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: content-type,mcp-session-id"}
	for name, c := range map[string]struct {
		request string
		set     func(*conf.Frontend)
		want    map[string]string // nil = the server answers
	}{
		"defaults": {ask(question...), func(*conf.Frontend) {}, map[string]string{
			"Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS", "Access-Control-Allow-Headers": "content-type,mcp-session-id", "Access-Control-Max-Age": "600",
		}},
		"allowed": {ask(question...), func(f *conf.Frontend) { f.AllowedOrigins = []string{page} }, map[string]string{
			"Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS", "Access-Control-Allow-Headers": "content-type,mcp-session-id", "Access-Control-Max-Age": "600",
			"Access-Control-Allow-Credentials": "true",
		}},
		"lists": {ask(question...), func(f *conf.Frontend) {
			f.CORS.AllowMethods, f.CORS.AllowHeaders, f.CORS.MaxAge = []string{"*"}, []string{"X-A", "X-B"}, 0
		}, map[string]string{"Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "X-A, X-B", "Access-Control-Max-Age": "0"}},
		"empty lists": {ask(question...), func(f *conf.Frontend) { f.CORS.AllowMethods, f.CORS.AllowHeaders = nil, nil },
			map[string]string{"Access-Control-Max-Age": "600"}},
		"no headers asked for": {ask(question[:2]...), func(*conf.Frontend) {}, map[string]string{"Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS", "Access-Control-Max-Age": "600"}},
		"odd headers": {ask(question[0], question[1], `Access-Control-Request-Headers: a"b`), func(*conf.Frontend) {},
			map[string]string{"Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS", "Access-Control-Max-Age": "600"}},
		"of a dead session": {ask(append(question, "Mcp-Session-Id: abc."+mcp.TagOf("gone").String())...), func(*conf.Frontend) {}, map[string]string{
			"Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS", "Access-Control-Allow-Headers": "content-type,mcp-session-id", "Access-Control-Max-Age": "600",
		}},
		"off":           {ask(question...), func(f *conf.Frontend) { f.CORS.Preflight = false }, nil},
		"no origin":     {ask(question[1:]...), func(*conf.Frontend) {}, nil},
		"no method":     {ask(question[0]), func(*conf.Frontend) {}, nil},
		"other request": {get("/", question...), func(*conf.Frontend) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, []string{httpServer(t, echo)}, withFrontend(func(f *conf.Frontend) { f.CORS.Preflight = true; c.set(f) }))
			client := b.dial()
			for range 2 {
				client.Say(c.request)
				method, _, _ := strings.Cut(c.request, " ")
				r, _ := client.response(method)
				if c.want == nil {
					if r.StatusCode != 200 || r.Header.Get("Access-Control-Allow-Origin") != "" {
						t.Errorf("status %d, %v; want the server's answer", r.StatusCode, r.Header)
					}
					continue
				}
				got := map[string]string{}
				for field, values := range r.Header {
					if strings.HasPrefix(field, "Access-Control-") {
						got[field] = strings.Join(values, "|")
					}
				}
				c.want["Access-Control-Allow-Origin"] = page
				if r.StatusCode != 204 || r.Close || fmt.Sprint(got) != fmt.Sprint(c.want) || !strings.HasPrefix(r.Header.Get("Vary"), "Origin, ") || r.Header.Get("Content-Length") != "" {
					t.Errorf("status %d, %v\nwant 204, %v", r.StatusCode, r.Header, c.want)
				}
			}
			if n := b.frontend.Totals().Own["preflight"]; n != map[bool]uint64{true: 2}[c.want != nil] {
				t.Errorf("%d preflights are counted", n)
			}
		})
	}
}

// Many origins do not fill the memory.
func TestOriginsAreBounded(t *testing.T) {
	t.Parallel()
	var o origins
	for i := range 10 * mostOrigins {
		want := fmt.Sprint("https://", i)
		if got := o.keep([]byte(want)); got != want {
			t.Fatal(got)
		}
		if len(o) > mostOrigins {
			t.Fatalf("%d origins are kept", len(o))
		}
	}
}

func TestOriginsAllocate(t *testing.T) {
	var o origins
	origin := []byte("https://app.example")
	o.keep(origin)
	if n := testing.AllocsPerRun(100, func() { o.keep(origin) }); n != 0 {
		t.Errorf("a known origin allocates %v times", n)
	}
}
