package nginx

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// verdicts are the values of a condition's key for which a test of a variable holds, and for
// which it does not: those of the lines of its map or geo.
type verdicts struct {
	key     string // of the condition
	header  string // where the key is headers
	yes, no []string
	usual   bool // what holds for all others
	absent  bool // there is a line for requests without the header
	without bool // what holds for those
}

// holds is a test of a variable's value.
type holds func(value string) bool

// isTrue is the test of "if ($variable)".
func isTrue(value string) bool { return value != "" && value != "0" }

// compares returns the test of "if ($variable = value)" or "!=".
func compares(operator, value string) holds {
	return func(v string) bool { return strings.EqualFold(v, value) == (operator == "=") }
}

// mapCondition translates a test of a variable that a map or geo sets by the source, host,
// method or a header of the request.
func (g *group) mapCondition(n, m *node, test holds) (alternatives []*lb.Table, err error) {
	if inner := g.c.maps[strings.Trim(m.arg(0), "${}")]; inner != nil && inner != m && m.name == "map" && len(m.args) == 2 {
		return g.mapOfMap(n, m, inner, test)
	}
	v, err := readVerdicts(m, test)
	if err != nil {
		return nil, err
	}
	t := &lb.Table{From: []*lb.Directive{n.Directive}}
	if v.usual {
		if v.nested(v.no, v.yes) != nil {
			return nil, errors.New("its map has exceptions of exceptions")
		}
		v.set(t, "not_"+v.key, v.no, n)
	} else {
		if len(v.yes) == 0 {
			m.Translated()
			return v.withAbsence(nil, n), nil
		}
		v.set(t, v.key, v.yes, n)
		inner := v.nested(v.yes, v.no)
		if v.nested(inner, v.yes) != nil {
			return nil, errors.New("its map has exceptions of exceptions")
		}
		v.set(t, "not_"+v.key, inner, n)
	}
	m.Translated()
	return v.withAbsence([]*lb.Table{t}, n), nil
}

// set writes a condition for some values.
func (v *verdicts) set(t *lb.Table, key string, values []string, n *node) {
	switch {
	case len(values) == 0:
	case v.key == "headers":
		t.Set(key, lb.Inline{{Key: v.header, Value: values}}, n.Directive)
	default:
		t.Set(key, values, n.Directive)
	}
}

// readVerdicts reads the lines of a map or geo.
func readVerdicts(m *node, test holds) (*verdicts, error) {
	v := &verdicts{key: "source", usual: test("")}
	if m.name == "map" {
		key, isList, err := conditionKey(m.arg(0))
		if err != nil || !isList || key == "source" {
			return nil, fmt.Errorf("mcplb's routes have no condition on %s", m.arg(0))
		}
		if v.key = key; key == "headers" {
			v.header = headerName(m.arg(0))
		}
	} else if m.name != "geo" || len(m.args) == 2 && m.arg(0) != "$remote_addr" && m.arg(0) != "$binary_remote_addr" {
		return nil, fmt.Errorf("mcplb's routes have no condition on %s", m.arg(0))
	}
	for _, line := range m.inner {
		switch {
		case m.name == "map" && (line.name == "hostnames" || line.name == "volatile") && len(line.args) == 0:
		case len(line.args) != 1 || strings.Contains(line.arg(0), "$") || line.name == "include" || line.name == "proxy" || line.name == "delete":
			return nil, fmt.Errorf("the line %q of %s %s is no value", line.name, m.name, m.arg(len(m.args)-1))
		case line.name == "default":
			v.usual = test(line.arg(0))
		default:
			if err := v.line(m, line, test); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// line notes a line of a map or geo.
func (v *verdicts) line(m, line *node, test holds) error {
	var values []string
	var err error
	if m.name == "geo" {
		var p string
		if p, err = network(line.name); err == nil {
			values = []string{p}
		}
	} else {
		values, err = mapValues(m, v.key, line.name)
	}
	switch {
	case err != nil:
		return fmt.Errorf("the line %q of %s: %w", line.name, m.name, err)
	case v.key == "headers" && line.name == "":
		v.absent, v.without = true, test(line.arg(0))
	case test(line.arg(0)):
		v.yes = append(v.yes, values...)
	default:
		v.no = append(v.no, values...)
	}
	return nil
}

// nested returns those of inner that are within one of outer.
func (v *verdicts) nested(outer, inner []string) (some []string) {
	for _, i := range inner {
		if slices.ContainsFunc(outer, func(o string) bool { return v.within(o, i) }) {
			some = append(some, i)
		}
	}
	return some
}

// within reports whether a value of the key has another one in it.
func (v *verdicts) within(outer, inner string) bool {
	switch v.key {
	case "source":
		o, i := prefixOf(outer), prefixOf(inner)
		return o.Bits() <= i.Bits() && o.Contains(i.Addr())
	case "host":
		return takes(outer, inner)
	}
	beginning, open := strings.CutSuffix(outer, "*")
	return outer == inner || open && strings.HasPrefix(inner, beginning)
}

// prefixOf is a network, or an address as one.
func prefixOf(s string) netip.Prefix {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	p, _ := netip.ParsePrefix(s)
	return p
}

// withAbsence completes the tables of a test for requests without the header, for which its map
// has a line.
func (v *verdicts) withAbsence(some []*lb.Table, n *node) []*lb.Table {
	there := lb.Inline{{Key: v.header, Value: []string{}}}
	switch {
	case !v.absent || v.without == v.usual:
	case v.usual:
		some[0].Set("headers", there, n.Directive)
	default:
		t := &lb.Table{From: []*lb.Directive{n.Directive}}
		t.Set("not_headers", there, n.Directive)
		some = append(some, t)
	}
	return some
}

// mapOfMap translates a test of a map whose key is another map or geo.
func (g *group) mapOfMap(n, m, inner *node, test holds) ([]*lb.Table, error) {
	if slices.ContainsFunc(m.inner, func(line *node) bool {
		return len(line.args) != 1 || line.name == "include" || strings.HasPrefix(line.name, "~") || strings.Contains(line.arg(0), "$")
	}) {
		return nil, errors.New("the map of another map has regular expressions or variables")
	}
	alternatives, err := g.mapCondition(n, inner, func(value string) bool { return test(m.valueOf(value)) })
	if err == nil {
		m.Translated()
	}
	return alternatives, err
}
