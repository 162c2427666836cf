package nginx

import (
	"errors"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// Limits whose key a map makes: requests for which it is empty are not counted.

// zone returns the key of a zone in mcplb's words, and the conditions of the requests that it does
// not count.
func (g *group) zone(kind, name string) (key string, zone *node, exempt []*lb.Table, err error) {
	if zone = g.c.zones[kind+" "+name]; zone != nil {
		if m := g.c.maps[strings.Trim(zone.arg(0), "${}")]; m != nil && m.name == "map" {
			key, exempt, err = g.mappedKey(zone, m)
			return key, zone, exempt, err
		}
	}
	key, zone, err = g.c.zone(kind, name)
	return key, zone, nil, err
}

// mappedKey reads a map whose values are one variable, or empty. The map may be one of a map or
// geo itself.
func (g *group) mappedKey(zone, m *node) (key string, exempt []*lb.Table, err error) {
	variable := ""
	for _, line := range m.inner {
		value := line.arg(0)
		switch {
		case len(line.args) == 0 && (line.name == "hostnames" || line.name == "volatile"):
		case len(line.args) != 1 || line.name == "include" || value != "" && variable != "" && value != variable:
			return "", nil, errors.New("the keys of its map are not one variable, or none")
		case value != "":
			variable = value
		}
	}
	if key, err = limitKey(variable); err != nil {
		return "", nil, err
	}
	source, counts := m.constant(), func(value string) bool { return value == "" }
	if inner := g.c.maps[strings.Trim(m.arg(0), "${}")]; inner != nil {
		if slices.ContainsFunc(m.inner, func(line *node) bool { return strings.HasPrefix(line.name, "~") }) {
			return "", nil, errors.New("the map of another map has regular expressions")
		}
		source, counts = inner, func(value string) bool { return m.valueOf(value) == "" }
	}
	if exempt, err = g.mapCondition(zone, source, counts); err != nil {
		return "", nil, err
	}
	m.Translated()
	zone.Translated()
	return key, exempt, nil
}

// constant returns a map with a word in place of a variable.
func (n *node) constant() *node {
	c := *n
	c.inner = nil
	for _, line := range n.inner {
		one := *line
		one.args = slices.Clone(line.args)
		for i, a := range one.args {
			if strings.HasPrefix(a, "$") {
				one.args[i] = "counted"
			}
		}
		c.inner = append(c.inner, &one)
	}
	return &c
}

// valueOf returns the value of a map for a text.
func (n *node) valueOf(text string) string {
	others := ""
	for _, line := range n.inner {
		switch {
		case strings.EqualFold(line.name, text) && line.name != "default":
			return line.arg(0)
		case line.name == "default":
			others = line.arg(0)
		}
	}
	return others
}

// uncounted returns a way of a location, and those of its requests that its limits do not count.
func uncounted(v variant, free []*lb.Table) (all []variant) {
	for _, f := range free {
		conditions, effects := v.conditions.Clone(), v.effects.Clone()
		limit := f.Get("limit")
		f.Delete("limit")
		if !conditions.Narrow(f) {
			continue
		}
		if effects.Delete("limit"); limit != nil {
			effects.Set("limit", limit)
		}
		all = append(all, variant{conditions, effects})
	}
	return append(all, v)
}
