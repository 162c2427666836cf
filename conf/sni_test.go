package conf

import (
	"strings"
	"testing"
	"time"
)

// An operator must learn of names that change nothing, and of TLS within TLS, which
// servers refuse.
func TestSNIWarnings(t *testing.T) {
	t.Parallel()
	const start = `
[[backend.nodes.server]]
name = "n1"
tcp = "192.0.2.1:443"
[[backend.other.server]]
name = "o1"
tcp = "192.0.2.2:443"
[frontend.pass]
listen = ":443"
mode = "tcp"
backend = "nodes"
`
	route := func(backend string, names ...string) string {
		return "[[frontend.pass.route]]\nsni = [\"" + strings.Join(names, `", "`) + "\"]\nbackend = \"" + backend + "\"\n"
	}
	for _, c := range []struct{ text, want string }{
		{route("other", "a.example.com", "*.b.example.com"), ""},
		{route("", "a.example.com"), `frontend.pass.route[0].sni[0]: "a.example.com" changes nothing, since the frontend sends it to backend "nodes", too`},
		{route("nodes", "a.example.com") + route("other", "*.example.com"), ""},
		{route("nodes", "*.a.example.com") + route("other", "*.example.com"), ""},
		{route("other", "x.a.example.com") + route("nodes", "*.a.example.com") + route("other", "*.example.com"), ""},
		{route("other", "*.example.com", "x.y.example.com"), `frontend.pass.route[0].sni[1]: "x.y.example.com" changes nothing, since "*.example.com" sends it to backend "other"`},
		{route("other", "*.example.com", "example.com"), ""}, // a wildcard is not its domain
		{route("other", "*.example.com", "*.a.example.com"), `"*.a.example.com" changes nothing`},
		{route("other", "a.example.com") + "[backend.other.tls]\n", `frontend.pass.route[0].backend: the clients' TLS is passed through, and backend "other" puts it into TLS once more`},
	} {
		found := strings.Join(mustParse(t, start+c.text).Warnings(time.Now()), "\n")
		if c.want == "" && found != "" || !strings.Contains(found, c.want) {
			t.Errorf("%s: warnings %q, want %q", c.text, found, c.want)
		}
	}
}
