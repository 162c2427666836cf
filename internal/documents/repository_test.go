package documents

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mcplb/internal/certificate"
)

// root is the repository, as seen from this package.
const root = "../.."

// repository returns every document that users read.
func repository(t *testing.T) (all []*Document) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"} {
		paths = append(paths, filepath.Join(root, name))
	}
	for _, path := range paths {
		d, err := Read(path)
		if err != nil {
			t.Error(err)
			continue
		}
		all = append(all, d)
	}
	return all
}

// name is the path of a document in the repository.
func (d *Document) name() string { return strings.TrimPrefix(filepath.ToSlash(d.Path), root+"/") }

// The README is what a newcomer reads: more than 10 KB is not read to its end, and
// grows.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(10 << 10); info.Size() > limit {
		t.Errorf("README.md has %d bytes, more than %d: move what only some readers need to docs/", info.Size(), limit)
	}
}

// Readers follow links: each leads to a file, or to a heading of one.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, d := range repository(t) {
		for _, l := range d.Links() {
			if problem := d.follow(l.Target); problem != "" {
				t.Errorf("%s:%d: %s: %s", d.name(), l.Line, l.Target, problem)
			}
		}
	}
}

var absolute = regexp.MustCompile(`^[a-z]+:`)

// follow returns why a link of d leads nowhere; "" = it does not.
func (d *Document) follow(target string) string {
	if absolute.MatchString(target) {
		return "" // other sites are not asked
	}
	name, anchor, hasAnchor := strings.Cut(target, "#")
	to := d
	if name != "" {
		path := filepath.Join(filepath.Dir(d.Path), filepath.FromSlash(name))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return "no such file"
		}
		if !hasAnchor {
			return ""
		}
		var err error
		if to, err = Read(path); err != nil {
			return err.Error()
		}
	}
	if !to.Anchors()[anchor] {
		return "no such heading"
	}
	return ""
}

// markFragment marks a block of configuration that is not usable by itself.
const markFragment = "not a configuration"

// Operators copy configurations: mcplb -t accepts each. What a block leaves out, such as the
// backend of a frontend, is added here.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	certificate.Write(t, directory, "lb", certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "lb.example.com"))
	if err := os.WriteFile(filepath.Join(directory, "token"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range repository(t) {
		for _, b := range d.Blocks {
			if b.Language != "toml" || b.Mark == markFragment {
				continue
			}
			if output, err := check(t, directory, placed(complete(b.Text), directory)); err != nil {
				t.Errorf("%s:%d: mcplb -t refuses this configuration: %v\n%s", d.name(), b.Line, err, output)
			}
		}
	}
}

// check returns what mcplb -t says of a configuration.
func check(t *testing.T, directory, text string) (output []byte, err error) {
	t.Helper()
	path := filepath.Join(directory, "lb.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.Command(filepath.Join(binaries, "mcplb"), "-c", path, "-t").CombinedOutput()
}

var (
	usesBackend  = regexp.MustCompile(`(?m)^(?:\[backend\.|backend *= *")([a-z0-9_-]+)`)
	namedFile    = regexp.MustCompile(`\b(ca|client_ca|cert|key|token_file)( *= *)"[^"]*"`)
	fileForTests = map[string]string{"ca": "lb.pem", "client_ca": "lb.pem", "cert": "lb.pem", "key": "lb.key", "token_file": "token"}
)

// Operators look an alert up where it is explained, with the severity that it has.
func TestAlertsAreDocumented(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile(filepath.Join(root, "packaging", "prometheus", "mcplb.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`(?s)alert: (\w+)\n.*?severity: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	if len(alerts) == 0 {
		t.Error("the rules have no alerts")
	}
	for _, alert := range alerts {
		if !regexp.MustCompile("(?m)^\\|.*`" + alert[1] + "`[^|]*\\| " + alert[2] + " \\|").Match(text) {
			t.Errorf("docs/monitoring.md does not describe %s (%s)", alert[1], alert[2])
		}
	}
}

// complete returns a configuration with the servers and frontends that it needs.
func complete(text string) string {
	backends := map[string]bool{}
	for _, match := range usesBackend.FindAllStringSubmatch(text, -1) {
		backends[match[1]] = true
	}
	if len(backends) == 0 {
		backends["nodes"] = true
	}
	for name := range backends {
		if !strings.Contains(text, "[[backend."+name+".server]]") {
			text += "\n[[backend." + name + ".server]]\nname = 'node1'\ntcp = '127.0.0.1:1'\nhttp = '127.0.0.1:2'\n"
		}
	}
	if !strings.Contains(text, "[frontend.") {
		for name := range backends {
			text += "\n[frontend." + name + "]\nlisten = '127.0.0.1:1'\nmode = 'http'\nbackend = '" + name + "'\n"
		}
	}
	return text
}

// placed returns a configuration whose files are in a directory.
func placed(text, directory string) string {
	return namedFile.ReplaceAllStringFunc(text, func(assignment string) string {
		match := namedFile.FindStringSubmatch(assignment)
		return match[1] + match[2] + `"` + filepath.Join(directory, fileForTests[match[1]]) + `"`
	})
}
