package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// title names the route for messages: by its path or its first name where it has one, or else by its
// place in the file, which is i.
func (r *Route) title(i int) string {
	if path := cmp.Or(r.Path, r.PathExact); path != "" {
		return fmt.Sprintf("%q", path)
	}
	if len(r.SNI) > 0 {
		return fmt.Sprintf("%q", r.SNI[0])
	}
	return fmt.Sprintf("[%d]", i)
}

// routeCheck looks for contradictions between the keys of a route.
type routeCheck struct {
	*Route
	path string // of the route, see Errors
	d    *decoder
}

// validateRoutes reports contradictions between the keys of a route, and routes
// that match the same requests.
func validateRoutes(c *Config, f *Frontend, path string, d *decoder) {
	first := map[string]string{}
	for i := range f.Routes {
		r := routeCheck{&f.Routes[i], element(path+".route", i), d}
		if d.given(join(r.path, "sni")) {
			d.report(join(r.path, "sni"), "is only for mode \"tcp\": write host, which is what requests name")
		}
		if r.Backend != "" {
			validateReference(c, d, r.path+".backend", r.Backend)
		}
		r.outcome()
		r.prefix()
		r.headers()
		r.limits()
		if !r.paths() || !d.sound(r.conditionKeys()...) {
			continue
		}
		same := r.signature()
		if before, taken := first[same]; taken {
			d.fail(r.at("path", "path_exact"), "%s has a route already (%s): leave one out", r.title(i), d.where(before))
			continue
		}
		first[same] = r.at("path", "path_exact")
	}
}

// at is the path of the first of the keys that the file has, or that of the route.
func (r routeCheck) at(keys ...string) string {
	for _, k := range keys {
		if r.d.given(join(r.path, k)) {
			return join(r.path, k)
		}
	}
	return r.path
}

// given returns those of the keys that the file has and that do something.
func (r routeCheck) given(keys ...string) (found []string) {
	for _, k := range keys {
		off := k == "backend" && r.Backend == "" || k == "deny" && !r.Deny || k == "allow" && !r.Allow
		if r.d.given(join(r.path, k)) && !off {
			found = append(found, k)
		}
	}
	return found
}

// paths reports a route without any condition that does nothing but what the
// frontend's keys do, and one with two kinds of path.
func (r routeCheck) paths() bool {
	path := join(r.path, "path")
	if r.Path != "" && r.PathExact != "" && r.d.sound(path, path+"_exact") {
		r.d.fail(path+"_exact", "and path (%q) are both given, and path_exact says it all: leave path out", r.Path)
		return false
	}
	effects := slices.DeleteFunc(routeSection.keys(), func(k string) bool { return k == "backend" || k == "endpoint" || k == "priority" })
	if !r.conditional() && len(r.given(effects...)) == 0 {
		if r.d.sound(path) {
			r.d.fail(path, "is missing: add it, such as path = \"/mcp\"")
		}
		return false
	}
	return r.d.sound(path, path+"_exact")
}

// outcome reports two keys that each say what happens to the same requests.
func (r routeCheck) outcome() {
	const ways = "a route denies, responds, redirects or forwards"
	outcomes := r.given("deny", "respond", "redirect", "backend")
	if len(outcomes) == 0 || outcomes[0] != "backend" {
		outcomes = append(slices.DeleteFunc(outcomes, func(k string) bool { return k == "backend" }), r.given("backend", "endpoint")...)
	}
	for _, other := range outcomes[min(1, len(outcomes)):] {
		r.d.report(join(r.path, other), "and %s are both given, and %s: leave one out", outcomes[0], ways)
	}
	if r.Deny && r.Allow {
		r.d.report(join(r.path, "allow"), "and deny are both true: leave one out")
	}
	if r.Respond != nil && r.Respond.Body != "" && slices.Contains([]int{204, 205, 304}, r.Respond.Status) {
		r.d.report(join(r.path, "respond")+".body", "is given, and a response with status %d has none: leave it out, or write another status", r.Respond.Status)
	}
}

// prefix reports a prefix that is none.
func (r routeCheck) prefix() {
	if r.StripPrefix != "" && strings.Trim(r.StripPrefix, "/") == "" {
		r.d.report(join(r.path, "strip_prefix"), "is %q, which takes nothing off: leave it out", r.StripPrefix)
	}
}

