package haproxy

import (
	"fmt"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// How a chain of rules becomes routes.
//
// HAProxy evaluates rules in order; some change the request and go on, others end it.
// mcplb takes one route. So every way through the chain that a request can take is a
// route: at a rule with a condition the way forks, first where the condition holds, then
// where it does not. The first ways have the highest priority, so that the second
// needs no opposite of the condition.

// mostRoutes bounds the routes of a frontend.
const mostRoutes = 500

// chain writes the routes of a group.
type chain struct {
	g      *group
	routes []*lb.Table
	taken  map[string]bool // conditions that a route has already
	full   bool
	after  []step // http-after-response
	front  []step // http-response of the frontend
	final  *proxy // the default backend; nil = none
}

// way is a way through the chain, as far as it has been followed.
type way struct {
	conditions conjunction
	route      *lb.Table
	headers    changedHeaders
	responses  []step // http-response of the backend
	backend    *proxy // nil = the default
}

// walk follows the rules from a way on.
func (c *chain) walk(w way, steps []step) {
	if c.full {
		c.tooMany(steps)
		return
	}
	for i, s := range steps {
		var err error
		if s.when, err = w.headers.before(changeOf(w.route).before(s.when)); err != nil {
			s.l.lost("%v", err)
			continue
		}
		s.when = s.when.plain()
		if s.when.follows(w.conditions) {
			if c.take(&w, s, steps[i+1:]) {
				return
			}
			continue
		}
		for _, conj := range s.when {
			conditions, possible := s.narrow(w.conditions, conj)
			if !possible {
				continue
			}
			fork := way{conditions, w.route.Clone(), w.headers, w.responses, w.backend}
			if !c.take(&fork, s, steps[i+1:]) {
				c.walk(fork, steps[i+1:])
			}
		}
		if len(s.when) == 0 {
			s.l.Unneeded("its condition never holds here")
		}
	}
	if w.backend == nil && c.final != nil {
		w.backend = c.final
		w.responses = c.g.responses(c.final)
		c.walk(w, c.g.backendSteps(c.final))
		return
	}
	c.emit(w)
}

// take applies a rule to a way, and reports whether that was its end.
func (c *chain) take(w *way, s step, rest []step) (ended bool) {
	if s.apply != nil {
		if err := s.apply(w.route); err != nil {
			s.l.lost("%v", err)
			w.headers = w.headers.after(s.edits)
			return false
		}
		s.l.Translated()
		w.headers = w.headers.after(s.edits)
	}
	switch {
	case s.ends:
		c.emit(*w)
	case s.skips:
		c.walk(*w, slices.DeleteFunc(slices.Clone(rest), func(s step) bool { return !s.ofUse && !isRedirect(s.l) }))
	case s.next != nil:
		if w.backend = c.g.c.section(w.route); w.backend == nil {
			c.emit(*w)
			return true
		}
		w.responses = c.g.responses(w.backend)
		c.walk(*w, s.next())
	default:
		return false
	}
	return true
}

// emit writes the route of a way that has ended.
func (c *chain) emit(w way) {
	route := w.route
	generated := route.Has("deny") || route.Has("respond") || route.Has("redirect")
	if b := w.backend; b != nil && len(b.servers) == 0 && !generated && c.g.respondPage(route, b, "503") {
		b.head.Translated()
		generated = true
	}
	responses := slices.Concat(c.after, w.responses, c.front)
	if w.backend != nil && len(w.backend.servers) == 0 {
		responses = c.after // there is no response that http-response could see
	}
	if generated {
		responses = c.after
		for _, key := range []string{"set_request_headers", "add_request_headers", "remove_request_headers", "strip_prefix", "add_prefix", "timeout_server", "timeout_stream", "backend", "limit", "max_body"} {
			route.Delete(key)
		}
	}
	if !generated {
		c.g.forwardFor(c.g.proxy, route)
		if w.backend != nil {
			c.g.forwardFor(w.backend, route)
		}
	}
	c.respond(w, responses, generated)
}

// respond follows the rules of responses from a way on that has ended.
func (c *chain) respond(w way, responses []step, generated bool) {
	if c.full {
		c.tooMany(responses)
		return
	}
	for i, s := range responses {
		s.when = s.when.plain()
		if s.when.follows(w.conditions) {
			applyResponse(s, w.route)
			continue
		}
		for _, conj := range s.when {
			conditions, possible := s.narrow(w.conditions, conj)
			if !possible {
				continue
			}
			fork := w
			fork.conditions, fork.route = conditions, w.route.Clone()
			applyResponse(s, fork.route)
			c.respond(fork, responses[i+1:], generated)
		}
		if len(s.when) == 0 {
			s.l.Unneeded("its condition never holds here")
		}
	}
	c.write(w, generated)
}

// tooMany accounts for rules of which no route says anything any more, since there are too many.
func (c *chain) tooMany(steps []step) {
	for _, s := range steps {
		if s.l.Unsaid() {
			s.l.lost("the rules of %s have more than %d cases", c.g.head.Text, mostRoutes)
		}
	}
}

func applyResponse(s step, route *lb.Table) {
	if err := s.apply(route); err != nil {
		s.l.Impossible("%v", err)
		return
	}
	s.l.Translated()
	if s.l.words[0] == "http-response" && s.l.arg(1) != "del-header" {
		route.Differ(s.l.Directive, "", "on mcplb's own responses, too, such as 502")
	}
}

// write writes the route of a way.
func (c *chain) write(w way, generated bool) {
	signature := fmt.Sprint(w.conditions)
	if c.taken[signature] || c.full {
		return
	}
	c.taken[signature] = true
	if len(c.routes) == mostRoutes {
		c.full = true
		c.g.head.Impossible("its rules have more than %d cases", mostRoutes)
		return
	}
	if !generated && w.backend != nil {
		c.g.forward(w.route, w.backend)
	}
	result := &lb.Table{}
	conditions(result, w.conditions)
	result.Merge(w.route)
	result.From = w.route.From
	c.routes = append(c.routes, result)
}

// forward names the backend of a route, and its timeout of tunnels.
func (g *group) forward(route *lb.Table, b *proxy) {
	route.Delete("backend")
	if name := g.c.backendOf(b, g.mode); name != g.frontend.Get("backend") {
		route.Set("backend", name)
	}
	g.c.serves[g.frontend] = true
	if l := b.timeouts["tunnel"]; l != nil && !route.Has("timeout_stream") {
		if d, err := duration(l.arg(2), 1_000_000); err == nil {
			route.Set("timeout_stream", d, l.Directive)
			route.Differ(l.Directive, "timeout_stream", "for event streams, too")
		}
	}
}

// keys of conditions, by their fact.
var conditionKeys = map[fact]string{host: "host", path: "path", pathIs: "path_exact", method: "methods", source: "source", sni: "sni"}

// conditions writes the conditions of a route.
func conditions(route *lb.Table, conj conjunction) {
	for _, l := range conj {
		prefix := ""
		if l.not {
			prefix = "not_"
		}
		switch l.fact {
		case header:
			values := l.values
			if values == nil {
				values = []string{}
			}
			list, _ := route.Get(prefix + "headers").(lb.Inline)
			route.Set(prefix+"headers", append(slices.Clone(list), lb.Pair{Key: l.name, Value: values}))
		case path, pathIs:
			if !l.not && l.fact == pathIs && l.name != anySlash {
				route.ExactPath(l.values[0], nil)
				continue
			}
			if !l.not {
				route.Set(conditionKeys[l.fact], l.values[0])
				continue
			}
			route.Set(prefix+conditionKeys[l.fact], unique(l.values))
		case host, method, source, sni:
			route.Set(prefix+conditionKeys[l.fact], unique(l.values))
		}
	}
}

func unique(values []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

// addRoutes writes the routes of a group of mode http.
func (g *group) addRoutes(final *proxy) {
	c := &chain{g: g, taken: map[string]bool{}, final: final}
	crit := &criteria{named: g.acls, group: g, used: map[*line]bool{}}
	var steps []step
	for _, s := range g.readSteps(g.proxy, crit) {
		switch s.l.words[0] {
		case "http-response":
			c.front = append(c.front, s)
		case "http-after-response":
			c.after = append(c.after, s)
		default:
			steps = append(steps, s)
		}
	}
	steps = slices.Concat(g.monitorStep(), steps, g.useSteps(crit))
	start := &lb.Table{}
	g.proxy.options["forwardfor"].directive().Translated()
	start.Set("remove_request_headers", []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"})
	if l := g.uniqueID; l != nil && l.arg(1) != "" {
		setInline(start, "set_request_headers", l.arg(1), "{request_id}", l)
		start.Differ(l.Directive, "set_request_headers", "an identifier of mcplb's form")
	}
	c.walk(way{route: start}, steps)
	for _, l := range g.uses {
		if l.Unsaid() {
			l.Unneeded("no request reaches it")
		}
	}
	g.finish(c.routes)
	markUsed(g.proxy, crit)
}

// markUsed accounts for the named criteria of a section: those that conditions have
// used, those that cannot be translated, and those that nothing uses.
func markUsed(p *proxy, c *criteria) {
	for name, lines := range p.acls {
		for _, l := range lines {
			c.notes = nil
			_, err := c.criterion(l.args(2))
			switch {
			case slices.Contains(c.notes, noPasswords):
				l.Impossible(noPasswords)
			case slices.Contains(c.notes, noCertificates):
				l.Impossible(noCertificates)
			case c.used[l]:
				l.Translated()
			case !p.refersTo(name):
				l.Unneeded("no rule uses it")
			case err != nil:
				l.Impossible("%v", err)
			default:
				l.Unneeded("no rule that is translated uses it")
			}
		}
	}
}

// refersTo reports whether a rule of the section names a criterion.
func (p *proxy) refersTo(name string) bool {
	for _, l := range slices.Concat(p.rules, p.uses) {
		if slices.Contains(l.words, name) || slices.Contains(l.words, "!"+name) {
			return true
		}
	}
	return false
}

// finish gives routes their priorities, lifts denials that stand later, and leaves a
// single route without conditions as it is.
func (g *group) finish(routes []*lb.Table) {
	lastDeny := -1
	for i, r := range routes {
		if r.Has("deny") {
			lastDeny = i
		}
	}
	for i, r := range routes {
		t := &lb.Table{From: r.From}
		if len(routes) > 1 {
			t.Set("priority", 10*(len(routes)-i))
		}
		t.Merge(r)
		if i < lastDeny && !r.Has("deny") {
			t.Set("allow", true)
		}
		g.frontend.Routes = append(g.frontend.Routes, t)
	}
}

// forwardFor keeps mcplb's X-Forwarded-For where the option is on, which counts after all rules:
// what they have removed is that of the client.
func (g *group) forwardFor(p *proxy, route *lb.Table) {
	l := p.options["forwardfor"]
	if l == nil {
		return
	}
	l.Translated()
	note := "X-Forwarded-For is always sent; what trusted_proxies sent of it is kept before the address"
	if i := slices.Index(l.words, "header"); i >= 0 && i+1 < len(l.words) && !strings.EqualFold(l.words[i+1], "X-Forwarded-For") {
		setInline(route, "set_request_headers", l.words[i+1], "{client_ip}", l)
		note = l.words[i+1] + " is always sent, in place of the client's own"
	} else {
		unremove(route, "remove_request_headers", "X-Forwarded-For")
	}
	if slices.Contains(l.words, "except") || slices.Contains(l.words, "if-none") {
		g.front.Differ(l.Directive, "", "%s", note)
	}
}

// monitorStep is the answer to monitor-uri.
func (g *group) monitorStep() []step {
	l := g.monitor
	if l == nil || !isPath(l.arg(1)) {
		return nil
	}
	return []step{{l: l, when: cases(pathIs, []string{l.arg(1)}), ends: true, apply: func(t *lb.Table) error {
		t.Set("respond", lb.Inline{{Key: "status", Value: 200}, {Key: "body", Value: "OK\n"}}, l.Directive)
		return nil
	}}}
}

// backendSteps are the rules of a backend for the requests of a group.
func (g *group) backendSteps(b *proxy) []step {
	if b == nil || b == g.proxy {
		return nil
	}
	if steps, done := b.steps[g]; done {
		return onlyRequests(steps)
	}
	b.options["forwardfor"].directive().Translated()
	c := &criteria{named: b.acls, group: g, used: map[*line]bool{}}
	steps := g.readSteps(b, c)
	b.steps[g] = steps
	markUsed(b, c)
	return onlyRequests(steps)
}

func onlyRequests(steps []step) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return strings.HasSuffix(s.l.words[0], "response") })
}

// responses are the rules of a backend for responses.
func (g *group) responses(b *proxy) []step {
	g.backendSteps(b)
	return slices.DeleteFunc(slices.Clone(b.steps[g]), func(s step) bool { return !strings.HasSuffix(s.l.words[0], "response") })
}

// narrow returns conditions with one more, under which the step is taken, and accounts for its
// line. It reports false if no request has all of them, as far as mcplb can say.
func (s *step) narrow(conditions, more conjunction) (all conjunction, possible bool) {
	all, possible, err := join(conditions, more)
	if err != nil {
		s.l.lost("%v", err)
		return nil, false
	}
	s.l.Translated()
	return all, possible
}
