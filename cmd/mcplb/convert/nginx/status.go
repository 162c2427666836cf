package nginx

import (
	"strings"
)

// isStatus reports whether a server has health and statistics alone, and makes its
// address mcplb's for these.
func (c *converter) isStatus(s *scope) bool {
	found := false
	for _, n := range s.node.inner {
		switch n.name {
		case "location":
			inner := newScope(n, s)
			status := len(inner.own["stub_status"]) > 0
			health := len(inner.own["return"]) == 1 && inner.own["return"][0].arg(0) == "200" && strings.Contains(n.arg(len(n.args)-1), "health")
			if !status && !health {
				return false
			}
			found = found || status
		case "listen", "server_name", "access_log", "allow", "deny", "default_type", "keepalive_timeout", "error_log":
		default:
			return false
		}
	}
	listeners := c.listeners(s)
	if !found || c.config.Admin.Has("health_listen") || len(listeners) == 0 || listeners[0].tls {
		return false
	}
	c.writeStatus(s, listeners)
	return true
}

// writeStatus writes the address of health and statistics.
func (c *converter) writeStatus(s *scope, listeners []listener) {
	t := &c.config.Admin
	t.Set("health_listen", listeners[0].address, listeners[0].node.Directive, s.node.Directive)
	t.Comment("health_listen", "/health says 503 without servers or while draining; /nginx_status has nginx's form")
	for _, l := range listeners[1:] {
		t.Differ(l.node.Directive, "health_listen", "one address")
	}
	for _, n := range s.node.inner {
		switch n.name {
		case "location":
			path := n.arg(len(n.args) - 1)
			n.Translated()
			if path != "/health" && path != "/nginx_status" {
				t.Differ(n.Directive, "health_listen", "%s: at /health and /nginx_status", path)
			}
			for _, inner := range n.inner {
				c.statusLine(inner)
			}
		case "listen":
		default:
			c.statusLine(n)
		}
	}
}

// statusLine accounts for a directive of the status address.
func (c *converter) statusLine(n *node) {
	switch n.name {
	case "stub_status":
		n.Translated()
	case "return":
		c.config.Admin.Differ(n.Directive, "health_listen", "/health says 503 where no client could be served")
	case "allow", "deny":
		c.config.Admin.Differ(n.Directive, "health_listen", "who may ask is the business of the address: 127.0.0.1, or a firewall's")
	default:
		n.Unneeded("health and statistics need none")
	}
}
