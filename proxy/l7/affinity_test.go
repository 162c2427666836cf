package l7

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/internal/endpoint"
	"mcplb/proxy/mcp"
	"mcplb/proxy/session"
)

// node is a server of MCP's session era, as a balancer sees one.
type node struct {
	name     string
	address  string
	mu       sync.Mutex
	sessions map[string]bool // guarded by mu
	opened   atomic.Int64
	foreign  atomic.Int64 // requests of sessions of other nodes
	tagged   atomic.Int64 // requests that still had a tag
}

func newNode(t testing.TB, name string) *node {
	n := &node{name: name, sessions: map[string]bool{}}
	n.address = httpServer(t, n.serve)
	return n
}

func (n *node) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Node", n.name)
	id := r.Header.Get("Mcp-Session-Id")
	if strings.Contains(id, ".") {
		n.tagged.Add(1)
	}
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case strings.Contains(string(body), `"initialize"`):
		id = fmt.Sprintf("%s-%d", n.name, n.opened.Add(1))
		n.sessions[id] = true
	case r.Header.Get("MCP-Protocol-Version") == "2026-07-28":
		id = ""
	case !n.sessions[id]:
		n.foreign.Add(1)
		w.WriteHeader(404)
		return
	case r.Method == "DELETE":
		delete(n.sessions, id)
	}
	if id != "" {
		w.Header().Set("Mcp-Session-Id", id)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// nodes starts n nodes, and a fixture that balances them.
func nodes(t testing.TB, n int, change ...func(*setup)) ([]*node, *fixture) {
	t.Helper()
	var made []*node
	var addresses []string
	for i := range n {
		made = append(made, newNode(t, fmt.Sprint("s", i+1)))
		addresses = append(addresses, made[i].address)
	}
	return made, start(t, addresses, change...)
}

// mcpSession is a session of an MCP client.
type mcpSession struct {
	t      testing.TB
	client *http.Client
	url    string
	id     string
	node   string
}

func (s *mcpSession) do(method, body string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == "POST" {
		r.Header.Set("Content-Type", "application/json")
	}
	if s.id != "" {
		r.Header.Set("Mcp-Session-Id", s.id)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body = io.NopCloser(strings.NewReader(string(got)))
	return response
}

func (s *mcpSession) initialize() {
	s.t.Helper()
	s.id = ""
	r := s.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize"}`)
	s.id, s.node = r.Header.Get("Mcp-Session-Id"), r.Header.Get("Node")
	if s.id == "" {
		s.t.Fatalf("no session: %d", r.StatusCode)
	}
}

// 500 sessions from one address, without a cookie, stay on their nodes while one of
// the nodes drains. When that goes down, its sessions get 404 and open new ones, and no
// other session is affected.
func TestSessionsStay(t *testing.T) {
	t.Parallel()
	made, b := nodes(t, 4, withFrontend(func(f *conf.Frontend) { f.RequestsPerConnection = 0 }))
	count, calls := 500, 20
	if testing.Short() {
		count = 50
	}
	client := httpClient(t)
	sessions := make([]*mcpSession, count)
	on := map[string]int{}
	for i := range sessions {
		sessions[i] = &mcpSession{t: t, client: client, url: "http://" + b.Address + "/mcp"}
		sessions[i].initialize()
		on[sessions[i].node]++
	}
	for _, n := range made {
		if on[n.name] != count/4 && on[n.name] != count/4+1 {
			t.Errorf("%d of %d sessions are on %s", on[n.name], count, n.name)
		}
	}
	all := func(calls int) {
		t.Helper()
		var running sync.WaitGroup
		for worker := range 8 {
			running.Go(func() {
				for i := worker; i < count; i += 8 {
					for range calls {
						s := sessions[i]
						if r := s.do("POST", rpcBody(fmt.Sprint(i))); r.StatusCode != 200 || r.Header.Get("Node") != s.node || r.Header.Get("Mcp-Session-Id") != s.id {
							t.Errorf("session %s of %s: %d from %s", s.id, s.node, r.StatusCode, r.Header.Get("Node"))
						}
					}
				}
			})
		}
		running.Wait()
	}
	all(calls / 2)
	drained := b.pool.Servers()[1]
	drained.SetAdmin(backend.Drain, "test", time.Now())
	all(calls / 2)
	newcomer := &mcpSession{t: t, client: client, url: "http://" + b.Address + "/mcp"}
	for range 8 {
		if newcomer.initialize(); newcomer.node == drained.Name() {
			t.Error("a draining node got a new session")
		}
	}
	drained.SetHealth(backend.Down, "test", time.Now())
	for i, s := range sessions {
		if s.node != drained.Name() {
			continue
		}
		r := s.do("POST", rpcBody(fmt.Sprint(i)))
		body, _ := io.ReadAll(r.Body)
		if e := parseRPC(t, string(body)); r.StatusCode != 404 || string(e.ID) != fmt.Sprint(i) || e.Error.Code != -32001 {
			t.Fatalf("status %d: %s", r.StatusCode, body)
		}
		s.initialize()
	}
	all(1)
	if r := sessions[0].do("DELETE", ""); r.StatusCode != 200 {
		t.Errorf("DELETE: status %d", r.StatusCode)
	}
	for _, n := range made {
		if n.foreign.Load() != 0 || n.tagged.Load() != 0 {
			t.Errorf("%s received %d requests of other sessions and %d tags, want none", n.name, n.foreign.Load(), n.tagged.Load())
		}
	}
	if totals := b.frontend.Totals(); totals.Opened != sumOpened(made) || totals.WithSession == 0 {
		t.Errorf("%d sessions were counted, want %d", totals.Opened, sumOpened(made))
	}
}

func sumOpened(nodes []*node) (n uint64) {
	for _, one := range nodes {
		n += uint64(one.opened.Load())
	}
	return n
}

// The server of a session cannot be used.
func TestSessionGone(t *testing.T) {
	t.Parallel()
	id := "abc." + mcp.TagOf("s1").String()
	for name, c := range map[string]struct {
		request string
		change  func(b *fixture)
		status  int
		body    bool // a JSON-RPC error
	}{
		"down":        {rpcPost("1", "Mcp-Session-Id: "+id), func(b *fixture) { b.down(0) }, 404, true},
		"maintenance": {rpcPost("1", "Mcp-Session-Id: "+id), func(b *fixture) { b.admin(0, backend.Maint) }, 404, true},
		"draining":    {rpcPost("1", "Mcp-Session-Id: "+id), func(b *fixture) { b.admin(0, backend.Drain) }, 200, false},
		"unknown":     {rpcPost("1", "Mcp-Session-Id: abc."+mcp.TagOf("other").String()), func(*fixture) {}, 404, true},
		"GET":         {get("/mcp", "Mcp-Session-Id: "+id), func(b *fixture) { b.down(0) }, 404, true},
		"DELETE":      {"DELETE /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: " + id + "\r\n\r\n", func(b *fixture) { b.down(0) }, 404, true},
		"query":       {post("/messages?sessionId="+id, rpcBody("1"), "Content-Type: application/json"), func(b *fixture) { b.down(0) }, 404, true},
		"modern":      {rpcPost("1", "Mcp-Session-Id: "+id, "MCP-Protocol-Version: 2026-07-28"), func(b *fixture) { b.down(0) }, 200, false},
		"not ours":    {rpcPost("1", "Mcp-Session-Id: abc"), func(b *fixture) { b.down(0) }, 200, false},
		"cookie":      {get("/", "Cookie: SERVERID="+mcp.TagOf("s1").String()), func(b *fixture) { b.down(0) }, 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, []string{httpServer(t, echo), httpServer(t, echo)})
			c.change(b)
			client := b.dial()
			method, _, _ := strings.Cut(c.request, " ")
			for range 2 { // the connection stays open
				client.Say(c.request)
				r, body := client.wantStatus(method, c.status)
				if c.body {
					e := parseRPC(t, body)
					if want := "1"; method == "POST" && string(e.ID) != want || e.Error.Code != -32001 || r.Header.Get("Content-Type") != "application/json" {
						t.Errorf("the body is %q", body)
					}
				}
			}
		})
	}
}

