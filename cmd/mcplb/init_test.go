package main

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
)

// initialize runs "mcplb init".
func initialize(args ...string) (stdout, stderr string, status int) {
	var out, wrong bytes.Buffer
	status = run(append([]string{"init"}, args...), &out, &wrong)
	return out.String(), wrong.String(), status
}

// What a newcomer writes with it must start as it is.
func TestInit(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	writePair(t, directory, time.Now().AddDate(0, 6, 0))
	for _, test := range []struct{ args, want string }{
		{"-tcp :8000 -http :8080 10.0.0.11 10.0.0.12", "node1 10.0.0.11:8000 10.0.0.11:8080, node2 10.0.0.12:8000 10.0.0.12:8080"},
		{"-tcp :8000 10.0.0.11:9001 b=mcp.internal", "node1 10.0.0.11:9001 -, b mcp.internal:8000 -"},
		{"-http 127.0.0.1:8080 -server-http 9000 [2001:db8::1] 2001:db8::2 [2001:db8::3]:9001", "node1 - [2001:db8::1]:9000, node2 - [2001:db8::2]:9000, node3 - [2001:db8::3]:9001"},
		{"-https :8443 -cert " + directory + "/lb.pem -key " + directory + "/lb.key 10.0.0.11", "node1 - 10.0.0.11:8443"},
		{"-tcp :8000 -http :8080 -server-tcp 9000 -server-http 9001 10.0.0.11", "node1 10.0.0.11:9000 10.0.0.11:9001"},
		{"-http :8080 10.0.0.10 node1=10.0.0.11 10.0.0.12", "node2 - 10.0.0.10:8080, node1 - 10.0.0.11:8080, node3 - 10.0.0.12:8080"},
		{"-http 127.0.0.1:8080 127.0.0.2 127.0.0.1:9001", "node1 - 127.0.0.2:8080, node2 - 127.0.0.1:9001"},
	} {
		text, stderr, status := initialize(strings.Fields(test.args)...)
		if status != 0 {
			t.Errorf("%s: status %d: %s", test.args, status, stderr)
			continue
		}
		c, err := conf.Parse("lb.toml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v\n%s", test.args, err, text)
			continue
		}
		var servers []string
		for _, s := range c.Backends[0].Servers {
			servers = append(servers, s.Name+" "+cmp.Or(s.TCP, "-")+" "+cmp.Or(s.HTTP, "-"))
		}
		if got := strings.Join(servers, ", "); got != test.want {
			t.Errorf("%s: servers %s, want %s", test.args, got, test.want)
		}
		if strings.Count(text, "#") < 15 {
			t.Errorf("%s: there are few comments:\n%s", test.args, text)
		}
		path := filepath.Join(t.TempDir(), "lb.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, wrong bytes.Buffer
		if status := run([]string{"-t", "-c", path}, &out, &wrong); status != 0 && !strings.Contains(wrong.String(), "cannot start") {
			t.Errorf("%s: -t says %s%s", test.args, &out, &wrong)
		}
	}
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"10.0.0.11":                             "name where clients connect",
		"-tcp :8000":                            "",
		"-tcp 8000 10.0.0.11":                   "-tcp needs an address with a port",
		"-tcp :8000 -http :8080 10.0.0.11:9000": "-server-tcp and -server-http",
		"-https :8443 10.0.0.11":                "-https needs the certificate",
		"-tcp :8000 -server-tcp 0 10.0.0.11":    "a port is a number",
		"-tcp :8000 a=10.0.0.11 a=10.0.0.12":    "names must differ",
		"-tcp :8000 10.0.0.11 10.0.0.11":        "node1 and node2 are both 10.0.0.11:8000",
		"-tcp :8000 a.internal A.internal":      "are both",
		"-tcp :8000 10.0.0.11,10.0.0.12":        "blanks between servers",
		"-tcp :8000 =10.0.0.11":                 "no name",
		"-http :8080 127.0.0.1":                 "mcplb itself would listen (-http :8080)",
		"-http :8080 localhost:8080":            "mcplb itself",
		"-http 0.0.0.0:8080 ::1":                "mcplb itself",
		"-http 10.9.8.7:8080 10.9.8.7":          "mcplb itself",
		"-tcp :8000 -http :8080 -server-tcp 8080 -server-http 9000 127.0.0.1": "mcplb itself",
		"-http :8080 10.0.0.256":                    "has no valid host",
		"-http :8080 10.0.0.11:99999":               "a port is a number from 1 to 65535",
		"-tcp :8000 http://10.0.0.11/":              "a server is an address or a host name",
		"-tcp :8000 -http :8000 10.0.0.11":          "is taken by",
		"-tcp :8000 -cert a.pem -key a.key 1.2.3.4": "which is missing",
	} {
		stdout, stderr, status := initialize(strings.Fields(args)...)
		if status != exitMisused || !strings.Contains(stderr, want) || strings.Contains(stdout, "[backend") {
			t.Errorf("%s: status %d, %q, %q, want %q", args, status, stdout, stderr, want)
		}
	}
}

// A configuration that somebody has written must not be lost.
func TestInitOverwritesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lb.toml")
	args := []string{"-o", path, "-tcp", ":8000", "10.0.0.11"}
	if stdout, stderr, status := initialize(args...); status != 0 || !strings.Contains(stdout, "mcplb -t -c "+path) {
		t.Fatalf("status %d: %q, %q", status, stdout, stderr)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := initialize(args...); status != exitError || !strings.Contains(stderr, "-force") {
		t.Errorf("status %d, %q", status, stderr)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if _, stderr, status := initialize(append([]string{"-force"}, args...)...); status != 0 {
		t.Errorf("with -force: status %d, %q", status, stderr)
	}
	if _, err := conf.Load(path); err != nil {
		t.Error(err)
	}
}
