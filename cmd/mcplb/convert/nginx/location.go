package nginx

import (
	"errors"
	"fmt"
	"regexp"
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
	g       *group
	server  *scope
	list    []rule
	regular int  // locations with regular expressions so far
	any     bool // there is one
	root    bool // a route takes what no other takes
}

func (r *rules) add(priority int, conditions *lb.Table, effects *lb.Table) {
	t := conditions.Clone()
	t.Merge(effects)
	t.From = slices.Concat(conditions.From, effects.From)
	r.list = append(r.list, rule{priority, t})
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

// serverNames accounts for the names of a server.
func (g *group) serverNames(s *scope, isDefault bool) {
	for _, n := range s.own["server_name"] {
		n.Translated()
		for _, name := range n.args {
			lower := strings.ToLower(strings.TrimSuffix(name, "."))
			switch {
			case strings.HasPrefix(lower, ".") || isHost(lower) || lower == "_" || lower == "":
			case isDefault:
				g.frontend.Differ(n.Directive, "", "%s: the default server takes it, as all hosts that no other has", name)
			default:
				n.Impossible("hosts are names and domains (*.example.com), not %s", name)
			}
		}
	}
}

// otherHosts are the hosts of the group's other servers that go before those of s.
func (g *group) otherHosts(s *scope) (hosts []string) {
	own := s.names()
	for _, other := range g.servers {
		if other == s {
			continue
		}
		for _, h := range other.names() {
			if !slices.Contains(own, h) && !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// write writes the routes for hosts; nil = all.
func (r *rules) write(hosts, others []string) {
	for _, rule := range r.list {
		t := &lb.Table{}
		if rule.priority > 0 {
			t.Set("priority", rule.priority)
		}
		if hosts != nil {
			t.Set("host", hosts)
		}
		if own := rule.table.Strings("host"); own != nil && hosts != nil && !covers(hosts, own) {
			continue
		}
		t.Merge(rule.table)
		if rule.priority > 0 && !rule.table.Has("host") {
			if not := excluded(hosts, others); len(not) > 0 {
				t.AddTo("not_host", nil, not...)
			}
		}
		t.From = append(rule.table.From, r.server.node.Directive)
		r.g.frontend.Routes = append(r.g.frontend.Routes, t)
	}
}

// covers reports whether one of the hosts takes each of the others.
func covers(hosts, others []string) bool {
	return !slices.ContainsFunc(others, func(o string) bool {
		return !slices.ContainsFunc(hosts, func(h string) bool { return takes(h, o) })
	})
}

// takes reports whether a host pattern has another one in it.
func takes(pattern, host string) bool {
	domain, wild := strings.CutPrefix(pattern, "*")
	return pattern == host || wild && strings.HasSuffix(host, domain)
}

// excluded are those of other servers' hosts that a pattern of these hosts would take.
func excluded(hosts, others []string) (not []string) {
	for _, o := range others {
		if hosts == nil || slices.ContainsFunc(hosts, func(h string) bool { return takes(h, o) }) {
			not = append(not, o)
		}
	}
	return not
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
	for _, n := range s.node.inner {
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
			case where == "":
				r.add(0, conditions, effects)
				all = true
			default:
				c := conditions.Clone()
				c.Delete("path")
				c.Set("path_exact", where)
				r.add(r.prioritized(priority), c, effects)
			}
		case "if":
			if !all {
				r.ifBlock(n, s, conditions, priority)
			}
		}
	}
	return all
}

// prioritized counts priorities down, as the first of several goes first.
func (r *rules) prioritized(priority int) int {
	if priority == 0 {
		return 0
	}
	return priority - len(r.list)
}

// ifBlock translates an if whose block answers.
func (r *rules) ifBlock(n *node, parent *scope, conditions *lb.Table, priority int) {
	inner := newScope(n, parent)
	alternatives, holds, err := r.g.condition(n)
	if err != nil {
		n.Impossible("%v", err)
		return
	}
	n.Translated()
	if !holds {
		n.Unneeded("its condition never holds here")
		for _, child := range n.inner {
			child.Unneeded("the condition of its if never holds here")
		}
		return
	}
	for _, child := range n.inner {
		switch child.name {
		case "return", "rewrite":
			effects, where, err := r.g.answer(child, inner)
			if err == nil && (effects == nil || where != "") {
				err = errors.New("in an if, mcplb answers, and changes no path")
			}
			if err != nil {
				child.Impossible("%v", err)
				return
			}
			for _, c := range alternatives {
				both := conditions.Clone()
				both.Merge(c)
				r.add(r.prioritized(priority), both, effects)
			}
			return
		}
	}
	for _, child := range n.inner {
		child.Impossible("in an if, mcplb answers (return): other directives hold for a location")
	}
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
	conditions, priority, err := r.place(n)
	if err != nil {
		n.Impossible("%v", err)
		return
	}
	for _, c := range conditions {
		r.at(s, c, priority)
	}
}

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
		err = regular(path, set)
		if err == nil && modifier == "~*" {
			r.g.frontend.Differ(n.Directive, "", "paths are compared with regard to case")
		}
	default:
		err = fmt.Errorf("%q is no path that mcplb has", path)
	}
	return all, priority, err
}

