package nginx

import (
	"slices"

	"mcplb/cmd/mcplb/convert/lb"
)

// access writes who is denied at a level.
func (r *rules) access(s *scope, conditions *lb.Table, priority int) {
	list := s.accessList()
	var allowed []string
	for _, n := range list {
		who := n.arg(0)
		effects := &lb.Table{From: []*lb.Directive{n.Directive}}
		effects.Set("deny", true, n.Directive)
		r.g.responseHeaders(s, effects, 403)
		deny := conditions.Clone()
		if who != "all" {
			p, err := network(who)
			if err != nil {
				n.Impossible("sources are addresses and networks: %s", who)
				continue
			}
			if n.name == "allow" {
				n.Translated()
				allowed = append(allowed, p)
				continue
			}
			deny.Set("source", []string{p}, n.Directive)
		} else if n.name == "allow" {
			n.Translated()
			return
		}
		if len(allowed) > 0 {
			deny.Set("not_source", allowed)
		}
		r.add(max(priority, 0), deny, effects)
	}
	if n := s.last("satisfy"); n != nil && n.arg(0) == "any" {
		n.Impossible("every condition has to hold")
	}
	for _, n := range s.own["limit_except"] {
		r.limitExcept(s, n, conditions, priority)
	}
}

// accessList returns allow and deny in their order, of the nearest level that has any.
func (s *scope) accessList() (list []*node) {
	for ; s != nil; s = s.parent {
		if s.node == nil {
			continue
		}
		for _, n := range s.node.inner {
			if n.name == "allow" || n.name == "deny" {
				list = append(list, n)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// limitExcept denies methods that are not listed.
func (r *rules) limitExcept(s *scope, n *node, conditions *lb.Table, priority int) {
	methods := slices.Clone(n.args)
	if n.has("GET") && !n.has("HEAD") {
		methods = append(methods, "HEAD")
	}
	if len(n.inner) != 1 || n.inner[0].name != "deny" || n.inner[0].arg(0) != "all" || len(methods) == 0 {
		for _, child := range append([]*node{n}, n.inner...) {
			child.Impossible("mcplb denies methods to all clients")
		}
		return
	}
	n.inner[0].Translated()
	deny := conditions.Clone()
	deny.Set("not_methods", methods, n.Directive)
	effects := &lb.Table{From: []*lb.Directive{n.Directive}}
	effects.Set("deny", true, n.Directive)
	r.g.responseHeaders(s, effects, 403)
	r.add(priority, deny, effects)
}
