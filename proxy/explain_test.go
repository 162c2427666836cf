package proxy

import (
	"bytes"
	"compress/zlib"
	"errors"
	"strings"
	"testing"

	"mcplb/conf"
	"mcplb/proxy/admin"
)

const explained = `
[frontend.web]
listen = ":8080"
mode = "http"
backend = "nodes"
trusted_proxies = ["192.0.2.0/24"]
deny = ["198.51.100.0/24"]
allowed_origins = ["https://ok.example"]
cors = { preflight = true }
[[frontend.web.route]]
path = "/small"
max_body = "4"
priority = -1
[[frontend.web.route]]
path = "/admin"
deny = true
[[frontend.web.route]]
path = "/admin/health"
source = ["10.0.0.0/8"]
allow = true
[[frontend.web.route]]
host = "*.example.com"
mcp_method = ["tools/call"]
mcp_name = ["slow_*"]
backend = "slow"
endpoint = "sse"
[[frontend.web.route]]
path = "/login"
redirect = { to = "https://{host}{uri}" }
[[frontend.web.route]]
headers = { "X-Forwarded-Proto" = ["https"] }
path = "/secure"
backend = "slow"
[[frontend.web.route]]
host = "safe.example.org"
mcp_method = ["tools/call"]
mcp_name = ["delete_*"]
deny = true
[[frontend.web.route]]
host = "safe.example.org"
mcp_name = ["slow_*"]
backend = "slow"
[[frontend.web.route]]
path = "/tenant"
strip_prefix = "/tenant"
add_prefix = "/t/a"
[frontend.api]
listen = ":9090"
mode = "http"
backend = "slow"
[frontend.raw]
listen = ":7070"
mode = "mcp"
backend = "nodes"
[[backend.nodes.server]]
name = "a"
http = "127.0.0.1:1"
tcp = "127.0.0.1:3"
[[backend.slow.server]]
name = "a"
http = "127.0.0.1:2"
`

