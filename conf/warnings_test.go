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
