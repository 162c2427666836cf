package l7

import (
	"math"
	"slices"
	"strings"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/http2"
	"mcplb/proxy/mcp"
	"mcplb/proxy/metrics"
	"mcplb/proxy/rules"
	"mcplb/proxy/session"
)

// Settings are what a reload may change of a frontend. They are immutable: each
// part of a request is handled by those that are in force when it comes, but what
// its route says holds until its end.
type Settings struct {
	session.Settings
	matcher  *rules.Matcher // nil = the frontend has no routes
	counting *RuleCounters  // where the routes count; nil = nowhere yet
	routes   []Route        // of the frontend, in the file's order
	fallback Route          // what no route matches
	cors     cors
	pages    pages
	secure   bool           // Secure is added to the cookie's attributes on TLS
	usesID   bool           // a route writes {request_id}
	http2    http2.Settings // what clients of HTTP/2 are granted
	mcpBody  int64          // the longest body that a route which depends on messages takes; 0 = any
}

// Route is what happens to requests that take one of a frontend's routes, or none
// of them.
type Route struct {
	name     string           // for counters and logs; see routeNames
	requests *metrics.Counter // nil = not counted
	limits   []*routeLimit
	Pool     *backend.Pool
	Endpoint conf.Endpoint
	tags     map[mcp.Tag]*backend.Server // the pool's servers, by their tags in sessions and cookies

	deny     bool
	respond  *conf.Respond   // nil = not answered here
	redirect *rules.Template // likewise
	status   int             // of the redirect
	toHost   bool            // the redirect names {host}

	strip, add []byte          // prefixes of paths, canonical; nil = none
	host       *rules.Template // that servers get; nil = the client's, or the server's address
	request    fieldEdits
	response   fieldEdits

	timeouts Timeouts
	maxBody  int64    // bytes; 0 = no limit
	compress []string // media types
	cookie   string   // that binds browsers to servers; "" = none
}

// Timeouts are a route's own limits in time. In each, 0 is that of the frontend and
// the backend, and less than 0 is none.
type Timeouts struct {
	Server time.Duration // waiting for a response, and within one that is no stream
	Stream time.Duration // idle, of event streams and WebSockets
}

// noTimeout stands for no limit in Timeouts.
const noTimeout time.Duration = -1

// ownLimit returns a route's own limit.
func ownLimit(limit *time.Duration) time.Duration {
	switch {
	case limit == nil:
		return 0
	case *limit == 0:
		return noTimeout
	}
	return *limit
}

// orElse returns the limit that holds, 0 = forever, where other does unless a route has
// its own.
func orElse(own, other time.Duration) time.Duration {
	if own == 0 {
		return other
	}
	return max(own, 0)
}

// Directory finds pools by name, and their servers by their tags in sessions and
// cookies. One is made for each configuration: all its frontends share it.
type Directory struct {
	pools func(name string) *backend.Pool
	tags  map[*backend.Pool]map[mcp.Tag]*backend.Server
}

// NewDirectory makes a directory of pools that have their servers already: it
// finds those that a pool has when it is first asked for.
func NewDirectory(pools func(name string) *backend.Pool) *Directory {
	return &Directory{pools: pools, tags: map[*backend.Pool]map[mcp.Tag]*backend.Server{}}
}

// Pool finds a pool.
func (d *Directory) Pool(name string) *backend.Pool { return d.pools(name) }

// tagsOf are a pool's servers by their tags.
func (d *Directory) tagsOf(pool *backend.Pool) map[mcp.Tag]*backend.Server {
	if tags, known := d.tags[pool]; known {
		return tags
	}
	servers := pool.Servers()
	tags := make(map[mcp.Tag]*backend.Server, len(servers))
	for _, server := range servers {
		tags[mcp.TagOf(server.Name())] = server
	}
	d.tags[pool] = tags
	return tags
}

// NewSettings puts a frontend's settings together. It must be called again, with
// another directory, after a pool got other servers.
func NewSettings(f conf.Frontend, d *Directory) Settings {
	s := Settings{Settings: session.Settings{Frontend: f, Pool: d.Pool(f.Backend), Access: session.NewAccess(&f)}}
	s.cors, s.pages = newCORS(&f), newPages(f.ErrorPages)
	s.http2 = newHTTP2Settings(&f)
	s.secure = f.TLS != nil && !strings.Contains(strings.ToLower(f.Sticky.CookieAttributes), "secure")
	s.matcher = rules.Compile(&s.Frontend)
	s.fallback = newRoute(&f, &conf.Route{Endpoint: conf.EndpointHTTP}, d)
	s.fallback.name, s.mcpBody = noRouteName, mostRead(&f)
	names := routeNames(f.Routes)
	for i := range f.Routes {
		r := newRoute(&f, &f.Routes[i], d)
		r.name, r.limits = names[i], newRouteLimits(&f, &f.Routes[i], names[i])
		s.routes = append(s.routes, r)
		s.usesID = s.usesID || usesID(&f.Routes[i])
	}
	s.hideIdentities(f.Routes)
	return s
}

