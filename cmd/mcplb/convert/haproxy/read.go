package haproxy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// Environment is where the configuration is read: files and variables.
type Environment struct {
	ReadFile func(name string) ([]byte, error)
	ReadDir  func(name string) ([]string, error) // the names of its files, sorted
	Getenv   func(name string) (string, bool)
}

// System is the environment of this process.
func System() Environment {
	return Environment{ReadFile: os.ReadFile, ReadDir: readDir, Getenv: os.LookupEnv}
}

func readDir(name string) (names []string, err error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// line is a directive and its words, of which there is at least one.
type line struct {
	*lb.Directive
	words []string
}

// arg returns the word at i, or "".
func (l *line) arg(i int) string {
	if i >= len(l.words) {
		return ""
	}
	return l.words[i]
}

// directive returns the line's directive, nil for no line.
func (l *line) directive() *lb.Directive {
	if l == nil {
		return nil
	}
	return l.Directive
}

// args returns the words from i on.
func (l *line) args(i int) []string { return l.words[min(i, len(l.words)):] }

// section is a section of the configuration.
type section struct {
	kind, name, from string
	head             *line
	lines            []*line
}

// sectionKinds are the words that begin a section.
var sectionKinds = []string{
	"global", "defaults", "frontend", "backend", "listen", "resolvers", "peers", "userlist", "mailers", "cache", "program", "ring",
	"http-errors", "fcgi-app", "log-forward", "crt-store", "traces", "log-profile", "acme",
}

// reader reads files into sections.
type reader struct {
	config   *lb.Config
	env      Environment
	set      map[string]string // by setenv
	sections []*section
	depth    int // of conditional blocks
}

// readFile reads a file, or the files *.cfg of a directory.
func (r *reader) readFile(name string) error {
	if names, err := r.env.ReadDir(name); err == nil {
		for _, inside := range names {
			if strings.HasSuffix(inside, ".cfg") {
				if err := r.readFile(filepath.Join(name, inside)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	text, err := r.env.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	r.readText(name, strings.TrimPrefix(string(text), "\uFEFF"))
	return nil
}

func (r *reader) readText(name, text string) {
	r.depth = 0
	number := 0
	for raw := range strings.Lines(text) {
		number++
		raw = strings.TrimRight(raw, "\r\n")
		s := splitter{lookup: r.lookup}
		err := s.split(raw)
		if err == nil && len(s.words) == 0 {
			continue
		}
		d := r.config.Read(lb.Place{File: name, Line: number}, r.current(), withoutComment(raw))
		switch {
		case err != nil:
			d.Impossible("the line cannot be read: %v", err)
		case r.conditional(d, s.words[0]):
		case len(s.unset) > 0:
			d.Impossible("the variable %s is not set: set it, and convert again", s.unset[0])
		default:
			r.add(&line{d, s.words}, s.replaced)
		}
	}
}

// withoutComment takes a comment off that stands outside of quotes, for the report.
func withoutComment(raw string) string {
	quote := byte(0)
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#':
			return raw[:i]
		}
	}
	return raw
}

// current is the section in which the next line stands.
func (r *reader) current() string {
	if len(r.sections) == 0 {
		return ""
	}
	s := r.sections[len(r.sections)-1]
	return strings.TrimSpace(s.kind + " " + s.name)
}

// conditional accounts for conditional blocks and what is in them.
func (r *reader) conditional(d *lb.Directive, word string) bool {
	switch {
	case word == ".if":
		r.depth++
		d.Impossible("conditional blocks are not evaluated: keep what holds, and convert again")
	case word == ".endif" && r.depth > 0:
		r.depth--
		d.Impossible("conditional blocks are not evaluated")
	case word == ".notice" || word == ".warning" || word == ".alert" || word == ".diag":
		d.Unneeded("a message of HAProxy's start")
	case strings.HasPrefix(word, "."):
		d.Impossible("conditional blocks are not evaluated")
	case r.depth > 0:
		d.Impossible("it stands in a conditional block, which is not evaluated")
	default:
		return false
	}
	return true
}

// lookup returns a variable's value.
func (r *reader) lookup(name string) (string, bool) {
	if value, set := r.set[name]; set {
		return value, true
	}
	return r.env.Getenv(name)
}

// add puts a line into its section.
func (r *reader) add(l *line, variables []string) {
	if len(variables) > 0 {
		r.config.Global.Differ(l.Directive, "", "the value of $%s at the time of the conversion is written", strings.Join(variables, ", $"))
	}
	if slices.Contains(sectionKinds, l.words[0]) && !(l.words[0] == "cache" && len(l.words) > 2) {
		r.begin(l)
		return
	}
	if len(r.sections) == 0 {
		l.Impossible("it stands in no section")
		return
	}
	s := r.sections[len(r.sections)-1]
	if s.kind == "global" && (l.words[0] == "setenv" || l.words[0] == "presetenv") && len(l.words) == 3 {
		if _, set := r.lookup(l.words[1]); l.words[0] == "setenv" || !set {
			r.set[l.words[1]] = l.words[2]
		}
		l.Unneeded("the variable is replaced where it is used")
		return
	}
	s.lines = append(s.lines, l)
}

// begin begins a section: KIND [NAME] [from DEFAULTS].
func (r *reader) begin(l *line) {
	s := &section{kind: l.words[0], head: l}
	rest := l.words[1:]
	if i := slices.Index(rest, "from"); i >= 0 && i+1 < len(rest) {
		s.from = rest[i+1]
		rest = rest[:i]
	}
	if len(rest) > 0 {
		s.name = rest[0]
	}
	l.Section = strings.TrimSpace(s.kind + " " + s.name)
	r.sections = append(r.sections, s)
}
