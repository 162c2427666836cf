package haproxy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"mcplb/cmd/mcplb/convert/lb"
)

// tracking is a track-sc rule: whose requests a counter counts.
type tracking struct {
	l     *line
	key   string // of mcplb's limits
	table string // "" = the section's own
	when  condition
}

// header is the header whose requests alone are counted, or "".
func (t *tracking) header() string {
	if t.key == "session" {
		return "Mcp-Session-Id"
	}
	name, _ := strings.CutPrefix(t.key, "header:")
	if name == t.key {
		return ""
	}
	return name
}

// connLimit is a limit of connections, which mcplb has for all frontends together.
type connLimit struct {
	l        *line
	frontend *lb.Frontend
	counter  string // conn_rate or conn_cur
	limit    int
	period   time.Duration
}

// trackAction accounts for a rule that counts; which requests it counts is read when
// the counter is asked for.
func trackAction(_ *group, l *line, args []string) (step, error) {
	if len(args) == 0 {
		return step{}, errors.New("it names nothing to count by")
	}
	if _, err := trackKey(args[0]); err != nil {
		return step{}, err
	}
	l.Translated()
	return step{}, nil
}

// trackKey is the key of mcplb's limits for what HAProxy counts by.
func trackKey(sample string) (string, error) {
	sample, _, _ = strings.Cut(sample, ",")
	switch name, argument, _ := strings.Cut(strings.TrimSuffix(sample, ")"), "("); name {
	case "src":
		return "source", nil
	case "hdr", "req.hdr", "req.fhdr":
		if strings.EqualFold(argument, "mcp-session-id") {
			return "session", nil
		}
		if argument != "" && !strings.EqualFold(argument, "host") && !strings.Contains(argument, ",") {
			return "header:" + argument, nil
		}
	case "be_id", "fe_id", "int":
		return "route", nil
	}
	return "", fmt.Errorf("mcplb's limits are by source, session, route or header, not by %s", sample)
}

// tracked returns what a counter counts, by the rules of the section.
func (g *group) tracked(p *proxy, sample, argument string) (*tracking, error) {
	index, table, _ := strings.Cut(argument, ",")
	if strings.HasPrefix(sample, "src_") {
		return &tracking{key: "source", table: argument}, nil
	}
	if digit := strings.TrimPrefix(sample, "sc"); digit != "" && digit[0] >= '0' && digit[0] <= '2' {
		index, table = digit[:1], argument
	}
	for _, l := range p.rules {
		words := l.args(1)
		if len(words) > 0 && (words[0] == "connection" || words[0] == "content" || words[0] == "session") {
			words = words[1:]
		}
		if len(words) < 2 || words[0] != "track-sc"+index {
			continue
		}
		key, err := trackKey(words[1])
		if err != nil {
			return nil, err
		}
		t := &tracking{l: l, key: key, table: table, when: condition{{}}}
		rest := words[2:]
		if len(rest) > 1 && rest[0] == "table" {
			t.table, rest = rest[1], rest[2:]
		}
		c := &criteria{named: p.acls, group: g, used: map[*line]bool{}}
		if t.when, err = c.parse(rest); err != nil {
			return nil, err
		}
		if len(c.lost) > 0 {
			return nil, c.lost[0]
		}
		l.Translated()
		return t, nil
	}
	return nil, fmt.Errorf("no rule of this section counts for %s", sample)
}

// period returns the time over which a table counts, and accounts for the table.
func (g *group) period(p *proxy, table, counter string) (time.Duration, error) {
	l := p.counters
	if table != "" {
		other := g.c.sectionOf(table)
		if other == nil || other.counters == nil {
			return 0, fmt.Errorf("there is no stick-table %q", table)
		}
		l = other.counters
		other.head.Translated()
		other.head.Unneeded("")
	}
	if l == nil {
		return 0, errors.New("there is no stick-table")
	}
	_, stored, _ := strings.Cut(strings.Join(l.words, " "), counter+"(")
	value, _, ok := strings.Cut(stored, ")")
	if !ok {
		return 0, fmt.Errorf("the stick-table does not store %s", counter)
	}
	d, err := duration(value, time.Millisecond)
	if err == nil && d == 0 {
		err = errors.New("the period is 0")
	}
	l.Translated()
	return d, err
}

