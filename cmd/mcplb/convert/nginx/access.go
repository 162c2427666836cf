package nginx

import (
	"slices"

	"mcplb/cmd/mcplb/convert/lb"
)

// access writes who is denied at a level. answers are those that an if of the level gives
// before it asks for the source.
func (r *rules) access(s *scope, conditions *lb.Table, priority int, answers []rule) {
	conditions = r.unanswered(s, conditions, priority, answers)
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
			deny.AddTo("not_source", nil, allowed...)
		}
		r.add(max(priority, 0), deny, effects)
	}
	if n := s.last("satisfy"); n != nil && n.arg(0) == "any" && s.unguarded() {
		n.Unneeded("there is one condition")
	} else if n != nil && n.arg(0) == "any" {
		n.Impossible("every condition has to hold")
	}
}

// unanswered returns the conditions of a level for requests that none of its ifs has answered.
// Routes with a priority go before denials anyway.
func (r *rules) unanswered(s *scope, conditions *lb.Table, priority int, answers []rule) *lb.Table {
	if priority > 0 || len(s.accessList()) == 0 {
		return conditions
	}
	rest := conditions.Clone()
	for _, a := range answers {
		if !rest.Exclude(a.table, conditions) {
			r.g.frontend.Differ(s.node.Directive, "", "%s: who is denied is denied before its ifs answer", s.node.Text)
		}
	}
	return rest
}

// denyNarrower repeats the denials of a level, which start at an index, for those of its routes,
// from served on, that have conditions more: a route that is more specific than a denial would
// lift it. Of equals the first counts.
func (r *rules) denyNarrower(conditions *lb.Table, start, served int) {
	var narrower []rule
	for _, o := range r.list[served:] {
		extra := o.table.Beyond(conditions)
		if extra.Empty() || o.table.Has("deny") || o.table.Has("redirect") {
			continue
		}
		for _, d := range r.list[start:served] {
			if !d.table.Has("deny") {
				continue
			}
			deny := d.table.Clone()
			if deny.Narrow(extra) {
				narrower = append(narrower, rule{max(d.priority, o.priority), deny})
			}
		}
	}
	r.list = slices.Insert(r.list, served, narrower...)
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

// limitExcept denies methods that are not listed. For nginx, requests with them are in a location
// of their own: no return and no if of this one answers them.
func (r *rules) limitExcept(s *scope, n *node, conditions *lb.Table, priority int) {
	methods := slices.Clone(n.args)
	if n.has("GET") && !n.has("HEAD") {
		methods = append(methods, "HEAD")
	}
	allowed, ok := exceptions(n)
	if !ok || len(methods) == 0 {
		n.Opened("mcplb denies methods to clients by their address")
		for _, child := range n.inner {
			child.Impossible("mcplb denies methods to clients by their address")
		}
		return
	}
	deny := conditions.Clone()
	if len(allowed) > 0 {
		deny.AddTo("not_source", nil, allowed...)
	}
	deny.AddTo("not_methods", n.Directive, methods...)
	effects := &lb.Table{From: []*lb.Directive{n.Directive}}
	effects.Set("deny", true, n.Directive)
	r.g.responseHeaders(s, effects, 403)
	if priority > 0 {
		priority++ // as those of its ifs
	}
	r.add(priority, deny, effects)
}

// exceptions returns the sources that a limit_except allows before it denies all. What asks for a
// password there is refused. ok is false if it says something else.
func exceptions(n *node) (allowed []string, ok bool) {
	guarded, denied := false, false
	for _, child := range n.inner {
		switch {
		case denied:
			child.Unneeded("all are denied before")
		case child.name == "deny" && child.arg(0) == "all":
			child.Translated()
			denied = true
		case child.name == "allow" && isNetwork(child.arg(0)):
			child.Translated()
			p, _ := network(child.arg(0))
			allowed = append(allowed, p)
		case slices.Contains(guards, child.name) && child.arg(0) != "off" || child.name == "auth_basic_user_file":
			child.Impossible("mcplb asks for no passwords or tokens: what it guards is refused with 403, not open")
			guarded = true
		default:
			return nil, false
		}
	}
	if guarded {
		return nil, true
	}
	return allowed, denied
}

func isNetwork(s string) bool {
	_, err := network(s)
	return err == nil
}

// unguarded reports whether nothing asks for passwords or tokens.
func (s *scope) unguarded() bool {
	return !slices.ContainsFunc(guards, func(name string) bool { n := s.last(name); return n != nil && n.arg(0) != "off" })
}
