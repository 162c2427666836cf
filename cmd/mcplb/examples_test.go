package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mcplb/internal/certificate"
)

const (
	examplesDirectory = "../../examples"
	docsDirectory     = "../../docs"
)

// Users begin with a file of examples/: each is accepted by -t, without a warning,
// once the files that it names are there.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, text := range examples(t, "*.toml") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.HasPrefix(text, "# ") {
				t.Error("the file does not begin with a comment that says what it is for")
			}
			command := exec.Command(filepath.Join(binaries, "mcplb"), "-c", place(t, name, text), "-t")
			output, err := command.CombinedOutput()
			if err != nil || strings.Contains(string(output), "warning") {
				t.Errorf("mcplb -t: %v\n%s", err, output)
			}
		})
	}
}

// What users move from is what the other programs accept, too.
func TestExamplesOfPeers(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]func(path string) *exec.Cmd{
		"from-haproxy.cfg": func(path string) *exec.Cmd { return exec.Command("haproxy", "-c", "-f", path) },
		"from-nginx.conf":  func(path string) *exec.Cmd { return exec.Command("nginx", "-t", "-c", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := check(place(t, name, examples(t, name)[name]))
			_, noModule := os.Stat("/usr/lib/nginx/modules/ngx_stream_module.so")
			if command.Err != nil || name == "from-nginx.conf" && noModule != nil {
				t.Skip("not installed: apt-get install haproxy nginx libnginx-mod-stream")
			}
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", command.Args, err, output)
			}
		})
	}
}

// The fragments in the documents are lines of the examples, so that they are tried.
func TestDocumentsShowExamples(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, text := range examples(t, "*") {
		all.WriteString(withoutIndent(text) + "\n")
	}
	for _, document := range []string{"recipes.md", "migrating.md"} {
		text, err := os.ReadFile(filepath.Join(docsDirectory, document))
		if err != nil {
			t.Fatal(err)
		}
		fragments := tomlBlock.FindAllStringSubmatch(string(text), -1)
		if len(fragments) == 0 {
			t.Errorf("%s has no fragments", document)
		}
		for _, fragment := range fragments {
			if !strings.Contains(all.String(), withoutIndent(fragment[1])) {
				t.Errorf("%s: no file of examples/ has these lines:\n%s", document, fragment[1])
			}
		}
	}
}

// Every file of examples/ is named in the documents.
func TestExamplesAreNamed(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, document := range []string{"recipes.md", "migrating.md"} {
		text, err := os.ReadFile(filepath.Join(docsDirectory, document))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for name := range examples(t, "*") {
		if !strings.Contains(all.String(), "(../examples/"+name+")") {
			t.Errorf("examples/%s is named neither in recipes.md nor in migrating.md", name)
		}
	}
}

// tomlBlock is a block of configuration in a document.
var tomlBlock = regexp.MustCompile("(?s)\n```toml\n(.*?\n)```\n")

// withoutIndent returns text with its lines trimmed.
func withoutIndent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// examples returns the texts of the files of examples/ whose name matches.
func examples(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(examplesDirectory, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	found := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(path)] = string(text)
	}
	return found
}

// What an example names of its machine.
var (
	pemFile     = regexp.MustCompile(`/etc/(?:mcplb|haproxy|nginx)/([\w.-]+)\.(?:pem|key)`)
	pageFile    = regexp.MustCompile(`/etc/mcplb/([\w.-]+\.html)`)
	nginxListen = regexp.MustCompile(`listen (?:[\d.]+:)?(\d+)`)
)

// place writes an example where it can be checked, with the files that it names, and
// returns its path.
func place(t *testing.T, name, text string) string {
	t.Helper()
	directory := t.TempDir()
	for _, found := range pemFile.FindAllStringSubmatch(text, -1) {
		writeCombined(t, directory, found[1])
	}
	for _, found := range pageFile.FindAllStringSubmatch(text, -1) {
		if err := os.WriteFile(filepath.Join(directory, found[1]), []byte("<p>"+found[1]+"</p>\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text = nginxListen.ReplaceAllString(text, fmt.Sprintf("listen unix:%s/$1.sock", directory))
	text = strings.ReplaceAll(text, "load_module", "pid "+directory+"/pid; error_log stderr; load_module")
	for _, where := range []string{"/etc/mcplb", "/etc/haproxy", "/etc/nginx", "/run/mcplb", "/run/haproxy"} {
		text = strings.ReplaceAll(text, where, directory)
	}
	path := filepath.Join(directory, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeCombined writes NAME.pem and NAME.key. HAProxy wants both in the first.
func writeCombined(t *testing.T, directory, name string) {
	t.Helper()
	valid := certificate.Validity{From: certificate.Today().From, Until: certificate.Today().From.AddDate(1, 0, 0)}
	makeKey := certificate.ECDSA
	if strings.HasSuffix(name, "-rsa") {
		makeKey = certificate.RSA
	}
	certificate.Write(t, directory, name, certificate.New(t, nil, makeKey(t), valid, "mcp.example.com"))
	key, err := os.ReadFile(filepath.Join(directory, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(directory, name+".pem"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(key); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