// limit translates a counter that refuses what is over it: requests by a limit of
// routes, connections later, when all frontends are known.
func (g *group) limit(p *proxy, l *line, counter literal, rest conjunction) (*step, error) {
	t, err := g.tracked(p, counter.values[0], counter.values[1])
	if err != nil {
		return nil, err
	}
	if counter.name == "conn_cur" {
		return nil, g.limitConnections(l, t, rest, connLimit{l: l, frontend: g.frontend, counter: counter.name, limit: counter.limit})
	}
	period, err := g.period(p, t.table, counter.name)
	if err != nil {
		return nil, err
	}
	if counter.name == "conn_rate" {
		return nil, g.limitConnections(l, t, rest, connLimit{l, g.frontend, counter.name, counter.limit, period})
	}
	when := condition{rest}
	if t.when != nil {
		if when, err = when.and(t.when); err != nil {
			return nil, err
		}
	}
	if name := t.header(); name != "" { // HAProxy does not count requests without it, which mcplb counts by their source
		if when, err = when.and(condition{{{fact: header, name: name}}}); err != nil {
			return nil, err
		}
	}
	perSecond := math.Round(float64(counter.limit)/period.Seconds()*1000) / 1000
	return &step{l: l, when: when, apply: func(route *lb.Table) error {
		limits, _ := route.Get("limit").([]lb.Inline)
		route.Set("limit", append(limits[:len(limits):len(limits)], lb.Inline{
			{Key: "key", Value: t.key}, {Key: "rate", Value: max(perSecond, 0.001)}, {Key: "burst", Value: counter.limit}, {Key: "over", Value: "reject"}}), l.Directive)
		route.Differ(l.Directive, "limit", "over it: 429, with Retry-After; each route counts by itself, and refused requests do not count")
		return nil
	}}, nil
}

// limitConnections notes a limit of connections for later.
func (g *group) limitConnections(l *line, t *tracking, rest conjunction, limit connLimit) error {
	if t.key != "source" || len(rest) > 0 || len(t.when) > 0 && len(t.when[0]) > 0 {
		return errors.New("mcplb limits connections by their source, without further conditions")
	}
	l.Translated()
	g.c.connLimits = append(g.c.connLimits, limit)
	return nil
}

// applyConnLimits writes the limits of connections, if all frontends that have
// servers have the same.
func (c *converter) applyConnLimits() {
	for _, counter := range []string{"conn_rate", "conn_cur"} {
		var of []connLimit
		limited := map[*lb.Frontend]bool{}
		same := true
		for _, limit := range c.connLimits {
			if limit.counter == counter {
				of = append(of, limit)
				limited[limit.frontend] = true
				same = same && limit.limit == of[0].limit && limit.period == of[0].period
			}
		}
		for _, f := range c.config.Frontends {
			same = same && (limited[f] || !c.serves[f])
		}
		for _, limit := range of {
			if !same {
				limit.l.Impossible("mcplb limits connections for all frontends together, and not all of these have this limit")
				continue
			}
			c.applyConnLimit(limit)
		}
	}
}

func (c *converter) applyConnLimit(limit connLimit) {
	t := &c.config.RateLimit
	if limit.counter == "conn_cur" {
		t.Set("max_connections", limit.limit, limit.l.Directive)
		t.Differ(limit.l.Directive, "max_connections", "over all frontends together")
		return
	}
	perSecond := int(math.Ceil(float64(limit.limit) / limit.period.Seconds()))
	t.Set("connection_rate", max(perSecond, 1), limit.l.Directive)
	t.Set("connection_burst", limit.limit, limit.l.Directive)
	t.Differ(limit.l.Directive, "connection_rate", "over all frontends together; refused connections do not count")
}
