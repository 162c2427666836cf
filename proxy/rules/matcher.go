package rules

import (
	"bytes"
	"net/netip"

	"mcplb/conf"
	"mcplb/proxy/http1"
)

// Request is what routes depend on. Its bytes are read while Match runs, and not
// kept.
type Request struct {
	Method []byte        // as the client wrote it
	Host   []byte        // as the client wrote it, with the port; empty = there is none
	Path   []byte        // as the client wrote it, without the query
	Fields *http1.Fields // the header fields
	Source netip.Addr    // the client's address

	// Forwarded says that the peer is a trusted proxy. Of any other, conditions do
	// not see fields such as X-Forwarded-Proto, as its server will not.
	Forwarded bool

	// Message is what is known of the JSON-RPC message; see NeedsMessage.
	Message Message
}

// Message is what a request's JSON-RPC message says, as its server reads it. The
// zero value is not known yet.
type Message struct {
	Known  bool   // the rest is known; also where the request has no message
	Method []byte // "" = none
	Name   []byte // of the tool, resource or prompt, decoded; "" = none
}

// NoRoute is the index of no route: what no route matches goes to the frontend's
// backend.
const NoRoute = -1

// Decision is what the routes say of a request.
type Decision struct {
	Refused      Unreadable // the path cannot be read safely: 400
	Denied       bool       // by Route: 403
	NeedsMessage bool       // the decision depends on the JSON-RPC message, which is not Known: match again with it
	Route        int        // its index in conf.Frontend.Routes, or NoRoute
	rank         int        // of the route, from 1 on; 0 = NoRoute
}

// Before reports whether the route of d goes before that of other, as for the messages
// of one batch: the more specific one.
func (d *Decision) Before(other *Decision) bool {
	return d.rank > 0 && (other.rank == 0 || d.rank < other.rank)
}

// Scratch is memory that Match works in. The zero value is ready for use; one
// goroutine may use it at a time.
type Scratch struct {
	host    []byte
	path    []byte // the canonical path, then one reading after the other
	folded  []byte
	decoded []byte
	uri     []byte
}

// Matcher is the compiled routes of a frontend. It is immutable. A nil Matcher is
// that of a frontend without routes: it matches nothing, and costs nothing.
type Matcher struct {
	routes index // those that requests take
	denies index // by their paths as fold makes them
	allows index // by their paths as they are decoded
	fields []string
	hasMCP bool
}

// Compile compiles a frontend's routes. It returns nil if there are none. The
// frontend must have been validated, and must not change any more.
func Compile(f *conf.Frontend) *Matcher {
	if len(f.Routes) == 0 {
		return nil
	}
	m := new(Matcher)
	for _, e := range inOrder(f.Routes) {
		r := e.rule.route
		exact := r.PathExact != ""
		path := []byte(r.Path + r.PathExact)
		switch {
		case r.Deny:
			m.denies.add(e, string(fold(nil, plainReading(path))), exact)
			continue
		case r.Allow:
			m.allows.add(e, string(plainReading(path)), exact)
		}
		m.routes.add(e, string(http1.AppendCanonicalPath(nil, path)), exact)
	}
	for i := range f.Routes {
		m.note(&f.Routes[i])
	}
	return m
}

// note notes what all routes together depend on.
func (m *Matcher) note(r *conf.Route) {
	m.hasMCP = m.hasMCP || r.HasMCP()
	for _, headers := range [][]conf.HeaderMatch{r.Headers, r.Not.Headers} {
		for _, h := range headers {
			m.fields = append(m.fields, h.Name)
		}
	}
}

// HasMCP reports whether a route depends on JSON-RPC messages, so that Match may
// return NeedsMessage.
func (m *Matcher) HasMCP() bool { return m != nil && m.hasMCP }

// Uses reports whether a condition depends on the header called name: it must then
// reach the server even where Connection names it, since the server may rely on
// what the rule found.
func (m *Matcher) Uses(name []byte) bool {
	if m == nil {
		return false
	}
	for _, field := range m.fields {
		if http1.EqualFold(name, field) {
			return true
		}
	}
	return false
}

// Match decides about a request.
func (m *Matcher) Match(r *Request, s *Scratch) Decision {
	if m == nil {
		return Decision{Route: NoRoute}
	}
	signs, wrong := s.inspect(r.Path, m.denies.used)
	if wrong != Readable {
		return Decision{Refused: wrong, Route: NoRoute}
	}
	s.host = appendHost(s.host[:0], r.Host)
	needs := false
	var uri []byte
	if m.denies.used {
		uri = s.nameAsURI(m, &r.Message)
		d := m.deny(r, s, signs, uri)
		if d.Denied || d.Refused != Readable {
			return d
		}
		needs = d.NeedsMessage
	}
	path := r.Path
	if !http1.IsCanonicalPath(path) {
		s.path = http1.AppendCanonicalPath(s.path[:0], path)
		path = s.path
	}
	found := m.routes.find(&query{Request: r, host: s.host, path: path, plain: path, uri: uri})
	d := Decision{NeedsMessage: needs || found.maybe.before(found.best), Route: found.best.index()}
	if found.best != nil {
		d.rank = found.best.rank + 1
	}
	return d
}

// deny finds out whether the request is denied under any reading of its path: the
// most specific of the routes with deny and allow decides.
func (m *Matcher) deny(r *Request, s *Scratch, signs signs, uri []byte) Decision {
	all := signs.readings()
	if len(r.Path)*all.count() > mostRead {
		return Decision{Refused: Ambiguous, Route: NoRoute}
	}
	needs := false
	for i := range all.count() {
		path := r.Path
		if signs != 0 {
			path = all.at(i).read(s, r.Path)
		}
		s.folded = fold(s.folded[:0], path)
		denied := m.denies.find(&query{Request: r, host: s.host, path: s.folded, plain: path, uri: uri})
		if denied.best == nil && denied.maybe == nil {
			continue
		}
		allowed := m.allows.find(&query{Request: r, host: s.host, path: path, plain: path, uri: uri})
		if denied.best != nil && !allowed.best.before(denied.best) && !allowed.maybe.before(denied.best) {
			return Decision{Denied: true, Route: denied.best.index()}
		}
		needs = needs || !allowed.best.before(denied.first())
	}
	return Decision{NeedsMessage: needs, Route: NoRoute}
}

// nameAsURI returns the name in a message as readers of URIs have it; nil if that is
// nothing else, or no route depends on it.
func (s *Scratch) nameAsURI(m *Matcher, message *Message) []byte {
	if !m.hasMCP || bytes.IndexByte(message.Name, ':') < 0 {
		return nil
	}
	uri, ok := s.appendURI(s.uri[:0], message.Name, false)
	if s.uri = uri; !ok || bytes.Equal(uri, message.Name) {
		return nil
	}
	return uri
}
