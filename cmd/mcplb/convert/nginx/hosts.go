package nginx

import (
	"fmt"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// serverNames accounts for the names of a server.
func (g *group) serverNames(s *scope, isDefault bool) {
	for _, n := range s.own["server_name"] {
		n.Translated()
		for _, name := range n.args {
			lower := strings.ToLower(strings.TrimSuffix(name, "."))
			switch {
			case strings.HasPrefix(lower, ".") || isHost(lower) || lower == "_" || lower == "":
			case strings.HasPrefix(lower, "~") && regularName(name):
			case isDefault:
				g.frontend.Differ(n.Directive, "", "%s: the default server takes it, as all hosts that no other has", name)
			default:
				n.Impossible("hosts are names and domains (*.example.com), not %s", name)
			}
		}
	}
}

// otherHosts are the hosts of the group's other servers that go before those of s.
func (g *group) otherHosts(s *scope) (hosts []string) {
	own := s.names()
	for _, other := range g.servers {
		if other == s {
			continue
		}
		for _, h := range other.names() {
			if !slices.Contains(own, h) && !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// write writes the routes for hosts; nil = all.
func (r *rules) write(hosts, others []string) {
	for _, rule := range r.list {
		t := &lb.Table{}
		if rule.priority > 0 {
			t.Set("priority", rule.priority)
		}
		if hosts != nil {
			t.Set("host", hosts)
		}
		if own := rule.table.Strings("host"); own != nil && hosts != nil && !covers(hosts, own) {
			continue
		}
		t.Merge(rule.table)
		if rule.priority > 0 && !rule.table.Has("host") {
			if not := excluded(hosts, others); len(not) > 0 {
				t.AddTo("not_host", nil, not...)
			}
		}
		t.From = append(rule.table.From, r.server.node.Directive)
		r.g.frontend.Routes = append(r.g.frontend.Routes, t)
	}
}

// covers reports whether one of the hosts takes each of the others.
func covers(hosts, others []string) bool {
	return !slices.ContainsFunc(others, func(o string) bool {
		return !slices.ContainsFunc(hosts, func(h string) bool { return takes(h, o) })
	})
}

// takes reports whether a host pattern has another one in it.
func takes(pattern, host string) bool {
	domain, wild := strings.CutPrefix(pattern, "*")
	return pattern == host || wild && strings.HasSuffix(host, domain)
}

// excluded are those of other servers' hosts that a pattern of these hosts would take.
func excluded(hosts, others []string) (not []string) {
	for _, o := range others {
		if hosts == nil || slices.ContainsFunc(hosts, func(h string) bool { return takes(h, o) }) {
			not = append(not, o)
		}
	}
	return not
}

// regularName reports whether a name is a regular expression that stands for hosts.
func regularName(name string) bool {
	hosts, err := lb.FiniteHosts(strings.ToLower(name[1:]))
	return err == nil && !slices.ContainsFunc(hosts, func(h string) bool { return !isHost(h) })
}

// mapHosts returns the hosts for which a line of a map holds: none if it never does.
// Masks are masks where the map says "hostnames".
func mapHosts(m *node, line string) (hosts []string, err error) {
	masks := slices.ContainsFunc(m.inner, func(n *node) bool { return n.name == "hostnames" && len(n.args) == 0 })
	line = strings.ToLower(line)
	isMask := strings.HasPrefix(line, ".") || strings.HasPrefix(line, "*.") || strings.HasSuffix(line, ".*")
	switch {
	case strings.HasPrefix(line, "~"):
		return lb.FiniteHosts(strings.TrimPrefix(line[1:], "*"))
	case isMask && !masks, line == "":
		return nil, nil
	case strings.HasPrefix(line, ".") && isHost(line[1:]):
		return []string{line[1:], "*" + line}, nil
	case !isHost(line):
		return nil, fmt.Errorf("%q is no host and no domain (*.example.com)", line)
	}
	return []string{line}, nil
}
