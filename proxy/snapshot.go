package proxy

import (
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"mcplb/backend"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/metrics"
	"mcplb/proxy/session"
	"mcplb/ratelimit"
)

// mostBans is how many bans a snapshot lists.
const mostBans = 1000

// view is the balancer as a snapshot shows it. Proxy.mu is held while it is in
// use.
type view struct{ *Proxy }

// snapshot shows everything.
func (p view) snapshot() admin.Snapshot {
	now := time.Now()
	s := admin.Snapshot{Time: now, Process: p.process()}
	for _, loop := range p.engine.Loops() {
		turns, longest := loop.Turns()
		s.Loops = append(s.Loops, admin.Loop{Connections: int64(loop.Load()), Turns: turns, LongestTurnSeconds: time.Duration(longest).Seconds()})
	}
	refused := map[string]uint64{}
	delayed, rejected := uint64(0), uint64(0)
	for _, f := range p.config.Frontends {
		shown := p.showFrontend(&f)
		s.Process.Connections.Total += shown.Connections.Total
		for reason, n := range shown.Refused {
			refused[reason] += n
		}
		delayed, rejected = delayed+shown.MessagesDelayed, rejected+shown.MessagesRejected
		s.Frontends = append(s.Frontends, shown)
	}
	names := p.showNames()
	for _, b := range p.config.Backends {
		shown := p.showBackend(p.backends[b.Name], names)
		p.showExtra(&shown, now)
		s.Backends = append(s.Backends, shown)
	}
	left := p.leaving.counted()
	s.Process.Connections.Total += left.Connections.Total
	addCounts(&refused, left.Refused)
	s.Leaving = p.showLeaving()
	s.RateLimit = p.showLimits(refused)
	s.RateLimit.MessagesDelayed, s.RateLimit.MessagesRejected = delayed+left.MessagesDelayed, rejected+left.MessagesRejected
	return s
}

// process shows the process and the totals.
func (p view) process() admin.Process {
	shown := admin.Process{
		Version:    p.options.Version,
		GoVersion:  runtime.Version(),
		PID:        os.Getpid(),
		StartTime:  p.started,
		ConfigPath: p.config.Path,
		Threads:    len(p.engine.Loops()),
		Connections: admin.Connections{
			Current: int64(p.engine.Load()),
			Peak:    p.connections.peak.Load(),
			Limit:   p.connections.limit.Load(),
		},
		OpenFiles:      admin.OpenFiles{Used: openFiles(), Limit: int64(p.options.FileLimit)},
		Resident:       int64(residentBytes()),
		Draining:       p.draining,
		AcceptPaused:   p.connections.paused.Load(),
		AcceptFailures: p.connections.failed.Load(),
		Reload:         admin.Reload{Time: p.reload.at, Success: p.reload.err == nil},
	}
	shown.Connections.Peak = max(shown.Connections.Peak, shown.Connections.Current)
	if path := p.log.Path(); path != "" {
		stats := p.log.Stats()
		shown.AccessLog = &admin.AccessLog{Path: path, Lines: stats.Lines, Dropped: stats.Dropped, Error: stats.Error}
	}
	if dropped := p.options.LogDropped; dropped != nil {
		shown.LogDropped = dropped()
	}
	if shown.AcceptPaused {
		shown.AcceptPauseReason = "maxconn"
	}
	if p.reload.err != nil {
		shown.Reload.Error = p.reload.err.Error()
	}
	return shown
}

// showFrontend shows one frontend.
func (p view) showFrontend(f *conf.Frontend) admin.Frontend {
	shown := admin.Frontend{
		Name: f.Name, Mode: string(f.Mode), Listen: p.addressesOf(f), Backends: backendsOf(f), State: p.frontendState(),
	}
	p.frontends[f.Name].show(&shown)
	return shown
}

// addressesOf returns the addresses that the frontend listens on.
func (p view) addressesOf(f *conf.Frontend) []string {
	var shown []string
	for _, address := range slices.Compact(slices.Clone(f.Listen)) { // port 0 may be listed twice
		shown = append(shown, p.listeners.addresses(address, f.Name)...)
	}
	return shown
}

func (p view) frontendState() admin.FrontendState {
	switch {
	case p.draining:
		return admin.FrontendDraining
	case p.connections.paused.Load():
		return admin.FrontendPaused
	}
	return admin.FrontendOpen
}

