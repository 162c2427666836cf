package l7

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Settings are what a reload may change of a frontend. They are immutable: a
// request goes by those that were in force when its parts came.
type Settings struct {
	Frontend conf.Frontend
	Pool     *backend.Pool
	Routes   []Route    // of the frontend, the longest prefix first; the last matches everything
	TLS      l4.Securer // nil = plain
	secure   bool       // Secure is to be added to the cookie's attributes on TLS
}

// Route sends requests whose path begins with Prefix to an endpoint of the
// servers of a pool.
type Route struct {
	Prefix   []byte
	Pool     *backend.Pool
	Endpoint conf.Endpoint
	tags     map[mcp.Tag]*backend.Server // the pool's servers, by what sessions and cookies call them
}

// Directory finds pools by name, and their servers by what sessions and cookies
// call them. One is made for each configuration: all its frontends share it.
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

// NewSettings puts a frontend's settings together. It must be called anew, with
// another directory, after a pool got other servers.
func NewSettings(f conf.Frontend, d *Directory) Settings {
	s := Settings{Frontend: f, Pool: d.Pool(f.Backend)}
	s.secure = f.TLS != nil && !strings.Contains(strings.ToLower(f.Sticky.CookieAttributes), "secure")
	for _, r := range f.Routes {
		route := Route{Prefix: []byte(r.Path), Pool: s.Pool, Endpoint: r.Endpoint}
		if r.Backend != "" {
			route.Pool = d.Pool(r.Backend)
		}
		s.Routes = append(s.Routes, route)
	}
	// The longest first: the first that matches wins.
	slices.SortStableFunc(s.Routes, func(a, b Route) int { return len(b.Prefix) - len(a.Prefix) })
	s.Routes = append(s.Routes, Route{Pool: s.Pool, Endpoint: conf.EndpointHTTP})
	for i := range s.Routes {
		s.Routes[i].tags = d.tagsOf(s.Routes[i].Pool)
	}
	return s
}

// route finds where a request for path goes. A prefix ends at the end of a
// segment: /mcp matches /mcp and /mcp/ws, not /mcpx.
func (s *Settings) route(path []byte) *Route {
	for i := range s.Routes {
		r := &s.Routes[i]
		if !bytes.HasPrefix(path, r.Prefix) {
			continue
		}
		n := len(r.Prefix)
		if n == 0 || len(path) == n || r.Prefix[n-1] == '/' || path[n] == '/' {
			return r
		}
	}
	return &s.Routes[len(s.Routes)-1]
}

// trusts tells whether what a peer at address says of the clients behind it is
// believed.
func (s *Settings) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(s.Frontend.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// Frontend is where clients of mode http connect. It is safe for use by all
// loops at once.
type Frontend struct {
	settings atomic.Pointer[Settings]
	limiter  *ratelimit.Limiter
	gate     l4.Gate
	workers  Workers
	counters []Counters // one per loop
	current  atomic.Int64
	peak     atomic.Int64
	draining atomic.Bool
}

// NewFrontend makes a frontend on the workers of an engine.
func NewFrontend(s Settings, limiter *ratelimit.Limiter, gate l4.Gate, workers Workers) *Frontend {
	f := &Frontend{limiter: limiter, gate: gate, workers: workers, counters: make([]Counters, len(workers))}
	f.settings.Store(&s)
	return f
}

// Apply changes the settings for requests to come, and ends draining.
func (f *Frontend) Apply(s Settings) {
	f.settings.Store(&s)
	f.draining.Store(false)
}

// Settings are those in force.
func (f *Frontend) Settings() *Settings { return f.settings.Load() }

// Current is the number of clients now.
func (f *Frontend) Current() int { return int(f.current.Load()) }

// ClearPeaks has every peak begin anew with what is now.
func (f *Frontend) ClearPeaks() {
	f.peak.Store(f.current.Load())
	for i := range f.counters {
		f.counters[i].Taken.ClearPeaks()
	}
}

// Peak is the most clients there have been at once.
func (f *Frontend) Peak() int { return int(f.peak.Load()) }

// Drain has every client's connection end with the answer to its present
// request, or to the next where it waits for none (see Session.Drain for
// those).
func (f *Frontend) Drain() { f.draining.Store(true) }

// MayAccept implements reactor.AcceptHandler.
func (f *Frontend) MayAccept() bool { return f.gate.MayEnter() }

// AcceptFailed implements reactor.AcceptHandler.
func (f *Frontend) AcceptFailed(errno unix.Errno) { f.gate.Failed(errno) }

// Accepted implements reactor.AcceptHandler: a client has come.
func (f *Frontend) Accepted(loop *reactor.Loop, fd int, from netip.AddrPort) {
	counters := &f.counters[loop.ID()]
	counters.Taken.Sessions.Add(1)
	f.count(f.current.Add(1))
	c := &client{frontend: f, worker: f.workers[loop.ID()], from: from, counters: counters}
	conn, errno := loop.Adopt(fd, c)
	if errno != 0 {
		c.finish(l4.NoResources)
		return
	}
	c.conn = conn
	c.start()
}

// count notes how many clients there are now.
func (f *Frontend) count(now int64) {
	for peak := f.peak.Load(); now > peak && !f.peak.CompareAndSwap(peak, now); {
		peak = f.peak.Load()
	}
}
