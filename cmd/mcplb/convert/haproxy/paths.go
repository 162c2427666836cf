package haproxy

import (
	"errors"
	"regexp"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// setPathAction translates a path that gets a prefix.
func setPathAction(g *group, l *line, args []string) (step, error) {
	if len(args) == 0 {
		return step{}, errors.New("it names no path")
	}
	if found := regsub.FindStringSubmatch(strings.ReplaceAll(args[0], `"`, "")); found != nil {
		return replacePathAction(g, l, []string{found[1] + "(.*)", found[2] + `\1`})
	}
	for _, whole := range []string{"%[path]", "%[pathq]", "%[url]"} {
		if prefix, ok := strings.CutSuffix(args[0], whole); ok && isPath(prefix) && prefix != "/" {
			return step{apply: func(t *lb.Table) error {
				change := changeOf(t)
				change.add = strings.TrimSuffix(prefix, "/") + change.add
				change.write(t, l)
				if l.arg(1) == "set-uri" && whole == "%[path]" {
					t.Differ(l.Directive, "add_prefix", "the query stays")
				}
				return nil
			}}, nil
		}
	}
	return step{}, errors.New("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix)")
}

// regsub is a path of which a prefix is replaced.
var regsub = regexp.MustCompile(`^%\[path,regsub\((\^/[\w./-]+),(/[\w./-]*)?\)\]$`)

// replacePathAction translates a regular expression that takes a prefix off, or puts
// one before.
func replacePathAction(_ *group, l *line, args []string) (step, error) {
	if len(args) != 2 {
		return step{}, errors.New("it has a pattern and a replacement")
	}
	prefix, before, ok := lb.ChangedPrefix(args[0], args[1])
	if !ok {
		return step{}, errors.New("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix); this is another change")
	}
	when := condition{{}}
	if prefix != "" {
		when = cases(path, []string{prefix})
	}
	return step{when: when, apply: func(t *lb.Table) error {
		change := changeOf(t)
		switch {
		case within(change.add, prefix):
			change.add = before + strings.TrimPrefix(change.add, prefix)
		default: // the condition says that the path continues as the prefix does
			change = pathChange{change.strip + strings.TrimPrefix(prefix, change.add), before}
		}
		change.write(t, l)
		if prefix != "" {
			t.Differ(l.Directive, "strip_prefix", "by whole segments, of the canonical path")
		}
		l.Translated()
		return nil
	}}, nil
}

// pathChange is what a route does to the path: one prefix is replaced by another.
type pathChange struct{ strip, add string }

// changeOf returns the change of a route.
func changeOf(t *lb.Table) (c pathChange) {
	c.strip, _ = t.Get("strip_prefix").(string)
	c.add, _ = t.Get("add_prefix").(string)
	return c
}

// write writes the change into a route.
func (c pathChange) write(t *lb.Table, l *line) {
	t.Delete("strip_prefix")
	t.Delete("add_prefix")
	if c.strip == c.add {
		c = pathChange{}
	}
	if c.strip != "" {
		t.Set("strip_prefix", c.strip, l.Directive)
		t.AddTo("remove_request_headers", nil, "X-Forwarded-Prefix")
	}
	if c.add != "" {
		t.Set("add_prefix", c.add, l.Directive)
	}
}

// named returns a name for the path after the change, by the name of that which came.
func (c pathChange) named(name string) (string, error) {
	if c.strip != "" {
		return "", errors.New("a rule before it takes a prefix off the path, and mcplb's name is of the path that came")
	}
	return c.add + name, nil
}

// before returns a condition on the path after the change as one on the path that came,
// since HAProxy's rules see what those before them have made of the path.
func (c pathChange) before(when condition) (result condition) {
	if c == (pathChange{}) {
		return when
	}
	for _, conj := range when {
		if moved, possible := c.moved(conj); possible {
			result = append(result, moved)
		}
	}
	return result
}

// moved is before for one case. possible is false if it never holds after the change.
func (c pathChange) moved(conj conjunction) (moved conjunction, possible bool) {
	for _, l := range conj {
		if l.asCame || l.fact != path && l.fact != pathIs {
			moved = append(moved, l)
			continue
		}
		var values []string
		for _, v := range l.values {
			came, always, never := c.came(l.fact, v)
			switch {
			case always && l.not, never && !l.not:
				return nil, false
			case !always && !never:
				if l.fact == pathIs && strings.HasSuffix(v, "/") && came != "/" {
					came += "/"
				}
				values = append(values, came)
			}
		}
		if len(values) > 0 {
			l.values = values
			moved = append(moved, l)
		}
	}
	return moved, true
}

// came returns the path, or prefix, that had to come for one after the change: always
// if all paths that are changed have it, never if none has.
func (c pathChange) came(f fact, v string) (came string, always, never bool) {
	rest := strings.TrimRight(v, "/")
	switch {
	case f == path && within(c.add, v):
		return "", true, false
	case within(rest, c.add):
		if came = c.strip + strings.TrimPrefix(rest, c.add); came == "" {
			came = "/"
		}
		return came, false, false
	}
	return "", false, true
}
