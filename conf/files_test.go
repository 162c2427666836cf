package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes files, by name, to a new directory.
func write(t *testing.T, files map[string]string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(directory, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// TestLoadDirectory checks that files are one configuration. If it fails, what operators
// have split into files loses servers or settings.
func TestLoadDirectory(t *testing.T) {
	t.Parallel()
	directory := write(t, map[string]string{
		"10-base.toml":     byteOrderMark + "[global]\nmaxconn = 7\n[frontend.a]\nlisten = '127.0.0.1:1'\nmode = 'http'\nbackend = 'b'\n[[frontend.a.route]]\npath = '/one'\n",
		"20-servers.toml":  "[[backend.b.server]]\nname = 'one'\nhttp = '127.0.0.1:2'\n[[frontend.a.route]]\npath = '/two'\n",
		"30-more.toml":     "backend.c.balance = 'random'\n[[backend.b.server]]\nname = 'two'\nhttp = '127.0.0.1:3'\n[[backend.c.server]]\nname = 'x'\nhttp = '127.0.0.1:4'\n",
		"40-check.toml":    "[backend.b.check]\ntype = 'http'\n[frontend.a.sticky]\ncookie = 'C'\n",
		"50-backend.toml":  "[backend.b]\nbalance = 'leastconn'\n",
		"60-empty.toml":    "# nothing\n",
		".hidden.toml":     "nonsense",
		"readme.md":        "nonsense",
		"old.toml.bak":     "nonsense",
		"70-frontend.toml": "[frontend.z]\nlisten = '127.0.0.1:5'\nmode = 'tcp'\nbackend = 't'\n[[backend.t.server]]\nname='t'\ntcp='127.0.0.1:6'\n",
	})
	c, err := Load(directory)
	if err != nil {
		t.Fatal(err)
	}
	b := c.Backend("b")
	if c.Global.MaxConn != 7 || len(b.Servers) != 2 || b.Servers[1].Name != "two" || b.Balance != "leastconn" || b.Check.Type != "http" || c.Backend("c").Balance != "random" {
		t.Errorf("%+v %+v", c.Global, b)
	}
	if f := c.Frontend("a"); len(f.Routes) != 2 || f.Routes[1].Path != "/two" || f.Sticky.Cookie != "C" || c.Frontend("z") == nil || c.Path != directory {
		t.Errorf("%+v", f)
	}
	single, err := Load(filepath.Join(directory, "10-base.toml"), filepath.Join(directory, "20-servers.toml"))
	if err != nil || len(single.Backends[0].Servers) != 1 {
		t.Errorf("two files by name: %v", err)
	}
}

// TestLoadConflicts checks that every mistake names its file, and what stands in two files
// both places. Otherwise one of two settings wins without a word.
func TestLoadConflicts(t *testing.T) {
	t.Parallel()
	const base = "[frontend.a]\nlisten = '127.0.0.1:1'\nmode = 'http'\nbackend = 'b'\n[[backend.b.server]]\nname = 'one'\nhttp = '127.0.0.1:2'\n"
	for _, c := range []struct {
		name, first, second string
		want                []string // after the directory
	}{
		{"table", base + "[global]\nmaxconn = 1\n", "\n[global]\nthreads = 1\n", []string{"b.toml:2: global: is defined in DIR/a.toml:8 already: leave one out"}},
		{"key", base + "[global]\nmaxconn = 1\n", "global.maxconn = 2\n", []string{"b.toml:1: global: is defined in DIR/a.toml:8 already: leave one out"}},
		{"dotted key", base + "[admin]\n", "global.maxconn = 2\n", nil},
		{"the same key", "global.maxconn = 1\n" + base, "global.maxconn = 2\n", []string{"b.toml:1: global.maxconn: is defined in DIR/a.toml:1 already: leave one out"}},
		{"inline table", base + "[frontend.x]\nlisten='127.0.0.1:3'\nmode='http'\nbackend='b'\nsticky = { cookie = 'A' }\n", "[frontend.x.sticky]\nsession = false\n", []string{"b.toml:1: frontend.x.sticky: is defined in DIR/a.toml:12 already: leave one out"}},
		{"a frontend", base, "[frontend.a]\nlisten = '127.0.0.1:9'\nmode = 'tcp'\nbackend = 'b'\n", []string{"b.toml:1: frontend.a: is defined in DIR/a.toml:1 already: leave one out"}},
		{"table and array", base, "[backend.b.server]\nname = 'x'\n", []string{"b.toml:1: backend.b.server: is defined in DIR/a.toml:5 already: write [[backend.b.server]] in double brackets for one more"}},
		{"inline array", base + "[frontend.y]\nlisten='127.0.0.1:4'\nmode='http'\nbackend='b'\nroute = [{ path = '/x' }]\n", "[[frontend.y.route]]\npath = '/y'\n", []string{"b.toml:1: frontend.y.route: is defined in DIR/a.toml:12 already: leave one out"}},
		{"mistakes in both", "nonsense = 1\n" + base, "[global]\nmaxcon = 5\n[[backend.b.server]]\nname = 'two'\n", []string{"a.toml:1: nonsense: ", "b.toml:2: global.maxcon: ", "b.toml:3: backend.b.server[1]"}},
		{"syntax in both", base + "x = \n", "[global\n", []string{"a.toml:8: not valid TOML: ", "b.toml:1: not valid TOML: "}},
		{"the same server", base, "[[backend.b.server]]\nname = 'one'\nhttp = '127.0.0.1:7'\n", []string{"b.toml:2: backend.b.server[1].name: "}},
		{"twice in one file", base, "[global]\n[global]\n", []string{"b.toml:2: global: is defined in line 1 already"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := write(t, map[string]string{"a.toml": c.first, "b.toml": c.second})
			_, err := Load(directory)
			if err == nil {
				if len(c.want) > 0 {
					t.Fatal("no mistake was found")
				}
				return
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("%d mistakes, want %d:\n%v", len(lines), len(c.want), err)
			}
			for i, want := range c.want {
				if want = directory + "/" + strings.ReplaceAll(want, "DIR", directory); !strings.HasPrefix(lines[i], want) {
					t.Errorf("got  %s\nwant %s", lines[i], want)
				}
			}
		})
	}
	directory := write(t, map[string]string{"a.toml": base})
	if _, err := Load(directory, filepath.Join(directory, "a.toml"), directory); err != nil {
		t.Errorf("the same file again: %v", err)
	}
	file := filepath.Join(directory, "a.toml")
	for want, paths := range map[string][]string{
		"is a directory without a file *.toml": {t.TempDir()},
		"cannot be read: no such file":         {file, filepath.Join(directory, "absent")},
	} {
		if _, err := Load(paths...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", paths, err, want)
		}
	}
}
