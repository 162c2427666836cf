package nginx

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// content writes what a location serves.
func (r *rules) content(s *scope, conditions *lb.Table, priority int) {
	g := r.g
	if n := named(s); n != nil {
		if target := r.named(n.arg(len(n.args) - 1)); target != nil {
			target.node.Translated()
			g.frontend.Differ(n.Directive, "", "mcplb serves no files: requests go to %s at once", n.arg(len(n.args)-1))
			s = target
		}
	}
	pass := s.own["proxy_pass"]
	if len(pass) == 0 && s.node.name == "if" {
		pass = s.parent.own["proxy_pass"]
	}
	switch {
	case len(pass) > 0:
		variants, err := g.proxied(s, pass[0], conditions)
		if err != nil {
			pass[0].Impossible("%v", err)
			r.add(priority, conditions, sourced(notFound("its proxy_pass is not possible"), s))
			return
		}
		for _, v := range variants {
			both := conditions.Clone()
			both.Merge(v.conditions)
			r.add(priority, both, v.effects)
		}
		r.slash(s, conditions, priority)
	case len(s.own["stub_status"]) > 0:
		a := &g.c.config.Admin
		a.Default("health_listen", "127.0.0.1:8888")
		a.Differ(s.own["stub_status"][0].Directive, "health_listen", "at /nginx_status of this address, not at a path of a server")
		r.add(priority, conditions, sourced(notFound("/nginx_status is at admin.health_listen"), s))
	default:
		r.add(priority, conditions, sourced(notFound(g.unserved(s)), s))
	}
}

func sourced(t *lb.Table, s *scope) *lb.Table {
	t.From = append(t.From, s.node.Directive)
	return t
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
	static := false
	for _, name := range []string{"root", "alias", "try_files", "index", "autoindex"} {
		for _, n := range s.own[name] {
			n.Impossible("mcplb serves no files: send these requests to a server that does")
			static = true
		}
	}
	if !static {
		g.frontend.Differ(s.node.Directive, "", "%s: mcplb serves no files: 404", s.node.Text)
	}
	return "mcplb serves no files"
}

// variant is a way of a location: where a map decides, there are several.
type variant struct{ conditions, effects *lb.Table }

// target is where a proxy_pass leads.
type target struct {
	up   *upstream
	port string
	tls  bool
	path string // "" = the request's
	host string // $proxy_host
}

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
		if err := g.rewritten(s, n, effects, conditions, t.to.path); err != nil {
			return nil, err
		}
		g.requestHeaders(s, n, effects, t.to.host)
		g.responseHeaders(s, effects, false)
		g.routeLimits(s, effects)
		g.routeTimes(s, effects)
		all = append(all, variant{t.conditions, effects})
	}
	return all, nil
}

// choice is a target and for which requests it is.
type choice struct {
	conditions *lb.Table
	to         target
}

// targets reads the URL of a proxy_pass, which may have a variable from a map.
func (g *group) targets(s *scope, n *node) (all []choice, err error) {
	url := s.substitute(n.arg(0))
	variable := regexp.MustCompile(`^(?:(https?)://)?\$\{?(\w+)\}?(/.*|\$request_uri)?$`).FindStringSubmatch(url)
	if variable == nil {
		t, err := g.target(s, url)
		return []choice{{&lb.Table{}, t}}, err
	}
	scheme, rest := variable[1], variable[3]
	join := func(value string) string {
		if scheme != "" {
			value = scheme + "://" + value
		}
		return value + rest
	}
	m := g.c.maps[variable[2]]
	if m == nil || m.name != "map" {
		return nil, fmt.Errorf("mcplb's routes name their backend, and $%s is known at run time alone", variable[2])
	}
	return g.mapped(s, m, join)
}

// substitute puts in the values of variables that are set to a text.
func (s *scope) substitute(text string) string {
	return regexp.MustCompile(`\$(\w+|\{\w+\})`).ReplaceAllStringFunc(text, func(v string) string {
		set := s.set(strings.Trim(v, "${}"))
		if set == nil || strings.Contains(set.arg(1), "$") {
			return v
		}
		set.Translated()
		return set.arg(1)
	})
}

