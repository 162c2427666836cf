package l7

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"mcplb/conf"
	"mcplb/proxy/metrics"
)

// mostTools is how many tools a frontend counts by name; the rest are metrics.Other.
const mostTools = 100

// RuleCounters are what all loops together have counted for the routes of a frontend,
// and for the tools that its clients call. Any goroutine may use them. They stay when a
// reload changes the routes: a route is known by its name.
type RuleCounters struct {
	routes metrics.Labelled[metrics.Counter] // requests
	limits metrics.Labelled[LimitCounters]   // by limitName
	tools  metrics.Labelled[ToolCounters]
}

// LimitCounters are what one limit of a route has done.
type LimitCounters struct {
	Refused metrics.Counter // requests answered 429
	Delayed metrics.Counter // requests that waited for their turn
	last    atomic.Int64    // when it last did one of both, on the loops' clock; 0 = never
}

// note counts a request that is over the limit.
func (c *LimitCounters) note(counter *metrics.Counter, now int64) {
	counter.Add(1)
	c.last.Store(now)
}

// ToolCounters are what is counted of one tool.
type ToolCounters struct {
	Requests metrics.Counter
	Errors   metrics.Counter // answered with a status of 400 or more, or cut
	Duration metrics.Histogram
}

func newRuleCounters() *RuleCounters {
	c := new(RuleCounters)
	c.routes.Init(math.MaxInt)
	c.limits.Init(math.MaxInt)
	c.tools.Init(mostTools)
	return c
}

// The beginnings of the counters' names.
const (
	countsRoute   = "route/"
	countsRefused = "limit_refused/"
	countsDelayed = "limit_delayed/"
	countsTool    = "tool_requests/"
)

// Visit implements metrics.Set.
func (c *RuleCounters) Visit(v metrics.Visitor) {
	c.routes.Each(func(name string, n *metrics.Counter) { v.Counter(countsRoute+name, n) })
	c.limits.Each(func(name string, l *LimitCounters) {
		v.Counter(countsRefused+name, &l.Refused)
		v.Counter(countsDelayed+name, &l.Delayed)
	})
	c.tools.Each(func(name string, t *ToolCounters) {
		v.Counter(countsTool+name, &t.Requests)
		v.Counter("tool_errors/"+name, &t.Errors)
		t.Duration.Visit("tool_duration/"+name, v)
	})
}

// AddNames implements metrics.Adder.
func (c *RuleCounters) AddNames(names []string) {
	for _, name := range names {
		if label, ok := strings.CutPrefix(name, countsRoute); ok {
			c.routes.Get([]byte(label))
		}
		for _, prefix := range []string{countsRefused, countsDelayed} {
			if label, ok := strings.CutPrefix(name, prefix); ok {
				c.limits.Get([]byte(label))
			}
		}
		if label, ok := strings.CutPrefix(name, countsTool); ok {
			c.tools.Get([]byte(label))
		}
	}
}

// countTool counts a call of a tool that is over. Only one that a server accepted gets
// a name here, so that made-up names leave room for those that exist.
func (c *RuleCounters) countTool(name []byte, failed bool, nanoseconds int64) {
	t := c.tools.Find(name)
	switch {
	case t != nil:
	case failed:
		t = c.tools.Get([]byte(metrics.Other))
	default:
		t = c.tools.Get(name)
	}
	t.Requests.Add(1)
	if failed {
		t.Errors.Add(1)
	}
	t.Duration.Add(nanoseconds)
}

// bind makes the routes of settings count here. It writes nothing if they do already:
// loops may be using them.
func (c *RuleCounters) bind(s *Settings) {
	if s.matcher == nil || s.counting == c {
		return
	}
	s.counting = c
	s.fallback.requests = c.routes.Get([]byte(s.fallback.name))
	for i := range s.routes {
		r := &s.routes[i]
		r.requests = c.routes.Get([]byte(r.name))
		for _, l := range r.limits {
			l.counters = c.limits.Get([]byte(limitName(r.name, l.key)))
		}
	}
}

// limitName is what a limit's counters are known by.
func limitName(route string, key conf.LimitKey) string { return route + "\x00" + string(key) }

// LimitTotal is what one limit of a route has done.
type LimitTotal struct {
	Route, Key       string
	Refused, Delayed uint64
	Last             int64 // when it last refused or delayed a request, on the loops' clock; 0 = never
}

// ToolTotal is what was counted of one tool.
type ToolTotal struct {
	Requests, Errors uint64
	Duration         *metrics.Latency
}

// RuleTotals are the present values of RuleCounters.
type RuleTotals struct {
	Routes map[string]uint64
	Limits []LimitTotal // in the order of routes and keys
	Tools  map[string]ToolTotal
}

// Totals returns the present values.
func (c *RuleCounters) Totals() RuleTotals {
	t := RuleTotals{Routes: map[string]uint64{}, Tools: map[string]ToolTotal{}}
	c.routes.Each(func(name string, n *metrics.Counter) { t.Routes[name] = n.Load() })
	c.limits.Each(func(name string, l *LimitCounters) {
		route, key, _ := strings.Cut(name, "\x00")
		t.Limits = append(t.Limits, LimitTotal{route, key, l.Refused.Load(), l.Delayed.Load(), l.last.Load()})
	})
	c.tools.Each(func(name string, n *ToolCounters) {
		tool := ToolTotal{Requests: n.Requests.Load(), Errors: n.Errors.Load(), Duration: new(metrics.Latency)}
		tool.Duration.Add(&n.Duration)
		t.Tools[name] = tool
	})
	return t
}

// The name of what no route matches, and the most bytes of a name.
const (
	noRouteName   = "default"
	longRouteName = 80
)

// routeNames names a frontend's routes for counters and logs, by their conditions, so
// that a name stays when others are added: "mcp.example.com/mcp tools/call delete_*".
// Where two would have one name, their places in the file follow.
func routeNames(routes []conf.Route) []string {
	names := make([]string, len(routes))
	count := map[string]int{noRouteName: 1}
	for i := range routes {
		names[i] = routeName(&routes[i])
		count[names[i]]++
	}
	for i, name := range names {
		if count[name] > 1 {
			names[i] = fmt.Sprintf("%s #%d", name, i+1)
		}
	}
	return names
}

func routeName(r *conf.Route) string {
	path := r.Path
	if r.PathExact != "" {
		path = "=" + r.PathExact
	}
	parts := []string{strings.Join(r.Host, ",") + path}
	parts = append(parts, r.Methods...)
	parts = append(append(parts, r.MCPMethod...), r.MCPName...)
	for _, h := range r.Headers {
		parts = append(parts, h.Name+":"+strings.Join(h.Values, ","))
	}
	for _, p := range r.Source {
		parts = append(parts, p.String())
	}
	name := strings.TrimSpace(strings.Join(parts, " "))
	if name == "" {
		return "all"
	}
	if len(name) > longRouteName {
		name = strings.ToValidUTF8(name[:longRouteName], "") + "..."
	}
	return name
}
