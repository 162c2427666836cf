package nginx

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// answer translates a return or a rewrite. where are the paths for which it holds, none for
// every path. No effects and no error are a rewrite that changes the path of a proxy_pass,
// which is read there.
func (g *group) answer(n *node, s *scope) (effects *lb.Table, where []lb.Path, err error) {
	t := &lb.Table{From: []*lb.Directive{n.Directive}}
	if n.name == "return" {
		err = g.returned(n, s, t)
		if err == nil {
			g.responseHeaders(s, t, answered(t))
		}
		return t, nil, err
	}
	to, flag := n.arg(1), n.arg(2)
	status := map[string]int{"permanent": 301, "redirect": 302}[flag]
	if status == 0 && (strings.HasPrefix(to, "http://") || strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "$scheme")) {
		status = 302
	}
	if status == 0 {
		if s.last("proxy_pass") != nil && s.node.name == "location" {
			return nil, nil, nil
		}
		return nil, nil, errors.New("mcplb changes paths by prefixes (strip_prefix, add_prefix) where they are forwarded")
	}
	from := n.arg(0)
	if slices.Contains(everyPath, from) {
		to = wholeRewrite.ReplaceAllString(to, "$request_uri")
		to = strings.ReplaceAll(to, "$request_uri$request_uri", "$request_uri")
	} else if where, err = rewritten(from); err != nil {
		return nil, nil, err
	}
	if regexp.MustCompile(`\$\d`).MatchString(to) {
		return nil, nil, errors.New("mcplb's redirects have no part of a regular expression")
	}
	if bare, without := strings.CutSuffix(to, "?"); without {
		to = bare
	} else if !strings.Contains(to, "$request_uri") && !strings.Contains(to, "?") && !strings.Contains(to, "$args") {
		to += "?$args" // nginx appends the query
	}
	if err = g.redirect(n, s, t, to, status); err == nil {
		g.responseHeaders(s, t, status)
	}
	return t, where, err
}

// answered returns the status with which a route answers.
func answered(t *lb.Table) int {
	for _, key := range []string{"respond", "redirect"} {
		inline, _ := t.Get(key).(lb.Inline)
		for _, p := range inline {
			if status, ok := p.Value.(int); ok && p.Key == "status" {
				return status
			}
		}
	}
	return 403
}

// everyPath are the regular expressions of a rewrite that every path has.
var everyPath = []string{"^", ".*", "^.*$", "^/.*$", "^(.*)", "^(.*)$", "^/(.*)$", "^/(.*)", "(.*)", "^/", "/"}

var wholeRewrite = regexp.MustCompile(`/?\$1|/?\$uri\$is_args\$args|\$uri`)

// rewritten returns the paths of a rewrite that redirects.
func rewritten(from string) (where []lb.Path, err error) {
	where, _, err = lb.FinitePaths(from)
	if err != nil || slices.ContainsFunc(where, func(p lb.Path) bool { return !isPath(p.Text) }) {
		return nil, fmt.Errorf("%s is a regular expression: mcplb redirects every path, or some of them", from)
	}
	return where, nil
}

// returned translates return CODE [TEXT], return CODE URL, return URL.
func (g *group) returned(n *node, s *scope, t *lb.Table) error {
	code, rest := n.arg(0), n.arg(1)
	if strings.HasPrefix(code, "http") || strings.HasPrefix(code, "$scheme") {
		return g.redirect(n, s, t, code, 302)
	}
	status, err := number(code)
	if err != nil {
		return err
	}
	switch {
	case slices.Contains([]int{301, 302, 303, 307, 308}, status) && rest != "":
		return g.redirect(n, s, t, rest, status)
	case status == 444:
		t.Set("respond", lb.Inline{{Key: "status", Value: 403}}, n.Directive)
		t.Differ(n.Directive, "respond", "444: answered 403, not closed without a word")
		return nil
	case status == 403 && rest == "":
		t.Set("respond", lb.Inline{{Key: "status", Value: 403}}, n.Directive)
		return nil
	case status < 200 || status > 599:
		return fmt.Errorf("mcplb answers with a status from 200 to 599, not %d", status)
	}
	respond := lb.Inline{{Key: "status", Value: status}}
	if rest != "" && status != 204 && status != 205 && status != 304 {
		text, notes, err := g.text(rest, s)
		if err != nil || strings.Contains(rest, "$") && text != strings.ReplaceAll(rest, "{", "{{") {
			if status < 400 {
				return errors.New("the body of mcplb's responses is fixed")
			}
			t.Set("respond", respond, n.Directive)
			t.Differ(n.Directive, "respond", "without its body, as the body of mcplb's responses is fixed")
			return nil
		}
		g.notes(t, n, "respond", notes)
		respond = append(respond, lb.Pair{Key: "body", Value: rest})
		kind := "text/plain"
		if d := s.last("default_type"); d != nil {
			kind = d.arg(0)
			d.Translated()
		}
		respond = append(respond, lb.Pair{Key: "content_type", Value: kind})
	}
	t.Set("respond", respond, n.Directive)
	return nil
}

