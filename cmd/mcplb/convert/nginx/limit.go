package nginx

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// routeLimits writes the limits of a location, and returns the conditions of the requests that its
// zones do not count, with the limits that are left for them.
func (g *group) routeLimits(s *scope, t *lb.Table) (free []*lb.Table) {
	var limits, rest []lb.Inline
	var uncounted []*lb.Table
	for _, n := range s.limiting("limit_req") {
		limit, exempt, err := g.requestLimit(n)
		if err == nil {
			uncounted, err = joined(uncounted, exempt)
		}
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		if len(exempt) == 0 {
			rest = append(rest, limit)
		}
		limits = append(limits, limit)
		t.Set("limit", limits, n.Directive)
		note := "over it 429 with Retry-After, not limit_req_status"
		if !n.has("nodelay") {
			note = "requests over the rate wait in turn, however many; nginx refuses those over the burst"
		}
		t.Differ(n.Directive, "limit", "%s", note)
	}
	for _, n := range s.limiting("limit_conn") {
		key, _, exempt, err := g.zone("limit_conn_zone", n.arg(0))
		count, bad := number(n.arg(1))
		if err == nil && bad != nil {
			err = bad
		}
		if err == nil {
			uncounted, err = joined(uncounted, exempt)
		}
		if err != nil {
			n.Impossible("%v", err)
			continue
		}
		limit := lb.Inline{{Key: "key", Value: key}, {Key: "concurrency", Value: count}, {Key: "over", Value: "reject"}}
		if len(exempt) == 0 {
			rest = append(rest, limit)
		}
		limits = append(limits, limit)
		t.Set("limit", limits, n.Directive)
		t.Differ(n.Directive, "limit", "requests under way, not connections with one; over it 429, not limit_conn_status")
	}
	for _, name := range []string{"limit_req_status", "limit_conn_status", "limit_req_log_level", "limit_conn_log_level"} {
		if n := s.last(name); n != nil {
			n.Unneeded("over a limit: 429; refusals are counted, and logged by reason")
		}
	}
	for _, conditions := range uncounted {
		one := conditions.Clone()
		if len(rest) > 0 {
			one.Set("limit", rest)
		}
		free = append(free, one)
	}
	return free
}

// joined returns the conditions of the requests that the zones of a location do not count: those
// of all zones have to be the same, if there are any.
func joined(before, exempt []*lb.Table) ([]*lb.Table, error) {
	if len(before) == 0 || len(exempt) == 0 {
		return slices.Concat(before, exempt), nil
	}
	if !slices.EqualFunc(before, exempt, (*lb.Table).Equal) {
		return before, errors.New("another zone of the location has other exceptions: write a location for each")
	}
	return before, nil
}

// limiting returns the directives of a kind that limit: none in a dry run.
func (s *scope) limiting(kind string) []*node {
	dry := s.last(kind + "_dry_run")
	if dry == nil {
		return s.all(kind)
	}
	dry.Unneeded("refusals alone are counted")
	if dry.arg(0) != "on" {
		return s.all(kind)
	}
	for _, n := range s.all(kind) {
		n.Unneeded("a dry run limits nobody")
	}
	return nil
}

// mostVariants bounds the headers by which the limits of a route go.
const mostVariants = 4

