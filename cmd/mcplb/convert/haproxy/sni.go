package haproxy

import (
	"fmt"
	"regexp"
	"slices"

	"mcplb/cmd/mcplb/convert/lb"
)

// dynamicSNI is a backend that a map of names of the ClientHello names.
var dynamicSNI = regexp.MustCompile(`^%\[(?:req\.ssl_sni|req_ssl_sni)(?:,lower)?,map(_str|_dom|_end)?\(([^,)]+)(?:,([^)]+))?\)\]$`)

// sniMap translates a map of names, whose lines are read now. It returns the backend of all
// others, or nil if the map names none.
func (g *group) sniMap(l *line, match, name, others string) *proxy {
	text, err := g.env.ReadFile(name)
	if err != nil {
		l.Impossible("the map cannot be read: %v", err)
		return nil
	}
	match = map[string]string{"_dom": "dom", "_end": "end"}[match]
	c := &criteria{group: g, used: map[*line]bool{}}
	for _, fields := range mapLines(string(text), match) {
		words := []string{"req.ssl_sni", "-m", match, fields[0]}
		if match == "" {
			words[2] = "str"
		}
		when, err := c.criterion(words)
		b := g.c.byName[fields[1]]
		if err == nil && b == nil {
			err = fmt.Errorf("there is no backend %q", fields[1])
		}
		if err != nil {
			l.Impossible("%s: %v", fields[0], err)
			continue
		}
		g.sniRoutes(l, when, b)
	}
	g.front.Differ(l.Directive, "", "the lines of %s at the time of the conversion are routes", name)
	if others == "" {
		return nil
	}
	b := g.c.byName[others]
	if b == nil {
		l.Impossible("there is no backend %q", others)
		return nil
	}
	g.frontend.Set("backend", g.c.backendOf(b, g.mode), l.Directive)
	g.c.serves[g.frontend] = true
	return b
}

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
