package nginx

import (
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

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
		case len(line.args) != 1 || line.name == "include" || strings.Contains(target, "$"):
			m.Impossible("the line %q of the map is no name with a backend", line.name)
		case line.name == "default":
			f.Set("backend", c.streamBackend(s, pass, target), pass.Directive)
		default:
			c.streamRoute(g, s, pass, m, line)
		}
	}
}

// streamRoute writes the route for a line of a map of names.
func (c *converter) streamRoute(g *group, s *scope, pass, m, line *node) {
	names, err := mapHosts(m, line.name)
	switch {
	case err != nil:
		m.Impossible("the line %q of the map: %v", line.name, err)
	case len(names) == 0:
		g.frontend.Comment("", m.Place.String()+": the line "+line.name+" of the map never holds: masks need the word hostnames")
	default:
		t := &lb.Table{From: []*lb.Directive{m.Directive}}
		t.Set("sni", names, m.Directive)
		t.Set("backend", c.streamBackend(s, pass, line.arg(0)))
		g.frontend.Routes = append(g.frontend.Routes, t)
	}
}
