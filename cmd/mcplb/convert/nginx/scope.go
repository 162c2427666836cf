package nginx

import (
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// scope is a level of the configuration: http, server, location or if. Simple
// directives hold from the nearest level that has them; lists do, too, as a whole.
type scope struct {
	node   *node // nil for a level that is not written
	parent *scope
	own    map[string][]*node
	kids   []*scope // server and location
}

// newScope returns a level below parent.
func newScope(n *node, parent *scope) *scope {
	s := &scope{node: n, parent: parent, own: map[string][]*node{}}
	if n != nil {
		for _, child := range n.inner {
			s.own[child.name] = append(s.own[child.name], child)
		}
	}
	return s
}

// all returns the directives of a name that hold here: those of the nearest level
// that has any.
func (s *scope) all(name string) []*node {
	for ; s != nil; s = s.parent {
		if found := s.own[name]; len(found) > 0 {
			return found
		}
	}
	return nil
}

// last returns the directive of a name that holds here, or nil.
func (s *scope) last(name string) *node {
	found := s.all(name)
	if len(found) == 0 {
		return nil
	}
	return found[len(found)-1]
}

// on reports whether a switch is on here, and accounts for it.
func (s *scope) on(name string) bool {
	n := s.last(name)
	return n != nil && n.arg(0) == "on"
}

// set returns the directive that gives a variable its value, or nil.
func (s *scope) set(variable string) *node {
	for ; s != nil; s = s.parent {
		for _, n := range slices.Backward(s.own["set"]) {
			if strings.TrimPrefix(n.arg(0), "$") == variable {
				return n
			}
		}
	}
	return nil
}

// server returns the level of the server.
func (s *scope) server() *scope {
	for at := s; at != nil; at = at.parent {
		if at.node != nil && at.node.name == "server" {
			return at
		}
	}
	return s
}

// names returns the names of a server that are hosts for mcplb: "*.example.com" for
// domains, two for ".example.com", those for which a regular expression stands. Others are
// left out.
func (s *scope) names() (hosts []string) {
	for _, n := range s.own["server_name"] {
		for _, name := range n.args {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			switch {
			case strings.HasPrefix(name, "~"):
				if found, err := lb.FiniteHosts(name[1:]); err == nil && regularName(name) {
					hosts = append(hosts, found...)
				}
			case strings.HasPrefix(name, "."):
				hosts = append(hosts, name[1:], "*"+name)
			case isHost(name):
				hosts = append(hosts, name)
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// isHost reports whether mcplb takes a server's name for a host.
func isHost(name string) bool {
	rest := strings.TrimPrefix(name, "*.")
	return rest != "" && rest != "_" && !strings.ContainsAny(rest, "*~$ \\^()_\"") && strings.Trim(rest, ".-") == rest
}

// firstName returns the server's first name, which is $server_name, if it is a host.
func (s *scope) firstName() (name string, ok bool) {
	for _, n := range s.own["server_name"] {
		name = strings.TrimPrefix(strings.ToLower(n.arg(0)), ".")
		return name, isHost(name) && !strings.HasPrefix(name, "*")
	}
	return "", false
}
