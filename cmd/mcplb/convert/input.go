package convert

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// stdinName is the name of standard input.
const stdinName = "-"

// mostInput bounds what is read of standard input, in bytes.
const mostInput = 64 << 20

// input reads files, and standard input once.
type input struct {
	stdin io.Reader
	text  []byte // of standard input, once it was read
	done  bool
	err   error
}

// readFile reads a file, or standard input.
func (in *input) readFile(name string) ([]byte, error) {
	if name != stdinName {
		return os.ReadFile(name)
	}
	if !in.done {
		in.done = true
		in.text, in.err = io.ReadAll(io.LimitReader(in.stdin, mostInput))
	}
	if in.err != nil {
		return nil, fmt.Errorf("read standard input: %w", in.err)
	}
	return in.text, nil
}

// readAny reads a file, or the files of a directory.
func (in *input) readAny(name string) (string, error) {
	if entries, err := os.ReadDir(name); err == nil {
		var all strings.Builder
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(name, e.Name()))
			if err == nil {
				all.Write(text)
				all.WriteByte('\n')
			}
		}
		return all.String(), nil
	}
	text, err := in.readFile(name)
	if err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	return string(text), nil
}

// others are the languages of configurations that are given by mistake.
var others = []struct {
	name string
	like *regexp.Regexp
}{
	{"lb.toml, which mcplb -c takes as it is", regexp.MustCompile(`(?m)^\s*\[+(global|admin|frontend|backend|ratelimit)\b`)},
	{"JSON", regexp.MustCompile(`^\s*[{\[]\s*["{]`)},
	{"TOML", regexp.MustCompile(`(?m)^\s*\[[\w."-]+\]\s*$`)},
	{"YAML", regexp.MustCompile(`(?m)^[\w.-]+:(\s|$)`)},
}

// guess says what a file looks like instead, or "".
func (in *input) guess(name string) string {
	text, _ := in.readAny(name)
	for _, o := range others {
		if o.like.MatchString(text) {
			return ", but like " + o.name
		}
	}
	return ""
}
