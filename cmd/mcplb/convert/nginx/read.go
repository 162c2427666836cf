package nginx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mcplb/cmd/mcplb/convert/lb"
)

// Environment is where the configuration is read.
type Environment struct {
	ReadFile func(name string) ([]byte, error)
	Glob     func(pattern string) ([]string, error) // sorted
}

// System is the environment of this process.
func System() Environment { return Environment{ReadFile: os.ReadFile, Glob: filepath.Glob} }

// node is a directive, with what is in its block.
type node struct {
	*lb.Directive
	name  string
	args  []string
	block bool
	inner []*node
}

// arg returns the argument at i, or "".
func (n *node) arg(i int) string {
	if i < 0 || i >= len(n.args) {
		return ""
	}
	return n.args[i]
}

// has reports whether an argument is the word.
func (n *node) has(word string) bool { return slices.Contains(n.args, word) }

// option returns the value of an argument KEY=value.
func (n *node) option(key string) (string, bool) {
	for _, a := range n.args {
		if value, ok := strings.CutPrefix(a, key+"="); ok {
			return value, true
		}
	}
	return "", false
}

const (
	deepest        = 64 // levels of blocks
	deepestInclude = 16 // levels of includes
	mostIncluded   = 2000
)

// reader reads files into nodes.
type reader struct {
	config *lb.Config
	env    Environment
	base   string // relative includes start here

	included int // files so far
}

// file is a file that is being read.
type file struct {
	*reader
	name  string
	lexer lexer
	path  []string // the files that include it
}

// readFile reads a file as a main configuration.
func (r *reader) readFile(name string) ([]*node, error) {
	text, err := r.env.ReadFile(name)
	if errors.Is(err, syscall.EISDIR) {
		return nil, fmt.Errorf("%s is a directory: name its nginx.conf, whose include is followed", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	r.base = filepath.Dir(name)
	return r.readText(name, string(text), nil, "", ""), nil
}

func (r *reader) readText(name, text string, path []string, parent, section string) []*node {
	f := &file{reader: r, name: name, path: append(slices.Clone(path), name), lexer: lexer{strings.TrimPrefix(text, "\uFEFF"), 1}}
	nodes, err := f.block(parent, section, 0, false)
	if err != nil {
		d := r.config.Read(lb.Place{File: name, Line: f.lexer.line}, section, "(syntax)")
		d.Impossible("the file cannot be read from here on: %v", err)
	}
	return nodes
}

// parameters are the blocks whose lines are no directives but parameters.
var parameters = []string{"map", "geo", "types", "split_clients", "charset_map"}

// block reads directives to the end of the block, or of the file.
func (f *file) block(parent, section string, depth int, inside bool) (nodes []*node, err error) {
	if depth > deepest {
		return nil, errTooDeep
	}
	for {
		t, ok, err := f.lexer.next()
		switch {
		case err != nil:
			return nodes, err
		case !ok && inside:
			return nodes, errBlockOpen
		case !ok || t.sign == '}' && inside:
			return nodes, nil
		case t.sign != 0:
			return nodes, errUnexpected
		}
		n := &node{name: t.text, Directive: &lb.Directive{}}
		if !slices.Contains(parameters, parent) {
			n.Directive = f.config.Read(lb.Place{File: f.name, Line: t.line}, section, t.text)
		}
		err = f.rest(n, section, depth)
		nodes = append(nodes, n)
		if err != nil {
			return nodes, err
		}
		if n.name == "include" && !n.block {
			nodes = append(nodes, f.include(n, parent, section)...)
		}
	}
}

// rest reads a directive's arguments and its block.
func (f *file) rest(n *node, section string, depth int) error {
	for {
		t, ok, err := f.lexer.next()
		switch {
		case err != nil:
			return err
		case !ok:
			return errUnfinished
		case t.sign == '}':
			return errUnexpected
		case t.sign == ';':
			return nil
		case t.sign == 0:
			n.args = append(n.args, t.text)
			n.Text = lb.Plain(strings.Join(strings.Fields(n.Text+" "+quoteWord(t.text)), " "))
			continue
		}
		n.block = true
		if strings.HasSuffix(n.name, "_by_lua_block") {
			return f.lexer.raw()
		}
		inner := n.Text
		if n.name == "http" || n.name == "stream" || n.name == "server" && section != "" {
			inner = strings.TrimSpace(section + " " + n.name)
		}
		if n.name == "location" {
			inner = n.Text
		}
		n.inner, err = f.block(n.name, inner, depth+1, true)
		return err
	}
}

// quoteWord shows a word as it could be written.
func quoteWord(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\r\n;{}\"") {
		return "'" + s + "'"
	}
	return s
}

// include reads the files that an include names.
func (f *file) include(n *node, parent, section string) (nodes []*node) {
	pattern := n.arg(0)
	if pattern == "" || len(n.args) != 1 {
		n.Impossible("an include names a file")
		return nil
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(f.base, pattern)
	}
	names := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		found, err := f.env.Glob(pattern)
		if err != nil || len(found) == 0 {
			n.Unneeded("no file is called so")
			return nil
		}
		names = found
		slices.Sort(names)
	}
	for _, name := range names {
		if f.included++; slices.Contains(f.path, name) || len(f.path) > deepestInclude || f.included > mostIncluded {
			n.Impossible("%v", errIncludeDeep)
			return nodes
		}
		text, err := f.env.ReadFile(name)
		if err != nil {
			n.Impossible("it cannot be read: %v", err)
			continue
		}
		n.Translated()
		nodes = append(nodes, f.readText(name, string(text), f.path, parent, section)...)
	}
	return nodes
}
