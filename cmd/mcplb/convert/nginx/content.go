package nginx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// content writes what a location serves.
func (r *rules) content(s *scope, conditions *lb.Table, priority int) {
	g := r.g
	for _, n := range s.own["error_page"] {
		n.Impossible("error_pages are of an address, not of a location")
	}
	pass := s.own["proxy_pass"]
	if len(pass) == 0 && s.node.name == "if" {
		pass = s.parent.own["proxy_pass"]
	}
	switch {
	case len(pass) > 0 && len(s.own["internal"]) == 0:
		variants, err := g.proxied(s, pass[0], conditions)
		if err != nil {
			pass[0].Impossible("%v", err)
			r.add(priority, conditions, g.notFound(s, "its proxy_pass is not possible"))
			return
		}
		for _, v := range variants {
			both := conditions.Clone()
			if !both.Narrow(v.conditions) {
				continue
			}
			r.add(priority, both, v.effects)
		}
		if s.node.name == "location" {
			r.slash(s, conditions, priority)
		}
	case len(s.own["stub_status"]) > 0:
		a := &g.c.config.Admin
		a.Default("health_listen", "127.0.0.1:8888")
		a.Differ(s.own["stub_status"][0].Directive, "health_listen", "at /nginx_status of this address, not at a path of a server")
		r.add(priority, conditions, g.notFound(s, "/nginx_status is at admin.health_listen"))
	case slices.Contains(g.pages, s):
		r.add(priority, conditions, g.notFound(s, "a page of error_pages, which mcplb does not serve"))
		g.frontend.Differ(s.node.Directive, "", "%s: 404 for who asks for the page itself", s.node.Text)
	case len(s.own["internal"]) > 0:
		for _, n := range s.node.inner {
			n.Unneeded("internal: not for clients")
		}
		s.own["internal"][0].Translated()
		r.add(priority, conditions, g.notFound(s, "internal: not for clients"))
	default:
		r.add(priority, conditions, g.notFound(s, g.unserved(s)))
	}
}

// guards are the directives that ask clients for more than mcplb can: what they guard
// is refused, since it would be open otherwise.
var guards = []string{"auth_basic", "auth_request", "auth_jwt", "auth_oidc"}

// guard returns the directive that guards a location, or nil.
func (s *scope) guard() *node {
	for _, name := range guards {
		switch n := s.last(name); {
		case n == nil:
		case n.arg(0) == "off":
			n.Unneeded("there is none")
		default:
			n.Impossible("mcplb asks for no passwords or tokens: what it guards is refused with 403, not open")
			return n
		}
	}
	return nil
}

// guarded writes what a location serves, or refuses it if it has a guard.
func (r *rules) guarded(s *scope, conditions *lb.Table, priority int) {
	before := len(r.list)
	r.content(s, conditions, priority)
	n := s.guard()
	if n == nil {
		return
	}
	r.list = r.list[:before]
	t := &lb.Table{}
	t.Set("respond", lb.Inline{{Key: "status", Value: 403}})
	t.Comment("respond", n.Place.String()+": "+n.Text+" is not possible")
	t.From = append(t.From, s.node.Directive)
	r.add(priority, conditions, t)
}

// passedOn returns the named location to which a try_files leads that finds no file, or nil.
// What guards the level guards that location, too.
func (r *rules) passedOn(s *scope) *scope {
	n := named(s)
	if n == nil || len(s.own["proxy_pass"]) > 0 || s.guard() != nil {
		return nil
	}
	target := r.named(n.arg(len(n.args) - 1))
	if target == nil || target == s {
		return nil
	}
	target.node.Translated()
	r.g.frontend.Differ(n.Directive, "", "mcplb serves no files: requests go to %s at once", n.arg(len(n.args)-1))
	return target
}

// named returns a try_files that ends at a named location, or nil.
func named(s *scope) *node {
	for _, n := range s.own["try_files"] {
		if strings.HasPrefix(n.arg(len(n.args)-1), "@") {
			return n
		}
	}
	return nil
}

// named returns a location by its name.
func (r *rules) named(name string) *scope {
	for _, kid := range r.server.kids {
		if kid.node.arg(0) == name {
			return kid
		}
	}
	return nil
}

// unserved says why a location serves nothing, and accounts for what says so.
func (g *group) unserved(s *scope) string {
	for _, name := range []string{"fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass", "content_by_lua_block", "content_by_lua_file", "js_content"} {
		if found := s.own[name]; len(found) > 0 {
			found[0].Impossible("mcplb speaks HTTP to servers")
			return name + " is not possible"
		}
	}
	if len(s.own["return"])+len(s.own["rewrite"]) > 0 {
		return "its answer is not possible"
	}
	static := false
	for _, name := range []string{"root", "alias", "try_files", "index", "autoindex"} {
		for _, n := range s.own[name] {
			n.Impossible("mcplb serves no files: send these requests to a server that does")
			static = true
		}
	}
	static = g.files(s) || static
	if !static {
		g.frontend.Differ(s.node.Directive, "", "%s: mcplb serves no files: 404", s.node.Text)
	}
	return "mcplb serves no files"
}

