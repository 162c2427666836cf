package rules

import (
	"bytes"
	"net/netip"
	"strings"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// rule is the conditions of a route, but for host and path, which an index knows.
//
// The conditions of a route with deny are read in the way in which they hold
// soonest, those of all others in the way in which they hold least: so no spelling
// that some servers understand evades a denial, and none borrows an allowance.
type rule struct {
	index    int // in conf.Frontend.Routes
	route    *conf.Route
	headers  []header
	method   []pattern // mcp_method
	name     []pattern // mcp_name
	uris     []pattern // likewise, as appendURI reads them: of a denial, and what lifts one
	not      exceptions
	messages bool // it depends on the JSON-RPC message
}

// exceptions are the conditions that must not hold.
type exceptions struct {
	headers   []header
	method    []pattern
	name      []pattern
	uris      []pattern
	path      [][]byte // in the form of the index that the route is found by
	pathExact [][]byte
}

// header is a condition on a field.
type header struct {
	name   string
	id     http1.HeaderID
	values []pattern // nil = the field is there
}

// pattern is a text, or the beginning of one.
type pattern struct {
	text   string
	prefix bool
}

func newPatterns(texts []string) []pattern {
	patterns := make([]pattern, len(texts))
	for i, text := range texts {
		patterns[i].text, patterns[i].prefix = strings.CutSuffix(text, "*")
	}
	return patterns
}

func newHeaders(matches []conf.HeaderMatch) []header {
	headers := make([]header, len(matches))
	for i, m := range matches {
		headers[i] = header{name: m.Name, id: http1.HeaderOf([]byte(m.Name)), values: newPatterns(m.Values)}
	}
	return headers
}

func newRule(index int, r *conf.Route) *rule {
	compiled := &rule{
		index: index, route: r, headers: newHeaders(r.Headers), method: newPatterns(r.MCPMethod), name: newPatterns(r.MCPName),
		not:      exceptions{headers: newHeaders(r.Not.Headers), method: newPatterns(r.Not.MCPMethod), name: newPatterns(r.Not.MCPName)},
		messages: r.HasMCP(),
	}
	if r.Deny || r.Allow {
		compiled.uris, compiled.not.uris = uriPatterns(compiled.name), uriPatterns(compiled.not.name)
	}
	canonical := func(paths []string) (all [][]byte) {
		for _, path := range paths {
			if r.Deny {
				all = append(all, plainReading([]byte(path)))
			} else {
				all = append(all, http1.AppendCanonicalPath(nil, []byte(path)))
			}
		}
		return all
	}
	compiled.not.path, compiled.not.pathExact = canonical(r.Not.Path), canonical(r.Not.PathExact)
	return compiled
}

// answer is whether a condition holds.
type answer uint8

const (
	no answer = iota
	yes
	maybe // the message decides, which is not known
)

// holds reports whether the conditions hold for a request.
func (r *rule) holds(q *query) answer {
	c, not := r.route, &r.route.Not
	switch {
	case !c.Deny && !slashHolds(c.Slash, q.Path),
		len(c.Methods) > 0 && !hasMethod(c.Methods, q.Method, c.Deny),
		len(not.Methods) > 0 && hasMethod(not.Methods, q.Method, !c.Deny),
		len(c.Source) > 0 && !hasAddress(c.Source, q.Source),
		len(not.Source) > 0 && hasAddress(not.Source, q.Source),
		len(not.Host) > 0 && matchesHost(not.Host, q.host),
		r.not.excludes(q.plain),
		!r.headersHold(q.Request):
		return no
	}
	if !r.messages {
		return yes
	}
	if !q.Message.Known {
		return maybe
	}
	if r.messageHolds(&q.Message, q.uri) {
		return yes
	}
	return no
}

// messageHolds reports whether the conditions on the JSON-RPC message hold. uri is its name
// as appendURI reads it; nil = that is its own spelling, or no matter.
func (r *rule) messageHolds(m *Message, uri []byte) bool {
	if len(r.method) > 0 && !matchesAny(r.method, m.Method) || matchesAny(r.not.method, m.Method) {
		return false
	}
	named, excluded := len(r.name) == 0 || matchesAny(r.name, m.Name), matchesAny(r.not.name, m.Name)
	switch {
	case uri == nil:
	case r.route.Deny:
		named, excluded = named || matchesAny(r.uris, uri), excluded && matchesAny(r.not.uris, uri)
	case r.route.Allow:
		named, excluded = named && (len(r.name) == 0 || matchesAny(r.uris, uri)), excluded || matchesAny(r.not.uris, uri)
	}
	return named && !excluded
}

// headersHold reports whether the conditions on fields hold, each by itself.
func (r *rule) headersHold(q *Request) bool {
	for i := range r.headers {
		if !r.headers[i].holds(q, r.route.Deny) {
			return false
		}
	}
	for i := range r.not.headers {
		if r.not.headers[i].holds(q, !r.route.Deny) {
			return false
		}
	}
	return true
}

// excludes reports whether a path is one of those that the route leaves out.
func (x *exceptions) excludes(path []byte) bool {
	for _, prefix := range x.path {
		if http1.HasPathPrefix(path, prefix) {
			return true
		}
	}
	for _, one := range x.pathExact {
		if bytes.Equal(path, one) {
			return true
		}
	}
	return false
}

// slashHolds reports whether a path, as it came, ends as trailing_slash says.
func slashHolds(slash conf.TrailingSlash, path []byte) bool {
	return slash == conf.AnySlash || (slash == conf.WithSlash) == bytes.HasSuffix(path, []byte("/"))
}

// hasMethod reports whether method is one of methods. loosely, its case does not
// matter: methods are case-sensitive (RFC 9110 section 9.1), but not to every
// server.
func hasMethod(methods []string, method []byte, loosely bool) bool {
	for _, one := range methods {
		if string(method) == one || loosely && http1.EqualFold(method, one) {
			return true
		}
	}
	return false
}

func hasAddress(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// holds reports whether a field has one of the values. loosely, a field counts
// whose name has other punctuation in place of hyphens, too, since that is one name to
// some servers (http1.FoldName).
func (h *header) holds(q *Request, loosely bool) bool {
	fields := q.Fields
	if fields == nil || !loosely && !fields.Has(h.id) {
		return false
	}
	for i := range fields.NumFields() {
		id := fields.ID(i)
		if id != h.id && !loosely || !q.Forwarded && http1.Forwarding.Has(id) {
			continue
		}
		if isNamed(fields.Name(i), h.name, loosely) && h.matches(fields.Value(i)) {
			return true
		}
	}
	return false
}

// isNamed reports whether name is the field's name, as holds explains.
func isNamed(field []byte, name string, loosely bool) bool {
	if len(field) != len(name) {
		return false
	}
	for i, c := range field {
		want := name[i]
		if loosely {
			c, want = http1.FoldName(c), http1.FoldName(want)
		}
		if c != want && lower(c) != lower(want) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// matches reports whether the value, or an element of the list that it is, is one
// of those wanted.
func (h *header) matches(value []byte) bool {
	if len(h.values) == 0 || matchesAny(h.values, value) {
		return true
	}
	if bytes.IndexByte(value, ',') < 0 {
		return false
	}
	for element, rest := http1.NextElement(value); element != nil; element, rest = http1.NextElement(rest) {
		if matchesAny(h.values, element) {
			return true
		}
	}
	return false
}

// matchesAny reports whether value is one of patterns. An empty value is none.
func matchesAny(patterns []pattern, value []byte) bool {
	for _, p := range patterns {
		if string(value) == p.text && !p.prefix || p.prefix && len(value) > 0 && len(value) >= len(p.text) && string(value[:len(p.text)]) == p.text {
			return true
		}
	}
	return false
}
