package convert

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mcplb/cmd/mcplb/convert/lb"
	"mcplb/conf"
	"mcplb/internal/golden"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// inputs are the configurations of testdata, by their path.
func inputs(t testing.TB) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"testdata/haproxy/*.cfg", "testdata/nginx/*.conf"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		names = append(names, found...)
	}
	return names
}

// An operator who moves gets the same lb.toml and the same account of their file from
// every version, unless somebody has decided otherwise.
func TestGolden(t *testing.T) {
	for _, name := range inputs(t) {
		t.Run(name, func(t *testing.T) {
			result := convertFile(t, name)
			golden.Compare(t, strings.TrimPrefix(name, "testdata/")+".toml", result.Text)
			var report strings.Builder
			if err := result.Report(&report); err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, strings.TrimPrefix(name, "testdata/")+".report", report.String())
		})
	}
}

func convertFile(t testing.TB, name string) *Result {
	t.Helper()
	result, err := Files(Detect, name)
	if err != nil {
		t.Fatal(err)
	}
	checkResult(t, result)
	return result
}

// checkResult holds a result to what every result promises: mcplb accepts it, files
// that are not here aside; every directive is accounted for; what differs is said in
// the text, and what is not possible at its head.
func checkResult(t testing.TB, result *Result) {
	t.Helper()
	checkAccepted(t, result)
	for _, d := range result.Directives() {
		switch text := flat(result.Text); {
		case d.Outcome() == lb.Impossible && !strings.Contains(text, flat(d.Place.String()+": "+d.Text)):
			t.Errorf("%s is not possible, and the text does not say so", d.Place)
		case d.Outcome() == lb.Impossible && d.Note() == "", d.Outcome() == lb.Unneeded && d.Note() == "":
			t.Errorf("%s: %s: %s without a reason", d.Place, d.Text, d.Outcome())
		}
	}
}

// ofMachine are the words of mistakes that are about the files of this machine.
var ofMachine = []string{"no such file", "cannot be read", "no such directory", "is a directory: it must be", ": global.access_log: "}

// checkAccepted asks the contract.
func checkAccepted(t testing.TB, result *Result) {
	t.Helper()
	_, err := conf.Parse("lb.toml", []byte(result.Text))
	if err == nil {
		return
	}
	empty := !strings.Contains(result.Text, "[frontend.") // nothing to connect to: the result says that it is missing
	for line := range strings.Lines(err.Error()) {
		if empty && strings.Contains(line, ": is missing: ") {
			continue
		}
		if !slices.ContainsFunc(ofMachine, func(words string) bool { return strings.Contains(line, words) }) {
			t.Errorf("mcplb does not accept it: %s", line)
		}
	}
	if len(result.Missing) == 0 {
		t.Errorf("mcplb does not accept it, and the result does not say so: %v", err)
	}
}

// flat is a text without line breaks of comments.
func flat(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n#", " ")), " ")
}

// What is limited nowhere in the original must not be limited after the move: the
// defaults would refuse a burst of connections.
func TestNoLimits(t *testing.T) {
	for _, name := range inputs(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "limit") || strings.Contains(string(text), "rate") || strings.Contains(string(text), "conn_") {
			continue
		}
		result := convertFile(t, name)
		config, _ := conf.Parse("lb.toml", []byte(withoutTLS(result.Text)))
		if config == nil {
			continue // files that are not here
		}
		if r := config.RateLimit; r.ConnectionRate+r.MessageRate+r.MaxConnections+r.BanAfter+r.GlobalConnectionRate+r.GlobalMessageRate > 0 {
			t.Errorf("%s: limits that the original has not: %+v", name, r)
		}
		for _, f := range config.Frontends {
			if slices.ContainsFunc(f.Routes, func(r conf.Route) bool { return len(r.Limits) > 0 }) {
				t.Errorf("%s: a route of %s has limits", name, f.Name)
			}
		}
	}
}

// withoutTLS takes out what names files.
func withoutTLS(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "error_pages") && !strings.HasPrefix(line, "certificates") && !strings.Contains(line, ".tls]") && !strings.HasPrefix(line, "min_version") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Who gives something else by mistake has to be told what it looks like.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": "frontend:\n  listen: 80\n", "a.toml": "[a]\nb = 1\n", "lb.toml": "[frontend.x]\nmode = \"tcp\"\n", "a.json": "{\"http\": {}}", "empty.cfg": "# nothing\n",
		"a.cfg": "frontend a\n    bind :80\n", "a.conf": "http { server { listen 80; } }\n", "sub/nginx.conf": "http { }\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for names, want := range map[string]string{
		"a.yaml": "but like YAML", "a.toml": "but like TOML", "lb.toml": "but like lb.toml, which mcplb -c takes", "a.json": "but like JSON", "empty.cfg": "there is no directive in ",
		"a.cfg a.conf": "convert one after the other", "missing.cfg": "no such file", "sub": "is a directory: name its nginx.conf",
	} {
		var files []string
		for _, name := range strings.Fields(names) {
			files = append(files, filepath.Join(dir, name))
		}
		if _, err := Files(Detect, files...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", names, err, want)
		}
	}
	in := &input{stdin: strings.NewReader("frontend a\n    bind :80\n")}
	if language, err := detect(in, []string{stdinName}); language != HAProxy || err != nil {
		t.Errorf("standard input: %q, %v", language, err)
	}
	if text, err := in.readFile(stdinName); len(text) == 0 || err != nil {
		t.Errorf("standard input, again: %q, %v", text, err)
	}
}

// Whatever stands in a file, what comes out is accepted, and every line is accounted for.
func FuzzHAProxy(f *testing.F) { fuzz(f, HAProxy, "testdata/haproxy/*.cfg") }

// FuzzNginx is the same for nginx.
func FuzzNginx(f *testing.F) { fuzz(f, Nginx, "testdata/nginx/*.conf") }

func fuzz(f *testing.F, language Language, pattern string) {
	names, _ := filepath.Glob(pattern)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := Files(language, file)
		if err != nil && !strings.Contains(err.Error(), "no directive") {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		checkAccepted(t, result)
	})
}
