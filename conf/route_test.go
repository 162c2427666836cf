package conf

import (
	"strings"
	"testing"
)

// routeFile is a configuration with one route, whose keys are given.
func routeFile(keys string) string {
	return "[frontend.web]\nlisten = \":8080\"\nmode = \"http\"\nbackend = \"nodes\"\n[[frontend.web.route]]\n" + keys +
		"\n[[backend.nodes.server]]\nname = \"a\"\nhttp = \"192.0.2.1:1\"\n"
}

// A contradiction in a route, or a value that cannot work, is reported at its key,
// with what to write instead.
func TestRouteMistakes(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]string{
		`host = "example.com:8080"`:                              `host: "example.com:8080" has a port: write "example.com"`,
		`host = "https://example.com"`:                           `host: "https://example.com" is a URL`,
		`host = "*"`:                                             `host: must be a host, not "*"`,
		`host = "a*.com"`:                                        `host: "a*.com" has a star in a place`,
		`host = '^a\.com$'`:                                      `no regular expressions`,
		`host = "bücher.de"`:                                     `Punycode`,
		`path = "^/api/.*"`:                                      `no regular expressions`,
		`path = "/api/*"`:                                        `path: must be a path without a star at its end, not "/api/*": a path is a prefix already, so write "/api"`,
		`path = "/a%zz"`:                                         `begins no escape`,
		`path = "/a%0d"`:                                         `an escaped control character`,
		`path = "/a%c0%af"`:                                      `overlong UTF-8`,
		"path = \"/a\"\npath_exact = \"/a/b\"":                   `path_exact: and path ("/a") are both given`,
		`methods = ["get"]`:                                      `write "GET"`,
		`methods = "*"`:                                          `leave the key out`,
		`headers = { Host = "x" }`:                               `headers.Host: is a condition of its own`,
		`headers = { "Mcp-Name" = "x" }`:                         `write mcp_method or mcp_name`,
		`headers = { "X-A" = "a*b" }`:                            `has a star in its middle`,
		`headers = { "X-A" = "*" }`:                              `write an empty list`,
		`headers = { "X-A" = "1", "x-a" = "2" }`:                 `the same header`,
		`headers = { "X A" = "1" }`:                              `not the name of a header`,
		`mcp_method = "tools*"`:                                  `a prefix that ends with a slash`,
		`mcp_name = ".*delete"`:                                  `no regular expressions`,
		`source = "10.0.0.1/8"`:                                  `has bits set`,
		"path = \"/a\"\ndeny = true\nbackend = \"nodes\"":        `backend: and deny are both given`,
		"path = \"/a\"\ndeny = true\nrespond = {}":               `respond: and deny are both given`,
		"path = \"/a\"\nrespond = {}\nredirect = { to = \"/\" }": `redirect: and respond are both given`,
		"path = \"/a\"\nredirect = { to = \"/\" }\nendpoint = \"ws\"":                           `endpoint: and redirect are both given`,
		"path = \"/a\"\ndeny = true\nallow = true":                                              `allow: and deny are both true`,
		"path = \"/a\"\ndeny = true\ntimeout_server = \"1s\"":                                   `timeout_server: does nothing: requests of this route are denied`,
		"path = \"/a\"\nrespond = {}\nstrip_prefix = \"/a\"":                                    `strip_prefix: does nothing: requests of this route are answered here`,
		"path = \"/a\"\nrespond = { status = 204, body = \"x\" }":                               `respond.body: is given, and a response with status 204 has none`,
		"path = \"/a\"\nstrip_prefix = \"/\"":                                                   `takes nothing off`,
		`redirect = { to = "//evil" }`:                                                          `redirect.to: must be a URL`,
		`redirect = { to = "/{nope}" }`:                                                         `{nope}, which is no name`,
		`redirect = { to = "/{hots}" }`:                                                         `did you mean "host"?`,
		`redirect = { to = "/x", status = 200 }`:                                                `must be 301, 302, 303, 307 or 308`,
		`set_request_headers = { "X-A" = "{client_ip" }`:                                        `has "{" without "}"`,
		`set_request_headers = { "X-A" = "a\r\nb" }`:                                            `control characters`,
		`set_request_headers = { Connection = "close" }`:                                        `must be left alone: Connection belongs to one connection`,
		`add_request_headers = { "content-length" = "1" }`:                                      `must be left alone`,
		`remove_request_headers = ["Mcp-Session-Id"]`:                                           `is MCP's own`,
		`set_response_headers = { "Mcp-Param-X" = "1" }`:                                        `is MCP's own`,
		`remove_response_headers = ["Transfer-Encoding"]`:                                       `must be left alone`,
		`add_request_headers = { Host = "x" }`:                                                  `a request has exactly one`,
		`remove_request_headers = "host"`:                                                       `a request has exactly one`,
		"set_request_headers = { X-A = \"1\" }\nremove_request_headers = \"x-a\"":               `is removed as well`,
		"set_response_headers = { X-A = \"1\" }\nadd_response_headers = { x-a = \"1\" }":        `is set or removed as well`,
		`limit = [{ key = "source" }]`:                                                          `limit[0]: limits nothing`,
		`limit = [{ key = "source", concurrency = 1, burst = 3 }]`:                              `burst: does nothing without rate`,
		`limit = [{ key = "header", rate = 1 }]`:                                                `"header:NAME"`,
		`limit = [{ key = "sorce", rate = 1 }]`:                                                 `did you mean "source"?`,
		`limit = [{ rate = 1 }]`:                                                                `limit[0].key: is missing`,
		`endpoint = "ws"`:                                                                       `path: is missing`,
		`allow = false`:                                                                         `path: is missing`,
		"path = \"/a\"\nhost = \"x\"\n[[frontend.web.route]]\nhost = [\"X.\"]\npath = \"//a/\"": `has a route already`,
	} {
		_, err := Parse("lb.toml", []byte(routeFile(keys)))
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "frontend.web.route[") {
			t.Errorf("%s: %v\nwant %s", keys, err, want)
		}
	}
	for _, keys := range []string{
		`redirect = { to = "https://{host}{uri}" }`, `respond = { status = 503, body = "{\"a\": 1}\n" }`, `deny = true`,
		`headers = { "User-Agent" = ["Mozilla/5.0 (X11; *"] }`, `path = "/a(b)/$metadata"`, "path = \"/a\"\nallow = true\nrespond = {}",
		`host = ["[::1]", "::2", "localhost", "my_host"]`, `set_request_headers = { Host = "{host}", "X-Tag" = "{{{mcp_name}}" }`, `max_body = "0"`,
		"path = \"/a\"\n[[frontend.web.route]]\npath = \"/a\"\ndeny = true",
	} {
		if _, err := Parse("lb.toml", []byte(routeFile(keys))); err != nil {
			t.Errorf("%s: %v", keys, err)
		}
	}
}

// FuzzTemplate: what is accepted is taken apart without loss.
func FuzzTemplate(f *testing.F) {
	f.Add("https://{host}{uri}?{{x}}{")
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := SplitTemplate(s)
		if err != nil {
			return
		}
		again := ""
		for _, p := range parts {
			if p.Name != "" {
				again += "{" + p.Name + "}"
			} else {
				again += strings.ReplaceAll(p.Text, "{", "{{")
			}
		}
		if again != s {
			t.Errorf("%q became %q", s, again)
		}
	})
}
