package rules

import (
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
}

// Scratch is memory that Match works in. The zero value is ready for use; one
// goroutine may use it at a time.
type Scratch struct {
	path, folded, host []byte
}

// Matcher is the compiled routes of a frontend. It is immutable. A nil Matcher is
// that of a frontend without routes: it matches nothing, and costs nothing.
type Matcher struct {
	frontend *conf.Frontend
	needsMCP bool
}

// Compile compiles a frontend's routes. It returns nil if there are none. The
// frontend must have been validated, and must not change any more.
func Compile(f *conf.Frontend) *Matcher {
	if len(f.Routes) == 0 {
		return nil
	}
	return &Matcher{frontend: f}
}

// HasMCP reports whether a route depends on JSON-RPC messages, so that Match may
// return NeedsMessage.
func (m *Matcher) HasMCP() bool { return m != nil && m.needsMCP }

// Match decides about a request.
func (m *Matcher) Match(r *Request, s *Scratch) Decision {
	if m == nil {
		return Decision{Route: NoRoute}
	}
	return Decision{Route: NoRoute}
}

// Uses reports whether a condition depends on the header called name: it must then
// reach the server even where Connection names it, since servers may rely on what
// the rule found.
func (m *Matcher) Uses(name []byte) bool { return false }
