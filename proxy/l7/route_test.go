package l7

import (
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"mcplb/conf"
	"mcplb/internal/endpoint"
)

// adversary is the rules and the requests of package rules' adversary's set.
func adversary(t *testing.T) (routes []conf.Route, lines []string) {
	t.Helper()
	c, err := conf.Load("../rules/testdata/adversary.toml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../rules/testdata/adversary.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "\t") && !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return c.Frontends[0].Routes, lines
}

// What a rule denies reaches no server, however it is spelled: the requests as bytes,
// through a listening balancer.
func TestAdversary(t *testing.T) {
	t.Parallel()
	target := httpServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "served") })
	routes, lines := adversary(t)
	b := start(t, []string{target}, func(s *setup) { s.frontend.Routes = routes })
	status := map[string]string{"denied": "403", "refused": "400", "pass": "200"}
	passed := 0
	for _, line := range lines {
		verdict, request, _ := strings.Cut(line, "\t")
		client := b.dial()
		client.Say(strings.NewReplacer(" | ", "\r\n", `\t`, "\t", `\x00`, "\x00").Replace(request) + "\r\nConnection: close\r\n\r\n")
		if got := client.Line(); !strings.HasPrefix(got, "HTTP/1.1 "+status[verdict]+" ") {
			t.Errorf("%s: %s, want %s", request, got, status[verdict])
		}
		_, _ = io.ReadAll(client.Reader) // to its end, where the response is counted
		client.Close()
		if verdict == "pass" {
			passed++
		}
	}
	server := b.pool.Servers()[0]
	endpoint.Eventually(t, "the server has what passed", func() bool { return server.Totals().MessagesIn >= uint64(passed) })
	if n := server.Totals().MessagesIn; n != uint64(passed) {
		t.Errorf("the server received %d requests, want %d", n, passed)
	}
	if n := b.frontend.Totals().Own["denied"]; n < 200 {
		t.Errorf("%d requests count as denied", n)
	}
}

// A header on which a route depends reaches the server even where Connection names
// it, as do MCP's own, which the server compares with the body; others do not.
func TestNamedHeaders(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, func(s *setup) {
		s.frontend.Routes = []conf.Route{{Headers: []conf.HeaderMatch{{Name: "X-Tenant", Values: []string{"a"}}}, Endpoint: conf.EndpointHTTP}}
	})
	client := b.dial()
	client.Say(get("/", "Connection: X-Tenant, X-Other, Mcp-Param-Region", "X-Tenant: a", "X-Other: b", "Mcp-Param-Region: eu"))
	server := s.next()
	got := server.head()
	if got.get(t, "X-Tenant") != "a" || got.get(t, "Mcp-Param-Region") != "eu" || len(got.all("X-Other")) > 0 {
		t.Errorf("the server received %q", got)
	}
	server.answer("ok")
	client.wantStatus("GET", 200)
}

// Requests go to the backend of the most specific route, by host, headers and client.
func TestRouteConditions(t *testing.T) {
	t.Parallel()
	target := func(name string) string {
		return httpServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name) })
	}
	b := start(t, []string{target("nodes")}, func(s *setup) {
		for _, name := range []string{"tenant", "canary", "office"} {
			other := s.backends[0]
			other.Name, other.Servers = name, []conf.Server{{Name: name, HTTP: target(name), Weight: 100}}
			s.backends = append(s.backends, other)
		}
		s.frontend.Routes = []conf.Route{
			{Host: []string{"*.tenant.example.com"}, Backend: "tenant", Endpoint: conf.EndpointHTTP},
			{Headers: []conf.HeaderMatch{{Name: "X-Canary", Values: []string{"1"}}}, Backend: "canary", Endpoint: conf.EndpointHTTP},
			{PathExact: "/office", Source: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Not: conf.RouteNot{Methods: []string{"POST"}}, Backend: "office", Endpoint: conf.EndpointHTTP},
		}
	})
	client := b.dial()
	for i, c := range []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: a.b.Tenant.example.com.:80\r\n\r\n", "tenant"},
		{"GET / HTTP/1.1\r\nHost: tenant.example.com\r\n\r\n", "nodes"},
		{"GET / HTTP/1.1\r\nHost: x\r\nX-Canary: 0, 1\r\n\r\n", "canary"},
		{"GET / HTTP/1.1\r\nHost: x.tenant.example.com\r\nX-Canary: 1\r\n\r\n", "tenant"},
		{"GET /office?x HTTP/1.1\r\nHost: x\r\n\r\n", "office"},
		{"GET /office/x HTTP/1.1\r\nHost: x\r\n\r\n", "nodes"},
		{"POST /office HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "nodes"},
	} {
		client.Say(c.request)
		if _, body := client.wantStatus("GET", 200); body != c.want {
			t.Errorf("%d: %s, want %s", i, body, c.want)
		}
	}
}
