package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Variables of a request stand for what they were set to: a condition on one becomes a condition
// on that. Those that outlive a request are not possible.

// errVariables is why a rule with a variable is not possible.
var errVariables = errors.New("mcplb has no variables; those of a request that stand for a text, or for what its conditions know, are translated")

// mostDepth bounds variables that stand for other variables, and mostAssignments the rules that set
// one: what a condition costs grows with both.
const (
	mostDepth       = 3
	mostAssignments = 32
)

// assignment is a rule that sets a variable.
type assignment struct {
	l      *line
	owner  *proxy
	sample string   // what it is set to; "" = it is unset
	when   []string // the words of its condition
}

// variableOf returns the name in NAME(variable), without what follows a comma.
func variableOf(word string) string {
	_, inside, _ := strings.Cut(word, "(")
	name, _, _ := strings.Cut(strings.TrimSuffix(inside, ")"), ",")
	return name
}

// assignments returns the rules that set a variable before a line, in their order.
func (g *group) assignments(name string, at *line) (all []assignment, err error) {
	if !strings.HasPrefix(name, "txn.") && !strings.HasPrefix(name, "req.") {
		return nil, errVariables
	}
	allows := false
	for _, p := range g.sectionsBefore(at) {
		for _, l := range p.rules {
			if l == at && l.words[0] != "redirect" && !strings.HasSuffix(l.words[0], "response") {
				break
			}
			words := l.args(1)
			allows = allows || l.arg(1) == "allow"
			if l.words[0] == "tcp-request" {
				words = l.args(2)
			}
			if len(words) == 0 || strings.HasSuffix(l.words[0], "response") || variableOf(words[0]) != name {
				continue
			}
			a, err := readAssignment(l, p, words)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
			if allows {
				return nil, errors.New("a rule before the variable is set could end the rules")
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no rule before it sets %s", name)
	}
	return all, nil
}

// sectionsBefore returns the sections whose rules count up to a line: the frontend, and the
// line's own.
func (g *group) sectionsBefore(at *line) []*proxy {
	for _, p := range g.c.proxies {
		if p != g.proxy && slices.Contains(p.rules, at) {
			return []*proxy{g.proxy, p}
		}
	}
	return []*proxy{g.proxy}
}

func readAssignment(l *line, p *proxy, words []string) (a assignment, err error) {
	at := slices.IndexFunc(words, func(w string) bool { return w == "if" || w == "unless" })
	if at < 0 {
		at = len(words)
	}
	a = assignment{l: l, owner: p, when: words[at:]}
	action, _, _ := strings.Cut(words[0], "(")
	switch value := strings.Join(words[1:at], " "); {
	case action == "unset-var":
	case action == "set-var" && at == 2 && !strings.Contains(words[0], ","):
		a.sample = value
	case action == "set-var-fmt" && !strings.Contains(value, "%"):
		a.sample = "str(" + value + ")"
	default:
		return a, errVariables
	}
	return a, nil
}

// variable evaluates a condition on a variable.
func (c *criteria) variable(name string, converters, rest []string) (result condition, err error) {
	all, err := c.group.assignments(name, c.at)
	if err != nil {
		return nil, err
	}
	if c.depth == mostDepth || len(all) > mostAssignments {
		return nil, fmt.Errorf("%s depends on too many rules", name)
	}
	for _, a := range all {
		inner := &criteria{named: a.owner.acls, group: c.group, used: c.used, at: a.l, depth: c.depth + 1}
		set, err := inner.parse(a.when)
		if err != nil {
			return nil, err
		}
		if len(inner.lost) > 0 {
			return nil, inner.lost[0]
		}
		match, err := inner.assigned(a, converters, rest)
		if err != nil {
			return nil, err
		}
		if result, err = choose(set, match, result); err != nil {
			return nil, err
		}
		if result, err = c.group.asCame(result, a); err != nil {
			return nil, err
		}
		a.l.Translated()
		for _, note := range inner.notes {
			c.note("%s", note)
		}
	}
	return result, nil
}

// choose returns the condition that yes holds where when does, and no elsewhere.
func choose(when, yes, no condition) (condition, error) {
	first, err := when.and(yes)
	if err != nil {
		return nil, err
	}
	not, err := when.not()
	if err != nil {
		return nil, err
	}
	rest, err := not.and(no)
	return append(first, rest...), err
}

// assigned evaluates a condition on what a variable is set to.
func (c *criteria) assigned(a assignment, converters, rest []string) (condition, error) {
	name, inside, _ := strings.Cut(a.sample, "(")
	inside = strings.TrimSuffix(inside, ")")
	switch name {
	case "":
		return nil, nil
	case "str", "bool", "int":
		holds, err := constantMatches(name, inside, converters, rest)
		return constant(holds), err
	}
	return c.criterion(append([]string{strings.Join(append([]string{a.sample}, converters...), ",")}, rest...))
}

// constantMatches reports whether a text matches the flags and values of a criterion.
func constantMatches(kind, text string, converters, rest []string) (bool, error) {
	p, err := (&criteria{}).readPattern(append([]string{"var"}, rest...))
	if err != nil || strings.Contains(text, ",") || len(converters) > 0 {
		return false, errVariables
	}
	fold := func(s string) string { return s }
	if p.fold {
		fold = strings.ToLower
	}
	tests := map[string]func(s, part string) bool{"str": func(s, v string) bool { return s == v }, "beg": strings.HasPrefix, "end": strings.HasSuffix, "sub": strings.Contains}
	switch test := tests[p.match]; {
	case p.match == "found":
		return true, nil
	case p.match == "bool" && kind != "str" && len(p.values) == 0:
		return text != "false" && text != "0", nil
	case p.match == "int" && kind == "int" && len(p.values) == 1:
		return text == p.values[0], nil
	case test != nil:
		return slices.ContainsFunc(p.values, func(v string) bool { return test(fold(text), fold(v)) }), nil
	}
	return false, errVariables
}

// asCame marks the literals of a variable, which later rules do not change. Those before it must
// not have changed what it is set to.
func (g *group) asCame(c condition, a assignment) (condition, error) {
	for _, conj := range c {
		for i, l := range conj {
			if g.changes(l, a.l) {
				return nil, errors.New("a rule before the variable is set changes what it stands for")
			}
			conj[i].asCame = true
		}
	}
	return c, nil
}

// changes reports whether a rule before a line changes what a literal asks for.
func (g *group) changes(l literal, at *line) bool {
	name := l.name
	if l.fact == host {
		name = "host"
	}
	for _, p := range g.sectionsBefore(at) {
		for _, rule := range p.rules {
			if rule == at {
				break
			}
			action := rule.arg(1)
			ofPath := strings.HasSuffix(action, "-path") || strings.HasSuffix(action, "-uri") || strings.HasSuffix(action, "-pathq")
			ofHeader := strings.HasSuffix(action, "-header") && strings.EqualFold(rule.arg(2), name)
			if rule.words[0] == "http-request" && ((l.fact == path || l.fact == pathIs) && ofPath || (l.fact == host || l.fact == header) && ofHeader) {
				return true
			}
		}
	}
	return false
}

// standsFor returns the sample that a variable stands for in a format, in which it is set once and
// for all requests.
func (g *group) standsFor(sample string, at *line) (string, error) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(sample, "var("), ")")
	all, err := g.assignments(name, at)
	switch {
	case err != nil:
		return "", err
	case len(all) != 1 || len(all[0].when) > 0 || all[0].sample == "" || strings.HasPrefix(all[0].sample, "var("):
		return "", errVariables
	case g.changes(literal{fact: host}, all[0].l) || g.changes(literal{fact: path}, all[0].l):
		return "", errors.New("a rule before the variable is set changes what it stands for")
	}
	all[0].l.Translated()
	return all[0].sample + rest, nil
}
