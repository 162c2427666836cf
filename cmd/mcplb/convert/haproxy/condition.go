package haproxy

import (
	"fmt"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// fact is what a criterion asks, in the words of mcplb's routes.
type fact int

const (
	always fact = iota // true, or not if negated
	host               // hosts, "*.example.com"
	path               // a prefix
	pathIs             // one path
	method             // methods
	header             // values of the header called name; none = it is there
	source             // CIDRs
	sni                // names of the ClientHello
	rate               // a counter is greater than limit
	size               // the body is longer than limit
	hello              // the connection begins with a ClientHello
)

// anySlash is the name of a pathIs for which a slash at the end of the path means nothing.
const anySlash = "any"

// literal is a fact about a request, or its opposite. Of several values one has to hold.
type literal struct {
	fact   fact
	name   string // of the header, or the counter; anySlash
	values []string
	not    bool
	limit  int  // of a counter
	asCame bool // it is about what came, whatever rules before have made of it
}

// conjunction are literals that all have to hold.
type conjunction []literal

// mostConjunctions bounds what a condition may become.
const mostConjunctions = 64

// condition is a condition of a rule: one of the conjunctions has to hold. None at all
// never holds; the empty conjunction always does.
type condition []conjunction

// and returns the condition that both hold.
func (c condition) and(other condition) (condition, error) {
	var both condition
	for _, a := range c {
		for _, b := range other {
			joined, possible, err := join(a, b)
			if err != nil {
				return nil, err
			}
			if possible {
				both = append(both, joined)
			}
			if len(both) > mostConjunctions {
				return nil, fmt.Errorf("the condition has more than %d cases", mostConjunctions)
			}
		}
	}
	return both, nil
}

// plain returns the condition without the marks of literals that are about what came.
func (c condition) plain() (result condition) {
	for _, conj := range c {
		conj = slices.Clone(conj)
		for i := range conj {
			conj[i].asCame = false
		}
		result = append(result, conj)
	}
	return result
}

// not returns the opposite.
func (c condition) not() (condition, error) {
	result := condition{{}}
	for _, conj := range c {
		var opposite condition
		for _, l := range conj {
			opposite = append(opposite, l.opposite()...)
		}
		var err error
		if result, err = result.and(opposite); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// opposite returns the literal's negation: paths that are excluded become one case each.
func (l literal) opposite() condition {
	if l.not && (l.fact == path || l.fact == pathIs) {
		var cases condition
		for _, v := range l.values {
			cases = append(cases, conjunction{{fact: l.fact, values: []string{v}, asCame: l.asCame}})
		}
		return cases
	}
	l.not = !l.not
	return condition{{l}}
}

// join joins two conjunctions into one that has at most one literal of a fact (and
// name) of each sign. possible is false if they contradict one another.
func join(a, b conjunction) (joined conjunction, possible bool, err error) {
	joined = slices.Clone(a)
	for _, l := range b {
		if l.fact == always {
			if l.not {
				return nil, false, nil
			}
			continue
		}
		i := slices.IndexFunc(joined, func(k literal) bool {
			return k.fact == l.fact && k.asCame == l.asCame && (k.fact == pathIs || strings.EqualFold(k.name, l.name)) && k.not == l.not && k.fact != rate && k.fact != size
		})
		if i < 0 {
			joined = append(joined, l)
			continue
		}
		if l.not {
			if l.fact == header && (len(l.values) == 0 || len(joined[i].values) == 0) {
				joined[i].values = nil // the field itself keeps a request out
				continue
			}
			joined[i].values = unique(slices.Concat(joined[i].values, l.values))
			continue
		}
		if joined[i].values, possible, err = meet(joined[i], l); err != nil || !possible {
			return nil, possible, err
		}
		if l.name == "" {
			joined[i].name = "" // of anySlash and none, the narrower
		}
	}
	return reconcile(joined)
}

// follows reports whether the condition holds wherever a conjunction does, as far as
// that shows: one of its cases says nothing that the conjunction does not.
func (c condition) follows(from conjunction) bool {
	return slices.ContainsFunc(c, func(conj conjunction) bool {
		joined, possible, err := join(from, conj)
		return err == nil && possible && fmt.Sprint(joined) == fmt.Sprint(from)
	})
}

// contradicts reports whether a literal excludes all values of another one.
func (l literal) contradicts(other literal) bool {
	return l.not && !other.not && l.fact == other.fact && strings.EqualFold(l.name, other.name) && l.fact != rate && l.fact != path &&
		(contains(other.values, l.values) || l.fact == header && len(l.values) == 0)
}

// reconcile joins a path with a prefix, of which a route can have one alone.
func reconcile(c conjunction) (conjunction, bool, error) {
	exact := slices.IndexFunc(c, func(l literal) bool { return l.fact == pathIs && !l.not })
	prefix := slices.IndexFunc(c, func(l literal) bool { return l.fact == path && !l.not })
	for _, l := range c {
		if l.fact == always && l.not || slices.ContainsFunc(c, func(other literal) bool { return l.contradicts(other) }) {
			return nil, false, nil
		}
	}
	if exact < 0 && prefix >= 0 {
		return beside(c, c[prefix].values[0])
	}
	if exact < 0 || prefix < 0 {
		return c, true, nil
	}
	if !within(c[exact].values[0], c[prefix].values[0]) {
		return nil, false, nil
	}
	return slices.Delete(c, prefix, prefix+1), true, nil
}

// beside takes out of a conjunction the prefixes that are excluded and do not lie within the one
// that is asked for. possible is false if that lies within an excluded one.
func beside(c conjunction, prefix string) (rest conjunction, possible bool, err error) {
	for _, l := range c {
		if l.fact != path || !l.not {
			rest = append(rest, l)
			continue
		}
		if slices.ContainsFunc(l.values, func(v string) bool { return within(prefix, v) }) {
			return nil, false, nil
		}
		l.values = slices.DeleteFunc(slices.Clone(l.values), func(v string) bool { return !within(v, prefix) })
		if len(l.values) > 0 {
			rest = append(rest, l)
		}
	}
	return rest, true, nil
}

// within reports whether a path is one with the prefix, by whole segments.
func within(p, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	return p == prefix || strings.HasPrefix(p, prefix+"/")
}

// meet returns the values that satisfy both of two literals of one fact.
func meet(a, b literal) (values []string, possible bool, err error) {
	switch a.fact {
	case path:
		switch {
		case within(a.values[0], b.values[0]):
			return a.values, true, nil
		case within(b.values[0], a.values[0]):
			return b.values, true, nil
		}
		return nil, false, nil
	case source:
		values, err = lb.Both(a.values, b.values)
		return values, len(values) > 0, err
	case host:
		values = lb.BothHosts(a.values, b.values)
		return values, len(values) > 0, nil
	case header:
		switch {
		case len(a.values) == 0 || contains(b.values, a.values):
			return orAll(b.values, a.values), true, nil
		case len(b.values) == 0 || contains(a.values, b.values):
			return orAll(a.values, b.values), true, nil
		default:
			return nil, false, fmt.Errorf("two conditions on the same thing (%s, %s) cannot both stand in a route", strings.Join(a.values, " "), strings.Join(b.values, " "))
		}
	}
	for _, v := range a.values {
		if slices.Contains(b.values, v) {
			values = append(values, v)
		}
	}
	return values, len(values) > 0, nil
}

// orAll returns the narrower of two lists, of which narrow is known to be contained.
func orAll(narrow, wide []string) []string {
	if len(narrow) == 0 {
		return wide
	}
	return narrow
}

// contains reports whether wide has all of narrow, which are some: each by itself, or of headers
// by its beginning ("v2*").
func contains(narrow, wide []string) bool {
	return len(narrow) > 0 && !slices.ContainsFunc(narrow, func(v string) bool {
		return !slices.ContainsFunc(wide, func(w string) bool {
			start, open := strings.CutSuffix(w, "*")
			return v == w || open && strings.HasPrefix(v, start)
		})
	})
}
