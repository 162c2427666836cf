package nginx

import (
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

// slash redirects /x to /x/, as nginx does for a location /x/ that is passed on.
func (r *rules) slash(*scope, *lb.Table, int) {}

// streamMap translates a proxy_pass by a map of the names in ClientHellos.
func (c *converter) streamMap(g *group, _ *scope, pass *node, name string) {
	g.frontend.Set("backend", c.config.Nowhere("tcp"))
	pass.Impossible("frontends of mode tcp have one backend, and %s is known at run time alone", name)
}
