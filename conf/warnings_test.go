package conf

import (
	"strings"
	"testing"
	"time"
)

// Limits that count all clients behind a proxy as one slow everybody down for what
// one does: the operator must learn of it before clients do.
func TestSourceWarnings(t *testing.T) {
	t.Parallel()
	const http = `
[[backend.nodes.server]]
name = "node1"
http = "192.0.2.1:8080"
[frontend.web]
listen = ":8080"
mode = "http"
backend = "nodes"
`
	for _, c := range []struct{ keys, limits, want string }{
		{"", "", ""},
		{"forwarded_for = false", "", ""},
		{`trusted_proxies = ["10.0.0.0/8"]`, "", ""},
		{"forwarded_for = false\n" + `trusted_proxies = ["10.0.0.0/8"]`, "", "frontend.web.forwarded_for: is false"},
		{"forwarded_for = false\n" + `trusted_proxies = ["10.0.0.0/8"]`, "message_rate = 0", "frontend.web.forwarded_for: is false"},
		{"forwarded_for = false\n" + `trusted_proxies = ["10.0.0.0/8"]`, "message_rate = 0\nconnection_rate = 0", ""},
		{"forwarded_for = false\n" + `trusted_proxies = ["10.1.0.0/16"]`, `exempt = ["10.0.0.0/8"]`, ""},
		{"forwarded_for = false\n" + `trusted_proxies = ["10.1.0.0/16", "192.0.2.1"]`, `exempt = ["10.0.0.0/8"]`, "frontend.web.forwarded_for"},
		{"forwarded_for = false\naccept_proxy = true\n" + `trusted_proxies = ["10.0.0.0/8"]`, "", ""},
		{`trusted_proxies = ["10.0.0.0/8", "::/0"]`, "", "frontend.web.trusted_proxies[1]: ::/0 is everybody"},
	} {
		text := http + c.keys + "\n[ratelimit]\n" + c.limits + "\n"
		found := strings.Join(mustParse(t, text).Warnings(time.Now()), "\n")
		if c.want == "" && found != "" || !strings.Contains(found, c.want) {
			t.Errorf("%s; %s: warnings %q, want %q", c.keys, c.limits, found, c.want)
		}
	}
}

// Who sets a key of policy source and balances otherwise believes that sources stay where
// they are.
func TestPolicyWarnings(t *testing.T) {
	const text = "[frontend.f]\nlisten = \":1\"\nmode = \"tcp\"\nbackend = \"b\"\n@FRONTEND@\n[backend.b]\n@BACKEND@\n[[backend.b.server]]\nname = \"s\"\ntcp = \"192.0.2.1:1\"\n"
	for _, c := range []struct {
		frontend, backend string
		warned            []string
	}{
		{"", "failback = false\nsticky_time = \"5m\"", nil},
		{"", "balance = \"leastconn\"", nil},
		{"", "balance = \"leastconn\"\nfailback = true\nsticky_time = \"30m\"", nil},
		{"", "balance = \"leastconn\"\nfailback = false\nsticky_time = \"5m\"\nbalance_factor = 1.5", []string{"balance_factor", "sticky_time", "failback"}},
		{"balance = \"source\"", "balance = \"leastconn\"\nfailback = false", nil},
		{"balance = \"roundrobin\"", "failback = false", []string{"failback"}},
	} {
		file := strings.NewReplacer("@FRONTEND@", c.frontend, "@BACKEND@", c.backend).Replace(text)
		found := mustParse(t, file).Warnings(time.Now())
		if len(found) != len(c.warned) {
			t.Errorf("%s %s: %q, want %q", c.frontend, c.backend, found, c.warned)
			continue
		}
		for i, key := range c.warned {
			if !strings.HasPrefix(found[i], "backend.b."+key+": does nothing") {
				t.Errorf("%s %s: %q, want %s", c.frontend, c.backend, found[i], key)
			}
		}
	}
}