func (g *group) notes(t *lb.Table, n *node, key string, notes []string) {
	for _, note := range notes {
		t.Differ(n.Directive, key, "%s", note)
	}
}

// redirect translates the target of a redirect.
func (g *group) redirect(n *node, s *scope, t *lb.Table, to string, status int) error {
	to = strings.ReplaceAll(strings.ReplaceAll(to, "$uri$is_args$args", "$request_uri"), "$is_args$args", "?$args")
	text, notes, err := g.text(to, s)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "/") {
		return fmt.Errorf("%q is no URL", to)
	}
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
		if off := s.last("absolute_redirect"); off == nil || off.arg(0) != "off" {
			text = g.site(s) + text // as nginx completes it
		}
	}
	t.Set("redirect", lb.Inline{{Key: "to", Value: text}, {Key: "status", Value: status}}, n.Directive)
	g.notes(t, n, "redirect", notes)
	return nil
}

// site is the beginning of the URLs to which nginx completes a path: with the host without the
// client's port, and the listener's.
func (g *group) site(s *scope) string {
	host := "{hostname}"
	if name, ok := s.server().firstName(); ok && s.on("server_name_in_redirect") {
		host = name
	}
	port := g.port()
	off := s.last("port_in_redirect")
	switch usual := map[bool]string{true: "443", false: "80"}[g.tls]; {
	case off != nil && off.arg(0) == "off", port == usual:
	case port == "":
		host = "{host}"
	default:
		host += ":" + port
	}
	return g.scheme() + "://" + host
}

// scheme is the scheme of the group's requests.
func (g *group) scheme() string {
	if g.tls {
		return "https"
	}
	return "http"
}

// conditionWords returns the words of the condition of an if, with the empty text that a variable
// is compared with if mcplb knows what that means.
func (g *group) conditionWords(n *node) []string {
	words := slices.Clone(n.args)
	if len(words) == 0 {
		return nil
	}
	words[0] = strings.TrimPrefix(words[0], "(")
	words[len(words)-1] = strings.TrimSuffix(words[len(words)-1], ")")
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	if len(words) != 2 || words[1] != "=" && words[1] != "!=" {
		return words
	}
	if _, why := g.unproven(words[0]); why != "" || g.c.maps[strings.TrimPrefix(words[0], "$")] != nil {
		return append(words, "")
	}
	return words
}

// condition translates the condition of an if: one of the tables has to hold. holds is
// false if it never does here.
func (g *group) condition(n *node) (alternatives []*lb.Table, holds bool, err error) {
	words := g.conditionWords(n)
	if len(words) == 0 {
		return nil, false, errors.New("it has no condition")
	}
	t := &lb.Table{From: []*lb.Directive{n.Directive}}
	m := g.c.maps[strings.TrimPrefix(words[0], "$")]
	switch {
	case m != nil && len(words) == 1:
		alternatives, err = g.mapCondition(n, m, isTrue)
		return alternatives, len(alternatives) > 0, err
	case m != nil && len(words) == 3 && (words[1] == "=" || words[1] == "!="):
		alternatives, err = g.mapCondition(n, m, compares(words[1], words[2]))
		return alternatives, len(alternatives) > 0, err
	case len(words) == 1 && strings.HasPrefix(words[0], "$http_"):
		t.Set("headers", lb.Inline{{Key: headerName(words[0]), Value: []string{}}}, n.Directive)
		return []*lb.Table{t}, true, nil
	case len(words) == 2 && strings.HasPrefix(words[0], "$http_") && (words[1] == "=" || words[1] == "!="):
		key := "not_headers"
		if words[1] == "!=" {
			key = "headers"
		}
		t.Set(key, lb.Inline{{Key: headerName(words[0]), Value: []string{}}}, n.Directive)
		return []*lb.Table{t}, true, nil
	case len(words) != 3:
		return nil, false, errors.New("mcplb has no such condition")
	}
	variable, operator, value := words[0], words[1], words[2]
	values, err := g.compared(n, variable, operator, value)
	if err != nil {
		return nil, false, err
	}
	not := strings.HasPrefix(operator, "!")
	if is, why := g.unproven(variable); why != "" {
		n.Impossible("%s", why)
		return []*lb.Table{t}, slices.Contains(values, is) != not, nil
	}
	if is, ok := g.known(variable); ok {
		return []*lb.Table{t}, slices.Contains(values, is) != not, nil
	}
	key, isList, err := conditionKey(variable)
	if err != nil {
		return nil, false, err
	}
	if not {
		key = "not_" + key
	}
	switch {
	case strings.HasPrefix(variable, "$http_") && isList:
		t.Set(key, lb.Inline{{Key: headerName(variable), Value: values}}, n.Directive)
	case isList || not:
		t.Set(key, values, n.Directive)
	default:
		for _, v := range values {
			one := t.Clone()
			if key == "path_exact" {
				one.ExactPath(v, n.Directive)
			} else {
				one.Set(key, v, n.Directive)
			}
			alternatives = append(alternatives, one)
		}
		return alternatives, true, nil
	}
	return []*lb.Table{t}, true, nil
}

