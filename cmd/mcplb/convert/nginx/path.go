package nginx

import (
	"errors"
	"fmt"
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
	set := func(key, value string) {
		t := &lb.Table{From: []*lb.Directive{n.Directive}}
		t.Set(key, value, n.Directive)
		all = append(all, t)
	}
	switch {
	case strings.HasPrefix(path, "@"):
		return nil, 0, nil // taken where it is named
	case modifier == "=" && isPath(path):
		if r.any {
			priority = priorityExact
		}
		set("path_exact", path)
	case (modifier == "" || modifier == "^~") && path == "/":
		r.root = true
		all = append(all, &lb.Table{From: []*lb.Directive{n.Directive}})
	case (modifier == "" || modifier == "^~") && isPath(path):
		if r.any && modifier == "^~" {
			priority = priorityExact - 1000 + len(path)
		}
		set("path", path)
	case modifier == "~" || modifier == "~*":
		r.regular++
		priority = priorityRegex - r.regular
		err = r.expression(n, path, set)
	default:
		err = fmt.Errorf("%q is no path that mcplb has", path)
	}
	return all, priority, err
}

// isPath reports whether mcplb takes a path for that of a route.
func isPath(p string) bool {
	return strings.HasPrefix(p, "/") && !strings.ContainsAny(p, `\*?#%^$`) && !strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// regular calls set for each path for which a regular expression stands.
func (r *rules) expression(n *node, expression string, set func(key, value string)) error {
	paths, fold, err := lb.FinitePaths(expression)
	if err != nil {
		return fmt.Errorf("%s is a regular expression that mcplb's paths cannot say: %w", expression, err)
	}
	for _, p := range paths {
		switch {
		case !isPath(p.Text):
			return fmt.Errorf("%s is a regular expression that mcplb's paths cannot say", expression)
		case p.Reach == lb.Exact:
			set("path_exact", p.Text)
		case p.Text == "/":
			return errors.New("a regular expression for every path would go before all locations")
		default:
			set("path", p.Text)
		}
	}
	if fold || n.arg(0) == "~*" {
		r.g.frontend.Differ(n.Directive, "", "paths are compared with regard to case")
	}
	return nil
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
	if !strings.HasSuffix(path, "/") {
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
	effects.Set("redirect", lb.Inline{{Key: "to", Value: "{scheme}://{host}" + plainText(path) + "?{query}"}, {Key: "status", Value: 301}})
	effects.Comment("redirect", "as nginx redirects to "+path)
	r.g.responseHeaders(s, effects, true)
	r.add(priority, c, effects)
}

// plainText quotes braces.
func plainText(s string) string { return strings.ReplaceAll(s, "{", "{{") }
