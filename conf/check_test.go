package conf

import (
	"strings"
	"testing"
)

// webText is a frontend and a backend with a server that speaks HTTP alone.
const webText = `
	[frontend.web]
	listen = ":8080"
	mode = "http"
	backend = "nodes"
	[[backend.nodes.server]]
	name = "node1"
	http = "192.0.2.1:8080"
	[backend.nodes.check]
	`

// What an operator writes about the checks of real servers is read as meant; otherwise
// servers that are well are taken out.
func TestCheckValues(t *testing.T) {
	t.Parallel()
	for text, sound := range map[string]func(*Check) bool{
		`type = "http"`: func(c *Check) bool {
			return c.Path == "/health" && c.Method == "GET" && c.Expect.Has(200) && !c.Expect.Has(204) && c.ProxyHeader == SendProxyOff
		},
		`type = "mcp"`:                       func(c *Check) bool { return c.Path == "/mcp" },
		"type = \"mcp\"\npath = \"/health\"": func(c *Check) bool { return c.Path == "/health" },
		"type = \"http\"\npath = \"/health?deep=1\"\nmethod = \"HEAD\"": func(c *Check) bool { return c.Path == "/health?deep=1" && c.Method == "HEAD" },
		"type = \"http\"\nexpect = [200, 204, \"3xx\"]": func(c *Check) bool {
			return c.Expect.Has(204) && c.Expect.Has(300) && c.Expect.Has(399) && !c.Expect.Has(400) && !c.Expect.Has(201) && c.Expect.String() == "200, 204 or 3xx"
		},
		"type = \"http\"\nexpect = \"4XX\"\ndrain_on = 503":     func(c *Check) bool { return c.Expect.Has(401) && c.DrainOn.Has(503) },
		"type = \"http\"\nhost = \"[2001:db8::1]:8080\"":        func(c *Check) bool { return c.Host == "[2001:db8::1]:8080" },
		"type = \"http\"\nhost = \"[::1]\"":                     func(c *Check) bool { return c.Host == "[::1]" },
		"type = \"mcp\"\nhost = \"my_node.local\"":              func(c *Check) bool { return c.Host == "my_node.local" },
		"type = \"http\"\nexpect_body = \"\\\"ok\\\":\\ntrue\"": func(c *Check) bool { return c.ExpectBody == "\"ok\":\ntrue" },
		"type = \"mcp\"\n[backend.nodes.check.headers]\nX-B = \"2\"\nauthorization = \"Bearer x\"": func(c *Check) bool {
			return len(c.Headers) == 2 && c.Headers[0] == Header{"X-B", "2"} && c.Headers[1] == Header{"authorization", "Bearer x"}
		},
	} {
		if c := mustParse(t, webText+text).Backends[0].Check; !sound(&c) {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

// A check sends the PROXY header where its backend does: a server that waits for one
// would be down otherwise.
func TestCheckProxyHeader(t *testing.T) {
	t.Parallel()
	const text = "[backend.nodes]\nsend_proxy = \"v2\"\n"
	plain := strings.Replace(webText, `"http"`, `"tcp"`, 1)
	plain = strings.Replace(plain, "http = ", "tcp = ", 1)
	if c := mustParse(t, text+plain).Backends[0].Check; c.ProxyHeader != SendProxyV2 {
		t.Errorf("by default: %q", c.ProxyHeader)
	}
	if c := mustParse(t, text+plain+"send_proxy = false").Backends[0].Check; c.ProxyHeader != SendProxyOff {
		t.Errorf("switched off: %q", c.ProxyHeader)
	}
}

// With a port, the check of type http needs no http address: an agent beside a server
// that speaks TCP alone.
func TestCheckPort(t *testing.T) {
	t.Parallel()
	plain := strings.Replace(webText, `"http"`, `"mcp"`, 1)
	plain = strings.Replace(plain, "http = ", "tcp = ", 1)
	if _, err := Parse("lb.toml", []byte(plain+"type = \"http\"")); err == nil {
		t.Error("a check of type http without an address for it was accepted")
	}
	if c := mustParse(t, plain+"type = \"http\"\nport = 8888").Backends[0].Check; c.Port != 8888 {
		t.Errorf("port %d", c.Port)
	}
}

// A secret in a header of the check is in no log line about a reload; but that it changed
// is seen.
func TestCheckHeaderSecrets(t *testing.T) {
	t.Parallel()
	with := func(value string) *Config {
		return mustParse(t, webText+"type = \"http\"\nheaders = { Authorization = \"Bearer "+value+"\", X-Api-Key = \""+value+"\", X-A = \"shown\" }")
	}
	plan := Diff(with("hunter2"), with("swordfish"))
	if text := plan.String(); !plan.Backends[0].CheckChanged || strings.Contains(text, "hunter2") || strings.Contains(text, "swordfish") || !strings.Contains(text, "shown") {
		t.Error(text)
	}
}
