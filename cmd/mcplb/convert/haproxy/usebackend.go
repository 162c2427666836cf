package haproxy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// useSteps reads the use_backend lines.
func (g *group) useSteps(c *criteria) (steps []step) {
	for _, l := range g.uses {
		if strings.Contains(l.arg(1), "%[") {
			steps = append(steps, g.mapSteps(l)...)
			continue
		}
		c.notes = nil
		c.at = l
		when, err := c.parse(l.args(2))
		if err != nil {
			if b := g.c.byName[l.arg(1)]; b != nil && b.refusesAll() {
				l.Opened("%v", err)
			} else {
				l.Impossible("%v", err)
			}
			continue
		}
		c.account(l)
		noted(l, &g.front, c.notes)
		steps = append(steps, g.useStep(l, when, l.arg(1)))
	}
	return steps
}

// useStep sends requests to a backend.
func (g *group) useStep(l *line, when condition, name string) step {
	return step{l: l, when: when, ofUse: true, apply: func(t *lb.Table) error {
		if g.c.byName[name] == nil {
			return fmt.Errorf("there is no backend %q", name)
		}
		t.Set("backend", name, l.Directive)
		return nil
	}, next: func() []step { return g.backendSteps(g.c.byName[name]) }}
}

// dynamic is a backend that a map of hosts or paths names.
var dynamic = regexp.MustCompile(`^%\[(req\.hdr\(host\)|hdr\(host\)|path)(?:,lower)?(?:,field\(1,:\))?(?:,lower)?,map(_str|_dom|_beg|_end)?\(([^,)]+)(?:,([^)]+))?\)\]$`)

// mapSteps sends requests to the backends of a map, whose lines are read now.
func (g *group) mapSteps(l *line) (steps []step) {
	target := l.arg(1)
	if sample, ok := strings.CutPrefix(target, "%[var("); ok {
		if sample, err := g.standsFor("var("+strings.TrimSuffix(sample, "]"), l); err == nil {
			target = "%[" + sample + "]"
		}
	}
	found := dynamic.FindStringSubmatch(target)
	if found == nil || len(l.words) > 2 {
		l.Impossible("mcplb's routes name their backend; a map of hosts or paths can be converted")
		return nil
	}
	text, err := g.env.ReadFile(found[3])
	if err != nil {
		l.Impossible("the map cannot be read: %v", err)
		return nil
	}
	c := &criteria{group: g, used: map[*line]bool{}}
	match := map[string]string{"_dom": "dom", "_beg": "beg", "_end": "end"}[found[2]]
	for _, fields := range mapLines(string(text), match) {
		words := []string{"path", "-m", match, fields[0]}
		if match == "" {
			words[2] = "str"
		}
		if found[1] != "path" {
			words[0] = "hdr(host)"
		}
		when, err := c.criterion(words)
		if err != nil {
			l.Impossible("%s: %v", fields[0], err)
			continue
		}
		steps = append(steps, g.useStep(l, when, fields[1]))
	}
	if found[4] != "" {
		steps = append(steps, g.useStep(l, condition{{}}, found[4]))
	}
	g.front.Differ(l.Directive, "", "the lines of %s at the time of the conversion are routes", found[3])
	return steps
}

// mapLines returns the keys and values of a map in the order in which they are tried:
// that of the file, but of beginnings the longest first, as HAProxy looks them up in a tree.
func mapLines(text, match string) (lines [][]string) {
	for raw := range strings.Lines(text) {
		if fields := strings.Fields(raw); len(fields) == 2 && !strings.HasPrefix(fields[0], "#") {
			lines = append(lines, fields)
		}
	}
	if match == "beg" {
		slices.SortStableFunc(lines, func(a, b []string) int { return len(b[0]) - len(a[0]) })
	}
	return lines
}