func (b *fixture) down(i int) {
	b.pool.Servers()[i].SetHealth(backend.Down, "test", time.Now())
}

func (b *fixture) admin(i int, a backend.Admin) {
	b.pool.Servers()[i].SetAdmin(a, "test", time.Now())
}

// A session's request is sent to no other server: if its own refuses connections, that
// is tried again, and once it is known to be down, the session is gone.
func TestSessionOfRefusingServer(t *testing.T) {
	t.Parallel()
	b := start(t, []string{endpoint.Refuse(t), httpServer(t, echo)}, withStoppedTime)
	client := b.dial()
	client.Say(rpcPost("1", "Mcp-Session-Id: abc."+mcp.TagOf("s1").String()))
	b.awaitState("pausing", 1)
	b.Advance(1100 * time.Millisecond)
	b.awaitState("pausing", 1)
	b.down(0)
	b.sessions(func(c session.Session) { c.ServerDown(conf.OnDownClose) })
	client.wantStatus("POST", 404)
	if n := b.pool.Servers()[1].Totals().MessagesIn; n != 0 {
		t.Errorf("another server received %d requests, want none", n)
	}
	// A request with a cookie goes to another server, and gets a new cookie.
	b.pool.Servers()[0].SetHealth(backend.Up, "test", time.Now())
	client.Say(get("/", "Cookie: SERVERID="+mcp.TagOf("s1").String()))
	r, _ := client.wantStatus("GET", 200)
	if got, want := r.Header.Get("Set-Cookie"), "SERVERID="+mcp.TagOf("s2").String(); !strings.HasPrefix(got, want) {
		t.Errorf("cookie %q, want %q", got, want)
	}
}

