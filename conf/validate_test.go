package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLegal checks that unusual but valid files are accepted.
func TestLegal(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an unused backend":                   "[[backend.spare.server]]\nname = \"a\"\ntcp = \"192.0.2.9:1\"",
		"one server in two backends":          "[[backend.twin.server]]\nname = \"node1\"\ntcp = \"192.0.2.1:9000\"",
		"a backend with a frontend's name":    "[[backend.tcp.server]]\nname = \"tcp\"\ntcp = \"192.0.2.9:1\"",
		"a server of weight 0 beside another": "[[backend.nodes.server]]\nname = \"b\"\ntcp = \"192.0.2.9:1\"\nweight = 0",
		"a server's http at its tcp":          "http = \"192.0.2.1:9000\"",
		"a server with a host name":           "[[backend.nodes.server]]\nname = \"b\"\ntcp = \"node2:9000\"\n[backend.nodes]\nsource = [\"192.0.2.7\"]",
		"several ports chosen by the kernel":  "[frontend.a]\nlisten = [\":0\", \"127.0.0.1:0\"]\nmode = \"tcp\"\nbackend = \"nodes\"\n[frontend.b]\nlisten = \":0\"\nmode = \"tcp\"\nbackend = \"nodes\"\n[admin]\nlisten = \":0\"\nhealth_listen = \":0\"",
		"one port on two addresses":           "[frontend.a]\nlisten = [\"127.0.0.1:7\", \"[::1]:7\"]\nmode = \"tcp\"\nbackend = \"nodes\"\n[frontend.b]\nlisten = \"127.0.0.2:7\"\nmode = \"tcp\"\nbackend = \"nodes\"",
		"admin off, its port used":            "[frontend.a]\nlisten = \":8404\"\nmode = \"tcp\"\nbackend = \"nodes\"\n[admin]\nlisten = \"\"",
		"no limits at all":                    "[ratelimit]\nconnection_rate = 0\nconnection_burst = 0\nmessage_rate = 0\nmessage_burst = 0\nban_after = 0\nban_time = 0",
		"sources of both families":            "[[backend.nodes.server]]\nname = \"b\"\ntcp = \"[2001:db8::1]:9000\"\n[backend.nodes]\nsource = [\"192.0.2.7\", \"2001:db8::7\"]",
		"an http check of the http address":   "http = \"192.0.2.1:8080\"\n[backend.nodes.check]\ntype = \"http\"",
		"a proxy in front":                    "[frontend.a]\nlisten = \":1\"\nmode = \"tcp\"\nbackend = \"nodes\"\naccept_proxy = true\ntrusted_proxies = [\"10.0.0.0/8\"]",
		"a name with a dot":                   "[[backend.\"eu.nodes\".server]]\nname = \"a.b_c-d\"\ntcp = \"192.0.2.9:1\"",
	} {
		if c, err := Parse("lb.toml", []byte(minimal+text)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c == nil {
			t.Errorf("%s: neither a Config nor an error", name)
		}
	}
}

