package nginx

import (
	"errors"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// How servers and locations become routes.
//
// mcplb prefers the exact host, then the longer path, then more conditions, which is
// nginx's order of servers and of prefix locations. Only what nginx does before it
// looks for the longest prefix needs a priority: rules of the server itself, and
// regular expressions. A route with a priority goes before those of other hosts, so
// that it excludes them.
const (
	priorityServer = 10_000
	priorityExact  = 5_000
	priorityRegex  = 2_000
)

// rule is a route of a server, without the hosts.
type rule struct {
	priority int
	table    *lb.Table // conditions, then what happens
}

// rules are the routes of one server.
type rules struct {
	g        *group
	server   *scope
	list     []rule
	branches []branch // of the location that is translated
	regular  int      // locations with regular expressions so far
	any      bool     // there is one

	beginnings []string // of the paths for which the regular expression that was read last stands
	root       bool     // a route takes what no other takes
}

// branch is an if of a location that answers nothing, but passes its requests on otherwise.
type branch struct {
	level        *scope
	alternatives []*lb.Table
}

// chooses reports whether the block of an if does no more than pass on, with other headers of
// responses or to other servers. A rewrite of its location could keep nginx from asking for it.
func (s *scope) chooses() bool {
	loc := s.parent
	if loc.node.name != "location" || len(loc.own["proxy_pass"]) == 0 || len(loc.own["rewrite"])+len(loc.own["internal"]) > 0 {
		return false
	}
	return len(s.node.inner) > 0 && !slices.ContainsFunc(s.node.inner, func(n *node) bool {
		return n.name != "add_header" && n.name != "proxy_pass" && n.name != "access_log"
	})
}

// branch writes the routes of the ifs of a location that choose: of those that hold, the last
// counts.
func (r *rules) branch(branches []branch, conditions *lb.Table, priority int) {
	if priority > 0 {
		priority++
	}
	for _, b := range slices.Backward(branches) {
		for _, n := range b.level.own["access_log"] {
			n.Unneeded("there is one access log")
		}
		for _, c := range b.alternatives {
			both := conditions.Clone()
			both.Merge(c)
			r.guarded(b.level, both, priority)
		}
	}
}

func (r *rules) add(priority int, conditions *lb.Table, effects *lb.Table) {
	t := conditions.Clone()
	t.Merge(effects)
	t.From = slices.Concat(conditions.From, effects.From)
	for _, t := range limitVariants(t) {
		r.list = append(r.list, rule{priority, t})
	}
}

// addServer writes the routes of a server.
func (g *group) addServer(s *scope, isDefault bool) {
	r := &rules{g: g, server: s}
	if !r.serverPhase() {
		for _, loc := range s.kids {
			r.any = r.any || strings.HasPrefix(loc.node.arg(0), "~")
		}
		for _, loc := range s.kids {
			r.location(loc)
		}
		if !r.root {
			r.fallback(s)
		}
		for _, loc := range s.kids {
			r.withoutSlash(loc)
		}
	}
	hosts := s.names()
	others := g.otherHosts(s)
	switch {
	case isDefault && slices.ContainsFunc(others, func(o string) bool { return slices.ContainsFunc(hosts, func(h string) bool { return takes(o, h) }) }):
		r.write(hosts, others) // or else another server's domain would take them
		r.list = slices.DeleteFunc(r.list, func(rule rule) bool { return rule.table.Has("host") })
		r.write(nil, others)
	case isDefault:
		r.write(nil, others)
	case len(hosts) > 0:
		r.write(hosts, others)
	default:
		s.node.Unneeded("no request takes it: it has no host, and is not the default server")
	}
	g.serverNames(s, isDefault)
}

// serverPhase translates what a server does before it looks for a location. It
// reports whether that takes every request.
func (r *rules) serverPhase() (all bool) {
	all = r.phase(r.server, &lb.Table{}, priorityServer)
	if all {
		r.root = true
		for _, kid := range r.server.kids {
			for _, n := range append([]*node{kid.node}, kid.node.inner...) {
				n.Unneeded("the server answers before")
			}
		}
	}
	return all
}

// phase translates return, rewrite and if of a level. It reports whether one of them
// takes every request of the level.
func (r *rules) phase(s *scope, conditions *lb.Table, priority int) (all bool) {
	for _, n := range s.node.byCases(r) {
		switch n.name {
		case "return", "rewrite":
			if all {
				n.Unneeded("the level has answered before")
				continue
			}
			effects, where, err := r.g.answer(n, s)
			switch {
			case err != nil:
				n.Impossible("%v", err)
			case effects == nil: // a rewrite of the proxy_pass
			case len(where) == 0:
				r.add(0, conditions, effects)
				all = true
			default:
				r.redirects(n, where, conditions, effects, priority)
			}
		case "if":
			if all {
				n.Unneeded("the level has answered before")
				continue
			}
			all = r.ifBlock(n, s, conditions, priority)
		}
	}
	return all
}

// redirects adds the routes of a rewrite for some paths: of a location, those that are in it.
func (r *rules) redirects(n *node, where []lb.Path, conditions, effects *lb.Table, priority int) {
	location, _ := conditions.Get("path").(string)
	exact, _ := conditions.Get("path_exact").(string)
	for _, p := range where {
		c := conditions.Clone()
		c.Delete("path")
		switch {
		case exact != "" && strings.TrimRight(p.Text, "/") != strings.TrimRight(exact, "/"), !under(p.Text, location):
			n.Unneeded("the location has no such path")
			continue
		case exact == "":
			setPath(c, p, n)
		}
		r.add(r.prioritized(priority), c, effects)
	}
}

// prioritized counts priorities down, as the first of several goes first.
func (r *rules) prioritized(priority int) int {
	if priority == 0 {
		return 0
	}
	return priority - len(r.list)
}

// ifBlock translates an if whose block answers. It reports whether that takes every request of
// the level.
func (r *rules) ifBlock(n *node, parent *scope, conditions *lb.Table, priority int) (all bool) {
	inner := newScope(n, parent)
	alternatives, holds, err := r.g.condition(n)
	if err != nil {
		n.lost(refuses(n), err)
		for _, child := range n.inner {
			child.Impossible("the condition of its if is not possible")
		}
		return false
	}
	n.Translated()
	if !holds {
		n.Unneeded("its condition never holds here")
		for _, child := range n.inner {
			child.Unneeded("the condition of its if never holds here")
		}
		return false
	}
	for i, child := range n.inner {
		switch child.name {
		case "return", "rewrite":
			effects, where, err := r.g.answer(child, inner)
			if err == nil && (effects == nil || len(where) > 0) {
				err = errors.New("in an if, mcplb answers, and changes no path")
			}
			if err != nil {
				child.lost(refuses(n), err)
				return false
			}
			for _, rest := range n.inner[i+1:] {
				if rest.name != "add_header" {
					rest.Unneeded("the if has answered before")
				}
			}
			return r.answerIf(alternatives, conditions, effects, priority)
		}
	}
	if inner.chooses() {
		r.branches = append(r.branches, branch{inner, alternatives})
		return false
	}
	for _, child := range n.inner {
		child.Impossible("in an if, mcplb answers (return), or passes on with other headers or to other servers")
	}
	return false
}

// answerIf adds the routes of an if that answers. It reports whether one of its conditions always
// holds.
func (r *rules) answerIf(alternatives []*lb.Table, conditions, effects *lb.Table, priority int) (all bool) {
	for _, c := range alternatives {
		both := conditions.Clone()
		both.Merge(c)
		r.add(r.prioritized(priority), both, effects)
		all = all || c.Empty()
	}
	return all
}

// location translates a location and those in it.
func (r *rules) location(s *scope) {
	n := s.node
	n.Translated()
	for _, child := range n.inner {
		if child.name == "location" {
			kid := newScope(child, s)
			s.kids = append(s.kids, kid)
			r.location(kid)
		}
	}
	r.beginnings = nil
	conditions, priority, err := r.place(n)
	beginnings := r.beginnings
	if err != nil {
		r.partly(s, priority, err)
		return
	}
	for _, c := range conditions {
		r.at(s, c, priority)
	}
	if path, _ := n.prefix(); path != "" {
		beginnings = []string{path}
	}
	r.beyondSegments(s, beginnings, priority)
}

// at writes the routes of a location for one of its paths.
func (r *rules) at(s *scope, conditions *lb.Table, priority int) {
	start := len(r.list)
	for _, n := range s.own["limit_except"] {
		r.limitExcept(s, n, conditions, priority)
	}
	before := len(r.list)
	r.branches = nil
	answered := r.phase(s, conditions, priority)
	branches := r.branches
	for i := before; i < len(r.list) && priority > 0; i++ {
		r.list[i].priority = max(r.list[i].priority, priority+1)
	}
	if answered {
		r.list[len(r.list)-1].priority = priority
		for _, n := range slices.Concat(s.own["allow"], s.own["deny"]) {
			n.Unneeded("the location answers before it asks for the source")
		}
		return
	}
	r.access(s, conditions, priority, slices.Clone(r.list[before:]))
	served := len(r.list)
	if target := r.passedOn(s); target != nil {
		r.at(target, conditions, priority)
	} else {
		r.branch(branches, conditions, priority)
		r.guarded(s, conditions, priority)
	}
	r.denyNarrower(conditions, start, served)
}

// notFound is the answer of a level where nginx would look for a file.
func (g *group) notFound(s *scope, why string) *lb.Table {
	t := &lb.Table{From: []*lb.Directive{s.node.Directive}}
	t.Set("respond", lb.Inline{{Key: "status", Value: 404}, {Key: "body", Value: "not found\n"}})
	t.Comment("respond", why)
	g.responseHeaders(s, t, 404)
	return t
}

// fallback answers what no location takes.
func (r *rules) fallback(s *scope) {
	if target := r.passedOn(s); target != nil {
		r.at(target, &lb.Table{}, 0)
		return
	}
	r.g.files(s)
	r.add(0, &lb.Table{}, r.g.notFound(s, "no location takes it: nginx would look for a file"))
}