// isPath reports whether mcplb takes a path for that of a route.
func isPath(p string) bool {
	return strings.HasPrefix(p, "/") && !strings.ContainsAny(p, `\*?#%^$`) && !strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// simple are the regular expressions that are paths, or beginnings of paths: with
// alternatives in one place, and an end.
var simple = regexp.MustCompile(`^\^(/[\w./\\-]*)(?:\((?:\?:)?([\w./|\\-]+)\)([\w./\\-]*))?(\$|\(/\|\$\)|\(/\.\*\)\?\$?|/?\.\*\$?|/?\(\.\*\)\$?|/\?\$)?$`)

// regular calls set for each path of a regular expression.
func regular(expression string, set func(key, value string)) error {
	found := simple.FindStringSubmatch(expression)
	if found == nil || !plain(found[1]+found[2]+found[3]) {
		return fmt.Errorf("%s is a regular expression, and mcplb's paths are none", expression)
	}
	key := "path"
	if found[4] == "$" || found[4] == `/?$` {
		key = "path_exact"
	}
	for middle := range strings.SplitSeq(found[2], "|") {
		path := strings.ReplaceAll(found[1]+middle+found[3], `\`, "")
		if !isPath(path) {
			return fmt.Errorf("%s is a regular expression, and mcplb's paths are none", expression)
		}
		if path == "/" && key == "path" {
			return errors.New("a regular expression for every path would go before all locations")
		}
		set(key, path)
	}
	return nil
}

// plain reports whether a part of a regular expression stands for itself alone.
func plain(s string) bool {
	s = strings.NewReplacer(`\.`, "", `\/`, "", `\-`, "").Replace(s)
	return !strings.ContainsAny(s, `.\`)
}

// at writes the routes of a location for one of its paths.
func (r *rules) at(s *scope, conditions *lb.Table, priority int) {
	r.access(s, conditions, priority)
	before := len(r.list)
	answered := r.phase(s, conditions, priority)
	for i := before; i < len(r.list) && priority > 0; i++ {
		r.list[i].priority = max(r.list[i].priority, priority+1)
	}
	if answered {
		r.list[len(r.list)-1].priority = priority
		return
	}
	r.content(s, conditions, priority)
}

// access writes who is denied at a level.
func (r *rules) access(s *scope, conditions *lb.Table, priority int) {
	list := s.accessList()
	var allowed []string
	for _, n := range list {
		who := n.arg(0)
		effects := &lb.Table{From: []*lb.Directive{n.Directive}}
		effects.Set("deny", true, n.Directive)
		deny := conditions.Clone()
		if who != "all" {
			p, err := network(who)
			if err != nil {
				n.Impossible("sources are addresses and networks: %s", who)
				continue
			}
			if n.name == "allow" {
				n.Translated()
				allowed = append(allowed, p)
				continue
			}
			deny.Set("source", []string{p}, n.Directive)
		} else if n.name == "allow" {
			n.Translated()
			return
		}
		if len(allowed) > 0 {
			deny.Set("not_source", allowed)
		}
		r.add(max(priority, 0), deny, effects)
	}
	if n := s.last("satisfy"); n != nil && n.arg(0) == "any" {
		n.Impossible("every condition has to hold")
	}
	for _, n := range s.own["limit_except"] {
		r.limitExcept(n, conditions, priority)
	}
}

// accessList returns allow and deny in their order, of the nearest level that has any.
func (s *scope) accessList() (list []*node) {
	for ; s != nil; s = s.parent {
		if s.node == nil {
			continue
		}
		for _, n := range s.node.inner {
			if n.name == "allow" || n.name == "deny" {
				list = append(list, n)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// limitExcept denies methods that are not listed.
func (r *rules) limitExcept(n *node, conditions *lb.Table, priority int) {
	methods := slices.Clone(n.args)
	if n.has("GET") && !n.has("HEAD") {
		methods = append(methods, "HEAD")
	}
	if len(n.inner) != 1 || n.inner[0].name != "deny" || n.inner[0].arg(0) != "all" || len(methods) == 0 {
		for _, child := range append([]*node{n}, n.inner...) {
			child.Impossible("mcplb denies methods to all clients")
		}
		return
	}
	n.inner[0].Translated()
	deny := conditions.Clone()
	deny.Set("not_methods", methods, n.Directive)
	effects := &lb.Table{From: []*lb.Directive{n.Directive}}
	effects.Set("deny", true, n.Directive)
	r.add(priority, deny, effects)
}

// notFound is the answer where nginx would look for a file.
func notFound(why string) *lb.Table {
	t := &lb.Table{}
	t.Set("respond", lb.Inline{{Key: "status", Value: 404}, {Key: "body", Value: "not found\n"}})
	t.Comment("respond", why)
	return t
}

// fallback answers what no location takes.
func (r *rules) fallback(s *scope) {
	effects := notFound("no location takes it: nginx would look for a file")
	effects.From = append(effects.From, s.node.Directive)
	r.add(0, &lb.Table{}, effects)
}

// finish names the frontend's backend, and lifts denials where a location has its own
// list.
func (g *group) finish() {
	f := g.frontend
	backend := ""
	denies := false
	for _, r := range f.Routes {
		denies = denies || r.Has("deny")
		name, _ := r.Get("backend").(string)
		if root := !r.Has("path") && !r.Has("path_exact") && !r.Has("host"); name != "" && (backend == "" || root) {
			backend = name
		}
	}
	if backend == "" {
		backend = g.c.config.Nowhere("http")
	}
	f.Set("backend", backend)
	for _, r := range f.Routes {
		if r.Get("backend") == backend {
			r.Delete("backend")
		}
		if denies && !r.Has("deny") {
			r.Set("allow", true)
		}
	}
	g.cookies()
}

// cookies takes over the cookie of "sticky cookie".
func (g *group) cookies() {
	for _, u := range g.c.upstreams {
		for _, n := range u.node.inner {
			if n.name != "sticky" || n.arg(0) != "cookie" || n.arg(1) == "" {
				continue
			}
			used := false
			for key, b := range g.c.backends {
				used = used || strings.HasPrefix(key, "http "+u.name+" ") && (g.frontend.Get("backend") == b.Name || slices.ContainsFunc(g.frontend.Routes, func(t *lb.Table) bool { return t.Get("backend") == b.Name }))
			}
			if used {
				g.frontend.Sticky.Set("cookie", n.arg(1), n.Directive)
			}
		}
	}
}