// known returns the value of a variable that is the same for all requests here.
func (g *group) known(variable string) (value string, ok bool) {
	switch {
	case variable == "$scheme" && g.tls:
		return "https", true
	case variable == "$scheme":
		return "http", true
	case variable == "$https" && g.tls:
		return "on", true
	case variable == "$https":
		return "", true
	case variable == "$ssl_client_verify" && g.verified():
		return "SUCCESS", true
	case variable == "$ssl_client_verify":
		return "NONE", true
	case variable == "$server_port" && g.port() != "":
		return g.port(), true
	}
	return "", false
}

// unproven returns the value that a variable has for who proves nothing, and why: mcplb's routes
// do not ask for the proof, and what wants it is refused, not open.
func (g *group) unproven(variable string) (value, why string) {
	switch variable {
	case "$ssl_client_verify":
		if t := g.frontend.TLS; t != nil && t.Has("client_verify") && t.Get("client_verify") != "off" && !g.verified() {
			return "NONE", "mcplb's routes have no condition on certificates of clients: what wants one is refused, not open"
		}
	case "$secure_link":
		return "", "mcplb checks no signed links: what wants one is refused, not open"
	}
	return "", ""
}

// verified reports whether all clients show a certificate that is good.
func (g *group) verified() bool {
	return g.frontend.TLS != nil && g.frontend.TLS.Get("client_verify") == "require"
}

// conditionKey is the key of a condition on a variable, and whether it has a list.
func conditionKey(variable string) (key string, isList bool, err error) {
	switch {
	case variable == "$host" || variable == "$http_host":
		return "host", true, nil
	case variable == "$request_method":
		return "methods", true, nil
	case variable == "$remote_addr":
		return "source", true, nil
	case variable == "$uri" || variable == "$request_uri" || variable == "$document_uri":
		return "path_exact", false, nil
	case strings.HasPrefix(variable, "$http_"):
		return "headers", true, nil
	}
	return "", false, fmt.Errorf("mcplb has no condition on %s", variable)
}

// alternatives is a regular expression of complete words.
var alternatives = regexp.MustCompile(`^\^?\(?([\w.\\-]+(?:\|[\w.\\-]+)*)\)?\$?$`)

// isToken are the variables whose values are single words: what is in one is all of it.
var isToken = map[string]bool{"$request_method": true, "$http_upgrade": true, "$scheme": true}

// compared returns the values with which a variable is compared.
func (g *group) compared(n *node, variable, operator, value string) ([]string, error) {
	switch operator {
	case "=", "!=":
		return []string{value}, nil
	case "~", "~*", "!~", "!~*":
	default:
		return nil, fmt.Errorf("mcplb has no condition %q", operator)
	}
	values, err := finiteValues(value, strings.HasPrefix(variable, "$http_") && variable != "$http_host")
	switch {
	case variable == "$host" || variable == "$http_host":
		values, err = lb.FiniteHosts(value)
	case err != nil && isToken[variable]:
		if found := alternatives.FindStringSubmatch(value); found != nil && plain(found[1]) {
			g.frontend.Differ(n.Directive, "", "complete values are compared")
			values, err = strings.Split(strings.ReplaceAll(found[1], `\`, ""), "|"), nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s is a regular expression that mcplb's conditions cannot say: %w", value, err)
	}
	if strings.Contains(operator, "*") && variable != "$host" && variable != "$http_host" {
		g.frontend.Differ(n.Directive, "", "values are compared with regard to case")
		values = spellings(values)
	}
	return values, nil
}

// finiteValues returns the values for which a regular expression stands: complete ones, and
// beginnings ("v2*") where those may be.
func finiteValues(expression string, beginnings bool) (values []string, err error) {
	all, fold, err := lb.Finite(expression)
	for _, m := range all {
		switch {
		case m.Front, m.Back && !beginnings, m.Text == "":
			return nil, errors.New("mcplb compares complete values, or the beginnings of headers")
		case m.Back:
			m.Text += "*"
		}
		values = append(values, m.Text)
	}
	if fold {
		values = spellings(values)
	}
	return values, err
}

// spellings are values in their usual spellings.
func spellings(values []string) []string {
	for _, v := range slices.Clone(values) {
		for _, form := range []string{strings.ToLower(v), strings.ToUpper(v), strings.ToUpper(v[:1]) + strings.ToLower(v[1:])} {
			if !slices.Contains(values, form) {
				values = append(values, form)
			}
		}
	}
	return values
}

// headerName is the header of $http_NAME.
func headerName(variable string) string {
	words := strings.Split(strings.TrimPrefix(variable, "$http_"), "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "-")
}
