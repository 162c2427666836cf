package rules

import (
	"strings"
	"testing"

	"mcplb/conf"
)

// warnings are those of a frontend with the routes, whose backend is shared by the
// frontends.
func warnings(t *testing.T, routes string, frontends ...string) []string {
	t.Helper()
	text := "[frontend.web]\nlisten = \":8080\"\nmode = \"http\"\nbackend = \"nodes\"\n" + routes + strings.Join(frontends, "\n") +
		"\n[[backend.nodes.server]]\nname = \"a\"\nhttp = \"192.0.2.1:1\"\ntcp = \"192.0.2.1:2\"\n[[backend.other.server]]\nname = \"a\"\nhttp = \"192.0.2.1:3\"\ntcp = \"192.0.2.1:4\"\n"
	c, err := conf.Parse("lb.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return Warnings(c)
}

// route writes routes, one for each text.
func routeTables(texts ...string) string {
	return "[[frontend.web.route]]\n" + strings.Join(texts, "\n[[frontend.web.route]]\n") + "\n"
}

// An operator hears of routes that no request takes, and of those whose order in the
// file alone decides; a file that is as it should be is quiet.
func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		routes []string
		want   string // of the only warning; "" = none
	}{
		"plain": {[]string{`path = "/a"`, `path = "/b"`, `path = "/a/b"`}, ""},
		"hidden by priority": {[]string{`path = "/a/b"
backend = "other"`, `path = "/a"
priority = 1`}, "route[0]: no request takes it: route[1] goes before it"},
		"hidden by a denial": {[]string{`path = "/admin"
deny = true`, `path = "/admin/x"
backend = "other"`}, "add allow = true"},
		"an exception that is not more specific": {[]string{`path = "/mcp"
mcp_name = ["delete_*"]
deny = true`, `path = "/mcp"
mcp_name = ["delete_draft"]
allow = true`}, "it must be more specific: set priority"},
		"an exception that is first": {[]string{`path = "/mcp"
mcp_name = ["delete_*"]
deny = true`, `path = "/mcp"
priority = 1
mcp_name = ["delete_draft"]
allow = true`}, ""},
		"an exception from a denial": {[]string{`path = "/admin"
deny = true`, `path = "/admin/x"
allow = true`}, ""},
		"a denial that an allowance hides": {[]string{`path = "/admin"
deny = true`, `path = "/"
priority = 2
allow = true`}, "route[0]: no request takes it: route[1]"},
		"covered by host": {[]string{`host = "a.example.com"
priority = -1`, `host = "*.example.com"
backend = "other"`}, "route[0]: no request takes it: route[1]"},
		"ambiguous": {[]string{`path = "/a"
methods = ["GET"]
backend = "other"`, `path = "/a"
source = ["10.0.0.0/8"]`}, "route[1]: is as specific as route[0]"},
		"of the same effect": {[]string{`path = "/a"
methods = ["GET"]`, `path = "/a"
source = ["10.0.0.0/8"]`}, ""},
		"apart by methods": {[]string{`path = "/a"
methods = ["GET"]
backend = "other"`, `path = "/a"
methods = ["POST"]`}, ""},
		"apart by sources": {[]string{`source = ["10.1.0.0/16"]
backend = "other"`, `source = ["10.2.0.0/16"]`}, ""},
		"apart by not_": {[]string{`path = "/a"
methods = ["GET"]
backend = "other"`, `path = "/a"
not_methods = ["GET"]`}, ""},
		"apart by header": {[]string{`headers = { "X-A" = ["1"] }
backend = "other"`, `headers = { "x-a" = ["2*"] }`}, ""},
		"overlapping headers": {[]string{`headers = { "X-A" = ["2*"] }
backend = "other"`, `headers = { "x-a" = ["21", "3"] }`}, "route[1]: is as specific"},
		"apart by names": {[]string{`mcp_name = ["a*"]
backend = "other"`, `mcp_name = ["b"]`}, ""},
		"longer wildcard": {[]string{`host = "*.example.com"
backend = "other"`, `host = "*.a.example.com"`}, ""},
		"excludes itself": {[]string{`path = "/a/b"
not_path = "/a"`}, "route[0]: no request takes it: not_path excludes its path"},
		"excludes its headers": {[]string{`headers = { "X-A" = ["a1"] }
not_headers = { "x-a" = ["a*"] }`}, "route[0]: no request takes it: not_headers excludes its headers"},
		"a header that no one may send": {[]string{`headers = { "X-Forwarded-User" = [] }`}, "route[0]: headers.X-Forwarded-User never holds: it counts only from trusted_proxies"},
		"a redirect without end": {[]string{`not_headers = { "x-forwarded-proto" = ["https"] }
redirect = { to = "https://{host}{uri}" }`}, "route[0]: not_headers.x-forwarded-proto always holds"},
		"excludes its hosts": {[]string{`host = ["a.x.com", "b.x.com"]
not_host = "*.x.com"`}, "not_host excludes"},
		"strips nothing": {[]string{`path = "/a"
strip_prefix = "/b"`}, "strip_prefix"},
		"strips more than it must have": {[]string{`path = "/a"
strip_prefix = "/a/b"`}, ""},
		"a method that MCP does not have": {[]string{`mcp_method = ["tool/call"]`}, `no method "tool/call"; did you mean "tools/call"?`},
		"an extension's method":           {[]string{`mcp_method = ["acme/frobnicate"]`}, ""},
		"a denial by tool":                {[]string{"mcp_name = [\"x\"]\ndeny = true"}, ""},
	} {
		got := warnings(t, routeTables(c.routes...))
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A denial by tool does not hold on raw TCP and WebSocket: an operator whose servers
// can be reached by them hears of it.
func TestOutside(t *testing.T) {
	t.Parallel()
	deny := routeTables("mcp_name = [\"x\"]\ndeny = true")
	for name, c := range map[string]struct{ more, want string }{
		"raw TCP":                   {"[frontend.raw]\nlisten = \":9\"\nmode = \"mcp\"\nbackend = \"nodes\"\n", `frontend "raw" (mode mcp)`},
		"raw TCP, another backend":  {"[frontend.raw]\nlisten = \":9\"\nmode = \"mcp\"\nbackend = \"other\"\n", ""},
		"WebSocket":                 {"[[frontend.web.route]]\npath = \"/ws\"\nendpoint = \"ws\"\n", `WebSocket (frontend "web", route[1])`},
		"WebSocket of another one":  {"[frontend.b]\nlisten = \":9\"\nmode = \"http\"\nbackend = \"other\"\n[[frontend.b.route]]\npath = \"/ws\"\nbackend = \"nodes\"\nendpoint = \"ws\"\n", `frontend "b"`},
		"WebSocket, denied by path": {"[[frontend.web.route]]\npath = \"/ws\"\ndeny = true\n", ""},
	} {
		got := warnings(t, deny, c.more)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := warnings(t, routeTables("path = \"/x\"\ndeny = true"), "[frontend.raw]\nlisten = \":9\"\nmode = \"mcp\"\nbackend = \"nodes\"\n"); len(got) > 0 {
		t.Errorf("a denial by path: %q", got)
	}
}

// A reload of a large file must not wait for its review, and a mistake in every
// route must not fill the log.
func TestManyWarnings(t *testing.T) {
	t.Parallel()
	if got := Warnings(&conf.Config{Frontends: []conf.Frontend{*many()}}); len(got) > 0 {
		t.Errorf("%q", got)
	}
	f := conf.Frontend{Name: "web"}
	for range 1000 {
		f.Routes = append(f.Routes, conf.Route{Path: "/a", Not: conf.RouteNot{Path: []string{"/"}}})
	}
	if got := Warnings(&conf.Config{Frontends: []conf.Frontend{f}}); len(got) != mostWarnings+1 || !strings.Contains(got[mostWarnings], "980 more") {
		t.Errorf("%d warnings", len(got))
	}
}
