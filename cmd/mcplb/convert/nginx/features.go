package nginx

import (
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// What mcplb has no keys for yet, in one place: HTTP/2, client certificates, routes by
// SNI, the slash at the end of a path.

// http2Key accounts for HTTP/2 of the listeners.
func (g *group) http2Key() {
	for _, n := range g.from {
		if g.http2 && n.has("http2") {
			g.frontend.Differ(n.Directive, "", "HTTP/1.1 alone")
		}
	}
	if n := g.servers[0].last("http2"); n != nil && n.arg(0) == "on" {
		g.frontend.Differ(n.Directive, "", "HTTP/1.1 alone")
	}
}

// clientCertificates translates what is asked of clients.
func (g *group) clientCertificates(s *scope, _ *lb.Table) {
	for _, name := range []string{"ssl_client_certificate", "ssl_verify_client", "ssl_crl", "ssl_trusted_certificate", "ssl_verify_depth"} {
		if n := s.last(name); n != nil && n.arg(0) != "off" {
			n.Impossible("mcplb asks for no client certificates")
		}
	}
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
	effects.Set("redirect", lb.Inline{{Key: "to", Value: "{scheme}://{host}" + plainText(path)}, {Key: "status", Value: 301}})
	effects.Differ(s.node.Directive, "redirect", "as nginx redirects to %s, but without the query", path)
	r.g.responseHeaders(s, effects, true)
	r.add(priority, c, effects)
}

// plainText quotes braces.
func plainText(s string) string { return strings.ReplaceAll(s, "{", "{{") }

// streamMap translates a proxy_pass by a map of the names in ClientHellos.
func (c *converter) streamMap(g *group, s *scope, pass *node, name string) {
	f := g.frontend
	f.Set("backend", c.config.Nowhere("tcp"))
	m := c.maps[strings.Trim(name, "${}")]
	preread := s.last("ssl_preread")
	if m == nil || m.name != "map" || m.arg(0) != "$ssl_preread_server_name" || preread == nil || preread.arg(0) != "on" || g.tls {
		pass.Impossible("frontends of mode tcp choose the backend by the name in the ClientHello alone: %s is known at run time", name)
		return
	}
	m.Translated()
	preread.Translated()
	pass.Translated()
	for _, line := range m.inner {
		target := line.arg(0)
		switch {
		case line.name == "hostnames" || line.name == "volatile":
		case len(line.args) != 1 || strings.HasPrefix(line.name, "~") || line.name == "include" || strings.Contains(target, "$"):
			m.Impossible("the line %q of the map is no name with a backend", line.name)
		case line.name == "default":
			f.Set("backend", c.streamBackend(s, pass, target), pass.Directive)
		default:
			names := []string{line.name}
			if strings.HasPrefix(line.name, ".") {
				names = []string{line.name[1:], "*" + line.name}
			}
			t := &lb.Table{From: []*lb.Directive{m.Directive}}
			t.Set("sni", names, m.Directive)
			t.Set("backend", c.streamBackend(s, pass, target))
			f.Routes = append(f.Routes, t)
		}
	}
}
