package convert

import (
	"strings"
	"testing"
)

// A denial that mcplb cannot say must not be open without a word that nobody overlooks: what
// nginx and HAProxy kept out, such as /.git, reached the servers.
func TestOpened(t *testing.T) {
	const nginx = "events {}\nhttp { server { listen 81; @RULE@ location / { proxy_pass http://10.0.0.1; } } }\n"
	const haproxy = "defaults\n mode http\nfrontend f\n bind :81\n acl part hdr(X-Team) -m sub corp\n @RULE@\n use_backend none if { path_sub x }\n default_backend a\nbackend a\n server s 10.0.0.1:80\nbackend none\n"
	for _, c := range []struct {
		language   Language
		text, rule string
		opened     bool
		has, not   string
	}{
		{Nginx, nginx, `location ~ /\. { deny all; }`, true, `path = "/.git"`, ""},
		{Nginx, nginx, `location ~* \.(git|env|bak)$ { return 404; }`, true, `path_exact = "/.env.bak"`, `path = "/.git"`},
		{Nginx, nginx, `location ~ /\.(?!well-known) { deny all; }`, true, `path = "/.env"`, "well-known\"\ndeny"},
		{Nginx, nginx, `location ~* /up/.*\.php$ { deny all; }`, true, "nothing stays refused", "deny = true"},
		{Nginx, nginx, `location ~ \.php$ { allow 10.0.0.0/8; deny all; proxy_pass http://10.0.0.2; }`, true, `not_source = ["10.0.0.0/8"]`, ""},
		{Nginx, nginx, `location ~ \.php$ { proxy_pass http://10.0.0.2; }`, false, "", "deny = true"},
		{Nginx, nginx, `location ^~ /. { deny all; }`, true, `path = "/.git"`, `path = "/."`},
		{Nginx, nginx, `location /wp- { deny all; }`, true, `path = "/wp-admin"`, ""},
		{Nginx, nginx, `location /.env { deny all; }`, false, `path = "/.env.local"`, ""},
		{Nginx, nginx, `location /admin { deny all; }`, false, "/adminx, which begins so, is refused by nginx and not here", ""},
		{Nginx, nginx, `if ($http_user_agent ~* bot) { return 403; }`, true, "", ""},
		{Nginx, nginx, `if ($http_user_agent ~* bot) { return 301 /bots; }`, false, "", ""},
		{Nginx, nginx, `if ($http_x = y) { return 403 "not $host"; }`, false, "respond = { status = 403 }", ""},
		{Nginx, nginx, `location /x { limit_except GET { allow 10.0.0.0/8; deny all; } proxy_pass http://10.0.0.1; }`, false, `not_source = ["10.0.0.0/8"]`, ""},
		{Nginx, nginx, `location /x { limit_except GET { allow 10.0.0.0/8; auth_basic x; deny all; } proxy_pass http://10.0.0.1; }`, false, `not_methods = ["GET", "HEAD"]`, "not_source"},
		{HAProxy, haproxy, `http-request deny if { path_sub /.git }`, true, `path = "/.git"`, ""},
		{HAProxy, haproxy, `http-request deny deny_status 404 if { path_end .env } or { path_beg /x/ }`, true, `path_exact = "/.env"`, `path = "/.env"`},
		{HAProxy, haproxy, `http-request deny if !{ path_sub /.git }`, true, "", `path = "/.git"`},
		{HAProxy, haproxy, `http-request deny unless { path_sub /.git }`, true, "", `path = "/.git"`},
		{HAProxy, haproxy, `http-request deny if { path_beg /wp- }`, true, `path = "/wp-admin"`, ""},
		{HAProxy, haproxy, `http-request deny if { path_beg /admin } !part`, false, "it is an exception from what is refused", ""},
		{HAProxy, haproxy, `http-request deny if !part`, true, "", "deny = true"},
		{HAProxy, haproxy, `http-request deny if { path_beg /admin } part`, true, "", "deny = true"},
		{HAProxy, haproxy, `http-request deny if { hdr(User-Agent) -m sub bot }`, true, "", ""},
		{HAProxy, haproxy, `http-request return status 404 if part`, true, "", ""},
		{HAProxy, haproxy, `http-request return status 200 if part`, false, "", ""},
		{HAProxy, haproxy, `tcp-request connection reject if { src -f /nowhere }`, true, "", ""},
		{HAProxy, haproxy, `tcp-request content accept if part`, false, "", ""},
	} {
		result := convertText(t, c.language, strings.Replace(c.text, "@RULE@", c.rule, 1), nil)
		checkResult(t, result)
		opened := 0
		for _, d := range result.Opened() {
			if !strings.HasPrefix(d.Text, "use_backend none") { // which serves nobody
				opened++
			}
		}
		if c.language == HAProxy && len(result.Opened()) == opened {
			t.Errorf("%s: that requests for a backend without servers get another one is not said", c.rule)
		}
		if text := flat(result.Text); opened > 0 != c.opened || !strings.Contains(text, flat(c.has)) || c.not != "" && strings.Contains(text, flat(c.not)) {
			t.Errorf("%s: open: %v, want %v, with %q and not %q in\n%s", c.rule, opened > 0, c.opened, c.has, c.not, result.Text)
		}
	}
}
