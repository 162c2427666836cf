package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// step is a rule of a section, read for the listeners of a group: what it does to the
// route of the requests for which its condition holds.
type step struct {
	l     *line
	when  condition
	apply func(route *lb.Table) error // what the request gets
	ends  bool                        // no later rule counts
	skips bool                        // no later http-request rule counts
	next  func() []step               // the rules of the backend that the request goes to
	ofUse bool                        // use_backend
	edits *change                     // of a header; nil = none
}

// isRedirect reports whether a rule is a redirect of its own, not one of http-request.
func isRedirect(l *line) bool { return l.words[0] == "redirect" }

// inOrder returns the rules in the order in which HAProxy asks them: redirects of their own
// after all that are http-request's, wherever they stand.
func inOrder(rules []*line) []*line {
	first := slices.DeleteFunc(slices.Clone(rules), isRedirect)
	return append(first, slices.DeleteFunc(slices.Clone(rules), func(l *line) bool { return !isRedirect(l) })...)
}

// readSteps reads the http-request rules and their like, in their order.
func (g *group) readSteps(p *proxy, c *criteria) (steps []step) {
	for _, l := range inOrder(p.rules) {
		if l.words[0] == "tcp-request" {
			if !p.isFront() {
				l.lost("mcplb's rules for connections are of frontends; http-request rules of a backend are translated")
			}
			continue
		}
		if found, err := g.readStep(p, c, l); err != nil {
			l.lost("%v", err)
		} else {
			g.c.rules = append(g.c.rules, l)
			steps = append(steps, found...)
		}
	}
	return steps
}

// action is an action of a rule: it reads its arguments and returns the step without
// its condition.
type action func(g *group, l *line, args []string) (step, error)

// actions are the actions of the rules of requests. A new one is one entry.
var actions = map[string]action{
	"set-header": headerAction(setRequest), "add-header": headerAction(addRequest), "del-header": removeAction("request"),
	"auth": authAction, "deny": denyAction, "reject": denyAction, "tarpit": denyAction, "silent-drop": denyAction, "block": denyAction,
	"allow":    func(*group, *line, []string) (step, error) { return step{skips: true, apply: nothing}, nil },
	"redirect": redirectAction, "return": returnAction,
	"set-path": setPathAction, "replace-path": replacePathAction, "set-uri": setPathAction, "replace-uri": replacePathAction, "replace-pathq": replacePathAction,
	"disable-l7-retry": noAction("requests are not sent again, except those that read"),
	"set-log-level":    noAction("all requests are logged alike"), "capture": noAction("the keys of the access log are fixed"),
	"set-var": varAction, "set-var-fmt": varAction, "unset-var": varAction,
	"cache-use": func(*group, *line, []string) (step, error) { return step{}, errors.New("mcplb has no cache") },
	"track-sc0": trackAction, "track-sc1": trackAction, "track-sc2": trackAction,
	"set-src": setSourceAction, "wait-for-body": noAction("bodies pass as they come, at min_body_rate"), "do-resolve": nil,
	"use-service": serviceAction, "normalize-uri": noAction("routes compare the canonical path"), "strict-mode": noAction("HAProxy's own"), "set-timeout": timeoutAction,
}

// responseActions are the actions of the rules of responses.
var responseActions = map[string]action{
	"set-header": headerAction(setResponse), "add-header": headerAction(addResponse), "del-header": removeAction("response"),
	"cache-store":   func(*group, *line, []string) (step, error) { return step{}, errors.New("mcplb has no cache") },
	"set-log-level": noAction("all requests are logged alike"), "capture": noAction("the keys of the access log are fixed"), "allow": noAction("responses pass"),
	"strict-mode": noAction("HAProxy's own"),
}

func nothing(*lb.Table) error { return nil }

func noAction(why string) action {
	return func(_ *group, l *line, _ []string) (step, error) {
		l.Unneeded(why)
		return step{}, nil
	}
}

// readStep reads a rule.
func (g *group) readStep(p *proxy, c *criteria, l *line) ([]step, error) {
	table, words := actions, l.args(1)
	switch l.words[0] {
	case "http-response", "http-after-response":
		table = responseActions
	case "redirect":
		words = l.words
	}
	if len(words) == 0 {
		return nil, errors.New("it says nothing")
	}
	if base, argument, ok := strings.Cut(words[0], "("); ok {
		words = append([]string{base, "(" + argument}, words[1:]...)
	}
	do := table[words[0]]
	if do == nil {
		return nil, fmt.Errorf("mcplb has no action %q", words[0])
	}
	at := slices.IndexFunc(words, func(w string) bool { return w == "if" || w == "unless" })
	if at < 0 {
		at = len(words)
	}
	c.notes = nil
	c.closes, c.at = l.refuses(), l
	when, err := c.parse(words[at:])
	c.closes = false
	if err != nil {
		return nil, err
	}
	c.account(l)
	for _, note := range c.notes {
		if note == noPasswords || note == noCertificates {
			l.Impossible("%s", note)
		}
	}
	s, err := do(g, l, words[1:at])
	if err != nil || s.apply == nil {
		return nil, err
	}
	s.l = l
	if s.when == nil {
		s.when = when
	} else if s.when, err = when.and(s.when); err != nil { // the action has its own condition
		return nil, err
	}
	if table["cache-store"] != nil && !s.when.knownOfResponses() {
		return nil, errors.New("what a response gets depends on the route, the source and the method, not on another condition")
	}
	if notes := c.notes; len(notes) > 0 {
		inner := s.apply
		s.apply = func(t *lb.Table) error {
			noted(l, t, notes)
			return inner(t)
		}
	}
	return g.limitSteps(p, s)
}

