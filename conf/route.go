package conf

import (
	"net/netip"
	"strings"
	"time"
)

// Route is a section [[frontend.NAME.route]]: requests that meet all of its
// conditions, and what happens to them. Which route a request takes is decided by
// package rules: the most specific one, denials first (docs/routes.md).
//
// A condition that is empty is not given, and holds. Of a list, one entry has to
// hold. Not has the opposite of each condition.
//
// In mode tcp a route has SNI and Backend alone: connections whose clients speak TLS and
// ask for one of the names.
type Route struct {
	SNI []string // mode tcp: in lower case, without trailing dot; "*.example.com" is any number of labels before the domain

	Priority int // higher goes first

	Host      []string // in lower case, without port and trailing dot; "*.example.com" is any number of labels before the domain; IPv6 without brackets
	Path      string   // a prefix of whole segments
	PathExact string
	Slash     TrailingSlash // at the end of the path; a denial holds whatever it says
	Methods   []string
	Headers   []HeaderMatch // each is a condition; sorted by name
	Source    []netip.Prefix
	MCPMethod []string // methods, or "prefix/*"
	MCPName   []string // names of tools, resources or prompts; a "*" at the end is any rest
	Not       RouteNot

	Backend  string // "" = the frontend's
	Endpoint Endpoint
	Deny     bool      // answered 403, unless a more specific route has Allow
	Allow    bool      // requests here are not denied by less specific routes
	Respond  *Respond  // nil = requests are forwarded
	Redirect *Redirect // nil = requests are forwarded

	StripPrefix string // taken off the canonical path; "" = nothing
	AddPrefix   string // put before what is left; "" = nothing

	SetRequestHeaders     []HeaderValue // sorted by name, as the other lists are
	AddRequestHeaders     []HeaderValue
	RemoveRequestHeaders  []string
	SetResponseHeaders    []HeaderValue
	AddResponseHeaders    []HeaderValue
	RemoveResponseHeaders []string

	TimeoutServer *time.Duration // waiting for a response; nil = the backend's; 0 = no limit
	TimeoutStream *time.Duration // idle, of event streams and WebSockets; nil = the frontend's and the backend's; 0 = no limit
	MaxBody       *int64         // bytes; nil = the frontend's; 0 = no limit
	Compress      *[]string      // media types; nil = the frontend's; empty = none
	Cookie        string         // of Sticky, for the route's requests; "" = the frontend's; NoCookie = none
	Limits        []Limit        // all of them hold
}

// NoCookie is the value of Route.Cookie that binds nobody.
const NoCookie = "off"

// CookieOn returns the name of the cookie that binds the requests of a route; "" = none.
func (f *Frontend) CookieOn(r *Route) string {
	switch r.Cookie {
	case "":
		return f.Sticky.Cookie
	case NoCookie:
		return ""
	}
	return r.Cookie
}

// TrailingSlash says whether a request's path, as it came, has a slash at its end.
type TrailingSlash string

// The values of a route's trailing_slash.
const (
	AnySlash     TrailingSlash = "" // either
	WithSlash    TrailingSlash = "with"
	WithoutSlash TrailingSlash = "without"
)

// RouteNot has the conditions of a Route that must not hold: a request takes the
// route only if no entry of any list does.
type RouteNot struct {
	Host      []string
	Path      []string
	PathExact []string
	Methods   []string
	Headers   []HeaderMatch // each is a condition
	Source    []netip.Prefix
	MCPMethod []string
	MCPName   []string
}

// HeaderMatch is a condition on a header: it holds if a field of that name has one
// of the values.
type HeaderMatch struct {
	Name   string   // as the file has it; compared without regard to case
	Values []string // a "*" at the end is any rest; empty = the field is there
}

// HeaderValue is a header that a route sets or adds.
type HeaderValue struct {
	Name  string
	Value string // with {names}: see SplitTemplate
}

// Respond is the response that a route generates.
type Respond struct {
	Status      int // 200 to 599
	Body        string
	ContentType string
}

// Redirect is a redirect that a route generates.
type Redirect struct {
	To     string // a URL with {names}: see SplitTemplate
	Status int    // 301, 302, 303, 307 or 308
}

// LimitKey says whose requests a Limit counts together: one of the constants, or
// "header:NAME".
type LimitKey string

// The values of a limit's key, beside "header:NAME".
const (
	LimitSource    LimitKey = "source"    // a client's address
	LimitRoute     LimitKey = "route"     // all requests of the route
	LimitSession   LimitKey = "session"   // an MCP session; without one, the source
	LimitPrincipal LimitKey = "principal" // the subject of the client's certificate; without one, the source
)

const limitHeader = "header:"

// Header returns the name of the header whose value is the key; without that
// header, a request counts by its source. ok is false for other keys.
func (k LimitKey) Header() (name string, ok bool) { return strings.CutPrefix(string(k), limitHeader) }

// Limit is an entry of a route's limit. At least one of Rate and Concurrency is
// set.
type Limit struct {
	Key         LimitKey
	Rate        float64     // requests per second; 0 = no limit
	Burst       int         // requests at once; 0 = Rate, rounded up
	Concurrency int         // requests under way; 0 = no limit
	Over        OverMessage // what happens to a request over the limit
}

// HasMCP reports whether the route depends on the MCP method or name of a request.
func (r *Route) HasMCP() bool {
	return len(r.MCPMethod)+len(r.MCPName)+len(r.Not.MCPMethod)+len(r.Not.MCPName) > 0
}

// Forwards reports whether requests that take the route go to a server.
func (r *Route) Forwards() bool { return !r.Deny && r.Respond == nil && r.Redirect == nil }

// conditional reports whether the route has a condition.
func (r *Route) conditional() bool {
	n := &r.Not
	return len(r.Host)+len(r.Path)+len(r.PathExact)+len(r.Slash)+len(r.Methods)+len(r.Headers)+len(r.Source) > 0 || r.HasMCP() ||
		len(n.Host)+len(n.Path)+len(n.PathExact)+len(n.Methods)+len(n.Headers)+len(n.Source) > 0
}
