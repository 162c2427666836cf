package haproxy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
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
}

// readSteps reads the http-request rules and their like, in their order.
func (g *group) readSteps(p *proxy, c *criteria) (steps []step) {
	for _, l := range p.rules {
		if l.words[0] == "tcp-request" {
			continue
		}
		if found, err := g.readStep(p, c, l); err != nil {
			l.Impossible("%v", err)
		} else {
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
	"deny": denyAction, "reject": denyAction, "tarpit": denyAction, "silent-drop": denyAction, "block": denyAction,
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
	when, err := c.parse(words[at:])
	if err != nil {
		return nil, err
	}
	s, err := do(g, l, words[1:at])
	if err != nil || s.apply == nil {
		return nil, err
	}
	s.l, s.when = l, when
	if table["cache-store"] != nil && len(words) > at {
		return nil, errors.New("what a response gets depends on the route alone, not on a condition")
	}
	for _, note := range c.notes {
		inner := s.apply
		s.apply = func(t *lb.Table) error {
			t.Differ(l.Directive, "", "%s", note)
			return inner(t)
		}
	}
	return g.limitSteps(p, s)
}

// limitSteps takes counters out of the condition of a rule that refuses: they become
// limits of routes.
func (g *group) limitSteps(p *proxy, s step) (steps []step, err error) {
	var plain condition
	for _, conj := range s.when {
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

// setInline sets a name in an inline table of a route, names compared without case.
func setInline(t *lb.Table, key, name string, value any, from *line) {
	old, _ := t.Get(key).(lb.Inline)
	list := slices.DeleteFunc(slices.Clone(old), func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
	if value != nil {
		list = append(list, lb.Pair{Key: name, Value: value})
	}
	if len(list) == 0 {
		t.Delete(key)
		return
	}
	t.Set(key, list, from.Directive)
}

func hasInline(t *lb.Table, key, name string) bool {
	list, _ := t.Get(key).(lb.Inline)
	return slices.ContainsFunc(list, func(p lb.Pair) bool { return strings.EqualFold(p.Key, name) })
}

// unremove takes a header off the list of those that are removed, and reports whether
// it was there.
func unremove(t *lb.Table, key, name string) bool {
	list := t.Strings(key)
	rest := slices.DeleteFunc(slices.Clone(list), func(n string) bool { return strings.EqualFold(n, name) })
	if len(rest) == len(list) {
		return false
	}
	if len(rest) == 0 {
		t.Delete(key)
	} else {
		t.Set(key, rest)
	}
	return true
}

// headerEdit is a way to change headers: of a request or of a response.
type headerEdit struct{ set, add, remove string }

var (
	setRequest  = headerEdit{set: "set_request_headers", add: "add_request_headers", remove: "remove_request_headers"}
	addRequest  = headerEdit{add: "add_request_headers", remove: "remove_request_headers"}
	setResponse = headerEdit{set: "set_response_headers", add: "add_response_headers", remove: "remove_response_headers"}
	addResponse = headerEdit{add: "add_response_headers", remove: "remove_response_headers"}
)

func headerAction(e headerEdit) action {
	return func(g *group, l *line, args []string) (step, error) {
		if len(args) < 2 {
			return step{}, errors.New("a header has a name and a value")
		}
		name := args[0]
		return step{apply: func(t *lb.Table) error {
			value, err := g.format(l, t, args[1])
			if err != nil {
				return err
			}
			g.edit(l, t, e, name, value)
			return nil
		}}, nil
	}
}

// edit sets or adds a header of a route.
func (g *group) edit(l *line, t *lb.Table, e headerEdit, name, value string) {
	removed := unremove(t, e.remove, name)
	if own := g.forwarded(name); own != "" && removed && own == value {
		l.Translated() // what mcplb sends by itself
		return
	}
	other := strings.Replace(e.add, "add_", "set_", 1)
	switch {
	case e.set != "" || removed || hasInline(t, other, name):
		setInline(t, e.add, name, nil, l)
		setInline(t, other, name, value, l)
		if e.set == "" && !removed {
			t.Differ(l.Directive, other, "%s is set once, to the last value", name)
		}
	default:
		setInline(t, e.add, name, value, l)
	}
}

// forwarded is what mcplb says by itself in a header.
func (g *group) forwarded(name string) string {
	switch strings.ToLower(name) {
	case "x-forwarded-for":
		return "{client_ip}"
	case "x-forwarded-host":
		return "{host}"
	case "x-forwarded-proto":
		if g.tls != nil {
			return "https"
		}
		return "http"
	}
	return ""
}

func removeAction(of string) action {
	return func(_ *group, l *line, args []string) (step, error) {
		if len(args) != 1 {
			return step{}, errors.New("mcplb removes headers by their names")
		}
		return step{apply: func(t *lb.Table) error {
			setInline(t, "set_"+of+"_headers", args[0], nil, l)
			setInline(t, "add_"+of+"_headers", args[0], nil, l)
			t.AddTo("remove_"+of+"_headers", l.Directive, args[0])
			return nil
		}}, nil
	}
}

func denyAction(_ *group, l *line, args []string) (step, error) {
	status := "403"
	for i, a := range args {
		if (a == "deny_status" || a == "status") && i+1 < len(args) {
			status = args[i+1]
		}
	}
	n, err := strconv.Atoi(status)
	if err != nil || n < 200 || n > 599 {
		return step{}, fmt.Errorf("%q is no status", status)
	}
	return step{ends: true, apply: func(t *lb.Table) error {
		if n == 403 {
			t.Set("deny", true, l.Directive)
		} else {
			t.Set("respond", lb.Inline{{Key: "status", Value: n}, {Key: "body", Value: ""}}, l.Directive)
		}
		if l.arg(1) == "tarpit" || l.arg(1) == "silent-drop" || l.arg(1) == "reject" {
			t.Differ(l.Directive, "", "%s: answered %d at once", l.arg(1), n)
		}
		return nil
	}}, nil
}

func redirectAction(g *group, l *line, args []string) (step, error) {
	to, code, path, kind := "", 302, "{uri}", ""
	for i := 0; i < len(args); i++ {
		value := ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		switch args[i] {
		case "scheme", "location", "prefix":
			kind, to = args[i], value
			i++
		case "code":
			n, err := number(value)
			if err != nil {
				return step{}, err
			}
			code = n
			i++
		case "drop-query":
			path = "{path}"
		case "ignore-empty":
		default:
			return step{}, fmt.Errorf("mcplb's redirects have no %q", args[i])
		}
	}
	return step{ends: true, apply: func(t *lb.Table) error {
		target, err := g.format(l, t, to)
		if err != nil {
			return err
		}
		switch kind {
		case "scheme":
			target += "://{host}" + path
		case "prefix":
			target = strings.TrimSuffix(target, "/") + path
		}
		t.Set("redirect", lb.Inline{{Key: "to", Value: target}, {Key: "status", Value: code}}, l.Directive)
		return nil
	}}, nil
}

func returnAction(g *group, l *line, args []string) (step, error) {
	status, kind, body := 200, "", ""
	var headers [][2]string
	for i := 0; i+1 < len(args); i += 2 {
		value := args[i+1]
		switch args[i] {
		case "status":
			n, err := number(value)
			if err != nil {
				return step{}, err
			}
			status = n
		case "content-type":
			kind = value
		case "string", "lf-string":
			if body = value; args[i] == "lf-string" && strings.Contains(value, "%") {
				return step{}, errors.New("the body of mcplb's responses is fixed")
			}
		case "file":
			text, err := g.env.ReadFile(value)
			if err != nil {
				return step{}, fmt.Errorf("the file of its body cannot be read: %w", err)
			}
			body = string(text)
		case "hdr":
			if i+2 >= len(args) {
				return step{}, errors.New("a header has a name and a value")
			}
			headers = append(headers, [2]string{value, args[i+2]})
			i++
		default:
			return step{}, fmt.Errorf("mcplb's responses have no %q", args[i])
		}
	}
	return step{ends: true, apply: func(t *lb.Table) error {
		respond := lb.Inline{{Key: "status", Value: status}}
		if body != "" {
			respond = append(respond, lb.Pair{Key: "body", Value: body})
		}
		if kind != "" {
			respond = append(respond, lb.Pair{Key: "content_type", Value: kind})
		}
		t.Set("respond", respond, l.Directive)
		for _, h := range headers {
			value, err := g.format(l, t, h[1])
			if err != nil {
				return err
			}
			setInline(t, "set_response_headers", h[0], value, l)
		}
		return nil
	}}, nil
}

// setPathAction translates a path that gets a prefix.
func setPathAction(_ *group, l *line, args []string) (step, error) {
	if len(args) == 0 {
		return step{}, errors.New("it names no path")
	}
	for _, whole := range []string{"%[path]", "%[pathq]", "%[url]"} {
		if prefix, ok := strings.CutSuffix(args[0], whole); ok && isPath(prefix) && prefix != "/" {
			return step{apply: func(t *lb.Table) error {
				t.Set("add_prefix", strings.TrimSuffix(prefix, "/"), l.Directive)
				return nil
			}}, nil
		}
	}
	return step{}, errors.New("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix)")
}

var (
	stripped = regexp.MustCompile(`^\^?(/[\w./-]*?)/?(?:\(\?:\/\|\$\)|\[\/\]\?|/\?)?\(\.\*\)\$?$`)
	replaced = regexp.MustCompile(`^(/[\w./-]*)?\\[12]$`)
)

// replacePathAction translates a regular expression that takes a prefix off, or puts
// one before.
func replacePathAction(_ *group, l *line, args []string) (step, error) {
	if len(args) != 2 {
		return step{}, errors.New("it has a pattern and a replacement")
	}
	from, to := stripped.FindStringSubmatch(args[0]), replaced.FindStringSubmatch(args[1])
	if from == nil || to == nil {
		return step{}, errors.New("mcplb takes a prefix off the path (strip_prefix) or puts one before it (add_prefix); this is another change")
	}
	prefix, before := strings.TrimSuffix(from[1], "/"), strings.TrimSuffix(to[1], "/")
	return step{apply: func(t *lb.Table) error {
		if prefix != "" {
			t.Set("strip_prefix", prefix, l.Directive)
			t.AddTo("remove_request_headers", nil, "X-Forwarded-Prefix")
			t.Differ(l.Directive, "strip_prefix", "by whole segments, of the canonical path")
		}
		if before != "" {
			t.Set("add_prefix", before, l.Directive)
		}
		l.Translated()
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

func varAction(*group, *line, []string) (step, error) {
	return step{}, errors.New("mcplb has no variables")
}

// serviceAction translates the page of metrics.
func serviceAction(g *group, l *line, args []string) (step, error) {
	if len(args) > 0 && args[0] == "prometheus-exporter" {
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
