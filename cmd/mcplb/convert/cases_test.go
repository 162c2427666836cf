package convert

import (
	"slices"
	"strings"
	"testing"

	"mcplb/cmd/mcplb/convert/lb"
)

// outcomes are what has become of the directives whose text begins so.
func outcomes(result *Result, beginning string) (all []lb.Outcome) {
	for _, d := range result.Directives() {
		if strings.HasPrefix(d.Text, beginning) {
			all = append(all, d.Outcome())
		}
	}
	return all
}

// Of cases of which one has to hold, those that can be said must not be lost with another:
// requests went to the wrong backend, and denials were open.
func TestOtherCases(t *testing.T) {
	for _, c := range []struct{ condition, has, hasNot string }{
		{"if { path_end .png } or { path_beg /media/ }", `path = "/media/"`, ""},
		{"if { path_beg /media/ } || { path_end .png } { method GET }", `path = "/media/"`, "methods"},
		{"if either", `path = "/media/"`, ""},
		{"if either { method GET }", `methods = ["GET"]`, ""},
		{"unless { path_end .png } or { path_beg /media/ }", "", "/media/"}, // would hold for pictures
		{"if !either", "", "/media/"},
		{"if { path_end .png }", "", "deny = true"},
		{"if { path or } { path_end .png }", "", "deny = true"},
	} {
		result := convertText(t, HAProxy, "defaults\n mode http\nfrontend f\n bind :81\n acl either path_end .png\n acl either path_beg /media/\n http-request deny "+c.condition+"\n default_backend a\nbackend a\n server s 10.0.0.1:80\n", nil)
		checkResult(t, result)
		if got := outcomes(result, "http-request deny"); !slices.Equal(got, []lb.Outcome{lb.Impossible}) {
			t.Errorf("%s: %v", c.condition, got)
		}
		routes := result.Text[strings.Index(result.Text, "[frontend.f]"):]
		if !strings.Contains(routes, c.has) || c.hasNot != "" && strings.Contains(routes, c.hasNot) {
			t.Errorf("%s: want %q and not %q in\n%s", c.condition, c.has, c.hasNot, routes)
		}
	}
}

// A range of ports is each of them; what is no address of TCP is said, and the rest stays.
func TestListeners(t *testing.T) {
	const haproxy = "defaults\n mode http\nfrontend f\n bind @BIND@\n default_backend a\nbackend a\n server s 10.0.0.1:80\n"
	const nginx = "events {}\nhttp { server { listen @BIND@; location / { proxy_pass http://10.0.0.1; } } }\n"
	const stream = "events {}\nstream { server { listen @BIND@; proxy_pass 10.0.0.1:80; } }\n"
	for _, c := range []struct {
		language             Language
		text, bind, has, not string
	}{
		{HAProxy, haproxy, ":8448-8450", `listen = ["0.0.0.0:8448", "0.0.0.0:8449", "0.0.0.0:8450"]`, ""},
		{HAProxy, haproxy, "10.0.0.9:81,10.0.0.9:90-91,[::1]:92", `listen = ["10.0.0.9:81", "10.0.0.9:90", "10.0.0.9:91", "[::1]:92"]`, ""},
		{HAProxy, haproxy, ":81,unix@/run/x.sock", `listen = ["0.0.0.0:81"]`, "unix@/run/x.sock"},
		{HAProxy, haproxy, ":81,/run/x.sock,abns@x", `listen = ["0.0.0.0:81"]`, "abns@x"},
		{HAProxy, haproxy, ":81,:90-80", `listen = ["0.0.0.0:81"]`, "90-80"},
		{Nginx, nginx, "8448-8450", `listen = ["0.0.0.0:8448", "0.0.0.0:8449", "0.0.0.0:8450"]`, ""},
		{Nginx, nginx, "10.0.0.9:90-91", `listen = ["10.0.0.9:90", "10.0.0.9:91"]`, ""},
		{Nginx, nginx, "[::]:90-91 ipv6only=on", `listen = ["[::]:90", "[::]:91"]`, ""},
		{Nginx, nginx, "81; listen unix:/run/x.sock", `listen = ["0.0.0.0:81"]`, "unix:/run/x.sock"},
		{Nginx, nginx, "81; listen 99-90", `listen = ["0.0.0.0:81"]`, "99-90"},
		{Nginx, stream, "8448-8450", `listen = ["0.0.0.0:8448", "0.0.0.0:8449", "0.0.0.0:8450"]`, ""},
		{Nginx, stream, "81; listen unix:/run/x.sock", `listen = ["0.0.0.0:81"]`, "unix:/run/x.sock"},
	} {
		result := convertText(t, c.language, strings.Replace(c.text, "@BIND@", c.bind, 1), nil)
		checkResult(t, result)
		if !strings.Contains(result.Text, c.has) || result.Incomplete() != (c.not != "") || !strings.Contains(result.Text, c.not) {
			t.Errorf("%s %s: incomplete %v in\n%s", c.language, c.bind, result.Incomplete(), result.Text)
		}
	}
}

