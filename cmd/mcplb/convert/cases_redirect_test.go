package convert

import (
	"strings"
	"testing"
)

// Redirects with a part of the path or host are translated where their cases are known, and the
// others are named: moved pages were found under their old address, or not at all.
func TestRedirectCases(t *testing.T) {
	const text = "events {}\nhttp { map $uri $new { /a /b; /c https://x.example.com/; \"~^/r/(?<n>.*)\" /s/$n; }\n" +
		"server { listen 80 default_server; location / { return 404; } }\nserver { listen 80; server_name @NAMES@; @RULE@ location / { proxy_pass http://10.0.0.1; } } }\n"
	for _, c := range []struct {
		names, rule string
		possible    bool
		has         []string
	}{
		{"www.a.com www.b.com", `if ($host ~* ^www\.(.+)$) { return 301 https://$1$request_uri; }`, true, []string{`"https://a.com{uri}"`, `"https://b.com{uri}"`}},
		{"www.a.com", `if ($host ~ ^www\.(?<d>.+)$) { return 301 https://$d$request_uri; }`, true, []string{`"https://a.com{uri}"`}},
		{"www.a.com *.b.com", `if ($host ~* ^www\.(.+)$) { return 301 https://$1$request_uri; }`, false, []string{`"https://a.com{uri}"`}},
		{"a.com", `if ($new) { return 301 $new; }`, false, []string{`"http://{hostname}/b"`, `"https://x.example.com/"`}},
		{"a.com", `rewrite ^/(one|two)/x$ /y/$1 permanent;`, true, []string{`/y/one`, `/y/two`, `path_exact = "/two/x"`}},
		{"a.com", `rewrite ^/old/(.*)$ /new/$1 permanent;`, false, nil},
	} {
		result := convertText(t, Nginx, strings.NewReplacer("@NAMES@", c.names, "@RULE@", c.rule).Replace(text), nil)
		checkResult(t, result)
		for _, has := range c.has {
			if !strings.Contains(result.Text, has) {
				t.Errorf("%s: want %s in\n%s", c.rule, has, result.Text)
			}
		}
		if result.Incomplete() == c.possible {
			t.Errorf("%s: possible: %v in\n%s", c.rule, !c.possible, result.Text)
		}
	}
}
