package rules

import (
	"cmp"
	"slices"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// entry is a route with one of its hosts: the host that matched counts for the
// order. Entries are compared by their rank alone, so that it is computed once.
type entry struct {
	rank int // in the order of all entries of a frontend; the lower one goes first
	rule *rule
	host string // a host or, with "*.", a domain; "" = any
}

// before reports whether e, which may be nil, goes before other; nil is behind all.
func (e *entry) before(other *entry) bool {
	return e != nil && (other == nil || e.rank < other.rank)
}

// index is the place of the entry's route in the file; NoRoute for nil.
func (e *entry) index() int {
	if e == nil {
		return NoRoute
	}
	return e.rule.index
}

// specificity is what the order of routes depends on, in this order. Of two routes
// that are alike in all of it, the file's order decides.
type specificity struct {
	priority   int // the higher one goes first
	host       int // exact, wildcard, any
	path       int // the length of the canonical path; the longer one goes first
	prefix     bool
	conditions int // beside host and path; more go first
	domain     int // the length of a wildcard's domain; the longer one goes first
}

// The classes of hosts.
const (
	exactHost = iota
	wildcardHost
	anyHost
)

// compare orders specificities: negative if s goes first, 0 if they are alike.
func (s specificity) compare(other specificity) int {
	return cmp.Or(
		cmp.Compare(other.priority, s.priority),
		cmp.Compare(s.host, other.host),
		cmp.Compare(other.path, s.path),
		compareBool(s.prefix, other.prefix),
		cmp.Compare(other.conditions, s.conditions),
		cmp.Compare(other.domain, s.domain),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// specificityOf is that of a route with one of its hosts.
func specificityOf(r *conf.Route, host string) specificity {
	s := specificity{priority: r.Priority, host: anyHost, prefix: r.PathExact == "", conditions: conditions(r)}
	if r.Path+r.PathExact != "" {
		s.path = len(http1.AppendCanonicalPath(nil, []byte(r.Path+r.PathExact)))
	}
	switch {
	case host == "":
	case isWildcard(host):
		s.host, s.domain = wildcardHost, len(host)
	default:
		s.host = exactHost
	}
	return s
}

// conditions counts a route's conditions beside host and path.
func conditions(r *conf.Route) int {
	n := len(r.Headers) + len(r.Not.Headers)
	for _, length := range []int{
		len(r.Slash), len(r.Methods), len(r.Source), len(r.MCPMethod), len(r.MCPName),
		len(r.Not.Host), len(r.Not.Path), len(r.Not.PathExact), len(r.Not.Methods), len(r.Not.Source), len(r.Not.MCPMethod), len(r.Not.MCPName),
	} {
		n += min(length, 1)
	}
	return n
}

// inOrder returns an entry for each host of each route, the most specific first.
func inOrder(routes []conf.Route) []*entry {
	type ranked struct {
		*entry
		specificity
	}
	var all []ranked
	for i := range routes {
		r := &routes[i]
		compiled := newRule(i, r)
		hosts := r.Host
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			all = append(all, ranked{&entry{rule: compiled, host: host}, specificityOf(r, host)})
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return a.compare(b.specificity) })
	entries := make([]*entry, len(all))
	for i, e := range all {
		e.rank = i
		entries[i] = e.entry
	}
	return entries
}
