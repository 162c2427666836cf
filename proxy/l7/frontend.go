package l7

import (
	"net/netip"
	"reflect"
	"sync/atomic"

	"mcplb/backend"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// Frontend is where clients of mode http connect. All loops may use it at once.
type Frontend struct {
	session.Frontend[Settings, Counters]
	workers  Workers
	rules    *RuleCounters
	draining atomic.Bool
	replaced atomic.Bool // a new process serves: see Replaced
}

// NewFrontend makes a frontend on the workers of an engine, one for each of its
// loops.
func NewFrontend(s Settings, shared session.Shared, workers Workers) *Frontend {
	f := &Frontend{workers: workers, rules: newRuleCounters()}
	f.rules.bind(&s)
	f.Init(s, shared)
	return f
}

// Apply changes the settings for requests to come, and ends draining.
func (f *Frontend) Apply(s Settings) {
	f.rules.bind(&s)
	before := f.Settings()
	f.Frontend.Apply(s)
	f.draining.Store(false)
	if !reflect.DeepEqual(before.Frontend.TLS, s.Frontend.TLS) {
		f.sendAway()
	}
}

// sendAway has the clients of HTTP/2 send their next requests over other connections.
func (f *Frontend) sendAway() {
	for _, w := range f.workers {
		leave := func(c *reactor.Conn) {
			if m, ok := c.Handler().(*multiplexer); ok && m.frontend == f {
				m.Drain()
			}
		}
		w.loop.Post(func() { w.loop.Sweep(leave, func() {}) })
	}
}

// Rules returns what is counted for the frontend's routes, and of tools.
func (f *Frontend) Rules() *RuleCounters { return f.rules }

// ClearPeaks restarts every peak with what is now.
func (f *Frontend) ClearPeaks() {
	f.ClearPeak()
	for i := range f.Loops {
		f.Counters(i).Taken.ClearPeaks()
	}
}

// Drain ends every client's connection with the answer to its present request, or
// to its next where it waits for none (Session.Drain ends those that wait for
// nothing). Those of HTTP/2 get GOAWAY at once.
func (f *Frontend) Drain() {
	f.draining.Store(true)
	f.sendAway()
}

// Replaced notes that a new process serves. Connections that cannot move there end with the
// answer to their next request, which says so; until then they may rest as long as
// before, since their client may be about to ask.
func (f *Frontend) Replaced() { f.replaced.Store(true) }

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
	conn.Watch(settings.Liveness())
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
	c.Source = source
	mover{c}.adopt(h, slot, pool)
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