// limitVariants returns a route for each set of headers by which its limits go: nginx does
// not limit requests without the header, which mcplb counts by their source.
func limitVariants(t *lb.Table) []*lb.Table {
	limits, _ := t.Get("limit").([]lb.Inline)
	var names []string
	for _, l := range limits {
		name := limitHeader(l)
		given, _ := t.Get("headers").(lb.Inline)
		conditional := slices.ContainsFunc(given, func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
		if name != "" && !conditional && !slices.Contains(names, name) && len(names) < mostVariants {
			names = append(names, name)
		}
	}
	var all []*lb.Table
	for set := range 1 << len(names) {
		all = append(all, limitVariant(t, limits, names, set))
	}
	return all
}

// limitVariant is the route for the requests with those headers whose bit is set.
func limitVariant(t *lb.Table, limits []lb.Inline, names []string, set int) *lb.Table {
	if len(names) == 0 {
		return t
	}
	conditions := &lb.Table{}
	given, _ := t.Get("headers").(lb.Inline)
	present := slices.Clone(given)
	var without []string
	for i, name := range names {
		if set&(1<<i) != 0 {
			present = append(present, lb.Pair{Key: name, Value: []string{}})
		} else {
			without = append(without, name)
		}
	}
	left := slices.DeleteFunc(slices.Clone(limits), func(l lb.Inline) bool { return slices.Contains(without, limitHeader(l)) })
	if len(present) > 0 {
		conditions.Set("headers", present)
	}
	conditions.Merge(t)
	if len(present) > 0 {
		conditions.Set("headers", present)
	}
	conditions.From = t.From
	if conditions.Set("limit", left); len(left) == 0 {
		conditions.Delete("limit")
	}
	return conditions
}

// limitHeader returns the header by which a limit goes, or "".
func limitHeader(l lb.Inline) string {
	for _, p := range l {
		switch key, _ := p.Value.(string); {
		case p.Key != "key":
		case key == "session":
			return "Mcp-Session-Id"
		case strings.HasPrefix(key, "header:"):
			return strings.TrimPrefix(key, "header:")
		}
	}
	return ""
}

// requestLimit translates limit_req zone=NAME [burst=N] [nodelay].
func (g *group) requestLimit(n *node) (limit lb.Inline, exempt []*lb.Table, err error) {
	name, _ := n.option("zone")
	key, zone, exempt, err := g.zone("limit_req_zone", name)
	if err != nil {
		return nil, nil, err
	}
	rate, err := zoneRate(zone)
	if err != nil {
		return nil, nil, err
	}
	burst := 0
	if value, ok := n.option("burst"); ok {
		if burst, err = number(value); err != nil {
			return nil, nil, err
		}
	}
	over := "delay"
	if n.has("nodelay") || burst == 0 {
		over = "reject"
	}
	if g.c.zoneUses[name]++; g.c.zoneUses[name] == 2 {
		g.c.config.RateLimit.Differ(zone.Directive, "", "zone %s: each route counts by itself", name)
	}
	limit = lb.Inline{{Key: "key", Value: key}, {Key: "rate", Value: rate}}
	if over == "delay" {
		burst = 0 // nginx lets them through at the rate
	}
	return append(limit, lb.Pair{Key: "burst", Value: burst + 1}, lb.Pair{Key: "over", Value: over}), exempt, nil
}

// zone returns the key of a zone, in mcplb's words.
func (c *converter) zone(kind, name string) (key string, zone *node, err error) {
	zone = c.zones[kind+" "+name]
	if zone == nil {
		return "", nil, fmt.Errorf("there is no zone %q", name)
	}
	if key, err = limitKey(zone.arg(0)); err == nil {
		zone.Translated()
	}
	return key, zone, err
}

// limitKey returns what a variable counts, in mcplb's words.
func limitKey(variable string) (key string, err error) {
	switch {
	case variable == "$binary_remote_addr" || variable == "$remote_addr" || variable == "$realip_remote_addr":
		key = "source"
	case variable == "$http_mcp_session_id":
		key = "session"
	case variable == "$server_name" || variable == "$server_port" || variable == "$server_addr":
		key = "route"
	case variable == "$ssl_client_s_dn":
		key = "principal"
	case strings.HasPrefix(variable, "$http_") && variable != "$http_host":
		key = "header:" + headerName(variable)
	default:
		return "", fmt.Errorf("mcplb's limits are by source, session, route, header or principal, not by %s", variable)
	}
	return key, nil
}

// zoneRate returns the rate of a zone, per second.
func zoneRate(zone *node) (any, error) {
	value, _ := zone.option("rate")
	digits := strings.TrimRight(value, "r/sm")
	n, err := number(digits)
	if err != nil || n == 0 {
		return nil, errors.New("the zone has no rate")
	}
	if strings.HasSuffix(value, "r/m") {
		rate := math.Round(float64(n)/60*1000) / 1000
		if rate == math.Trunc(rate) {
			return int(rate), nil
		}
		return max(rate, 0.001), nil
	}
	return n, nil
}

// streamLimit is a limit_conn of a stream server.
type streamLimit struct {
	n     *node
	count int
}

// applyStreamLimits writes the limit of connections, which mcplb has for all frontends
// together, if every server has one.
func (c *converter) applyStreamLimits() {
	if len(c.limited) == 0 {
		return
	}
	most, all := 0, true
	for _, l := range c.limited {
		most = max(most, l.count)
	}
	for _, f := range c.config.Frontends {
		if f.Get("mode") == "http" {
			limited := len(f.Routes) > 0
			for _, r := range f.Routes {
				limits, _ := r.Get("limit").([]lb.Inline)
				concurrent := slices.ContainsFunc(limits, func(l lb.Inline) bool {
					return slices.ContainsFunc(l, func(p lb.Pair) bool {
						n, isNumber := p.Value.(int)
						if p.Key == "concurrency" && isNumber {
							most = max(most, n)
						}
						return p.Key == "concurrency"
					})
				})
				forwards := !r.Has("respond") && !r.Has("redirect") && !r.Has("deny")
				limited = limited && (concurrent || !forwards)
			}
			all = all && limited
			continue
		}
		all = all && slices.ContainsFunc(c.limited, func(l streamLimit) bool { return slices.Contains(f.From, l.n.Directive) })
	}
	for _, l := range c.limited {
		if !all {
			l.n.Impossible("mcplb limits connections for all frontends together, and not every server has a limit")
			continue
		}
		c.config.RateLimit.Set("max_connections", most, l.n.Directive)
		c.config.RateLimit.Differ(l.n.Directive, "max_connections", "over all frontends together, those of mode http too, whose idle connections count")
	}
}
