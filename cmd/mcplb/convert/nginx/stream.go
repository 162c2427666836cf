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

// streamAccess writes who may connect.
func (c *converter) streamAccess(s *scope, f *lb.Frontend) {
	denied := false
	for _, n := range s.accessList() {
		who := n.arg(0)
		p, err := network(who)
		switch {
		case n.name == "deny" && who == "all" && !f.Has("allow"):
			f.Set("deny", []string{"0.0.0.0/0", "::/0"}, n.Directive)
		case who == "all":
			n.Translated()
		case err != nil:
			n.Impossible("sources are addresses and networks: %s", who)
		case n.name == "allow" && denied:
			n.Impossible("deny goes before allow, whatever their order")
		case n.name == "allow":
			f.AddTo("allow", n.Directive, p)
		default:
			denied = true
			f.AddTo("deny", n.Directive, p)
		}
	}
	list := s.accessList()
	if len(list) > 0 && f.Has("allow") && !(list[len(list)-1].name == "deny" && list[len(list)-1].arg(0) == "all") {
		f.Delete("allow") // what is allowed before everybody is
		for _, n := range list {
			if n.name == "allow" {
				n.Unneeded("everybody is allowed who is not denied")
			}
		}
	}
}

// streamLimits notes the limits of connections for later.
func (c *converter) streamLimits(s *scope, f *lb.Frontend) {
	for _, n := range s.all("limit_conn") {
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