// showBackend shows one backend.
func (p view) showBackend(b *pool, names map[string][]admin.Name) admin.Backend {
	c := b.Config()
	shown := admin.Backend{
		Name: c.Name, Balance: string(c.Balance),
		QueueCurrent: int64(b.Queued()), QueuePeak: int64(b.QueuedPeak()),
		StickySources: int64(b.Remembered()), TLS: showServerTLS(c.TLS),
	}
	for _, server := range b.Servers() {
		totals := server.Totals()
		shown.Retries += totals.Retries
		shown.Redispatches += totals.Redispatches
		one := showServer(b, server, &totals)
		one.Idle, one.Sessions = int64(p.workers.Idle(server)), int64(server.Sessions(p.engine.Now()))
		one.Names = names[b.Name()+"/"+server.Name()]
		shown.Servers = append(shown.Servers, one)
	}
	return shown
}

// showExtra shows where a backend's servers come from.
func (p view) showExtra(shown *admin.Backend, now time.Time) {
	e, written := p.extras[shown.Name], p.written.Backend(shown.Name)
	origin := origins(written.Servers, e)
	for i := range shown.Servers {
		shown.Servers[i].Source = origin(shown.Servers[i].Name)
	}
	if e == nil || e.settings == nil {
		return
	}
	state := e.state()
	d := &admin.Discovery{
		Kind: e.settings.Kind(), Target: e.settings.Target(), Servers: int64(len(state.Servers)), Left: int64(state.Left),
		Answered: state.At, Changed: state.Changed, Updates: state.Updates, Errors: state.Errors,
	}
	if !state.At.IsZero() {
		d.AgeSeconds = now.Sub(state.At).Seconds()
	}
	if state.Err != nil {
		d.Error, d.ErrorSince = strings.ReplaceAll(state.Err.Error(), "\n", "; "), state.ErrAt
	}
	shown.Discovery = d
}

// showNames shows the names that servers have, by backend/server.
func (p view) showNames() map[string][]admin.Name {
	shown := map[string][]admin.Name{}
	for _, k := range p.names.List() {
		n := admin.Name{
			Name: k.Host, Family: string(k.Family), Since: k.Since, Addresses: len(k.Addresses), Answered: k.Good, Next: k.Next,
			HeldUntil: k.Held, Error: k.Error, ErrorTime: k.Failed, Lookups: k.Lookups, Failures: k.Failures,
		}
		if k.Address.IsValid() {
			n.Address = k.Address.String()
		}
		shown[k.Server] = append(shown[k.Server], n)
	}
	return shown
}

// serverStates are the status's words for a server's health.
var serverStates = map[backend.Health]admin.ServerState{
	backend.Unchecked: admin.ServerUnchecked,
	backend.Up:        admin.ServerUp,
	backend.Down:      admin.ServerDown,
}

// adminStates are the status's words for the states that the operator sets.
var adminStates = map[backend.Admin]admin.AdminState{
	backend.Ready: admin.AdminReady,
	backend.Drain: admin.AdminDrain,
	backend.Maint: admin.AdminMaint,
}

// showServer shows one server.
func showServer(b *pool, server *backend.Server, totals *backend.Totals) admin.Server {
	state := server.State()
	response := showLatency(&totals.Response)
	response.Exact = &totals.Response
	return admin.Server{
		Name: server.Name(), Addresses: serverAddresses(server),
		State: serverStates[state.Health], Admin: adminStates[state.Admin],
		Withdrawn: state.Withdrawn, Backup: server.Backup(),
		Usable: server.Usable(), Suspect: state.Degraded, Reason: state.Reason, Since: state.Since, AdminSince: state.AdminSince,
		AdminReason: state.AdminReason, DrainRequest: state.DrainRequest, DrainRequestSince: state.DrainRequestSince, Emptied: state.Emptied,
		Downs: state.Outages.Count, DowntimeSeconds: state.Downtime(time.Now()).Seconds(), LastDown: state.Outages.Last,
		Weight: server.Weight(), InitialWeight: server.ConfiguredWeight(), EffectiveWeight: server.EffectiveWeight(),
		Connections: admin.Connections{
			Current: int64(server.Conns()), Peak: int64(server.Peak()),
			Total: totals.Connections, Limit: int64(server.MaxConn()),
		},
		Queued: int64(server.Queued()), Streams: int64(server.Used(backend.Stream)), Tunnels: int64(server.Used(backend.Tunnel)),
		Traffic: admin.Traffic{
			BytesIn: totals.BytesIn, BytesOut: totals.BytesOut,
			MessagesIn: totals.MessagesIn, MessagesOut: totals.MessagesOut,
		},
		Errors: map[string]uint64{
			"connect_error":   totals.ConnectErrors,
			"connect_timeout": totals.ConnectTimeouts,
			"reset":           totals.Resets,
			"server_timeout":  totals.Timeouts,
			"client_abort":    totals.ClientAborts,
			"abort":           totals.Aborts,
		},
		Retries: totals.Retries, Redispatches: totals.Redispatches,
		Responses: showResponses(server, totals),
		TLS:       showHandshakes(b, totals),
		Connect:   showLatency(&totals.Connect),
		Response:  response,
		Check:     showCheck(b, server),
	}
}