// mapped reads the lines of a map as routes.
func (g *group) mapped(s *scope, m *node, join func(string) string) (all []choice, err error) {
	key, _, err := conditionKey(m.arg(0))
	if err != nil || key == "path_exact" || key == "source" {
		return nil, fmt.Errorf("mcplb's routes have no condition on %s", m.arg(0))
	}
	m.Translated()
	var others *choice
	for _, line := range m.inner {
		if line.name == "hostnames" || line.name == "volatile" {
			continue
		}
		if strings.HasPrefix(line.name, "~") || line.name == "include" || len(line.args) != 1 || line.arg(0) == "" {
			return nil, fmt.Errorf("the line %q of the map is no value", line.name)
		}
		t, err := g.target(s, join(line.arg(0)))
		if err != nil {
			return nil, err
		}
		c := choice{&lb.Table{From: []*lb.Directive{m.Directive}}, t}
		switch {
		case line.name == "default":
			others = &c
			continue
		case key == "headers":
			c.conditions.Set(key, lb.Inline{{Key: headerName(m.arg(0)), Value: []string{line.name}}}, m.Directive)
		default:
			name := line.name
			if strings.HasPrefix(name, ".") {
				name = "*" + name
			}
			c.conditions.Set(key, []string{name}, m.Directive)
		}
		all = append(all, c)
	}
	if others != nil {
		all = append(all, *others)
	}
	if len(all) == 0 {
		err = errors.New("the map has no values")
	}
	return all, err
}

// target reads a URL.
func (g *group) target(s *scope, url string) (t target, err error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "http" && scheme != "https" || strings.HasPrefix(rest, "unix:") {
		return t, fmt.Errorf("servers are spoken to by http:// or https://, not by %q", url)
	}
	rest = strings.TrimSuffix(rest, "$request_uri")
	name, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		name, path = rest[:i], rest[i:]
	}
	if strings.Contains(name, "$") || name == "" {
		return t, fmt.Errorf("mcplb's routes name their backend: %q", url)
	}
	t.tls, t.path, t.port, t.host = scheme == "https", path, "80", name
	if t.tls {
		t.port = "443"
	}
	if strings.Contains(path, "$") {
		switch path {
		case "/$request_uri", "/$1", "$uri", "/$uri":
			return t, fmt.Errorf("mcplb changes paths by prefixes: %q", url)
		}
		return t, fmt.Errorf("mcplb changes paths by prefixes, not by variables: %q", url)
	}
	if t.up = g.c.upstreams[name]; t.up == nil {
		t.up = &upstream{name: name}
	}
	return t, nil
}

// stripping is a rewrite that takes a prefix off.
var stripping = regexp.MustCompile(`^\^?(/[\w./-]*?)/?(?:\(/\|\$\)|/\?)?\(\.\*\)\$?$`)