// A session's request that waits for a slot of its server goes to no other server when
// that is removed.
func TestSessionInTheQueue(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := start(t, []string{s.Address, httpServer(t, echo)}, withMaxConn(1))
	tag := mcp.TagOf("s1").String()
	_, server := b.pair(s, rpcPost("1", "Mcp-Session-Id: abc."+tag))
	client, browser := b.dial(), b.dial()
	client.Say(rpcPost("2", "Mcp-Session-Id: abc."+tag))
	b.awaitState("queued", 1)
	browser.Say(get("/", "Cookie: SERVERID="+tag))
	b.awaitState("queued", 2)
	b.down(0)
	if _, body := client.wantStatus("POST", 404); string(parseRPC(t, body).ID) != "2" {
		t.Errorf("the body is %q", body)
	}
	if r, _ := browser.wantStatus("GET", 200); !strings.HasPrefix(r.Header.Get("Set-Cookie"), "SERVERID="+mcp.TagOf("s2").String()) {
		t.Errorf("the header is %v", r.Header)
	}
	server.answer("fine")
}

// An empty session id is no session: such requests are balanced one by one.
func TestEmptySession(t *testing.T) {
	t.Parallel()
	_, b := nodes(t, 3)
	client := b.dial()
	on := map[string]bool{}
	for range 3 {
		client.Say(post("/", `"initialize"`, "Mcp-Session-Id: "))
		r, _ := client.wantStatus("POST", 200)
		on[r.Header.Get("Node")] = true
	}
	if len(on) != 3 {
		t.Errorf("three requests went to %v, want three servers", on)
	}
}

// A route without the cookie neither sets it nor takes it away, so that a browser that goes
// between two backends stays on its server of the first; one with its own has that.
func TestCookieOfRoute(t *testing.T) {
	t.Parallel()
	_, b := nodes(t, 3, withFrontend(func(f *conf.Frontend) {
		for name, cookie := range map[string]string{"plain": conf.NoCookie, "own": "OWN"} {
			f.Routes = append(f.Routes, conf.Route{Headers: []conf.HeaderMatch{{Name: "X-To", Values: []string{name}}}, Endpoint: conf.EndpointHTTP, Cookie: cookie})
		}
	}))
	client := b.dial()
	ask := func(to string, fields ...string) *http.Response {
		t.Helper()
		client.Say(post("/", `"initialize"`, append(fields, "X-To: "+to)...))
		r, _ := client.wantStatus("POST", 200)
		return r
	}
	first := ask("any")
	cookie := first.Cookies()[0]
	if r := ask("plain", "Cookie: SERVERID="+cookie.Value); len(r.Cookies()) != 0 {
		t.Errorf("a route without the cookie sets %v", r.Cookies())
	}
	own := ask("own", "Cookie: SERVERID="+cookie.Value)
	if len(own.Cookies()) != 1 || own.Cookies()[0].Name != "OWN" {
		t.Fatalf("a route with its own cookie sets %v", own.Cookies())
	}
	for range 4 {
		both := "Cookie: SERVERID=" + cookie.Value + "; OWN=" + own.Cookies()[0].Value
		if r := ask("own", both); len(r.Cookies()) != 0 || r.Header.Get("Node") != own.Header.Get("Node") {
			t.Errorf("its own cookie leads to %s with %v, want %s", r.Header.Get("Node"), r.Cookies(), own.Header.Get("Node"))
		}
		if r := ask("any", both); len(r.Cookies()) != 0 || r.Header.Get("Node") != first.Header.Get("Node") {
			t.Errorf("the frontend's cookie leads to %s with %v, want %s", r.Header.Get("Node"), r.Cookies(), first.Header.Get("Node"))
		}
	}
}

