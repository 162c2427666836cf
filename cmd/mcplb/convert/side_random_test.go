package convert

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// chains writes configurations of HAProxy with random chains of rules, and requests for them.
type chains struct{ *rand.Rand }

func (r chains) pick(list ...string) string { return list[r.IntN(len(list))] }

func (r chains) criterion() string {
	return r.pick("path /a/x", "path_beg /a", "path_beg /b /c", "path /a/x /b/y", "path -i -m str /c", "path_reg ^/(a|b)(/|$)",
		"hdr(X-T) red", "hdr(X-T) -m found", "hdr(X-T) -m beg re", "hdr_cnt(X-U) gt 0", "hdr(X-U) blue green", "hdr(X-V) on", "hdr_cnt(X-T) eq 0",
		"hdr(host) -i one.example.com", "hdr(host) -i one.example.com two.example.com", "hdr(host) -m end .example.com", "hdr_dom(host) -i example.com",
		"src 127.0.0.7", "src 127.0.1.0/24 127.0.0.7", "method POST", "method GET HEAD", "ssl_fc")
}

func (r chains) acls() string {
	var text strings.Builder
	for i := range 7 {
		fmt.Fprintf(&text, "    acl a%d %s\n", i%5, r.criterion())
	}
	return text.String()
}

func (r chains) term() string {
	if r.IntN(3) > 0 {
		return fmt.Sprintf("%sa%d", r.pick("", "", "!"), r.IntN(5))
	}
	return r.pick("", "", "!") + "{ " + r.criterion() + " }"
}

func (r chains) condition() string {
	text := r.pick("if ", "if ", "if ", "unless ") + r.term()
	for range r.IntN(3) {
		text += r.pick(" ", " ", " or ") + r.term()
	}
	return text
}

func (r chains) rules(n int) string {
	var text strings.Builder
	for range n {
		action := r.pick("set-header X-V on", "set-header X-T red", "del-header X-T", "add-header X-U blue", "set-header Host two.example.com", "set-header X-C %[src]", "set-header X-H %[hdr(host)]",
			"deny", "deny deny_status 404", "allow", "redirect location /moved code 303", "redirect prefix http://p.example.com", "redirect scheme https", "return status 200 content-type text/plain string x hdr X-R made",
			`replace-path ^/a/(.*) /\1`, "set-path /new%[path]", "set-header X-P %[path]")
		fmt.Fprintf(&text, "    http-request %s %s\n", action, r.condition())
	}
	return text.String()
}

func (r chains) configuration() string {
	acls := r.acls()
	text := haproxyDefaults + "frontend f\n    bind @L1@\n    bind @L2@ ssl crt @CERT@\n" + acls + r.rules(1+r.IntN(4))
	text += r.pick("", "", "    option forwardfor\n")
	if r.IntN(3) == 0 {
		text += "    redirect location /legacy " + r.condition() + "\n" + r.rules(1)
	}
	text += r.pick("", "", "    http-response set-header X-R yes if { src 127.0.0.7 }\n", "    http-response set-header X-R yes unless { method POST }\n")
	for range r.IntN(4) {
		text += "    use_backend " + r.pick("b", "c", "n") + " " + r.condition() + "\n"
	}
	return text + "    default_backend a\nbackend a\n    server a1 @a1@\nbackend b\n" + acls + r.rules(r.IntN(3)) +
		"    server b1 @b1@\nbackend c\n    option forwardfor\n    http-response set-header X-R c\n    server c1 @c1@\nbackend n\n    http-request return status 202 if { method GET }\n"
}

func (r chains) request() request {
	q := request{path: r.pick("/", "/a/x", "/b/y?q=1", "/c", "/c/a/x", "/a/x/y", "/d"), method: r.pick("GET", "GET", "POST", "PUT"), source: r.pick("", "127.0.0.7", "127.0.1.9"),
		host: r.pick("one.example.com", "two.example.com", "ONE.example.com", "x.example.com", "example.com", "other.org"), headers: map[string]string{}}
	for name, value := range map[string]string{"X-T": r.pick("red", "blue", "reddish", "blue, red", ""), "X-U": r.pick("blue", "grey", ""), "X-V": r.pick("on", "", "")} {
		if value != "" {
			q.headers[name] = value
		}
	}
	if r.IntN(3) == 0 {
		q.listener, q.tls = 2, true
	}
	return q
}

// Whatever rules stand in whatever order, requests fare as with HAProxy, or a rule is named as
// not possible. MCPLB_CHAINS is how many chains are compared, MCPLB_SEED which.
func TestChainsLikeHAProxy(t *testing.T) {
	seed, _ := strconv.ParseUint(os.Getenv("MCPLB_SEED"), 10, 64)
	n, err := strconv.Atoi(os.Getenv("MCPLB_CHAINS"))
	if err != nil {
		n = 10
	}
	if _, err := exec.LookPath("haproxy"); err != nil || testing.Short() {
		t.Skip("it runs haproxy")
	}
	for i := range n {
		r := chains{rand.New(rand.NewPCG(seed, uint64(i)))}
		c := comparison{watch: []string{"X-R"}, text: r.configuration()}
		for range 20 {
			c.requests = append(c.requests, r.request())
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if !possible(t, c.text) {
				t.Skip("a rule is named as not possible")
			}
			compare(t, HAProxy, c)
		})
	}
}

// possible reports whether all of a configuration of HAProxy is converted.
func possible(t *testing.T, text string) bool {
	t.Helper()
	s := newStage(t)
	rendered, _ := s.render(text)
	file := s.dir + "/chain.cfg"
	if err := os.WriteFile(file, []byte(rendered), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := Files(HAProxy, file)
	if err != nil {
		t.Fatal(err)
	}
	return !result.Incomplete()
}