// showResponses shows the responses of a server that speaks HTTP.
func showResponses(server *backend.Server, totals *backend.Totals) map[string]uint64 {
	shown := map[string]uint64{}
	if !server.Addr(conf.EndpointHTTP).IsValid() && !server.Addr(conf.EndpointSSE).IsValid() && !server.Addr(conf.EndpointWS).IsValid() {
		return shown
	}
	for class := 1; class < len(totals.Responses); class++ {
		shown[backend.ClassName(class)] = totals.Responses[class]
	}
	return shown
}

// showLatency shows how long something took.
func showLatency(l *metrics.Latency) admin.Latency {
	shown := admin.Latency{
		Count: l.Count(), SumSeconds: l.Sum().Seconds(),
		P50Seconds: l.Quantile(0.50).Seconds(), P95Seconds: l.Quantile(0.95).Seconds(), P99Seconds: l.Quantile(0.99).Seconds(),
		Below: make([]uint64, len(admin.LatencyBounds)),
	}
	for i, bound := range admin.LatencyBounds {
		shown.Below[i] = l.Below(time.Duration(bound * float64(time.Second)))
	}
	return shown
}

// allEndpoints are the endpoints that a server may have.
var allEndpoints = []conf.Endpoint{conf.EndpointTCP, conf.EndpointHTTP, conf.EndpointWS, conf.EndpointSSE}

// serverAddresses returns the server's addresses, by endpoint.
func serverAddresses(server *backend.Server) map[string]string {
	shown := map[string]string{}
	for _, e := range allEndpoints {
		if address := server.Addr(e); address.IsValid() {
			shown[string(e)] = address.String()
		}
	}
	return shown
}

// showCheck shows the outcome of a server's checks.
func showCheck(b *pool, server *backend.Server) admin.Check {
	shown := admin.Check{Type: string(b.Config().Check.Type)}
	status, checked := b.checker.Status(server)
	if !checked {
		return shown
	}
	shown.Checks, shown.Failures, shown.Observed, shown.Progress = status.Checks, status.Failures, status.Observed, status.Progress
	if !status.Last.At.IsZero() {
		shown.Code, shown.Text = status.Last.Code.String(), status.Last.Text()
		shown.Time, shown.LatencySeconds = status.Last.At, status.Last.Latency.Seconds()
	}
	return shown
}

// limitReasons are the reasons of refusals that the limits cause.
var limitReasons = []session.Reason{session.Banned, session.ConnectionRate, session.SourceConnections, session.GlobalConnectionRate}

// showLimits shows the effect of the limits. refused are the counters of all
// frontends.
func (p view) showLimits(refused map[string]uint64) admin.RateLimit {
	now := p.engine.Now()
	stats := p.limiter.Stats(now)
	shown := admin.RateLimit{
		SourcesRemembered: int64(stats.Sources), SourcesForgotten: stats.Evictions, TableSize: int64(p.config.RateLimit.TableSize),
		Refused: map[string]uint64{}, BansActive: int64(stats.Bans), BansImposed: stats.BansImposed,
	}
	for _, reason := range limitReasons {
		shown.Refused[reason.String()] = refused[reason.String()]
	}
	shown.Bans = p.Control().Bans(mostBans)
	for _, t := range p.limiter.Throttled(now) {
		shown.Throttled = append(shown.Throttled, p.showThrottled(&t))
	}
	return shown
}

// showThrottled shows one source that the limits delay or refuse.
func (p view) showThrottled(t *ratelimit.Throttled) admin.Throttled {
	shown := admin.Throttled{ForSeconds: t.For.Seconds(), Delayed: int64(t.Delayed), Rejected: int64(t.Rejected), Refused: int64(t.Refused)}
	if t.Source.IsValid() {
		shown.Source = showSource(t.Source)
		shown.TrustedProxy = slices.ContainsFunc(p.config.Frontends, func(f conf.Frontend) bool {
			return slices.ContainsFunc(f.TrustedProxies, func(proxies netip.Prefix) bool { return proxies.Bits() > 0 && proxies.Overlaps(t.Source) })
		})
	}
	return shown
}
