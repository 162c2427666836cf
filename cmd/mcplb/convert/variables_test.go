package convert

import (
	"strings"
	"testing"
)

// A condition on a variable is one on what the variable was set to: without that, denials were
// open, and all requests of an ingress got its 404.
func TestVariables(t *testing.T) {
	const text = "defaults\n mode http\nfrontend f\n bind :81\n@RULES@ default_backend a\nbackend a\n server s 10.0.0.1:80\nbackend b\n server s 10.0.0.2:80\n"
	for _, c := range []struct {
		rules, has, not string
		possible        bool
	}{
		{"http-request set-var(txn.h) hdr(host),lower|http-request set-header Host inside|use_backend b if { var(txn.h) -m str b.example.com }", `host = ["b.example.com"]`, "", true},
		{"http-request set-header Host inside|http-request set-var(txn.h) hdr(host)|use_backend b if { var(txn.h) -m str b.example.com }", "a rule before the variable is set changes", "b.example.com\"]", false},
		{"http-request set-var(txn.p) path|http-request set-path /v1%[path]|http-request deny if { var(txn.p) -m beg /admin/ }", `path = "/admin/"`, "", true},
		{"http-request set-path /v1%[path]|http-request set-var(txn.p) path|http-request deny if { var(txn.p) -m beg /admin/ }", "a rule before the variable is set changes", "deny = true", false},
		{"http-request set-var(txn.c) bool(true) if { hdr(X-C) a }|http-request set-var(txn.c) bool(false) if { src 10.0.0.0/8 }|use_backend b if { var(txn.c) -m bool }", `not_source = ["10.0.0.0/8"]`, "", true},
		{"http-request set-var(txn.c) str(x) if { hdr(X-C) a }|http-request unset-var(txn.c) if { src 10.0.0.0/8 }|use_backend b if { var(txn.c) -m found }", `not_source = ["10.0.0.0/8"]`, "", true},
		{"use_backend b if { var(txn.c) -m found }|http-request set-var(txn.c) str(x)", "backend = \"b\"", "", true}, // after all http-request rules
		{"http-request deny if { var(txn.c) -m found }|http-request set-var(txn.c) str(x)", "no rule before it sets txn.c", "deny = true", false},
		{"http-request allow if { src 10.0.0.1 }|http-request set-var(txn.c) str(x)|use_backend b if { var(txn.c) -m found }", "could end the rules", "backend = \"b\"", false},
		{"http-request set-var(sess.c) str(x) if { path /x }|use_backend b if { var(sess.c) -m found }", "mcplb has no variables", "backend = \"b\"", false},
		{"http-request set-var(txn.c) rand(100)|use_backend b if { var(txn.c) -m int lt 10 }", "mcplb has no condition on rand(100)", "backend = \"b\"", false},
		{"http-request set-var(txn.h) hdr(host)|http-request set-header Host inside|http-request set-header X-H %[var(txn.h)]", `X-H = "{host}"`, "", true},
		{"http-request set-var(txn.h) str(a) if { src 10.0.0.1 }|http-request set-header X-H %[var(txn.h)]", "mcplb has no variables", "X-H =", false},
		{strings.Repeat("http-request set-var(txn.a) var(txn.a) if { var(txn.a) -m found }|", 60) + "use_backend b if { var(txn.a) -m found }", "depends on too many rules", "backend = \"b\"", false},
		{"http-request set-var(txn.a) str(x)|" + strings.Repeat("http-request set-var(txn.a) var(txn.a)|", 20) + "use_backend b if { var(txn.a) -m str x }", "depends on too many rules", "backend = \"b\"", false},
		{"http-request set-var(txn.a) var(txn.a)|http-request set-header X-H %[var(txn.a)]", "mcplb has no variables", "X-H =", false},
		{"http-request set-var(txn.unused) hdr(X-Y)", "", "", true},
	} {
		result := convertText(t, HAProxy, strings.Replace(text, "@RULES@", " "+strings.ReplaceAll(c.rules, "|", "\n ")+"\n", 1), nil)
		checkResult(t, result)
		head, body, _ := strings.Cut(result.Text, "[admin]")
		if result.Incomplete() == c.possible || !strings.Contains(flat(head+body), c.has) || c.not != "" && strings.Contains(body, c.not) {
			t.Errorf("%s: possible: %v, want %q and not %q in\n%s", c.rules, !result.Incomplete(), c.has, c.not, result.Text)
		}
	}
}

// A backend without servers answers with what its rules say, not with the page for 503.
func TestAnswerBeforePage(t *testing.T) {
	result := convertText(t, HAProxy, "defaults\n mode http\n errorfile 503 @DIR@/p\nfrontend f\n bind :81\n use_backend gone if { path /x }\n use_backend no if { path /y }\n default_backend a\n"+
		"backend a\n server s 10.0.0.1:80\nbackend gone\n http-request return status 410 content-type text/plain string gone\nbackend no\n http-request deny\n", map[string]string{"p": "HTTP/1.0 503 No\r\n\r\nlater\n"})
	checkResult(t, result)
	if !strings.Contains(result.Text, "status = 410") || strings.Contains(result.Text, "later") || strings.Count(result.Text, "deny = true") != 1 {
		t.Error(result.Text)
	}
}