// headers reports headers that are changed in two ways.
func (r routeCheck) headers() {
	r.direction("request", r.SetRequestHeaders, r.AddRequestHeaders, r.RemoveRequestHeaders)
	r.direction("response", r.SetResponseHeaders, r.AddResponseHeaders, r.RemoveResponseHeaders)
	r.host("add_request_headers", slices.ContainsFunc(r.AddRequestHeaders, func(h HeaderValue) bool { return strings.EqualFold(h.Name, "Host") }))
	r.host("remove_request_headers", slices.ContainsFunc(r.RemoveRequestHeaders, func(name string) bool { return strings.EqualFold(name, "Host") }))
}

func (r routeCheck) host(key string, changed bool) {
	if changed {
		r.d.report(join(r.path, key), "has Host, and a request has exactly one: write set_request_headers = { Host = ... } to change it")
	}
}

func (r routeCheck) direction(of string, set, add []HeaderValue, remove []string) {
	names := map[string]bool{}
	for i, name := range remove {
		lower := strings.ToLower(name)
		if names[lower] {
			r.d.report(element(join(r.path, "remove_"+of+"_headers"), i), "%s is already in the list: names are compared without regard to case", name)
		}
		names[lower] = true
	}
	for _, h := range set {
		if names[strings.ToLower(h.Name)] {
			r.d.report(join(join(r.path, "set_"+of+"_headers"), h.Name), "is removed as well: set it, which replaces what is there, or remove it")
		}
		names[strings.ToLower(h.Name)] = true
	}
	for _, h := range add {
		if names[strings.ToLower(h.Name)] {
			r.d.report(join(join(r.path, "add_"+of+"_headers"), h.Name), "is set or removed as well: set it alone, which replaces what is there")
		}
	}
}

// limits reports limits that limit nothing.
func (r routeCheck) limits() {
	for i, l := range r.Limits {
		at := element(join(r.path, "limit"), i)
		if !r.d.sound(at+".rate", at+".concurrency", at+".key") {
			continue
		}
		switch {
		case l.Rate == 0 && l.Concurrency == 0:
			r.d.report(at, "limits nothing: write rate (requests per second), concurrency (requests at a time), or both")
		case l.Rate == 0 && l.Burst > 0:
			r.d.report(at+".burst", "does nothing without rate: write that, or leave this out")
		}
	}
}

// conditionKeys are the paths of the route's conditions.
func (r routeCheck) conditionKeys() (paths []string) {
	for _, k := range []string{"priority", "host", "methods", "headers", "source", "mcp_method", "mcp_name", "deny", "allow"} {
		paths = append(paths, join(r.path, k), join(r.path, "not_"+k))
	}
	return append(paths, join(r.path, "not_path"), join(r.path, "not_path_exact"))
}

// signature is the same for routes that match the same requests, and would go
// before one another nowhere. Routes that deny are apart, since they are asked first.
func (r *Route) signature() string {
	set := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	headers := func(matches []HeaderMatch) string {
		matches = slices.Clone(matches)
		for i, m := range matches {
			matches[i] = HeaderMatch{strings.ToLower(m.Name), set(m.Values)}
		}
		return headerMatches.show(matches)
	}
	paths := func(list []string) []string {
		list = slices.Clone(list)
		for i, path := range list {
			list[i] = canonicalPath(path)
		}
		return set(list)
	}
	path := r.Path
	if path != "" {
		path = canonicalPath(path)
	}
	exact := r.PathExact
	if exact != "" {
		exact = canonicalPath(exact)
	}
	n := &r.Not
	return fmt.Sprintf("%d %t %q %q %q %q %s %s %q %q not %q %q %q %q %s %s %q %q", r.Priority, r.Deny,
		set(r.Host), path, exact, set(r.Methods), headers(r.Headers), r.Source, set(r.MCPMethod), set(r.MCPName),
		set(n.Host), paths(n.Path), paths(n.PathExact), set(n.Methods), headers(n.Headers), n.Source, set(n.MCPMethod), set(n.MCPName))
}