// newHTTP2Settings returns what clients of HTTP/2 are granted. A stream's window begins
// with a quarter of http2_buffer, so that many uploads that stall leave something of the
// connection's to others, and grows while the server takes what comes.
func newHTTP2Settings(f *conf.Frontend) http2.Settings {
	s := http2.Settings{
		MaxStreams: uint32(f.HTTP2Streams), MaxStreamWindow: int32(f.HTTP2Buffer), StreamWindow: int32(f.HTTP2Buffer / 4),
		ConnWindow: int32(min(8*f.HTTP2Buffer, math.MaxInt32)), MaxHead: int(f.MaxHeader), ExtendedConnect: true,
	}
	if s.MaxStreams == 0 {
		s.MaxStreams = math.MaxInt32
	}
	return s
}

// longer returns the longer of two limits of which 0 is none.
func longer(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// mostRead is how long a body may be that the rules of a frontend read: as the frontend
// has it, or the largest of its routes which depend on messages; 0 = any.
func mostRead(f *conf.Frontend) int64 {
	most := f.MaxBody
	for i := range f.Routes {
		if r := &f.Routes[i]; r.HasMCP() && r.MaxBody != nil {
			most = longer(most, *r.MaxBody)
		}
	}
	return most
}

// mostInspected is how long the body of a request may be whose route depends on it, and
// is r as far as is known.
func (s *Settings) mostInspected(r *Route) int64 { return longer(s.mcpBody, r.maxBody) }

// newRoute compiles what a frontend's route does.
func newRoute(f *conf.Frontend, r *conf.Route, d *Directory) Route {
	sets, host := withoutHost(r.SetRequestHeaders)
	made := Route{
		Pool: d.Pool(f.Backend), Endpoint: r.Endpoint, deny: r.Deny, respond: r.Respond,
		strip: prefixOf(r.StripPrefix), add: prefixOf(r.AddPrefix),
		request: newFieldEdits(sets, r.AddRequestHeaders, r.RemoveRequestHeaders), host: host,
		response: newFieldEdits(r.SetResponseHeaders, r.AddResponseHeaders, r.RemoveResponseHeaders),
		timeouts: Timeouts{Server: ownLimit(r.TimeoutServer), Stream: ownLimit(r.TimeoutStream)},
		maxBody:  f.MaxBody, compress: f.Compress, cookie: f.CookieOn(r),
	}
	if r.Backend != "" {
		made.Pool = d.Pool(r.Backend)
	}
	if r.Redirect != nil {
		to := rules.NewTemplate(r.Redirect.To)
		made.redirect, made.status = &to, r.Redirect.Status
		made.toHost = slices.ContainsFunc(templateNames(r.Redirect.To), func(name string) bool { return name == "host" || name == "hostname" })
	}
	if r.MaxBody != nil {
		made.maxBody = *r.MaxBody
	}
	if r.Compress != nil {
		made.compress = *r.Compress
	}
	made.tags = d.tagsOf(made.Pool)
	return made
}

// withoutHost returns headers that are set, and apart from them what Host is set to:
// a request has exactly one.
func withoutHost(all []conf.HeaderValue) (rest []conf.HeaderValue, host *rules.Template) {
	for _, h := range all {
		if strings.EqualFold(h.Name, "Host") {
			t := rules.NewTemplate(h.Value)
			host = &t
		} else {
			rest = append(rest, h)
		}
	}
	return rest, host
}

// usesID reports whether a route writes {request_id}.
func usesID(r *conf.Route) bool {
	for _, h := range slices.Concat(r.SetRequestHeaders, r.AddRequestHeaders, r.SetResponseHeaders, r.AddResponseHeaders) {
		if slices.Contains(templateNames(h.Value), "request_id") {
			return true
		}
	}
	return r.Redirect != nil && slices.Contains(templateNames(r.Redirect.To), "request_id")
}

// templateNames returns the names that a text with {names} has.
func templateNames(text string) (names []string) {
	parts, _ := conf.SplitTemplate(text) // conf has accepted it
	for _, p := range parts {
		if p.Name != "" {
			names = append(names, p.Name)
		}
	}
	return names
}
