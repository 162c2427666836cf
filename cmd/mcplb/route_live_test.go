package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

const liveRoutes = `
allowed_origins = ["https://ok.example"]
cors = { preflight = true }
[[frontend.main.route]]
path = "/admin"
deny = true
[[frontend.main.route]]
path = "/admin/health"
headers = { "X-Office" = [] }
allow = true
[[frontend.main.route]]
path = "/mcp"
mcp_method = ["tools/call"]
mcp_name = ["delete_*"]
deny = true
[[frontend.main.route]]
host = "*.old.example"
redirect = { to = "https://new.example{uri}" }
[[frontend.main.route]]
path_exact = "/ok"
respond = { status = 299, body = "ok" }
[[frontend.main.route]]
path = "/small"
max_body = "4"
`

// What mcplb route says of a request, of the running balancer as of its file, is what
// then happens to that request. Otherwise operators trust a denial that is none.
func TestRouteLive(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(222) }))
	t.Cleanup(server.Close)
	s := newSetup(t, strings.TrimPrefix(server.URL, "http://"))
	s.mode, s.endpoint, s.frontendLines = "http", "http", liveRoutes
	b := startBalancer(t, s)
	call := func(name string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"` + name + `"}}`
	}
	for _, c := range []struct {
		method, host, path, body string
		headers                  []string
		status                   int
	}{
		{method: "GET", path: "/", status: 222},
		{method: "GET", path: "/admin/x", status: 403},
		{method: "GET", path: "/x/..;/ADMIN%2fx", status: 403},
		{method: "GET", path: "/admin/health", status: 403},
		{method: "GET", path: "/admin/health", headers: []string{"X-Office: 1"}, status: 222},
		{method: "GET", path: "/%zz", status: 400},
		{method: "GET", host: "a.OLD.example.", path: "/x?y", status: 308},
		{method: "GET", host: "old.example", path: "/x?y", status: 222},
		{method: "GET", path: "/ok/", status: 299},
		{method: "POST", path: "/mcp", body: call("d\\u0065lete_x"), status: 403},
		{method: "POST", path: "/mcp", body: "[" + call("echo") + "," + call("delete_x") + "]", status: 403},
		{method: "POST", path: "/mcp", body: call("echo"), status: 222},
		{method: "POST", path: "/mcp", body: "{", status: 400},
		{method: "POST", path: "/small", body: "1234", status: 222},
		{method: "POST", path: "/small", body: "12345", status: 413},
		{method: "GET", path: "/", headers: []string{"Origin: https://bad.example"}, status: 403},
		{method: "OPTIONS", path: "/", headers: []string{"Origin: https://ok.example", "Access-Control-Request-Method: POST"}, status: 204},
	} {
		host := c.host
		if host == "" {
			host = "mcp.example"
		}
		args := []string{c.method, "http://" + host + c.path, "-d", c.body}
		for _, h := range c.headers {
			args = append(args, "-H", h)
		}
		live, offline := explained(t, append(args, "-admin", s.admin)), explained(t, append(args, "-c", s.path))
		if live != offline {
			t.Errorf("%s %s: the balancer says %q, its file %q", c.method, c.path, live, offline)
		}
		want := fmt.Sprintf("(%d)", c.status)
		if c.status == 222 {
			want = "forwarded to backend nodes"
		}
		if !strings.Contains(live, want) {
			t.Errorf("%s %s: it says %q, not %q", c.method, c.path, live, want)
		}
		if got := b.ask(t, c.method, host, c.path, c.body, c.headers); got != c.status {
			t.Errorf("%s %s %q: answered %d, not %d", c.method, c.path, c.headers, got, c.status)
		}
	}
}

// explained returns what mcplb route says happens to a request.
func explained(t *testing.T, args []string) string {
	t.Helper()
	_, stdout, stderr := mcplb(append([]string{"route"}, args...)...)
	outcome := regexp.MustCompile(`(?m)^outcome\s+(.*)$`).FindStringSubmatch(stdout)
	if outcome == nil {
		t.Fatalf("mcplb route %q: %s%s", args, stdout, stderr)
	}
	return outcome[1]
}

// ask sends a request as it is written, and returns the status.
func (b *balancer) ask(t *testing.T, method, host, path, body string, headers []string) int {
	t.Helper()
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, host)
	for _, h := range headers {
		request += h + "\r\n"
	}
	if body != "" {
		request += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	conn, err := net.DialTimeout("tcp", b.frontend, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	var status int
	if _, err := fmt.Fscanf(conn, "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return status
}