// rewritten translates the change of the path: by the URL of the proxy_pass, or by a
// rewrite before it.
func (g *group) rewritten(s *scope, n *node, t *lb.Table, conditions *lb.Table, path string) error {
	prefix, before := "", path
	location, _ := conditions.Get("path").(string)
	exact, _ := conditions.Get("path_exact").(string)
	switch {
	case path != "" && exact != "":
		prefix = exact
		t.Differ(n.Directive, "", "%s: what is behind it in the path is kept", exact)
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
		found := stripping.FindStringSubmatch(rw.arg(0))
		to := regexp.MustCompile(`^(/[\w./-]*?)/?\$[12]$`).FindStringSubmatch(rw.arg(1))
		if found == nil || to == nil || path != "" {
			rw.Impossible("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix); this is another change")
			continue
		}
		prefix, before = found[1], to[1]
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

// noted are the headers that mcplb writes by itself, so that nothing has to be said.
var noted = []string{"upgrade", "connection", "content-length", "transfer-encoding", "te", "keep-alive", "proxy-connection", "expect"}

// requestHeaders writes what servers get: proxy_set_header of the nearest level, and
// nginx's Host where that has none.
func (g *group) requestHeaders(s *scope, pass *node, t *lb.Table, proxyHost string) {
	t.AddTo("remove_request_headers", nil, "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
	var set lb.Inline
	host := false
	for _, n := range s.all("proxy_set_header") {
		name, value := n.arg(0), n.arg(1)
		lower := strings.ToLower(name)
		if lower == "host" {
			host = true
			value, ok := g.hostHeader(n, s, t, proxyHost)
			if ok && value != "" {
				set = append(set, lb.Pair{Key: "Host", Value: value})
			}
			continue
		}
		if slices.Contains(noted, lower) {
			n.Unneeded("mcplb writes it itself")
			continue
		}
		if value == "" {
			t.AddTo("remove_request_headers", n.Directive, name)
			continue
		}
		text, notes, err := g.text(value, s)
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		n.Translated()
		dropName(t, name)
		own := map[string]string{"x-forwarded-for": "{client_ip}", "x-forwarded-proto": map[bool]string{true: "https", false: "http"}[g.tls], "x-forwarded-host": "{host}"}[lower]
		if lower == "x-forwarded-proto" && text == "{scheme}" || own != "" && own == text {
			if lower == "x-forwarded-host" {
				g.notes(t, n, "", notes)
			}
			continue
		}
		set = slices.DeleteFunc(set, func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
		set = append(set, lb.Pair{Key: name, Value: text})
		g.notes(t, n, "", notes)
	}
	if !host {
		set = append(set, lb.Pair{Key: "Host", Value: strings.ReplaceAll(proxyHost, "{", "{{")})
		t.Comment("", "nginx's own Host, $proxy_host, as no proxy_set_header Host holds")
	}
	if len(set) > 0 {
		t.Set("set_request_headers", set)
	}
}

// dropName takes a header off the list of those that are removed.
func dropName(t *lb.Table, name string) {
	list := slices.DeleteFunc(slices.Clone(t.Strings("remove_request_headers")), func(n string) bool { return strings.EqualFold(n, name) })
	if len(list) == 0 {
		t.Delete("remove_request_headers")
		return
	}
	t.Set("remove_request_headers", list)
}

// hostHeader returns the Host that servers get; "" is the client's.
func (g *group) hostHeader(n *node, s *scope, t *lb.Table, proxyHost string) (value string, ok bool) {
	switch n.arg(1) {
	case "$host", "$http_host", "$host:$server_port", "${host}", "$http_host:$server_port":
		n.Translated()
		if n.arg(1) != "$http_host" {
			t.Differ(n.Directive, "", "Host is sent on as it came, with its port where it has one")
		}
		return "", true
	case "$proxy_host":
		n.Translated()
		return strings.ReplaceAll(proxyHost, "{", "{{"), true
	}
	text, notes, err := g.text(n.arg(1), s)
	if err != nil {
		n.Impossible("%v", err)
		return "", false
	}
	n.Translated()
	g.notes(t, n, "", notes)
	return text, true
}

// responseHeaders writes what clients get: add_header of the nearest level, and what
// is hidden.
func (g *group) responseHeaders(s *scope, t *lb.Table, generated bool) {
	for _, n := range s.all("add_header") {
		name, value := n.arg(0), n.arg(1)
		if value == "" {
			n.Unneeded("a header without a value is not sent")
			continue
		}
		text, notes, err := g.text(value, s)
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		old, _ := t.Get("add_response_headers").(lb.Inline)
		rest := slices.DeleteFunc(slices.Clone(old), func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
		t.Set("add_response_headers", append(rest, lb.Pair{Key: name, Value: text}), n.Directive)
		if len(rest) < len(old) {
			t.Differ(n.Directive, "add_response_headers", "%s is added once, with the last value", name)
		}
		if !n.has("always") {
			t.Differ(n.Directive, "add_response_headers", "%s: on responses of every status", name)
		}
		g.notes(t, n, "add_response_headers", notes)
	}
	if generated {
		return
	}
	for _, n := range s.all("proxy_hide_header") {
		added, _ := t.Get("add_response_headers").(lb.Inline)
		if slices.ContainsFunc(added, func(p lb.Pair) bool { return strings.EqualFold(p.Key, n.arg(0)) }) {
			moveToSet(t, added, n.arg(0))
			n.Translated()
			continue
		}
		t.AddTo("remove_response_headers", n.Directive, n.arg(0))
	}
}

// moveToSet replaces a header that is hidden and added: it is set.
func moveToSet(t *lb.Table, added lb.Inline, name string) {
	set, _ := t.Get("set_response_headers").(lb.Inline)
	var rest lb.Inline
	for _, p := range added {
		if strings.EqualFold(p.Key, name) {
			set = append(slices.Clone(set), p)
		} else {
			rest = append(rest, p)
		}
	}
	t.Set("set_response_headers", set)
	if t.Set("add_response_headers", rest); len(rest) == 0 {
		t.Delete("add_response_headers")
	}
}