// What hangs on the request must not become one text for all: Access-Control-Allow-Origin
// of a map would open the servers to every page.
func TestMapsThatVary(t *testing.T) {
	for lines, constant := range map[string]bool{
		`default ""; https://a.example.com https://a.example.com;`: false, `https://a.example.com x;`: false, `default x; a x;`: true, `default x;`: true, `a x; default y;`: false, `hostnames; default x; a x;`: true,
	} {
		result := convertText(t, Nginx, "events {}\nhttp { map $http_origin $cors { "+lines+" } server { listen 81; location / { add_header Access-Control-Allow-Origin $cors always; proxy_pass http://10.0.0.1; } } }\n", nil)
		checkResult(t, result)
		if result.Incomplete() == constant || strings.Contains(result.Text, "add_response_headers") != constant {
			t.Errorf("%s: incomplete %v in\n%s", lines, result.Incomplete(), result.Text)
		}
	}
}

// A header that is added several times keeps all of its values: a Content-Security-Policy that is
// lost opens the page.
func TestHeadersAddedTwice(t *testing.T) {
	const haproxy = "frontend f\n mode http\n bind :81\n@RULES@ default_backend a\nbackend a\n mode http\n server s 10.0.0.1:80\n"
	const nginx = "events {}\nhttp { server { listen 81; @RULES@ location / { proxy_pass http://10.0.0.1; } } }\n"
	for _, c := range []struct {
		language    Language
		text        string
		rules, want string
	}{
		{HAProxy, haproxy, " http-response add-header X-B 1\n http-response add-header x-b 2\n", `add_response_headers = { x-b = "1, 2" }`},
		{HAProxy, haproxy, " http-response set-header X-B 1\n http-response add-header X-B 2\n", `set_response_headers = { X-B = "1, 2" }`},
		{HAProxy, haproxy, " http-response add-header X-B 1\n http-response set-header X-B 2\n", `set_response_headers = { X-B = "2" }`},
		{HAProxy, haproxy, " http-request add-header X-B 1\n http-request add-header X-B %[src]\n", `add_request_headers = { X-B = "1, {client_ip}" }`},
		{HAProxy, haproxy, " http-request set-header X-B 1\n http-request del-header X-B\n http-request add-header X-B 2\n", `set_request_headers = { X-B = "2" }`},
		{HAProxy, haproxy, " http-response add-header Set-Cookie a=1\n http-response add-header Set-Cookie b=2\n", `Set-Cookie is sent once, with the last value`},
		{Nginx, nginx, "add_header X-B 1 always; add_header X-B 2 always; add_header X-B $scheme always;", `add_response_headers = { X-B = "1, 2, http" }`},
		{Nginx, nginx, "add_header Set-Cookie a=1 always; add_header Set-Cookie b=2 always;", `Set-Cookie is sent once, with the last value`},
	} {
		result := convertText(t, c.language, strings.Replace(c.text, "@RULES@", c.rules, 1), nil)
		checkResult(t, result)
		if !strings.Contains(result.Text, c.want) || result.Incomplete() {
			t.Errorf("%s: want %s in\n%s", c.rules, c.want, result.Text)
		}
	}
}

// With accept-proxy, rules of connections see the proxy in front: as rules on clients they
// would refuse all of them.
func TestProxiesInFront(t *testing.T) {
	for rule, want := range map[string]string{
		"connection reject unless { src 10.0.0.0/8 }": `trusted_proxies = ["10.0.0.0/8"]`,
		"session reject unless { src 10.0.0.0/8 }":    `allow = ["10.0.0.0/8"]`,
		"session reject if { src 10.0.0.0/8 }":        `deny = ["10.0.0.0/8"]`,
		"connection reject if { src 10.0.0.0/8 }":     "NOT POSSIBLE",
	} {
		result := convertText(t, HAProxy, "frontend f\n mode tcp\n bind :81 accept-proxy\n tcp-request "+rule+"\n default_backend a\nbackend a\n mode tcp\n server s 10.0.0.1:80\n", nil)
		checkResult(t, result)
		if !strings.Contains(result.Text, want) || strings.HasPrefix(want, "trusted") && strings.Contains(result.Text, "allow =") || want == "NOT POSSIBLE" && strings.Contains(result.Text, "deny =") {
			t.Errorf("%s: want %s in\n%s", rule, want, result.Text)
		}
	}
}

// The facility of a log stands behind its options, and mcplb refuses a file with an unknown one.
func TestFacilities(t *testing.T) {
	for words, want := range map[string]string{
		"/dev/log local0": `"syslog:facility=local0"`, "127.0.0.1:514 len 4096 sample 1:10 local3 notice": `facility=local3"`, "10.0.0.1 format rfc5424 cron2": `facility=clock"`, "/dev/log nothing": "names no facility", "stdout format raw daemon": `"stdout"`,
	} {
		result := convertText(t, HAProxy, "global\n log "+words+"\ndefaults\n log global\n mode http\nfrontend f\n bind :81\n default_backend a\nbackend a\n server s 10.0.0.1:80\n", nil)
		checkResult(t, result)
		if !strings.Contains(result.Text, want) {
			t.Errorf("%s: want %s in\n%s", words, want, result.Text)
		}
	}
}
