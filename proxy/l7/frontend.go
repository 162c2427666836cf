package l7

import (
	"net/netip"
	"strings"
	"sync/atomic"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/mcp"
	"mcplb/proxy/reactor"
	"mcplb/proxy/rules"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// Settings are what a reload may change of a frontend. They are immutable: each
// part of a request is handled by those that are in force when it comes.
type Settings struct {
	session.Settings
	Routes  []Route // of the frontend, in the order of the file; the last is for requests that take none of them
	matcher *rules.Matcher
	cors    cors
	secure  bool // Secure is added to the cookie's attributes on TLS
}

// Route is what happens to the requests that take a route of the configuration.
// Those that are forwarded go to an endpoint of the servers of a pool.
type Route struct {
	Rule     *conf.Route // nil = the frontend's own, for requests that take no route
	Pool     *backend.Pool
	Endpoint conf.Endpoint
	tags     map[mcp.Tag]*backend.Server // the pool's servers, by their tags in sessions and cookies
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
	s := Settings{Settings: session.Settings{Frontend: f, Pool: d.Pool(f.Backend)}}
	s.cors = newCORS(&f)
	s.secure = f.TLS != nil && !strings.Contains(strings.ToLower(f.Sticky.CookieAttributes), "secure")
	s.matcher = rules.Compile(&f)
	for i := range f.Routes {
		r := &f.Routes[i]
		route := Route{Rule: r, Pool: s.Pool, Endpoint: r.Endpoint}
		if r.Backend != "" {
			route.Pool = d.Pool(r.Backend)
		}
		s.Routes = append(s.Routes, route)
	}
	s.Routes = append(s.Routes, Route{Pool: s.Pool, Endpoint: conf.EndpointHTTP})
	for i := range s.Routes {
		s.Routes[i].tags = d.tagsOf(s.Routes[i].Pool)
	}
	return s
}

// route is the route with that index in the configuration; rules.NoRoute is the
// frontend's own.
func (s *Settings) route(index int) *Route {
	if index == rules.NoRoute {
		return &s.Routes[len(s.Routes)-1]
	}
	return &s.Routes[index]
}

// Frontend is where clients of mode http connect. All loops may use it at once.
type Frontend struct {
	session.Frontend[Settings, Counters]
	workers  Workers
	draining atomic.Bool
}

// NewFrontend makes a frontend on the workers of an engine, one for each of its
// loops.
func NewFrontend(s Settings, shared session.Shared, workers Workers) *Frontend {
	f := &Frontend{workers: workers}
	f.Init(s, shared)
	return f
}

// Apply changes the settings for requests to come, and ends draining.
func (f *Frontend) Apply(s Settings) {
	f.Frontend.Apply(s)
	f.draining.Store(false)
}

// ClearPeaks restarts every peak with what is now.
func (f *Frontend) ClearPeaks() {
	f.ClearPeak()
	for i := range f.Loops {
		f.Counters(i).Taken.ClearPeaks()
	}
}

// Drain ends every client's connection with the answer to its present request, or
// to its next where it waits for none (Session.Drain ends those that wait for
// nothing).
func (f *Frontend) Drain() { f.draining.Store(true) }

// Accepted implements reactor.AcceptHandler: it begins a client.
func (f *Frontend) Accepted(loop *reactor.Loop, fd int, from netip.AddrPort) {
	f.Counters(loop.ID()).Taken.Sessions.Add(1)
	f.Enter()
	c := f.newClient(loop)
	c.From = from
	conn, errno := loop.Adopt(fd, c)
	if errno != 0 {
		c.finish(session.NoResources)
		return
	}
	c.Conn = conn
	settings := f.Settings()
	c.entered(c.Begin(&settings.Settings, f.Limiter))
}

func (f *Frontend) newClient(loop *reactor.Loop) *client {
	c := &client{frontend: f, worker: f.workers[loop.ID()]}
	c.exchange.client = c
	return c
}

// Adopt continues a client that the old process has detached, on its loop. The
// source and, where it has one, the slot, which is of the pool, are as it held
// them there. The loop's load counts it already.
func (f *Frontend) Adopt(loop *reactor.Loop, h *Handover, d *session.Detached, source *ratelimit.Source, slot backend.Slot, pool *backend.Pool) {
	f.Enter()
	c := f.newClient(loop)
	c.ClientState, c.RequestState, c.Source = h.Client, h.Request, source
	if h.Named != nil {
		c.forwarded = &forwarded{*h.Named}
	}
	loop.Append(&c.pending, h.Pending)
	c.ready = c.pending.Len() > 0
	c.exchange.log = c.worker.log.Adopt(h.Log)
	if slot.Server() != nil {
		c.exchange.adopt(&h.Exchange, slot, pool)
	}
	if h.Tunnel != nil {
		t := newTunnel(&c.exchange)
		t.FrameMeters = h.Tunnel.FrameMeters
		c.exchange.upstream = nil
		c.exchange.dispatch.Slot.SetUse(backend.Tunnel)
		mover{c}.attachTunnel(t, h, d)
		return
	}
	mover{c}.resume(h, d)
}
