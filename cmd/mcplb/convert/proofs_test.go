package convert

import (
	"strings"
	"testing"
)

// What comes out must not be open for who proves nothing, nor believe in clients what the original
// overwrites.
func TestProofs(t *testing.T) {
	const haproxy = "frontend f\n mode http\n bind :81 ssl crt a.pem ca-file b.pem verify optional\n@RULE@\n default_backend a\nbackend a\n mode http\n server s 10.0.0.1:80\n"
	const nginx = "events {}\nhttp { map $http_authorization $anonymous { default 0; \"\" 1; } geo $ops { default 0; 10.0.0.0/8 1; } map $ops $maint { 0 1; 1 0; }\n" +
		"server { listen 81 ssl; ssl_certificate a; ssl_certificate_key a; ssl_client_certificate b; ssl_verify_client optional; @RULE@ location / { proxy_pass http://10.0.0.1; } } }\n"
	for _, c := range []struct {
		language  Language
		text      string
		rule      string
		possible  bool
		has, lack string
	}{
		{HAProxy, haproxy, "http-request deny if !{ ssl_c_used }", false, "deny = true", ""},
		{HAProxy, haproxy, "http-request deny unless { ssl_fc_has_crt }", false, "deny = true", ""},
		{HAProxy, haproxy, "http-request deny if !{ ssl_c_verify 0 }", true, "", "deny = true"}, // holds without a certificate
		{HAProxy, haproxy, "http-request set-header X-User %[ssl_c_s_dn(cn)]", false, `"X-User"]`, ""},
		{HAProxy, haproxy, "http-request set-header X-User %[ssl_c_s_dn(cn)]\n http-request deny if { hdr(X-User) -m found }", false, "deny = true", ""}, // it is there in any case
		{HAProxy, haproxy, "http-request set-header Connection %[rand(1)]", false, "", `"Connection"`},
		{Nginx, nginx, "if ($ssl_client_verify != SUCCESS) { return 403; }", false, "respond = { status = 403 }", "proxy_pass"},
		{Nginx, nginx, "location /x { if ($ssl_client_verify = NONE) { return 496; } proxy_pass http://10.0.0.2; }", false, `respond = { status = 496 }`, "10.0.0.2"},
		{Nginx, nginx, `location /dl { secure_link $arg_a; if ($secure_link = "") { return 403; } proxy_pass http://10.0.0.2; }`, false, "respond = { status = 403 }", "10.0.0.2"},
		{Nginx, nginx, "location /x { proxy_set_header X-User $ssl_client_serial; proxy_pass http://10.0.0.2; }", false, `"X-User"]`, ""},
		{Nginx, nginx, "location /x { if ($anonymous) { return 401; } proxy_pass http://10.0.0.2; }", true, "not_headers = { Authorization = [] }", ""},
		{Nginx, nginx, "location /x { if ($anonymous = 0) { return 204; } proxy_pass http://10.0.0.2; }", true, "headers = { Authorization = [] }", "not_headers"},
		{Nginx, nginx, "if ($maint) { return 503; }", true, `not_source = ["10.0.0.0/8"]`, ""},
		{Nginx, nginx, "location /x { expires -1; proxy_pass http://10.0.0.2; }", true, `Cache-Control = "no-cache"`, ""},
		{Nginx, nginx, "location /x { expires 30d; proxy_pass http://10.0.0.2; }", false, "", "Cache-Control"},
		{Nginx, nginx, "location /x { satisfy any; allow 10.0.0.0/8; deny all; proxy_pass http://10.0.0.2; }", true, "deny = true", ""},
	} {
		result := convertText(t, c.language, strings.Replace(c.text, "@RULE@", c.rule, 1), nil)
		checkResult(t, result)
		_, body, _ := strings.Cut(result.Text, "[admin]")
		if result.Incomplete() == c.possible || !strings.Contains(body, c.has) || c.lack != "" && strings.Contains(body, c.lack) {
			t.Errorf("%s: possible %v, want %q and not %q in\n%s", c.rule, !result.Incomplete(), c.has, c.lack, result.Text)
		}
	}
}