// A cookie binds a browser to the server that it names, if that exists.
func TestCookie(t *testing.T) {
	t.Parallel()
	_, b := nodes(t, 3)
	client := b.dial()
	ask := func(fields ...string) *http.Response {
		t.Helper()
		client.Say(post("/", `"initialize"`, fields...))
		r, _ := client.wantStatus("POST", 200)
		return r
	}
	first := ask()
	cookie := first.Cookies()[0]
	if cookie.Name != "SERVERID" || !cookie.HttpOnly || cookie.Path != "/" || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure {
		t.Errorf("the cookie is %+v", cookie)
	}
	for range 5 {
		r := ask("Cookie: other=1; SERVERID=" + cookie.Value)
		if r.Header.Get("Node") != first.Header.Get("Node") || len(r.Cookies()) != 0 {
			t.Errorf("on %s with %v", r.Header.Get("Node"), r.Cookies())
		}
	}
	// Another balancer of the domain has set a cookie of that name, too.
	for _, fields := range [][]string{
		{"Cookie: SERVERID=web1; SERVERID=" + cookie.Value}, {"Cookie: SERVERID=; a=b; SERVERID=" + cookie.Value + "; SERVERID=web1"},
		{"Cookie: SERVERID=web1", "Cookie: SERVERID=" + cookie.Value},
	} {
		for range 3 {
			if r := ask(fields...); r.Header.Get("Node") != first.Header.Get("Node") || len(r.Cookies()) != 0 {
				t.Errorf("%q: on %s with %v", fields, r.Header.Get("Node"), r.Cookies())
			}
		}
	}
	for _, tampered := range []string{"", "x", "s1", cookie.Value + "a", strings.ToUpper(cookie.Value), "'; DROP TABLE", cookie.Value[:7] + "="} {
		on := map[string]bool{}
		for range 3 {
			r := ask("Cookie: SERVERID=" + tampered)
			on[r.Header.Get("Node")] = true
			if len(r.Cookies()) != 1 {
				t.Errorf("the cookie %q is answered with %v", tampered, r.Cookies())
			}
		}
		if len(on) != 3 {
			t.Errorf("%q binds to %v", tampered, on)
		}
	}
}

// Requests of the stateless era are balanced one by one, whatever fields they have.
func TestModernRequests(t *testing.T) {
	t.Parallel()
	_, b := nodes(t, 3)
	client := b.dial()
	on := map[string]int{}
	for i := range 9 {
		client.Say(rpcPost(fmt.Sprint(i), "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: echo",
			"Cookie: SERVERID="+mcp.TagOf("s1").String(), "Mcp-Session-Id: x."+mcp.TagOf("s1").String()))
		r, body := client.wantStatus("POST", 200)
		if len(r.Cookies()) != 0 || r.Header.Get("Mcp-Session-Id") != "" || body != rpcBody(fmt.Sprint(i)) {
			t.Errorf("the header is %v, the body %q", r.Header, body)
		}
		on[r.Header.Get("Node")]++
	}
	if len(on) != 3 || on["s1"] != 3 {
		t.Error(on)
	}
	if totals := b.frontend.Totals(); totals.Eras["stateless"] != 9 || totals.Eras["session"] != 0 || totals.Methods["tools/call"] != 9 {
		t.Errorf("the eras are %v, the methods %v", totals.Eras, totals.Methods)
	}
}

// After a reload, sessions reach the new servers, and not the removed ones.
func TestReload(t *testing.T) {
	t.Parallel()
	made, b := nodes(t, 2)
	client := httpClient(t)
	sessions := map[string]*mcpSession{}
	open := func() *mcpSession {
		s := &mcpSession{t: t, client: client, url: "http://" + b.Address + "/"}
		s.initialize()
		sessions[s.node] = s
		return s
	}
	open()
	open()
	third := newNode(t, "s3")
	changed := b.pool.Config()
	changed.Servers = []conf.Server{changed.Servers[0], {Name: "s3", HTTP: third.address, Weight: 100}}
	gone, err := b.pool.Apply(changed, netip.ParseAddrPort)
	if err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	for _, settled := range []bool{false, true} { // before the frontend has the new settings, and after
		if r := sessions["s2"].do("POST", rpcBody("1")); r.StatusCode != 404 {
			t.Errorf("settled %v: status %d", settled, r.StatusCode)
		}
		if r := sessions["s1"].do("POST", rpcBody("1")); r.StatusCode != 200 || r.Header.Get("Node") != "s1" {
			t.Errorf("settled %v: status %d", settled, r.StatusCode)
		}
		b.frontend.Apply(NewSettings(b.frontend.Settings().Frontend, NewDirectory(b.poolOf)))
		b.workers.Forget(gone[0])
	}
	for len(sessions) < 3 {
		open()
	}
	if r := sessions["s3"].do("POST", rpcBody("1")); r.StatusCode != 200 || r.Header.Get("Node") != "s3" {
		t.Errorf("status %d", r.StatusCode)
	}
	if n := made[1].foreign.Load() + third.foreign.Load(); n != 0 {
		t.Errorf("%d requests reached the wrong server", n)
	}
}