// What the command route says is what happens to such a request.
func TestExplainRoute(t *testing.T) {
	t.Parallel()
	config, err := conf.Parse("lb.toml", []byte(explained))
	if err != nil {
		t.Fatal(err)
	}
	call := func(name string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `"}}`
	}
	modern := func(name string) []string {
		return []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: " + name}
	}
	for name, c := range map[string]struct {
		asked   admin.RouteRequest
		outcome string
		route   string
		says    string // in Why, Message or Nearly
	}{
		"denied":                {admin.RouteRequest{URL: "http://x:8080/admin/x"}, "denied", "route[1] path /admin", "its conditions hold: path"},
		"denied in disguise":    {admin.RouteRequest{URL: "http://x:8080/x%2f..%2fADMIN"}, "denied", "route[1] path /admin", "may read"},
		"allowed":               {admin.RouteRequest{URL: "http://x:8080/admin/health", Source: "::ffff:10.1.1.1"}, "forwarded nodes http", "route[2] path /admin/health", "lifted"},
		"nearly allowed":        {admin.RouteRequest{URL: "http://x:8080/admin/health"}, "denied", "route[1] path /admin", "source does not hold"},
		"no route":              {admin.RouteRequest{URL: "http://x:8080/"}, "forwarded nodes http", "none", "no route matches"},
		"redirected":            {admin.RouteRequest{URL: "/login", Frontend: "web"}, "redirected", "route[4] path /login", ""},
		"refused":               {admin.RouteRequest{URL: "/%zz", Frontend: "web"}, "refused", "none", "escape"},
		"malformed":             {admin.RouteRequest{URL: "http://u@x:8080/"}, "refused", "none", "Host"},
		"by body":               {admin.RouteRequest{Method: "POST", URL: "http://a.example.com:8080/mcp", Body: call("slow_x")}, "forwarded slow sse", "route[3] host *.example.com", "tools/call slow_x"},
		"by another body":       {admin.RouteRequest{Method: "POST", URL: "http://a.example.com:8080/mcp", Body: call("quick")}, "forwarded nodes http", "none", "mcp_name does not hold"},
		"by a later message":    {admin.RouteRequest{Method: "POST", URL: "http://safe.example.org:8080/", Body: "[" + call("a") + "," + call("slow_x") + "," + call("b") + "]"}, "forwarded slow http", "route[7] host safe.example.org", "its conditions hold: host, mcp_nametools/call slow_x"},
		"a denied message":      {admin.RouteRequest{Method: "POST", URL: "http://safe.example.org:8080/", Body: "[" + call("a") + "," + call("slow_x") + "," + call("delete_b") + "]"}, "denied", "route[6] host safe.example.org", "its conditions hold: host, mcp_method, mcp_nametools/call delete_b"},
		"a denied reading":      {admin.RouteRequest{Method: "POST", URL: "http://safe.example.org:8080/", Body: `{"method":"tools/call","params":{"name":"delete_b","name":"c"}}`}, "denied", "route[6] host safe.example.org", "its conditions hold: host, mcp_method, mcp_nametools/call delete_b"},
		"a broken body":         {admin.RouteRequest{Method: "POST", URL: "http://a.example.com:8080/mcp", Body: "{"}, "refused", "none", "JSON"},
		"by fields":             {admin.RouteRequest{Method: "POST", URL: "http://a.example.com:8080/mcp", Body: call("x"), Headers: modern("=?base64?c2xvd194?=")}, "forwarded slow sse", "route[3] host *.example.com", "slow_x"},
		"by fields of no one":   {admin.RouteRequest{Method: "POST", URL: "http://a.example.com:8080/mcp", Body: call("x"), Headers: modern("slow_x")[1:]}, "forwarded nodes http", "none", "tools/call x"},
		"by Host":               {admin.RouteRequest{Method: "POST", URL: "/mcp", Frontend: "web", Body: call("slow_x"), Headers: []string{"host: B.example.com.:1"}}, "forwarded slow sse", "route[3] host *.example.com", ""},
		"a proxy's word":        {admin.RouteRequest{URL: "http://x:8080/secure", Source: "192.0.2.7", Headers: []string{"X-Forwarded-Proto: https"}}, "forwarded slow http", "route[5] path /secure", ""},
		"anybody's word":        {admin.RouteRequest{URL: "http://x:8080/secure", Headers: []string{"X-Forwarded-Proto: https"}}, "forwarded nodes http", "none", ""},
		"a method that is none": {admin.RouteRequest{Method: "G T", URL: "http://x:8080/"}, "refused", "none", "target"},
		"CONNECT":               {admin.RouteRequest{Method: "CONNECT", URL: "http://x:8080/"}, "refused", "none", ""},
		"another origin":        {admin.RouteRequest{URL: "http://x:8080/login", Headers: []string{"Origin: https://bad.example"}}, "refused", "route[4] path /login", "allowed_origins"},
		"denied before origin":  {admin.RouteRequest{URL: "http://x:8080/admin", Headers: []string{"Origin: https://bad.example"}}, "denied", "route[1] path /admin", ""},
		"a preflight":           {admin.RouteRequest{Method: "OPTIONS", URL: "http://x:8080/login", Headers: []string{"Origin: https://ok.example", "Access-Control-Request-Method: POST"}}, "responded", "route[4] path /login", "preflight"},
		"no preflight":          {admin.RouteRequest{Method: "OPTIONS", URL: "http://x:8080/", Headers: []string{"Origin: https://ok.example"}}, "forwarded nodes http", "none", ""},
		"kept out":              {admin.RouteRequest{URL: "http://x:8080/", Source: "::ffff:198.51.100.7"}, "refused", "none", "allow or deny"},
		"a long body":           {admin.RouteRequest{Method: "POST", URL: "http://x:8080/small", Body: "12345"}, "refused", "route[0] path /small", "max_body"},
		"a short body":          {admin.RouteRequest{Method: "POST", URL: "http://x:8080/small", Body: "1234"}, "forwarded nodes http", "route[0] path /small", ""},
		"another charset":       {admin.RouteRequest{Method: "POST", URL: "http://safe.example.org:8080/", Body: call("x"), Headers: []string{"Content-Type: application/json; charset=utf-16"}}, "refused", "none", "UTF-8"},
		"not what it says":      {admin.RouteRequest{Method: "POST", URL: "http://safe.example.org:8080/", Body: call("x"), Headers: []string{"Content-Encoding: gzip"}}, "refused", "none", "Content-Encoding"},
		"compressed":            {admin.RouteRequest{Method: "POST", URL: "http://safe.example.org:8080/", Body: deflated(t, call("delete_b")), Headers: []string{"Content-Encoding: deflate"}}, "denied", "route[6] host safe.example.org", "delete_b"},
		"too long to be read":   {admin.RouteRequest{Method: "POST", URL: "http://safe.example.org:8080/", Body: strings.Repeat(" ", 16<<20) + call("delete_b")}, "refused", "none", "larger"},
		"out of a prefix":       {admin.RouteRequest{URL: "http://x:8080/tenant/..%2fb"}, "refused", "route[8] path /tenant", "leads out"},
		"within a prefix":       {admin.RouteRequest{URL: "http://x:8080/tenant/x/..%2fb"}, "forwarded nodes http", "route[8] path /tenant", ""},
		"by port":               {admin.RouteRequest{URL: "http://x:9090/admin"}, "forwarded slow http", "none", ""},
	} {
		got, err := ExplainRoute(config, c.asked)
		said := got.Why + got.Message
		for _, near := range got.Nearly {
			said += near.Why
		}
		outcome := strings.TrimSpace(got.Outcome + " " + got.Backend + " " + got.Endpoint)
		if err != nil || outcome != c.outcome || got.Route != c.route || !strings.Contains(said, c.says) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, asked := range map[string]admin.RouteRequest{
		"which frontend?":    {URL: "/x"},
		"no such frontend":   {URL: "/x", Frontend: "wep"},
		"of another mode":    {URL: "/x", Frontend: "raw"},
		"no URL":             {URL: "x", Frontend: "web"},
		"no host":            {URL: "http://", Frontend: "web"},
		"no host before /":   {URL: "https:///x", Frontend: "web"},
		"no source":          {URL: "/x", Frontend: "web", Source: "here"},
		"no header":          {URL: "/x", Frontend: "web", Headers: []string{"X"}},
		"a header in a line": {URL: "/x", Frontend: "web", Headers: []string{"X: a\r\nY: b"}},
	} {
		if got, err := ExplainRoute(config, asked); !errors.Is(err, admin.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// deflated is a body with Content-Encoding: deflate.
func deflated(t *testing.T, body string) string {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(body)); err != nil || w.Close() != nil {
		t.Fatal("compressing", err)
	}
	return b.String()
}
