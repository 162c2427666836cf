package proxy

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"mcplb/backend"
	"mcplb/proxy/admin"
	"mcplb/proxy/fleet"
	"mcplb/ratelimit"
)

// leaveTimeout is how long a stop waits for Redis, to leave the fleet's list.
const leaveTimeout = time.Second

// newFleet returns this balancer's part in a fleet, which begins with Resume.
func (p *Proxy) newFleet() *fleet.Fleet {
	return fleet.New(fleet.Options{
		Log: p.options.Log, Now: p.engine.Now, Limiter: p.limiter, Places: places{p}, Report: p.report,
	})
}

// onBan is what happens with each automatic ban. A loop calls it.
func (p *Proxy) onBan(log *slog.Logger) func(ratelimit.Ban) {
	logged := banLogger(log)
	return func(b ratelimit.Ban) {
		logged(b)
		p.fleet.Banned(b)
	}
}

// leaveFleet removes this balancer from its fleet, before it ends.
func (p *Proxy) leaveFleet() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	p.fleet.Close(ctx)
}

// report is what this balancer says of itself to its fleet.
func (p *Proxy) report() fleet.Report {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r := fleet.Report{
		State: fleet.Serving, Connections: int64(p.engine.Load()), Version: p.options.Version,
		Admin: p.config.Admin.Listen, Started: p.started,
	}
	switch {
	case p.draining:
		r.State = fleet.Draining
	case p.connections.paused.Load():
		r.State = fleet.Full
	}
	for i := range p.config.Frontends {
		shown := view{p}.showFrontend(&p.config.Frontends[i])
		r.Messages += shown.Traffic.MessagesIn
	}
	return r
}

// showFleet shows a fleet.
func showFleet(s *fleet.Status) *admin.Fleet {
	if !s.Configured {
		return nil
	}
	shown := &admin.Fleet{
		Redis: s.Redis, Name: s.Name, Instance: s.Instance, Shares: s.Shares,
		Connected: s.Connected, Since: s.Since, Error: s.Error, Advice: s.Advice, Conflict: s.Conflict,
		LagSeconds: s.Lag.Seconds(), RoundTripSeconds: s.RoundTrip.Seconds(), Waiting: int64(s.Waiting), Errors: s.Errors,
		Sent: showShared(s.Sent), Received: showShared(s.Received), Lost: showShared(s.Lost), Invalid: showShared(s.Invalid),
	}
	for i := range s.Balancers {
		b := &s.Balancers[i]
		shown.Balancers = append(shown.Balancers, admin.FleetBalancer{
			Instance: b.Instance, Self: b.Self, State: string(b.State), Connections: b.Connections, MessagesPerSecond: b.MessagesPerSecond,
			Version: b.Version, Admin: b.Admin, StartTime: b.Started, AgeSeconds: b.Age.Seconds(),
		})
	}
	return shown
}

// showShared shows counters by what is shared.
func showShared(c fleet.Counts) map[string]uint64 {
	return map[string]uint64{"sticky": c.Sticky, "bans": c.Bans, "rates": c.Rates}
}

// places are the displaced sources of all backends, for the fleet.
type places struct{ proxy *Proxy }

// Collect implements fleet.Places.
func (p places) Collect() (all []fleet.Place, lost int) {
	p.proxy.mu.RLock()
	defer p.proxy.mu.RUnlock()
	for name, b := range p.proxy.backends {
		list, missed := b.Displaced(nil)
		lost += missed
		for _, d := range list {
			all = append(all, fleet.Place{Backend: name, Source: d.Source, Server: d.Server, Lives: b.InForce().StickyTime})
		}
	}
	return all, lost
}

// Adopt implements fleet.Places.
func (p places) Adopt(place fleet.Place) {
	if b := p.pool(place.Backend); b != nil {
		b.Displace(backend.Displacement{Source: place.Source, Server: place.Server}, p.proxy.engine.Now())
	}
}

// Holds implements fleet.Places.
func (p places) Holds(place fleet.Place) bool {
	b := p.pool(place.Backend)
	return b != nil && slices.ContainsFunc(b.StickyOf(place.Source.Addr(), p.proxy.engine.Now()), func(r backend.Remembered) bool {
		return r.Displaced && r.Server == place.Server
	})
}

// pool returns the pool of a configured backend; nil = there is none.
func (p places) pool(name string) *backend.Pool {
	p.proxy.mu.RLock()
	defer p.proxy.mu.RUnlock()
	return p.proxy.poolOf(name)
}