// files says of a root that holds here that its files are not served, and reports whether there is
// one.
func (g *group) files(s *scope) bool {
	n := s.last("root")
	if n != nil && n.Outcome() != lb.Translated {
		n.Impossible("mcplb serves no files: send these requests to a server that does")
	}
	return n != nil
}

// variant is a way of a location: where a map decides, there are several.
type variant struct{ conditions, effects *lb.Table }

// proxied translates a proxy_pass with what belongs to it.
func (g *group) proxied(s *scope, n *node, conditions *lb.Table) (all []variant, err error) {
	targets, err := g.targets(s, n)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		b, err := g.c.backend(t.to.up, "http", t.to.port, t.to.tls, s, n)
		if err != nil {
			return nil, err
		}
		effects := &lb.Table{From: []*lb.Directive{n.Directive, s.node.Directive}}
		effects.Set("backend", b.Name, n.Directive)
		if t.to.note != "" {
			effects.Differ(n.Directive, "", "%s", t.to.note)
		}
		if err := g.rewritten(s, n, effects, conditions, t.to.path); err != nil {
			return nil, err
		}
		if s.on("proxy_intercept_errors") && len(s.all("error_page")) > 0 {
			effects.Differ(s.last("proxy_intercept_errors").Directive, "", "responses of servers pass as they are, without a page")
		}
		g.requestHeaders(s, n, effects, t.to.host)
		g.responseHeaders(s, effects, 0)
		free := g.routeLimits(s, effects)
		g.routeTimes(s, effects)
		all = append(all, uncounted(variant{t.conditions, effects}, free)...)
	}
	return all, nil
}

// rewritten translates the change of the path: by the URL of the proxy_pass, or by a
// rewrite before it.
func (g *group) rewritten(s *scope, n *node, t *lb.Table, conditions *lb.Table, path string) error {
	prefix, before := "", path
	location, _ := conditions.Get("path").(string)
	exact, _ := conditions.Get("path_exact").(string)
	switch {
	case path != "" && exact != "":
		prefix = exact
	case path != "":
		prefix = location
		if strings.HasSuffix(location, "/") != strings.HasSuffix(path, "/") && location != "" {
			t.Differ(n.Directive, "", "whole segments of the path are replaced: %s by %s", location, path)
		}
	}
	for _, rw := range s.own["rewrite"] {
		if rw.arg(2) != "break" && rw.arg(2) != "last" && rw.arg(2) != "" {
			continue
		}
		from, to, ok := lb.ChangedPrefix(rw.arg(0), rw.arg(1))
		if rw.arg(2) != "break" {
			rw.Impossible("nginx looks for the location of the new path: write break if it is this one, or where it leads")
			if ok && under(location+exact, from) {
				return errors.New("its rewrite leads to another location")
			}
			continue
		}
		if !ok || path != "" {
			rw.Impossible("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix); this is another change")
			continue
		}
		if prefix+before != "" || to != "" && !under(location+exact, from) {
			rw.Impossible("a route changes the path of all its requests, once: write a location %s", from)
			continue
		}
		prefix, before = from, to
		t.Differ(rw.Directive, "", "by whole segments of the canonical path")
	}
	prefix, before = strings.TrimRight(prefix, "/"), strings.TrimRight(before, "/")
	if prefix == before {
		return nil
	}
	if !isPath("/"+prefix) || !isPath("/"+before) {
		return fmt.Errorf("mcplb cannot put %q into a path", before)
	}
	if prefix != "" {
		t.Set("strip_prefix", prefix)
		t.AddTo("remove_request_headers", nil, "X-Forwarded-Prefix")
	}
	if before != "" {
		t.Set("add_prefix", before)
	}
	return nil
}

// under reports whether all paths of a location are below a prefix.
func under(location, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	return prefix == "" || location == prefix || strings.HasPrefix(location, prefix+"/")
}

// routeTimes writes the times, sizes and compression of a location.
func (g *group) routeTimes(s *scope, t *lb.Table) {
	read, n := s.timeOf("proxy_read_timeout", time.Minute)
	send, m := s.timeOf("proxy_send_timeout", time.Minute)
	t.Set("timeout_server", read, from(n))
	t.Set("timeout_stream", max(read, send), from(n), from(m))
	if limit, n := bodyLimit(s); limit != g.frontend.Get("max_body") {
		t.Set("max_body", limit, from(n))
	} else if n != nil {
		n.Translated()
	}
	if s.own["gzip"] != nil || s.own["gzip_types"] != nil || s.parent.own["gzip"] != nil || s.parent.own["gzip_types"] != nil {
		one := &lb.Table{}
		compressAt(s, one, true)
		if fmt.Sprint(one.Get("compress")) != fmt.Sprint(g.frontend.Get("compress")) {
			t.Merge(one)
		}
	}
}
