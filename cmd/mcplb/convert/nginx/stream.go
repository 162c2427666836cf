package nginx

import (
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// addStreams writes the frontends of stream.
func (c *converter) addStreams() {
	for _, s := range c.streams {
		c.levels(s)
		for _, server := range s.kids {
			c.levels(server)
		}
		for _, g := range c.group(s.kids) {
			c.addStream(g)
		}
	}
}

// addStream writes the frontend of a server of stream.
func (c *converter) addStream(g *group) {
	s := g.servers[0]
	pass := s.last("proxy_pass")
	if pass == nil {
		s.node.Impossible("a server of stream passes to servers (proxy_pass)")
		return
	}
	f := c.config.AddFrontend("tcp_" + g.port())
	g.frontend = f
	for _, n := range g.from {
		n.Translated()
		f.From = append(f.From, n.Directive)
	}
	f.Set("listen", g.addrs)
	f.Set("mode", "tcp")
	f.Set("backend", "")
	idle, n := s.timeOf("proxy_timeout", 10*time.Minute)
	f.Set("timeout_client", idle, from(n))
	f.Set("timeout_half_closed", "0s")
	f.Set("keepalive", "0s")
	g.certificates()
	g.trusted()
	c.streamAccess(s, f)
	c.streamLimits(s, f)
	name := pass.arg(0)
	if strings.HasPrefix(name, "$") {
		c.streamMap(g, s, pass, name)
		return
	}
	f.Set("backend", c.streamBackend(s, pass, name), pass.Directive)
}

// streamBackend returns the backend of a proxy_pass of stream.
func (c *converter) streamBackend(s *scope, pass *node, name string) string {
	up := c.tcp[name]
	if up == nil {
		up = &upstream{name: name}
	}
	b, err := c.backend(up, "tcp", "", s.on("proxy_ssl"), s, pass)
	if err != nil || strings.Contains(name, "$") {
		pass.Impossible("mcplb passes to servers with an address and a port: %s", name)
		return c.config.Nowhere("tcp")
	}
	pass.Translated()
	if n := s.last("proxy_protocol"); n != nil && n.arg(0) == "on" {
		b.Set("send_proxy", "v1", n.Directive)
	}
	if n := s.last("proxy_ssl"); n != nil {
		n.Translated()
	}
	return b.Name
}

// streamAccess writes who may connect. nginx goes by the first line that takes a client,
// mcplb by deny before allow: so what a line before it allows is taken out of what one denies.
func (c *converter) streamAccess(s *scope, f *lb.Frontend) {
	var allowed, denied []string
	var allows []*node
	for _, n := range s.accessList() {
		if n.arg(0) == "all" {
			c.streamOthers(f, n, allows, allowed)
			break
		}
		p, err := network(n.arg(0))
		if err != nil {
			n.Impossible("sources are addresses and networks: %s", n.arg(0))
			continue
		}
		n.Translated()
		if n.name == "allow" {
			allowed, allows = append(allowed, p), append(allows, n)
			continue
		}
		rest, err := lb.Without([]string{p}, allowed)
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		denied = append(denied, rest...)
		f.From = append(f.From, n.Directive)
	}
	if len(denied) > 0 {
		f.AddTo("deny", nil, denied...)
	}
	for _, n := range s.accessList() {
		if n.Unsaid() {
			n.Unneeded("a line before it takes every client")
		}
	}
}

// streamOthers writes what becomes of clients that no line before has taken.
func (c *converter) streamOthers(f *lb.Frontend, n *node, allows []*node, allowed []string) {
	n.Translated()
	f.From = append(f.From, n.Directive)
	switch {
	case n.name == "allow":
	case len(allowed) == 0:
		f.Set("deny", []string{"0.0.0.0/0", "::/0"}, n.Directive)
	default:
		f.AddTo("allow", n.Directive, allowed...)
		for _, a := range allows {
			f.From = append(f.From, a.Directive)
		}
	}
}

// streamLimits notes the limits of connections for later.
func (c *converter) streamLimits(s *scope, f *lb.Frontend) {
	for _, n := range s.limiting("limit_conn") {
		key, _, err := c.zone("limit_conn_zone", n.arg(0))
		count, bad := number(n.arg(1))
		switch {
		case err != nil:
			n.Impossible("%v", err)
		case bad != nil || key != "source" || count == 0:
			n.Impossible("mcplb limits connections by their source")
		default:
			n.Translated()
			f.From = append(f.From, n.Directive)
			c.limited = append(c.limited, streamLimit{n, count})
		}
	}
}
