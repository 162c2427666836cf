package nginx

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// place returns the paths of a location, and its priority.
func (r *rules) place(n *node) (all []*lb.Table, priority int, err error) {
	modifier, path := "", n.arg(0)
	if len(n.args) > 1 {
		modifier, path = n.arg(0), n.arg(1)
	} else if strings.HasPrefix(path, "=") && len(path) > 1 {
		modifier, path = "=", path[1:]
	}
	add := func() *lb.Table {
		t := &lb.Table{From: []*lb.Directive{n.Directive}}
		all = append(all, t)
		return t
	}
	switch {
	case strings.HasPrefix(path, "@"):
		return nil, 0, nil // taken where it is named
	case modifier == "=" && isPath(path):
		if r.any {
			priority = priorityExact
		}
		add().ExactPath(path, n.Directive)
	case (modifier == "" || modifier == "^~") && path == "/":
		r.root = true
		add()
	case (modifier == "" || modifier == "^~") && isPath(path) && r.withSlash(path):
		if r.any && modifier == "^~" {
			priority = priorityExact - 1000 + len(path)
		}
		add().ExactPath(path, n.Directive)
	case (modifier == "" || modifier == "^~") && isPath(path):
		if r.any && modifier == "^~" {
			priority = priorityExact - 1000 + len(path)
		}
		add().Set("path", path, n.Directive)
	case modifier == "~" || modifier == "~*":
		r.regular++
		priority = priorityRegex - r.regular
		err = r.expression(n, path, add)
	default:
		err = fmt.Errorf("%q is no path that mcplb has", path)
	}
	return all, priority, err
}

// withSlash reports whether there is a location /x/ beside a location /x, which leaves /x alone to
// that: prefixes are whole segments.
func (r *rules) withSlash(path string) bool {
	return slices.ContainsFunc(r.server.kids, func(other *scope) bool {
		n := other.node
		return n.arg(len(n.args)-1) == path+"/" && (len(n.args) == 1 || n.arg(0) == "^~")
	})
}

