package rules

import (
	"fmt"
	"slices"
	"strings"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// Near is a route that a request did not take.
type Near struct {
	Route int
	Why   string // in words
}

// mostNear is how many routes Explain names that a request did not take.
const mostNear = 5

// Why says in words why the request took its route; d is what Match has decided.
func Why(f *conf.Frontend, r *Request, d Decision) string {
	switch {
	case d.Refused != Readable:
		return d.Refused.Text()
	case d.Route == NoRoute:
		return "no route matches"
	}
	route := &f.Routes[d.Route]
	var holds []string
	for _, c := range checks(route, view(r)) {
		if c.given && c.holds {
			holds = append(holds, c.name)
		}
	}
	why := "it has no conditions"
	if len(holds) > 0 {
		why = "its conditions hold: " + strings.Join(holds, ", ")
	}
	if d.Denied && slices.ContainsFunc(checks(route, view(r)), func(c check) bool { return !c.holds }) {
		why = "a server may read the request so that its conditions hold (escapes, slashes, parameters, case)"
	}
	return why
}

// Nearly names routes that the request matches as well, but that go after the one
// that it took, and those of which a single condition does not hold while others do.
func Nearly(f *conf.Frontend, r *Request, d Decision) (near []Near) {
	var single []Near
	q := view(r)
	for i := range f.Routes {
		route := &f.Routes[i]
		if i == d.Route {
			continue
		}
		var failed []string
		holding := 0
		for _, c := range checks(route, q) {
			switch {
			case !c.holds:
				failed = append(failed, c.name)
			case c.given:
				holding++
			}
		}
		switch {
		case len(failed) == 0:
			near = append(near, Near{i, "matches, too, " + behind(f, d, i, q.host)})
		case len(failed) == 1 && holding > 0:
			single = append(single, Near{i, failed[0] + " does not hold"})
		}
	}
	near = append(near, single...)
	return near[:min(len(near), mostNear)]
}

// behind says why route i, which matches, was not taken.
func behind(f *conf.Frontend, d Decision, i int, host []byte) string {
	if d.Route == NoRoute || f.Routes[i].Deny != f.Routes[d.Route].Deny {
		if f.Routes[i].Deny {
			return "and is lifted by a more specific route with allow"
		}
		return "and denials go first"
	}
	taken, other := bestSpecificity(&f.Routes[d.Route], host), bestSpecificity(&f.Routes[i], host)
	return "and goes after it: " + taken.over(other)
}

// bestSpecificity is that of the route with the host that a request matched.
func bestSpecificity(r *conf.Route, host []byte) specificity {
	best := specificityOf(r, "")
	for _, one := range r.Host {
		if s := specificityOf(r, one); matchesHost([]string{one}, host) && s.compare(best) < 0 {
			best = s
		}
	}
	return best
}

// over says by what s is more specific than other.
func (s specificity) over(other specificity) string {
	switch {
	case s.priority != other.priority:
		return "lower priority"
	case s.host != other.host:
		return "less specific host"
	case s.path != other.path:
		return "shorter path"
	case s.prefix != other.prefix:
		return "a prefix, not path_exact"
	case s.conditions != other.conditions:
		return "fewer conditions"
	case s.domain != other.domain:
		return "shorter wildcard"
	}
	return "later in the file"
}

// view is a request as the canonical reading has it.
func view(r *Request) *query {
	path := http1.AppendCanonicalPath(nil, r.Path)
	return &query{Request: r, host: appendHost(nil, r.Host), path: path, plain: path}
}

// check is whether a condition of a route holds.
type check struct {
	name         string
	given, holds bool
}

// checks are the conditions of a route as keys, each looked at by itself.
func checks(r *conf.Route, q *query) []check {
	n, m := &r.Not, &q.Message
	compiled := newRule(0, r)
	under := func(paths ...string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return http1.HasPathPrefix(q.path, []byte(canonical(p))) })
	}
	is := func(paths ...string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return string(q.path) == canonical(p) })
	}
	one := func(name string, given, holds bool) check { return check{name, given, !given || holds} }
	not := func(name string, given, holds bool) check { return check{name, given, !given || !holds} }
	all := []check{
		one("host", len(r.Host) > 0, matchesHost(r.Host, q.host)),
		one("path", r.Path != "", under(r.Path)),
		one("path_exact", r.PathExact != "", is(r.PathExact)),
		one("trailing_slash", r.Slash != "" && !r.Deny, slashHolds(r.Slash, q.Path)),
		one("methods", len(r.Methods) > 0, hasMethod(r.Methods, q.Method, r.Deny)),
		one("source", len(r.Source) > 0, hasAddress(r.Source, q.Source)),
		one("mcp_method", len(r.MCPMethod) > 0, matchesAny(compiled.method, m.Method)),
		one("mcp_name", len(r.MCPName) > 0, matchesAny(compiled.name, m.Name)),
		not("not_host", len(n.Host) > 0, matchesHost(n.Host, q.host)),
		not("not_path", len(n.Path) > 0, under(n.Path...)),
		not("not_path_exact", len(n.PathExact) > 0, is(n.PathExact...)),
		not("not_methods", len(n.Methods) > 0, hasMethod(n.Methods, q.Method, !r.Deny)),
		not("not_source", len(n.Source) > 0, hasAddress(n.Source, q.Source)),
		not("not_mcp_method", len(n.MCPMethod) > 0, matchesAny(compiled.not.method, m.Method)),
		not("not_mcp_name", len(n.MCPName) > 0, matchesAny(compiled.not.name, m.Name)),
	}
	for i := range compiled.headers {
		h := &compiled.headers[i]
		all = append(all, one("headers."+h.name, true, h.holds(q.Request, r.Deny)))
	}
	for i := range compiled.not.headers {
		h := &compiled.not.headers[i]
		all = append(all, not("not_headers."+h.name, true, h.holds(q.Request, !r.Deny)))
	}
	return all
}

// Title names a route of a frontend for people: its place, and its path or host.
func Title(f *conf.Frontend, route int) string {
	if route == NoRoute {
		return "none"
	}
	r := &f.Routes[route]
	title := fmt.Sprintf("route[%d]", route)
	for _, c := range []struct{ key, value string }{{"host", strings.Join(r.Host, ", ")}, {"path", r.Path}, {"path_exact", r.PathExact}} {
		if c.value != "" {
			title += fmt.Sprintf(" %s %s", c.key, c.value)
		}
	}
	return title
}
