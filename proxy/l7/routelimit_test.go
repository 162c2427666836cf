package l7

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
)

// withRouteLimits gives the frontend routes with limits, for paths.
func withRouteLimits(routes ...conf.Route) func(*setup) {
	return withFrontend(func(f *conf.Frontend) {
		for i := range routes {
			routes[i].Endpoint = conf.EndpointHTTP
		}
		f.Routes = routes
	})
}

func limitOf(key conf.LimitKey, rate float64, burst, concurrency int, over conf.OverMessage) []conf.Limit {
	return []conf.Limit{{Key: key, Rate: rate, Burst: burst, Concurrency: concurrency, Over: over}}
}

func getOf(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

// statusOf sends a request on a connection and returns the status of the answer.
func (b *fixture) statusOf(c *httpConn, request string) int {
	b.Helper()
	c.Say(request)
	r, _ := c.response("GET")
	return r.StatusCode
}

// TestRouteLimitKeys: each key has a bucket of its own, and what lacks the key, or has it twice,
// shares that of its source.
func TestRouteLimitKeys(t *testing.T) {
	t.Parallel()
	address, _ := counting(t)
	reject := conf.Reject
	b := start(t, []string{address}, withStoppedTime, withRouteLimits(
		conf.Route{Path: "/key", Limits: limitOf("header:X-API-Key", 1, 2, 0, reject)},
		conf.Route{Path: "/auth", Limits: limitOf("header:Authorization", 1, 1, 0, reject)},
		conf.Route{Path: "/session", Limits: limitOf("session", 1, 1, 0, reject)},
		conf.Route{Path: "/source", Limits: limitOf("source", 1, 1, 0, reject)},
		conf.Route{Path: "/route", Limits: limitOf("route", 1, 1, 0, reject)},
		conf.Route{Path: "/principal", Limits: limitOf("principal", 1, 1, 0, reject)},
	))
	c := b.dial()
	for i, test := range []struct {
		request string
		want    int
	}{
		{getOf("/key", "X-API-Key: a"), 200}, {getOf("/key", "x-api-key:  a "), 200}, {getOf("/key/x", "X-API-Key: a"), 429},
		{getOf("/key", "X-API-Key: b"), 200}, {getOf("/key"), 200}, {getOf("/key", "X-API-Key: a", "X-API-Key: c"), 200}, {getOf("/key", "X-API-Key:"), 429},
		{getOf("/auth", "Authorization: Bearer t"), 200}, {getOf("/auth", "Authorization: BEARER   t"), 429}, {getOf("/auth", "Authorization: Bearer u"), 200},
		{getOf("/session", "Mcp-Session-Id: 1"), 200}, {getOf("/session", "Mcp-Session-Id: 1"), 429}, {getOf("/session", "Mcp-Session-Id: 2"), 200},
		{getOf("/session?sessionId=1"), 429}, {getOf("/session?sessionId=3"), 200},
		{getOf("/session"), 200}, {getOf("/session", "MCP-Protocol-Version: 2026-07-28", "Mcp-Session-Id: 9"), 429},
		{getOf("/source"), 200}, {getOf("/source", "X-API-Key: z"), 429},
		{getOf("/route"), 200}, {getOf("/route"), 429},
		{getOf("/principal"), 200}, {getOf("/principal"), 429},
		{getOf("/other"), 200}, {getOf("/other"), 200},
	} {
		if got := b.statusOf(c, test.request); got != test.want {
			t.Errorf("request %d, %q: %d, want %d", i, strings.SplitN(test.request, " HTTP", 2)[0], got, test.want)
		}
	}
	b.Advance(time.Second)
	if got := b.statusOf(c, getOf("/source")); got != 200 {
		t.Errorf("a second later: %d", got)
	}
	refused := map[string]uint64{}
	for _, l := range b.frontend.Rules().Totals().Limits {
		refused[l.Route+" "+l.Key] = l.Refused
	}
	if want := "map[/auth header:Authorization:1 /key header:X-API-Key:2 /principal principal:1 /route route:1 /session session:3 /source source:1]"; fmt.Sprint(refused) != want {
		t.Errorf("counted\n%v, want\n%s", refused, want)
	}
	c.Close()
}

// TestRouteLimitAnswer: a client over a limit is told when to come again, as JSON-RPC if it speaks that.
func TestRouteLimitAnswer(t *testing.T) {
	t.Parallel()
	address, _ := counting(t)
	b := start(t, []string{address}, withStoppedTime, withRouteLimits(conf.Route{
		MCPMethod: []string{"tools/call"}, Limits: limitOf("source", 0.1, 1, 0, conf.Reject),
	}))
	c := b.dial()
	m := mcpRequest{Head: []string{"Content-Type: application/json"}, Body: `{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{"name":"x"}}`}
	for _, want := range []int{200, 429} {
		c.Say(m.head(false) + m.Body)
		r, text := c.response("POST")
		if r.StatusCode != want {
			t.Fatalf("%d, want %d", r.StatusCode, want)
		}
		if want == 429 && (r.Header.Get("Retry-After") != "10" || !strings.Contains(text, `"id":"q"`) || !strings.Contains(text, `"retryAfterMs":10000`)) {
			t.Errorf("Retry-After %q, %s", r.Header.Get("Retry-After"), text)
		}
	}
	c.Say(strings.Replace(m.head(false)+m.Body, "tools/call", "tools/list", 1))
	c.wantStatus("POST", 200)
	c.Close()
	batch := mcpRequest{Head: m.Head, Body: `[{"method":"ping"},` + m.Body + `]`}
	c = b.dial()
	c.Say(batch.head(false) + batch.Body)
	c.wantStatus("POST", 429)
	c.Close()
}

// TestRouteLimitDelays: what is over waits, first come first served; who leaves meanwhile reaches no
// server, and is not charged.
func TestRouteLimitDelays(t *testing.T) {
	t.Parallel()
	address, seen := counting(t)
	b := start(t, []string{address}, withStoppedTime, oneLoop, withRouteLimits(conf.Route{Path: "/", Limits: limitOf("source", 1, 1, 0, conf.Delay)}))
	c := b.dial()
	if got := b.statusOf(c, getOf("/a")); got != 200 {
		t.Fatal(got)
	}
	var waiting []*httpConn
	for i := range 3 {
		w := b.dial()
		w.Say(getOf(fmt.Sprintf("/%d", i)))
		b.awaitState("delaying", i+1)
		waiting = append(waiting, w)
	}
	waiting[1].Close()
	b.awaitState("delaying", 2)
	b.Advance(time.Second)
	waiting[0].wantStatus("GET", 200)
	if n := seen.Load(); n != 2 {
		t.Errorf("%d requests reach the server", n)
	}
	b.Advance(time.Second)
	b.Advance(time.Second)
	waiting[2].wantStatus("GET", 200)
	for _, w := range []*httpConn{c, waiting[0], waiting[2]} {
		w.Close()
	}
	if n := seen.Load(); n != 3 {
		t.Errorf("%d requests reach the server", n)
	}
}

// TestRouteLimitConcurrency: as many are under way as the limit says, and who waits goes on as soon as one
// ends, on whatever loop.
func TestRouteLimitConcurrency(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address := httpServer(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	b := start(t, []string{address}, withRouteLimits(
		conf.Route{Path: "/", Limits: limitOf("route", 0, 0, 1, conf.Delay)},
		conf.Route{Path: "/no", Limits: limitOf("route", 0, 0, 1, conf.Reject)},
	))
	running := map[string]*httpConn{}
	for _, path := range []string{"/a", "/no"} {
		running[path] = b.dial()
		running[path].Say(getOf(path))
	}
	b.awaitState("exchanging", 2)
	refused := b.dial()
	refused.Say(getOf("/no"))
	if r, _ := refused.wantStatus("GET", 429); r.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
	}
	refused.Close()
	for i := range 4 {
		path := fmt.Sprint("/", i)
		running[path] = b.dial()
		running[path].Say(getOf(path))
		b.awaitState("delaying", i+1)
	}
	running["/2"].Close()
	b.awaitState("delaying", 3)
	close(release)
	for path, c := range running {
		if path != "/2" {
			c.wantStatus("GET", 200)
			c.Close()
		}
	}
}

// TestRouteLimitsTogether: what one limit refuses is not charged to the others.
func TestRouteLimitsTogether(t *testing.T) {
	t.Parallel()
	address, _ := counting(t)
	both := append(limitOf("header:X-K", 1, 3, 0, conf.Reject), limitOf("source", 1, 1, 0, conf.Reject)...)
	b := start(t, []string{address}, withStoppedTime, withRouteLimits(conf.Route{Path: "/", Limits: both}))
	c := b.dial()
	for i, want := range []int{200, 429, 429, 429} {
		if got := b.statusOf(c, getOf("/", "X-K: a")); got != want {
			t.Errorf("request %d: %d", i, got)
		}
	}
	b.Advance(time.Second)
	if got := b.statusOf(c, getOf("/", "X-K: a")); got != 200 {
		t.Errorf("later: %d", got)
	}
	c.Close()
}

// TestToolCounters: calls of tools are counted by name, those that fail as errors, at most 100 names.
func TestToolCounters(t *testing.T) {
	t.Parallel()
	address, _ := counting(t)
	b := start(t, []string{address}, withFrontend(denials), withoutLog)
	c := b.dial()
	call := func(name string) {
		m := mcpRequest{Head: []string{"Content-Type: application/json"}, Body: `{"method":"tools/call","params":{"name":"` + name + `"}}`}
		c.Say(m.head(false) + m.Body)
		c.response("POST")
	}
	for i := range 120 {
		call(fmt.Sprintf("tool%d", i))
	}
	call("tool5")
	call("delete_made_up")
	modern := mcpRequest{Head: []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: =?base64?dG9vbDU=?="}, Body: "{}"}
	c.Say(modern.head(false) + modern.Body)
	c.wantStatus("POST", 200)
	c.Close()
	b.Eventually("the last call is counted, behind its response", func() bool { return b.frontend.Rules().Totals().Tools["tool5"].Requests >= 3 })
	tools := b.frontend.Rules().Totals().Tools
	if len(tools) != 101 || tools["tool5"].Requests != 3 || tools["tool5"].Errors != 0 || tools["other"].Requests != 21 || tools["other"].Errors != 1 {
		t.Errorf("%d names, tool5 %+v, other %+v", len(tools), tools["tool5"], tools["other"])
	}
	if n := tools["tool5"].Duration.Count(); n != 3 {
		t.Errorf("%d durations", n)
	}
	routes := b.frontend.Rules().Totals().Routes
	if routes["tools/call delete_*"] != 1 || routes["default"] != 122 {
		t.Errorf("routes: %v", routes)
	}
}

// TestRouteNames: a route keeps its name when others are added before it.
func TestRouteNames(t *testing.T) {
	t.Parallel()
	names := routeNames([]conf.Route{
		{}, {Path: "/a"}, {Host: []string{"x.example", "y.example"}, PathExact: "/b", Methods: []string{"GET"}},
		{MCPMethod: []string{"tools/call"}, MCPName: []string{"a*"}}, {Path: "/a"}, {Path: "/" + strings.Repeat("é", 100)},
	})
	want := []string{"all", "/a #2", "x.example,y.example=/b GET", "tools/call a*", "/a #5", "/" + strings.Repeat("é", 39) + "..."}
	for i := range want {
		if names[i] != want[i] {
			t.Errorf("%q, want %q", names[i], want[i])
		}
	}
}

// Who waits longest for a limit passes first, also where it is handed over to a new process
// meanwhile: otherwise an upgrade puts it behind all others.
func TestDelayedRequestKeepsItsPlace(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := start(t, []string{s.Address}, oneLoop, withoutLog, withRouteLimits(conf.Route{Path: "/", Limits: limitOf("route", 0, 0, 1, conf.Delay)}))
	running := b.dial()
	server := s.receive(running, getOf("/running"))
	first := b.dial()
	first.Say(getOf("/first"))
	b.awaitState("delaying", 1)
	b.handOverThat(func(c *client) bool { return c.exchange.state == delaying })
	b.awaitState("delaying", 1)
	second := b.dial()
	second.Say(getOf("/second"))
	b.awaitState("delaying", 2)
	for _, path := range []string{"/first", "/second"} {
		server.answer("{}")
		if r, _ := server.request(); r.URL.Path != path {
			t.Fatalf("next is %s, want %s", r.URL.Path, path)
		}
	}
	server.answer("{}")
	second.wantStatus("GET", 200)
}

// A limit keeps its accounts in a reload that changes other limits beside it; limits of
// other requests, and equal ones in one list, never share any.
func TestAccountsOfLimits(t *testing.T) {
	t.Parallel()
	source := conf.Limit{Key: conf.LimitSource, Rate: 1}
	all := conf.Limit{Key: conf.LimitRoute, Concurrency: 3}
	f := &conf.Frontend{Name: "f"}
	first := func(r conf.Route) [32]byte { return newRouteLimits(f, &r, "r")[0].id }
	plain := conf.Route{Path: "/a", Limits: []conf.Limit{source}}
	for name, r := range map[string]conf.Route{
		"path": {Path: "/b"}, "trailing_slash": {Path: "/a", Slash: conf.WithSlash}, "methods": {Path: "/a", Methods: []string{"GET"}},
		"not_path": {Path: "/a", Not: conf.RouteNot{Path: []string{"/a/b"}}}, "mcp_name": {Path: "/a", MCPName: []string{"x"}},
	} {
		if r.Limits = plain.Limits; first(r) == first(plain) {
			t.Errorf("routes that differ in %s share an account", name)
		}
	}
	both := newRouteLimits(f, &conf.Route{Path: "/a", Limits: []conf.Limit{all, source, source}, AddPrefix: "/x"}, "r")
	if both[1].id != first(plain) {
		t.Error("a limit that is put before another one resets it")
	}
	if both[1].id == both[2].id {
		t.Error("two equal limits share an account")
	}
}