// isPath reports whether mcplb takes a path for that of a route.
func isPath(p string) bool {
	return strings.HasPrefix(p, "/") && !lb.DotSegment(p) && !strings.ContainsAny(p, `\*?#%^$`) && !strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// looseDot is a dot in a name, which was hardly meant for any character.
var looseDot = regexp.MustCompile(`([a-zA-Z0-9])\.([a-zA-Z])`)

// expression adds the conditions for each path for which a regular expression stands.
func (r *rules) expression(n *node, expression string, add func() *lb.Table) error {
	paths, fold, err := lb.FinitePaths(expression)
	if literal := looseDot.ReplaceAllString(expression, `$1\.$2`); err != nil && literal != expression {
		if paths, fold, err = lb.FinitePaths(literal); err == nil {
			r.g.frontend.Differ(n.Directive, "", "%s: a dot between letters stands for a dot", expression)
		}
	}
	if err != nil {
		return fmt.Errorf("%s is a regular expression that mcplb's paths cannot say: %w", expression, err)
	}
	if refuses(n) {
		paths = r.possible(n, paths)
	}
	for _, p := range paths {
		if !isPath(p.Text) {
			return fmt.Errorf("%s is a regular expression that mcplb's paths cannot say", expression)
		}
		if p == (lb.Path{Text: "/"}) {
			return errors.New("a regular expression for every path would go before all locations")
		}
	}
	for _, p := range paths {
		setPath(add(), p, n)
		if p.Reach == lb.Beginning {
			r.beginnings = append(r.beginnings, p.Text)
		}
	}
	if fold || n.arg(0) == "~*" {
		r.g.frontend.Differ(n.Directive, "", "paths are compared with regard to case")
	}
	return nil
}

// setPath sets the condition for a path of a regular expression.
func setPath(t *lb.Table, p lb.Path, n *node) {
	switch p.Reach {
	case lb.Exact:
		t.ExactPath(p.Text, n.Directive)
	case lb.AnySlash:
		t.Set("path_exact", p.Text, n.Directive)
	default:
		t.Set("path", p.Text, n.Directive)
	}
}

// plain reports whether a part of a regular expression stands for itself alone.
func plain(s string) bool {
	s = strings.NewReplacer(`\.`, "", `\/`, "", `\-`, "").Replace(s)
	return !strings.ContainsAny(s, `.\`)
}

// slash redirects /x to /x/, as nginx does for a location /x/ that is passed on and
// unless another location is /x.
func (r *rules) slash(s *scope, conditions *lb.Table, priority int) {
	path, _ := conditions.Get("path").(string)
	if !strings.HasSuffix(path, "/") || strings.HasPrefix(s.node.arg(0), "~") {
		return
	}
	bare := strings.TrimSuffix(path, "/")
	for _, other := range r.server.kids {
		if n := other.node; n.arg(len(n.args)-1) == bare && !strings.HasPrefix(n.arg(0), "~") {
			return
		}
	}
	c := conditions.Clone()
	c.Delete("path")
	c.Set("path_exact", bare)
	c.Set("trailing_slash", "without")
	effects := &lb.Table{From: []*lb.Directive{s.node.Directive}}
	effects.Set("redirect", lb.Inline{{Key: "to", Value: r.g.site(s) + plainText(path) + "?{query}"}, {Key: "status", Value: 301}})
	effects.Comment("redirect", "as nginx redirects to "+path)
	r.g.responseHeaders(s, effects, 301)
	if r.any {
		priority = max(priority, priorityExact) // nginx asks no regular expression before
	}
	r.add(priority, c, effects)
}

// withoutSlash writes what takes /x where a location /x/ is not passed on: for nginx that is a
// request for another location, while for mcplb a slash at the end of a path means nothing.
func (r *rules) withoutSlash(s *scope) {
	n := s.node
	path := n.arg(len(n.args) - 1)
	switch {
	case strings.HasPrefix(n.arg(0), "~"): // no redirect either
		paths, _, _ := lb.FinitePaths(path)
		for _, p := range paths {
			if p.Reach == lb.Beginning {
				r.aside(p.Text)
			}
		}
	case len(n.args) == 1 || n.arg(0) == "^~":
		if len(s.own["proxy_pass"]) == 0 {
			r.aside(path)
		}
	}
}

// aside writes what takes /x beside a path /x/.
func (r *rules) aside(path string) {
	if path == "/" || !isPath(path) || !strings.HasSuffix(path, "/") {
		return
	}
	bare := strings.TrimRight(path, "/")
	own := slices.IndexFunc(r.list, func(o rule) bool { return o.table.Get("path") == path })
	if own < 0 || slices.ContainsFunc(r.list, func(o rule) bool { return o.table.Get("path") == bare || o.table.Get("path_exact") == bare }) {
		return
	}
	taker := r.taker(bare, path)
	for _, o := range slices.Clone(r.list) {
		p, _ := o.table.Get("path").(string)
		if o.priority > 0 || p != taker || o.table.Has("path_exact") {
			continue
		}
		t := o.table.Clone()
		t.Delete("path")
		t.Set("path_exact", bare)
		t.Set("trailing_slash", "without")
		t.Comment("path_exact", "nginx takes it for no request of location "+path)
		r.list = append(r.list, rule{r.list[own].priority, t})
	}
}

// taker returns the path of the longest prefix that takes a path, beside that of another location;
// "" is the rest.
func (r *rules) taker(path, other string) (longest string) {
	for _, o := range r.list {
		p, _ := o.table.Get("path").(string)
		if o.priority == 0 && p != other && len(p) > len(longest) && under(path, p) {
			longest = p
		}
	}
	return longest
}

// plainText quotes braces.
func plainText(s string) string { return strings.ReplaceAll(s, "{", "{{") }
