package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An operator asks a file which route a request takes; no balancer needs to run.
func TestRouteOffline(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lb.toml")
	text := "[frontend.web]\nlisten = \":8080\"\nmode = \"http\"\nbackend = \"nodes\"\n[[frontend.web.route]]\npath = \"/admin\"\ndeny = true\n" +
		"[[backend.nodes.server]]\nname = \"a\"\nhttp = \"127.0.0.1:1\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"GET", "/admin/x"}, 1, "denied (403)"},
		{[]string{"GET", "http://x/%2fADMIN;x"}, 1, "route[0] path /admin"},
		{[]string{"GET", "/%0d"}, 1, "refused (400)"},
		{[]string{"POST", "/mcp", "-H", "X-A: b", "-source", "192.0.2.1", "-frontend", "web", "-d", "{}"}, 0, "forwarded to backend nodes, endpoint http"},
	} {
		status, stdout, stderr := mcplb(append([]string{"route", "-c", file}, c.args...)...)
		if status != c.status || !strings.Contains(stdout, c.want) || stderr != "" {
			t.Errorf("%q: %d, %s%s", c.args, status, stdout, stderr)
		}
	}
}
