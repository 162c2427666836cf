package nginx

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// target is where a proxy_pass leads.
type target struct {
	up   *upstream
	port string
	tls  bool
	path string // "" = the request's
	host string // $proxy_host
	note string // what differs
}

// choice is a target and for which requests it is.
type choice struct {
	conditions *lb.Table
	to         target
}

// targets reads the URL of a proxy_pass, which may have a variable from a map.
func (g *group) targets(s *scope, n *node) (all []choice, err error) {
	url := s.substitute(n.arg(0))
	variable := regexp.MustCompile(`^(?:(https?)://)?\$\{?(\w+)\}?(/.*|\$request_uri)?$`).FindStringSubmatch(url)
	if variable == nil {
		t, err := g.target(s, url)
		if err == nil && url != n.arg(0) && t.path != "" {
			err = fixedPath(url)
		}
		return []choice{{&lb.Table{}, t}}, err
	}
	scheme, rest := variable[1], variable[3]
	if strings.HasPrefix(rest, "/") {
		return nil, fixedPath(url)
	}
	join := func(value string) string {
		if scheme != "" {
			value = scheme + "://" + value
		}
		return value + rest
	}
	m := g.c.maps[variable[2]]
	if m != nil && m.name == "geo" {
		return g.mappedSources(s, m, join)
	}
	if m == nil || m.name != "map" {
		return nil, fmt.Errorf("mcplb's routes name their backend, and $%s is known at run time alone", variable[2])
	}
	return g.mapped(s, m, join)
}

// fixedPath says what a path in a proxy_pass with a variable means.
func fixedPath(url string) error {
	return fmt.Errorf("with a variable in proxy_pass, nginx asks for this path whatever the request's is: write the name in place of the variable, or leave out the path: %q", url)
}

// built translates the path of a proxy_pass that is built of variables: the request's own, or what
// the regular expression of the location leaves of it. note says what differs.
func (s *scope) built(path string) (by, note string, ok bool) {
	bare, query := cutQuery(path)
	if !query {
		note = "the query of requests is passed on, too"
	}
	if bare == "$uri" {
		return "", strings.TrimPrefix(note+"; the path is passed on as it came, not normalized", "; "), true
	}
	if loc := s.node; loc.name != "location" || !strings.HasPrefix(loc.arg(0), "~") {
		return "", "", false
	}
	expression := s.node.arg(1)
	if _, by, ok = lb.ChangedPrefix(expression, bare); !ok {
		return "", "", false
	}
	return by + "/", note, true
}

// cutQuery cuts the query off a path.
func cutQuery(path string) (bare string, query bool) {
	for _, suffix := range []string{"$is_args$args", "?$args", "?$query_string", "$is_args$query_string"} {
		if bare, query = strings.CutSuffix(path, suffix); query {
			return bare, true
		}
	}
	return path, false
}

// substitute puts in the values of variables that are set to a text.
func (s *scope) substitute(text string) string {
	return regexp.MustCompile(`\$(\w+|\{\w+\})`).ReplaceAllStringFunc(text, func(v string) string {
		set := s.set(strings.Trim(v, "${}"))
		if set == nil || strings.Contains(set.arg(1), "$") {
			return v
		}
		set.Translated()
		return set.arg(1)
	})
}

// choice is what a line of the map or geo m leads to, without conditions yet.
func (g *group) choice(s *scope, m *node, url string) (choice, error) {
	t, err := g.target(s, url)
	return choice{&lb.Table{From: []*lb.Directive{m.Directive}}, t}, err
}

