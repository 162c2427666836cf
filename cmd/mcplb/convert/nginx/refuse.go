package nginx

import (
	"slices"
	"strconv"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// Locations that refuse, and that mcplb's paths cannot express. Their requests go on to the next
// location, so that what they keep out is open: the account says so, and the well-known paths
// among them stay closed.

// refuses reports whether a block keeps clients out: all of them, or some.
func refuses(n *node) bool {
	return slices.ContainsFunc(n.inner, func(child *node) bool {
		switch child.name {
		case "deny", "internal":
			return true
		case "return":
			code, err := strconv.Atoi(child.arg(0))
			return err == nil && code >= 400
		case "if", "limit_except":
			return refuses(child)
		}
		return slices.Contains(guards, child.name) && child.arg(0) != "off"
	})
}

// lost says that a directive is not possible, and whether it keeps clients out.
func (n *node) lost(refuses bool, err error) {
	if refuses {
		n.Opened("%v", err)
	} else {
		n.Impossible("%v", err)
	}
}

// partly accounts for a location whose paths are not possible. One that refuses does so for the
// well-known paths that are in it.
func (r *rules) partly(s *scope, priority int, err error) {
	n := s.node
	if !refuses(n) {
		n.Impossible("%v", err)
		for _, child := range n.inner {
			if _, free := needless[child.name]; !free && child.name != "location" {
				child.Impossible("its location is not possible")
			}
		}
		return
	}
	modifier, path := n.arg(0), n.arg(len(n.args)-1)
	matches, known := lb.Matcher(path, modifier == "~*")
	if !strings.HasPrefix(modifier, "~") {
		matches, known = func(p string) bool { return strings.HasPrefix(p, path) }, true
	}
	var closed []lb.Path
	if known {
		closed = lb.Private(matches)
	}
	n.Opened("%v; of what it refuses, %s stays refused, and all else goes to the next location", err, lb.Names(closed))
	r.refused(s, closed, priority)
	if len(closed) == 0 {
		for _, child := range n.inner {
			child.Impossible("its location is not possible")
		}
	}
}

// refused writes the routes of a location for some of its paths.
func (r *rules) refused(s *scope, paths []lb.Path, priority int) {
	for _, p := range paths {
		t := &lb.Table{From: []*lb.Directive{s.node.Directive}}
		if p.Reach == lb.Segments {
			t.Set("path", p.Text)
		} else {
			t.Set("path_exact", p.Text)
		}
		before := len(r.list)
		r.at(s, t, priority)
		if all := slices.IndexFunc(r.list[before:], func(o rule) bool { return o.table.Has("deny") && o.table.Beyond(t).Empty() }); all >= 0 {
			r.list = r.list[:before+all+1] // the rest is for no request
		}
	}
}

// prefix returns the path of a location for a prefix.
func (n *node) prefix() (path string, ok bool) {
	if len(n.args) == 1 && strings.HasPrefix(n.arg(0), "/") || n.arg(0) == "^~" {
		return n.arg(len(n.args) - 1), true
	}
	return "", false
}

// possible returns those of the paths of a location that mcplb has, if any, and accounts for the
// others: the location refuses, and is open for them.
func (r *rules) possible(n *node, paths []lb.Path) (some []lb.Path) {
	var lost []string
	for _, p := range paths {
		if isPath(p.Text) && p != (lb.Path{Text: "/"}) {
			some = append(some, p)
			continue
		}
		lost = append(lost, p.Text)
		some = append(some, lb.Private(func(path string) bool { return p.Reach == lb.Beginning && strings.HasPrefix(path, p.Text) })...)
	}
	if len(lost) == len(paths) {
		return paths
	}
	if len(lost) > 0 {
		n.Opened("%s is no path that mcplb has: of what is refused there, the well-known paths stay refused", strings.Join(lost, ", "))
	}
	return some
}

// beyondSegments accounts for beginnings of paths that a location refuses: for nginx a path begins
// so, for mcplb by whole segments.
func (r *rules) beyondSegments(s *scope, beginnings []string, priority int) {
	n := s.node
	if !refuses(n) {
		return
	}
	for _, path := range beginnings {
		if !isPath(path) || strings.HasSuffix(path, "/") {
			continue
		}
		closed := lb.Private(func(p string) bool { return strings.HasPrefix(p, path) && !under(p, path) })
		closed = slices.DeleteFunc(closed, func(p lb.Path) bool { return r.takesLonger(s, path, p.Text) })
		note := path + "x, which begins so, is refused by nginx and not here: prefixes are whole segments"
		if len(closed) > 0 {
			note += "; refused beside it: " + lb.Names(closed)
		}
		if lb.PartialName(path) {
			n.Opened("%s", note)
		} else {
			r.g.frontend.Differ(n.Directive, "", "%s: %s", n.Text, note)
		}
		r.refused(s, closed, priority)
	}
}

// takesLonger reports whether another location with a longer prefix than this takes a path.
func (r *rules) takesLonger(s *scope, prefix, path string) bool {
	return slices.ContainsFunc(r.server.kids, func(other *scope) bool {
		own := other.node.arg(len(other.node.args) - 1)
		return other != s && len(own) > len(prefix) && strings.HasPrefix(path, own)
	})
}
