package haproxy

import (
	"net"
	"slices"

	"mcplb/cmd/mcplb/convert/lb"
)

// isStats reports whether the section serves the statistics or the metrics alone.
func (p *proxy) isStats() bool {
	exports := slices.ContainsFunc(p.rules, func(l *line) bool { return slices.Contains(l.words, "prometheus-exporter") })
	return (len(p.stats) > 0 || exports) && p.backend == nil && len(p.uses) == 0 && len(p.servers) == 0
}

// addStats makes the section's listener the admin address.
func (p *proxy) addStats() {
	groups := p.groups()
	p.c.config.Frontends = slices.DeleteFunc(p.c.config.Frontends, func(f *lb.Frontend) bool {
		return slices.ContainsFunc(groups, func(g *group) bool { return g.frontend == f })
	})
	for _, l := range p.stats {
		p.stat(l)
	}
	for _, l := range p.rules {
		if slices.Contains(l.words, "prometheus-exporter") {
			p.c.config.Admin.Differ(l.Directive, "listen", "metrics are at /metrics of this address, with other names (docs/metrics.md), and page and API beside them")
		}
	}
	for _, l := range p.timeouts {
		if l.Outcome() == lb.Impossible {
			l.Unneeded("the admin address has its own limits")
		}
	}
	if len(groups) == 0 || p.c.config.Admin.Has("listen") {
		p.head.Unneeded("the admin address has the statistics")
		for _, g := range groups {
			for _, l := range g.lines {
				p.c.config.Admin.Differ(l.Directive, "listen", "there is one admin address, which has page and metrics")
			}
		}
		return
	}
	g := groups[0]
	if g.tls != nil {
		g.lines[0].Impossible("the admin address has no TLS: let it listen on 127.0.0.1")
		return
	}
	p.c.config.Admin.Set("listen", p.adminAddress(g.addrs[0]), g.lines[0].Directive, p.head.Directive)
	if len(p.stats) > 0 {
		p.c.config.Admin.Differ(p.head.Directive, "listen", "the page is at /, the CSV at /stats;csv")
	}
}

// adminAddress returns the admin address: on this machine alone where the page asked for
// a password, as it would be open otherwise.
func (p *proxy) adminAddress(address string) string {
	asks := slices.ContainsFunc(p.stats, func(l *line) bool { return l.arg(1) == "auth" || l.arg(1) == "http-request" })
	if !asks && !slices.ContainsFunc(p.rules, func(l *line) bool { return l.arg(1) == "auth" || l.arg(1) == "deny" }) {
		return address
	}
	_, port, _ := net.SplitHostPort(address)
	p.c.config.Admin.Differ(p.head.Directive, "listen", "on this machine alone, as the page cannot ask for passwords")
	return net.JoinHostPort("127.0.0.1", port)
}

// stat accounts for a line about the statistics.
func (p *proxy) stat(l *line) {
	switch l.arg(1) {
	case "enable", "hide-version", "show-legends", "show-desc", "show-node", "show-modules", "refresh", "scope":
		l.Unneeded("the page has it")
	case "uri":
		p.c.config.Admin.Differ(l.Directive, "listen", "the page is at /")
	case "realm":
		if !slices.ContainsFunc(p.stats, func(l *line) bool { return l.arg(1) == "auth" }) {
			l.Unneeded("nothing asks for a password")
			return
		}
		l.Impossible("the page has no passwords: admin.token_file and admin.protect = true protect it by a token")
	case "auth":
		l.Impossible("the page has no passwords: admin.token_file and admin.protect = true protect it by a token")
	case "admin":
		p.c.config.Admin.Differ(l.Directive, "listen", "commands need admin.token_file, or come from this machine")
	case "http-request":
		l.Impossible("the page is protected by admin.token_file and admin.protect = true")
	}
}

// statsElsewhere accounts for statistics among the paths of an application.
func (p *proxy) statsElsewhere() {
	for _, l := range p.stats {
		p.stat(l)
		if l.arg(1) == "enable" || l.arg(1) == "uri" {
			p.c.config.Admin.Default("listen", "127.0.0.1:8404")
			p.c.config.Admin.Differ(l.Directive, "listen", "the page is at this address, not at a path of %s", p.name)
		}
	}
}