// TestLegalHTTP is TestLegal for mode http.
func TestLegalHTTP(t *testing.T) {
	t.Parallel()
	head := "[frontend.web]\nlisten = \":8080\"\nmode = \"http\"\nbackend = \"nodes\"\n"
	tail := "\n[[backend.nodes.server]]\nname = \"a\"\nhttp = \"192.0.2.1:80\"\n"
	pair := `{ certificates = [{ cert = "testdata/tls/lb.pem", key = "testdata/tls/lb.key" }] }`
	for name, text := range map[string]string{
		"a proxy in front":                "trusted_proxies = [\"10.0.0.0/8\"]\naccept_proxy = true",
		"X-Forwarded-For trusted":         "trusted_proxies = [\"10.0.0.0/8\"]",
		"SameSite=None on TLS":            "sticky = { cookie_attributes = \"SameSite=None\" }\ntls = " + pair,
		"Secure behind a TLS proxy":       "sticky = { cookie = \"__Host-S\", cookie_attributes = \"Secure; Path=/; SameSite=None\" }",
		"attributes without a cookie":     "sticky = { cookie = \"\", cookie_attributes = \"SameSite=None\" }",
		"no compression":                  "compress = []",
		"two routes":                      "route = [{ path = \"/\" }, { path = \"/ws\", endpoint = \"ws\" }]",
		"a route to another backend":      "route = [{ path = \"/\", backend = \"other\", endpoint = \"sse\" }]\n[[backend.other.server]]\nname = \"a\"\ntcp = \"192.0.2.1:1\"\nsse = \"192.0.2.1:2\"",
		"a server without tcp":            "",
		"an http frontend, a tcp backend": "[frontend.t]\nlisten = \":1\"\nmode = \"tcp\"\nbackend = \"t\"\n[[backend.t.server]]\nname = \"a\"\ntcp = \"192.0.2.1:1\"\n[backend.t]\nsend_proxy = \"v2\"",
	} {
		c, d := parse([]File{{"lb.toml", []byte(head + text + tail)}})
		if _, err := d.result(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoNoise checks that the consequences of a mistake are not reported as
// further mistakes.
func TestNoNoise(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an invalid interval":          minimal + "[backend.nodes.check]\ninterval = \"x\"\nfast_interval = \"10s\"",
		"an invalid backend":           "[frontend.a]\nlisten = \":1\"\nmode = \"tcp\"\nbackend = \"nodes\"\n[backend]\nnodes = 5",
		"invalid backends":             "backend = 5\n[frontend.a]\nlisten = \":1\"\nmode = \"tcp\"\nbackend = \"nodes\"",
		"invalid frontends":            "frontend = 5\n[[backend.nodes.server]]\nname = \"a\"\ntcp = \"192.0.2.1:1\"",
		"invalid servers":              minimal[:strings.Index(minimal, "[[")] + "[backend.nodes]\nserver = 5",
		"an invalid server":            minimal[:strings.Index(minimal, "[[")] + "[backend.nodes]\nserver = [5]",
		"a server's only address":      strings.Replace(minimal, "192.0.2.1:9000", "192.0.2.1", 1),
		"a certificate's path":         minimal + "[frontend.w]\nlisten = \":1\"\nmode = \"http\"\nbackend = \"w\"\ntls = { certificates = [{ cert = 5, key = \"x\" }] }\n[[backend.w.server]]\nname = \"a\"\nhttp = \"192.0.2.1:1\"",
		"invalid certificates":         minimal + "[frontend.w]\nlisten = \":1\"\nmode = \"http\"\nbackend = \"w\"\ntls = { certificates = 5 }\n[[backend.w.server]]\nname = \"a\"\nhttp = \"192.0.2.1:1\"",
		"two servers without a name":   minimal + "[backend.b]\nserver = [{ name = 1, tcp = \"192.0.2.1:1\" }, { name = \"\", tcp = \"192.0.2.1:2\" }]",
		"an invalid cookie":            minimal + "[frontend.w]\nlisten = \":1\"\nmode = \"http\"\nbackend = \"w\"\nsticky = { cookie = 5, cookie_attributes = \"SameSite=None\" }\n[[backend.w.server]]\nname = \"a\"\nhttp = \"192.0.2.1:1\"",
		"a route's invalid path":       minimal + "[frontend.w]\nlisten = \":1\"\nmode = \"http\"\nbackend = \"w\"\nroute = [{ path = \"x\" }, { path = \"/\" }]\n[[backend.w.server]]\nname = \"a\"\nhttp = \"192.0.2.1:1\"",
		"an address in use, with typo": minimal + "[frontend.w]\nlisten = [\":8000\", \"x\"]\nmode = \"tcp\"\nbackend = \"nodes\"",
	} {
		c, d := parse([]File{{"lb.toml", []byte(text)}})
		_, err := d.result(c)
		want := 1
		if name == "two servers without a name" {
			want = 2
		}
		if err == nil || strings.Count(err.Error(), "\n")+1 != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFilesThatBlock checks that a pipe instead of a file is refused without
// waiting, and that an oversized file is refused.
func TestFilesThatBlock(t *testing.T) {
	t.Parallel()
	pipe, huge := filepath.Join(t.TempDir(), "pipe"), filepath.Join(t.TempDir(), "huge")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(huge, make([]byte, megabyte+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, huge, "/dev/zero"} {
		_, err := Parse("lb.toml", fmt.Appendf(nil, "%s\n[admin]\ntoken_file = %q\n", minimal, path))
		if err == nil || !strings.Contains(err.Error(), "must be a regular file of at most 1 MiB") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	all := sorted(Errors{{"f", 2, "b", "x"}, {"f", 2, "a", "y"}, {"f", 1, "z", "w"}, {"f", 2, "b", "x"}, {"e", 9, "a", "x"}}, []string{"e", "f"})
	const want = "e:9: a: x\nf:1: z: w\nf:2: a: y\nf:2: b: x"
	if got := all.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
