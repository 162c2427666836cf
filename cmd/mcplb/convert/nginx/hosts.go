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
	r.pathBeforeHost()
	for _, rule := range r.list {
		t := &lb.Table{}
		if rule.priority > 0 {
			t.Set("priority", rule.priority)
		}
		if hosts != nil {
			t.Set("host", hosts)
		}
		t.Merge(rule.table)
		in := hosts
		if own := rule.table.Strings("host"); own != nil {
			if in = belonging(own, hosts, others); len(in) == 0 {
				continue
			}
			t.Set("host", in)
		}
		if not := excluded(in, others); rule.priority > 0 && len(not) > 0 {
			t.AddTo("not_host", nil, not...)
		}
		t.From = append(rule.table.From, r.server.node.Directive)
		r.g.frontend.Routes = append(r.g.frontend.Routes, t)
	}
}

// belonging returns those of some hosts whose requests come to a server: hosts are its own, nil all
// that are none of the others.
func belonging(some, hosts, others []string) (own []string) {
	if hosts != nil {
		some = lb.BothHosts(some, hosts)
	}
	for _, h := range some {
		if len(closest(hosts, h)) >= len(closest(others, h)) {
			own = append(own, h)
		}
	}
	return own
}

// closest returns the longest of some patterns that takes a host, as nginx does; "" if none does.
func closest(patterns []string, host string) (longest string) {
	for _, p := range patterns {
		if takes(p, host) && len(p) > len(longest) {
			longest = p
		}
	}
	return longest
}

// pathBeforeHost gives the locations of a server priorities by their paths where a condition is on
// the host: for mcplb the host goes before the path, for nginx all of them are in one server.
func (r *rules) pathBeforeHost() {
	if !slices.ContainsFunc(r.list, func(o rule) bool { return o.priority == 0 && o.table.Has("host") }) {
		return
	}
	for i, o := range r.list {
		if o.priority == 0 {
			prefix, _ := o.table.Get("path").(string)
			exact, _ := o.table.Get("path_exact").(string)
			rank := 1 + 2*len(strings.TrimRight(prefix+exact, "/"))
			if exact != "" {
				rank++
			}
			r.list[i].priority = min(rank, priorityRegex/2)
		}
	}
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
