package haproxy

import (
	"slices"

	"mcplb/cmd/mcplb/convert/lb"
)

// sniRoutes translates a choice of the backend by the name in the ClientHello. Exact
// names go before wildcards, whatever the order of the lines.
func (g *group) sniRoutes(l *line, when condition, b *proxy) {
	for i, conj := range when {
		if slices.ContainsFunc(conj, func(l literal) bool { return l.fact == sni && !l.not }) { // who names a server speaks TLS
			conj = slices.DeleteFunc(slices.Clone(conj), func(l literal) bool { return l.fact == hello && !l.not })
			when[i] = conj
		}
		if len(conj) != 1 || conj[0].fact != sni || conj[0].not || g.tls != nil {
			l.Impossible("frontends of mode tcp choose the backend by the name in the ClientHello alone: give others their own port")
			return
		}
	}
	for _, conj := range when {
		var names []string
		for _, name := range conj[0].values {
			if !g.named[name] {
				names = append(names, name)
			}
			g.named[name] = true
		}
		if len(names) == 0 {
			l.Unneeded("its names are those of a rule before it")
			continue
		}
		t := &lb.Table{From: []*lb.Directive{l.Directive}}
		t.Set("sni", unique(names), l.Directive)
		t.Set("backend", g.c.backendOf(b, g.mode), l.Directive)
		g.frontend.Routes = append(g.frontend.Routes, t)
		g.c.serves[g.frontend] = true
		t.Differ(l.Directive, "sni", "exact names go before domains, in whatever order")
	}
}
