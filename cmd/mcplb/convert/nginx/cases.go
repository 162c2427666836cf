package nginx

import (
	"regexp"
	"slices"
	"strings"

	"mcplb/cmd/mcplb/convert/lb"
)

// Answers with a part of what a regular expression has matched. Where that stands for few texts, or
// where the hosts are known, each of them is a case with an answer of its own.

// part is $1, $name or ${name} in the answer of a regular expression.
var part = regexp.MustCompile(`\$(\d|\{\w+\}|\w+)`)

// filled returns a text with the parts of what a regular expression matches in another one.
func filled(text string, expression *regexp.Regexp, in string) string {
	found := expression.FindStringSubmatch(in)
	return part.ReplaceAllStringFunc(text, func(p string) string {
		name := strings.Trim(p, "${}")
		i := expression.SubexpIndex(name)
		if len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
			i = int(name[0] - '0')
		}
		if i < 0 || i >= len(found) {
			return p
		}
		return found[i]
	})
}

// uses reports whether a part of what a regular expression matches is in a text.
func uses(text string, expression *regexp.Regexp) bool {
	return slices.ContainsFunc(part.FindAllString(text, -1), func(p string) bool {
		name := strings.Trim(p, "${}")
		return expression.SubexpIndex(name) > 0 || len(name) == 1 && name[0] >= '0' && name[0] <= '9'
	})
}

// with returns a directive with other words.
func (n *node) with(args ...string) *node {
	c := *n
	c.args = args
	return &c
}

// rewrites returns the cases of a rewrite that redirects with parts of its paths; itself alone if
// there are none, or too many.
func (n *node) rewrites() []*node {
	if n.name != "rewrite" || len(n.args) != 3 || !regexp.MustCompile(`\$\d`).MatchString(n.arg(1)) {
		return []*node{n}
	}
	paths, fold, err := lb.FinitePaths(n.arg(0))
	expression, bad := regexp.Compile(n.arg(0))
	if err != nil || bad != nil || fold || slices.ContainsFunc(paths, func(p lb.Path) bool { return p.Reach != lb.Exact }) {
		return []*node{n}
	}
	var all []*node
	for _, p := range paths {
		all = append(all, n.with("^"+regexp.QuoteMeta(p.Text)+"$", filled(n.arg(1), expression, p.Text), n.arg(2)))
	}
	return all
}

// answersWith returns the return of a block that says nothing else, if a part of a text or a
// variable is in it.
func (n *node) answersWith() *node {
	if len(n.inner) == 1 && n.inner[0].name == "return" && len(n.inner[0].args) == 2 && strings.Contains(n.inner[0].arg(1), "$") {
		return n.inner[0]
	}
	return nil
}

// condition returns the words of the condition of an if.
func (n *node) condition() []string {
	return strings.Fields(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(strings.Join(n.args, " ")), "("), ")"))
}

// cases returns the cases of an if, each an if by itself; nil if it has none.
func (r *rules) cases(n *node) []*node {
	answer, words := n.answersWith(), n.condition()
	switch {
	case answer == nil:
		return nil
	case len(words) == 3 && (words[0] == "$host" || words[0] == "$http_host") && (words[1] == "~" || words[1] == "~*"):
		return r.hostCases(n, answer, words)
	case len(words) == 1 && strings.HasPrefix(words[0], "$"):
		return r.g.mapCases(n, answer, words[0])
	}
	return nil
}

// hostCases are those of a regular expression on the host: the names of the server.
func (r *rules) hostCases(n, answer *node, words []string) (all []*node) {
	expression, err := regexp.Compile("(?i)" + strings.Trim(words[2], `"'`))
	if err != nil || !uses(answer.arg(1), expression) {
		return nil
	}
	beyond := r.server == r.g.servers[0]
	for _, name := range r.server.names() {
		switch {
		case strings.HasPrefix(name, "*"):
			beyond = true
		case expression.MatchString(name):
			block := n.with("($host", "=", name+")")
			block.inner = []*node{answer.with(answer.arg(0), filled(answer.arg(1), expression, name))}
			all = append(all, block)
		}
	}
	if beyond {
		n.Impossible("mcplb compares complete hosts: of those for which it is, the server's names are translated")
	}
	return all
}

// mapCases are those of a map of paths, whose value is the answer.
func (g *group) mapCases(n, answer *node, variable string) (all []*node) {
	m := g.c.maps[strings.Trim(variable, "${}")]
	if m == nil || m.name != "map" || m.arg(0) != "$uri" && m.arg(0) != "$request_uri" && m.arg(0) != "$document_uri" || !strings.Contains(answer.arg(1), variable) {
		return nil
	}
	for _, line := range m.inner {
		switch {
		case line.name == "default" && len(line.args) == 1 && !isTrue(line.arg(0)), line.name == "hostnames", line.name == "volatile":
		case strings.HasPrefix(line.name, "/") && isPath(line.name) && len(line.args) == 1 && !strings.Contains(line.arg(0), "$"):
			if !isTrue(line.arg(0)) {
				continue
			}
			block := n.with("("+m.arg(0), "=", line.name+")")
			block.inner = []*node{answer.with(answer.arg(0), strings.ReplaceAll(answer.arg(1), variable, line.arg(0)))}
			all = append(all, block)
		default:
			n.Impossible("the line %q of its map: mcplb compares complete paths", line.name)
		}
	}
	if len(all) > 0 {
		m.Translated()
		g.frontend.Differ(n.Directive, "", "paths of the map are compared with regard to case")
	}
	return all
}

// byCases returns the directives of a block, with the cases of those that answer with a part of what
// they match in their place.
func (n *node) byCases(r *rules) (all []*node) {
	for _, child := range n.inner {
		switch child.name {
		case "rewrite":
			all = append(all, child.rewrites()...)
		case "if":
			if some := r.cases(child); len(some) > 0 {
				all = append(all, some...)
				continue
			}
			all = append(all, child.setsTarget(n))
		default:
			all = append(all, child)
		}
	}
	return all
}

// setsTarget returns an if that passes on, for one that does no more than set the variable of the
// proxy_pass of its location to a text.
func (n *node) setsTarget(location *node) *node {
	if len(n.inner) != 1 || n.inner[0].name != "set" || len(n.inner[0].args) != 2 || strings.Contains(n.inner[0].arg(1), "$") {
		return n
	}
	set := n.inner[0]
	for _, pass := range location.inner {
		name := regexp.QuoteMeta(strings.TrimPrefix(set.arg(0), "$"))
		target := regexp.MustCompile(`\$(\{`+name+`\}|`+name+`\b)`).ReplaceAllLiteralString(pass.arg(0), set.arg(1))
		if pass.name == "proxy_pass" && target != pass.arg(0) && !strings.Contains(target, "$") {
			block := n.with(n.args...)
			block.inner = []*node{{Directive: set.Directive, name: "proxy_pass", args: []string{target}}}
			return block
		}
	}
	return n
}