// mapped reads the lines of a map as routes.
func (g *group) mapped(s *scope, m *node, join func(string) string) (all []choice, err error) {
	key, _, err := conditionKey(m.arg(0))
	if err != nil || key == "path_exact" || key == "source" {
		return nil, fmt.Errorf("mcplb's routes have no condition on %s", m.arg(0))
	}
	m.Translated()
	var others *choice
	lines := slices.Clone(m.inner)
	slices.SortStableFunc(lines, func(a, b *node) int { return a.mapRank() - b.mapRank() })
	for _, line := range lines {
		if line.name == "hostnames" || line.name == "volatile" {
			continue
		}
		if line.name == "include" || len(line.args) != 1 || line.arg(0) == "" {
			return nil, fmt.Errorf("the line %q of the map is no value", line.name)
		}
		c, err := g.choice(s, m, join(line.arg(0)))
		if err != nil {
			return nil, err
		}
		if line.name == "default" {
			others = &c
			continue
		}
		values, err := mapValues(m, key, line.name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the line %q of the map: %w", line.name, err)
		case len(values) == 0:
			continue
		case key == "headers" && line.name == "":
			c.conditions.Set("not_headers", lb.Inline{{Key: headerName(m.arg(0)), Value: []string{}}}, m.Directive)
		case key == "headers":
			c.conditions.Set(key, lb.Inline{{Key: headerName(m.arg(0)), Value: values}}, m.Directive)
		default:
			c.conditions.Set(key, values, m.Directive)
		}
		all = append(all, c)
	}
	if others == nil {
		return nil, errors.New("the map has no default, and mcplb has no request without a backend")
	}
	return append(all, *others), nil
}

// mappedSources reads the lines of a geo as routes, the narrower networks first.
func (g *group) mappedSources(s *scope, m *node, join func(string) string) (all []choice, err error) {
	if len(m.args) == 2 && m.arg(0) != "$remote_addr" && m.arg(0) != "$binary_remote_addr" {
		return nil, fmt.Errorf("mcplb's routes have no condition on %s", m.arg(0))
	}
	var others *choice
	for _, line := range m.inner {
		if len(line.args) != 1 || line.arg(0) == "" || line.name == "include" || line.name == "proxy" || line.name == "delete" {
			return nil, fmt.Errorf("the line %q of the geo is no value", line.name)
		}
		c, err := g.choice(s, m, join(line.arg(0)))
		if err != nil {
			return nil, err
		}
		if line.name == "default" {
			others = &c
			continue
		}
		p, err := network(line.name)
		if err != nil {
			return nil, fmt.Errorf("the line %q of the geo: %w", line.name, err)
		}
		c.conditions.Set("source", []string{p}, m.Directive)
		all = append(all, c)
	}
	if others == nil {
		return nil, errors.New("the geo has no default, and mcplb has no request without a backend")
	}
	m.Translated()
	slices.SortStableFunc(all, func(a, b choice) int {
		return prefixOf(b.conditions.Strings("source")[0]).Bits() - prefixOf(a.conditions.Strings("source")[0]).Bits()
	})
	return append(all, *others), nil
}

// mapRank orders the lines of a map as nginx compares them: regular expressions come last.
func (n *node) mapRank() int {
	if strings.HasPrefix(n.name, "~") {
		return 1
	}
	return 0
}

// mapValues returns the values of a condition for a line of a map: none if it never holds.
func mapValues(m *node, key, line string) (values []string, err error) {
	if key == "host" {
		return mapHosts(m, line)
	}
	expression, ok := strings.CutPrefix(line, "~")
	if !ok {
		return []string{line}, nil
	}
	expression, fold := strings.CutPrefix(expression, "*")
	if values, err = finiteValues(expression, key == "headers"); fold {
		values = spellings(values)
	}
	return values, err
}

// target reads a URL.
func (g *group) target(s *scope, url string) (t target, err error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "http" && scheme != "https" || strings.HasPrefix(rest, "unix:") {
		return t, fmt.Errorf("servers are spoken to by http:// or https://, not by %q", url)
	}
	rest = strings.TrimSuffix(rest, "$request_uri")
	name, path := rest, ""
	if i := strings.IndexAny(rest, "/$"); i > 0 {
		name, path = rest[:i], rest[i:]
	}
	if strings.Contains(name, "$") || name == "" {
		return t, fmt.Errorf("mcplb's routes name their backend: %q", url)
	}
	t.tls, t.path, t.port, t.host = scheme == "https", path, "80", name
	if t.tls {
		t.port = "443"
	}
	t.host = strings.TrimSuffix(t.host, ":"+t.port) // as nginx writes it
	if strings.Contains(path, "$") {
		if t.path, t.note, ok = s.built(path); !ok {
			return t, fmt.Errorf("mcplb changes paths by prefixes, not by variables: %q", url)
		}
	}
	if t.up = g.c.upstreams[name]; t.up == nil {
		t.up = &upstream{name: name}
	}
	return t, nil
}
