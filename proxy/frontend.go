//go:build linux

package proxy

import (
	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/l4"
	"mcplb/proxy/l7"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"
)

// frontend is a frontend of either layer, as the balancer as a whole deals
// with it.
type frontend interface {
	reactor.AcceptHandler
	// apply changes its settings. It returns false when it cannot become what
	// c says: another one takes its place then.
	apply(c *conf.Frontend, pools func(name string) *backend.Pool) bool
	// show fills in what it counts.
	show(shown *admin.Frontend)
	// ClearPeaks has every peak begin anew.
	ClearPeaks()
	// drain has connections end where they have a good place to.
	drain()
	// counters are what one loop counts: a pointer to a struct.
	counters(loop int) any
	Peak() int
	RestorePeak(n int)
}

// session is a client of either layer.
type session interface {
	Server() *backend.Server
	ServerDown(policy conf.OnDown)
	Drain()
	Abort(reason l4.Reason)
	Info() l4.Info
	Holds() (*backend.Lease, *ratelimit.Source)
}

// sessionOf finds the session that a client's connection belongs to.
func sessionOf(c *reactor.Conn) session {
	if s := l4.Of(c); s != nil {
		return s
	}
	if s := l7.Of(c); s != nil {
		return s
	}
	return nil
}

// newFrontend makes a frontend of the layer that its mode asks for.
func (p *Proxy) newFrontend(c *conf.Frontend) frontend {
	secure := &secure{workers: p.secures}
	if c.Mode == conf.ModeHTTP {
		settings := httpSettings(c, p.poolOf, secure)
		return httpFrontend{l7.NewFrontend(settings, p.limiter, p.gate, p.workers), secure}
	}
	settings := streamSettings(c, p.poolOf, secure)
	return streamFrontend{l4.NewFrontend(settings, p.limiter, p.gate, p.log, len(p.engine.Loops())), secure}
}

// poolOf finds a backend's pool by its name.
func (p *Proxy) poolOf(name string) *backend.Pool { return p.backends[name].Pool }

// streamFrontend is a frontend of mode tcp or mcp.
type streamFrontend struct {
	*l4.Frontend
	secure *secure
}

func streamSettings(c *conf.Frontend, pools func(string) *backend.Pool, secure *secure) l4.Settings {
	return l4.Settings{Frontend: *c, Pool: pools(c.Backend), TLS: secure.apply(c)}
}

func (f streamFrontend) apply(c *conf.Frontend, pools func(string) *backend.Pool) bool {
	if f.Settings().Frontend.Mode != c.Mode {
		return false
	}
	f.Apply(streamSettings(c, pools, f.secure))
	return true
}

func (f streamFrontend) show(shown *admin.Frontend) {
	totals := f.Totals()
	showTotals(shown, &totals)
	f.secure.show(shown, &f.Settings().Frontend)
	shown.Connections.Current, shown.Connections.Peak = int64(f.Current()), int64(f.Peak())
}

func (f streamFrontend) drain() {}

func (f streamFrontend) counters(loop int) any { return f.Counters(loop) }

// httpFrontend is a frontend of mode http.
type httpFrontend struct {
	*l7.Frontend
	secure *secure
}

func httpSettings(c *conf.Frontend, pools func(string) *backend.Pool, secure *secure) l7.Settings {
	s := l7.NewSettings(*c, pools)
	s.TLS = secure.apply(c)
	return s
}

func (f httpFrontend) apply(c *conf.Frontend, pools func(string) *backend.Pool) bool {
	if c.Mode != conf.ModeHTTP {
		return false
	}
	f.Apply(httpSettings(c, pools, f.secure))
	return true
}

func (f httpFrontend) show(shown *admin.Frontend) {
	totals := f.Totals()
	showTotals(shown, &totals.Totals)
	f.secure.show(shown, &f.Settings().Frontend)
	shown.Connections.Current, shown.Connections.Peak = int64(f.Current()), int64(f.Peak())
	shown.HTTP = &admin.HTTP{
		Requests: totals.Requests, Responses: totals.Status, OwnResponses: totals.Own, Malformed: totals.Malformed,
		Compressed: totals.Zipped, Tunnels: totals.Tunnels, BadFrames: totals.BadFrames,
		Eras: totals.Eras, Methods: totals.Methods,
		SessionRequests: totals.WithSession, SessionsOpened: totals.Opened,
	}
}

func (f httpFrontend) drain() { f.Drain() }

func (f httpFrontend) counters(loop int) any { return f.Counters(loop) }

// showTotals fills in what both layers count.
func showTotals(shown *admin.Frontend, totals *l4.Totals) {
	shown.Connections.Total = totals.Sessions
	shown.Traffic = admin.Traffic{
		BytesIn: totals.BytesIn, BytesOut: totals.BytesOut,
		MessagesIn: totals.MessagesIn, MessagesOut: totals.MessagesOut,
	}
	shown.MessagesDelayed, shown.MessagesRejected = totals.Delayed, totals.Rejected
	shown.Refused, shown.SessionsEnded = totals.Refused, totals.Ended
	shown.Connect, shown.Queue = timing(totals.Connect), timing(totals.Queue)
}