// knownOfResponses reports whether HAProxy knows, where it has a response, all that a condition
// asks of the request.
func (c condition) knownOfResponses() bool {
	return !slices.ContainsFunc(c, func(conj conjunction) bool {
		return slices.ContainsFunc(conj, func(l literal) bool { return l.fact != source && l.fact != method && l.fact != always && !l.asCame })
	})
}

// limitSteps takes counters out of the condition of a rule that refuses: they become
// limits of routes.
func (g *group) limitSteps(p *proxy, s step) (steps []step, err error) {
	var plain condition
	for _, conj := range s.when {
		if i := slices.IndexFunc(conj, func(l literal) bool { return l.fact == size }); i >= 0 {
			limit, err := g.maxBody(s, conj[i], slices.Delete(slices.Clone(conj), i, i+1))
			if err != nil {
				return nil, err
			}
			steps = append(steps, limit)
			continue
		}
		i := slices.IndexFunc(conj, func(l literal) bool { return l.fact == rate })
		if i < 0 {
			plain = append(plain, conj)
			continue
		}
		rest := slices.Delete(slices.Clone(conj), i, i+1)
		if conj[i].not || slices.ContainsFunc(rest, func(l literal) bool { return l.fact == rate }) || !s.ends {
			return nil, errors.New("a limit refuses what is over it, and does nothing else")
		}
		limit, err := g.limit(p, s.l, conj[i], rest)
		if err != nil {
			return nil, err
		}
		if limit != nil {
			steps = append(steps, *limit)
		}
	}
	if s.when = plain; len(plain) > 0 || len(steps) == 0 {
		steps = append(steps, s)
	}
	return steps, nil
}

// maxBody translates a denial of long bodies.
func (g *group) maxBody(s step, limit literal, rest conjunction) (step, error) {
	if limit.not || !s.ends || s.l.arg(1) == "redirect" || slices.ContainsFunc(rest, func(l literal) bool { return l.fact == rate || l.fact == size }) {
		return step{}, errors.New("a greatest length of bodies refuses what is longer, and does nothing else")
	}
	return step{l: s.l, when: condition{rest}, apply: func(t *lb.Table) error {
		if before, ok := t.Get("max_body").(int); ok && before < limit.limit {
			return nil
		}
		t.Set("max_body", limit.limit, s.l.Directive)
		t.Differ(s.l.Directive, "max_body", "a longer body is answered 413; what comes counts, beside Content-Length")
		return nil
	}}, nil
}

// setSourceAction translates the client's address from a header, which mcplb takes
// from trusted proxies alone.
func setSourceAction(g *group, l *line, args []string) (step, error) {
	if len(args) == 0 || !strings.Contains(strings.ToLower(args[0]), "x-forwarded-for") {
		return step{}, errors.New("the client's address comes from X-Forwarded-For of trusted_proxies, or the PROXY header")
	}
	l.Impossible("write the networks of the proxies in front into trusted_proxies of frontend %s: from others mcplb believes nothing", g.frontend.Name)
	return step{}, nil
}

// varAction accounts for a variable, which is read where a rule uses it.
func varAction(_ *group, l *line, _ []string) (step, error) {
	l.Unneeded("nothing that is translated uses the variable")
	return step{}, nil
}

// serviceAction translates the page of metrics.
func serviceAction(g *group, l *line, args []string) (step, error) {
	if len(args) > 0 && args[0] == "prometheus-exporter" {
		g.c.config.Admin.Default("listen", "127.0.0.1:8404")
		g.c.config.Admin.Differ(l.Directive, "listen", "metrics are at /metrics of this address, with other names: docs/metrics.md")
		return step{}, nil
	}
	return step{}, errors.New("mcplb has no such service")
}

func timeoutAction(_ *group, l *line, args []string) (step, error) {
	if len(args) < 2 {
		return step{}, errors.New("it has a name and a time")
	}
	d, err := duration(args[1], 1_000_000)
	if err != nil {
		return step{}, err
	}
	key := map[string]string{"server": "timeout_server", "tunnel": "timeout_stream"}[args[0]]
	if key == "" {
		return step{}, fmt.Errorf("mcplb has no timeout %q of a route", args[0])
	}
	return step{apply: func(t *lb.Table) error {
		t.Set(key, d, l.Directive)
		return nil
	}}, nil
}
