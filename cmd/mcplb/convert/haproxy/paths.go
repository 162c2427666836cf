package haproxy

import (
	"errors"
	"regexp"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// setPathAction translates a path that gets a prefix.
func setPathAction(_ *group, l *line, args []string) (step, error) {
	if len(args) == 0 {
		return step{}, errors.New("it names no path")
	}
	for _, whole := range []string{"%[path]", "%[pathq]", "%[url]"} {
		if prefix, ok := strings.CutSuffix(args[0], whole); ok && isPath(prefix) && prefix != "/" {
			return step{apply: func(t *lb.Table) error {
				t.Set("add_prefix", strings.TrimSuffix(prefix, "/"), l.Directive)
				return nil
			}}, nil
		}
	}
	return step{}, errors.New("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix)")
}

var (
	stripped = regexp.MustCompile(`^\^?(/[\w./-]*?)/?(?:\(\?:\/\|\$\)|\[\/\]\?|/\?)?\(\.\*\)\$?$`)
	replaced = regexp.MustCompile(`^(/[\w./-]*)?\\[12]$`)
)

// replacePathAction translates a regular expression that takes a prefix off, or puts
// one before.
func replacePathAction(_ *group, l *line, args []string) (step, error) {
	if len(args) != 2 {
		return step{}, errors.New("it has a pattern and a replacement")
	}
	from, to := stripped.FindStringSubmatch(args[0]), replaced.FindStringSubmatch(args[1])
	if from == nil || to == nil {
		return step{}, errors.New("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix); this is another change")
	}
	prefix, before := strings.TrimSuffix(from[1], "/"), strings.TrimSuffix(to[1], "/")
	return step{apply: func(t *lb.Table) error {
		if prefix != "" {
			t.Set("strip_prefix", prefix, l.Directive)
			t.AddTo("remove_request_headers", nil, "X-Forwarded-Prefix")
			t.Differ(l.Directive, "strip_prefix", "by whole segments, of the canonical path")
		}
		if before != "" {
			t.Set("add_prefix", before, l.Directive)
		}
		l.Translated()
		return nil
	}}, nil
}
