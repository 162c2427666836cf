package haproxy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// Rules that refuse, and whose condition mcplb cannot say as a whole. An exception that is not
// possible is left out, so that more is refused than before. A case that is not possible is open,
// which the account says, but for the well-known paths in it.

// refusals are the actions that keep clients out.
var refusals = []string{"deny", "reject", "tarpit", "silent-drop", "block", "auth"}

// refuses reports whether a rule keeps clients out.
func (l *line) refuses() bool {
	words := l.args(1)
	if l.words[0] == "tcp-request" {
		words = l.args(2)
	}
	if len(words) == 0 || l.words[0] != "tcp-request" && l.words[0] != "http-request" {
		return false
	}
	action, _, _ := strings.Cut(words[0], "(")
	if slices.Contains(refusals, action) {
		return true
	}
	if at := slices.Index(words, "status"); action == "return" && at >= 0 && at+1 < len(words) {
		status, err := strconv.Atoi(words[at+1])
		return err == nil && status >= 400
	}
	return false
}

// lost says that a rule is not possible, and whether it keeps clients out.
func (l *line) lost(format string, args ...any) {
	if l.refuses() {
		l.Opened(format, args...)
	} else {
		l.Impossible(format, args...)
	}
}

// refusesAll reports whether a backend serves nobody.
func (p *proxy) refusesAll() bool {
	return len(p.servers) == 0 || slices.ContainsFunc(p.rules, func(l *line) bool {
		return l.refuses() && !slices.Contains(l.words, "if") && !slices.Contains(l.words, "unless")
	})
}

// narrowed reports whether a condition asks for a path, or a method, in each of its cases, so that
// what it refuses without an exception is a part of a site.
func (c condition) narrowed() bool {
	return len(c) > 0 && !slices.ContainsFunc(c, func(conj conjunction) bool {
		return !slices.ContainsFunc(conj, func(l literal) bool { return !l.not && (l.fact == path || l.fact == pathIs || l.fact == method) })
	})
}

// private returns the well-known paths that a criterion on the path has, which is not possible as
// a whole.
func (c *criteria) private(p pattern) (some condition, names string) {
	match := p.match
	if match == "" {
		_, match, _ = strings.Cut(p.sample, "_")
	}
	if sample, _, _ := strings.Cut(p.sample, "_"); sample != "path" && sample != "url" {
		return nil, ""
	}
	var all []lb.Path
	for _, v := range p.values {
		if matches := pathTest(match, v, p.fold); matches != nil {
			for _, found := range lb.Private(matches) {
				if !slices.Contains(all, found) {
					all = append(all, found)
				}
			}
		}
	}
	return casesOf(all), lb.Names(all)
}

// casesOf is the condition that the path is one of some.
func casesOf(paths []lb.Path) (some condition) {
	for _, p := range paths {
		if p.Reach == lb.Segments {
			some = append(some, cases(path, []string{p.Text})...)
		} else {
			some = append(some, cases(pathIs, []string{p.Text})...)
		}
	}
	return some
}

// beyondSegments returns the well-known paths that begin with what a rule refuses, and are not
// below it by whole segments.
func (c *criteria) beyondSegments(beginning string) condition {
	if !c.more {
		return nil
	}
	closed := lb.Private(func(p string) bool { return strings.HasPrefix(p, beginning) && !within(p, beginning) })
	if lb.PartialName(beginning) {
		c.lost = append(c.lost, fmt.Errorf("%sx, which begins so, is open: prefixes are whole segments; of what it refuses, %s stays refused", beginning, lb.Names(closed)))
	}
	return casesOf(closed)
}

// pathTest returns the test of a pattern of a path, or nil.
func pathTest(match, v string, fold bool) func(path string) bool {
	if match == "reg" {
		matches, _ := lb.Matcher(v, fold)
		return matches
	}
	test := map[string]func(s, part string) bool{"sub": strings.Contains, "end": strings.HasSuffix, "beg": strings.HasPrefix, "dir": func(s, part string) bool {
		return strings.Contains(s+"/", "/"+strings.Trim(part, "/")+"/")
	}}[match]
	if test == nil {
		return nil
	}
	return func(path string) bool { return test(path, v) }
}

// privateTerm reads a criterion of a rule that refuses, of which some cases are possible.
func (c *criteria) privateTerm(words []string, err error) (condition, error) {
	p, bad := c.readPattern(words)
	if bad != nil {
		return nil, err
	}
	some, names := c.private(p)
	if len(some) == 0 {
		return nil, err
	}
	c.lost = append(c.lost, fmt.Errorf("%w; of what it refuses, %s stays refused", err, names))
	return some, nil
}
