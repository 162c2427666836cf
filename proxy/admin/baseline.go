package admin

import "sync/atomic"

// baseline is the Snapshot of the moment at which an operator cleared the
// counters: page, JSON and CSV show what was counted since. The counters
// themselves continue, and /metrics shows them as they are, because Prometheus
// takes a counter that falls for a restart of the process. The zero baseline
// subtracts nothing. Any goroutine may call its methods.
type baseline struct{ snapshot atomic.Pointer[Snapshot] }

// set makes later Snapshots count from s.
func (b *baseline) set(s Snapshot) { b.snapshot.Store(&s) }

// subtract takes from s what was counted before the baseline. A counter that is
// below the baseline has restarted and is not changed.
func (b *baseline) subtract(s *Snapshot) {
	if before := b.snapshot.Load(); before != nil {
		s.sub(before)
	}
}

// The sub methods list the counters of a Snapshot. A test verifies that the list
// is complete.

func (s *Snapshot) sub(before *Snapshot) {
	s.Process.sub(&before.Process)
	for i := range min(len(s.Loops), len(before.Loops)) {
		sub(&s.Loops[i].Turns, before.Loops[i].Turns)
	}
	for i := range s.Frontends {
		if old := find(before.Frontends, s.Frontends[i].Name, i); old != nil {
			s.Frontends[i].sub(old)
		}
	}
	for i := range s.Backends {
		if old := find(before.Backends, s.Backends[i].Name, i); old != nil {
			s.Backends[i].sub(old)
		}
	}
	s.RateLimit.sub(&before.RateLimit)
	s.Fleet.sub(before.Fleet)
}

func (p *Process) sub(before *Process) {
	sub(&p.Connections.Total, before.Connections.Total)
	sub(&p.AcceptFailures, before.AcceptFailures)
	sub(&p.LogDropped, before.LogDropped)
	if p.AccessLog != nil && before.AccessLog != nil {
		sub(&p.AccessLog.Lines, before.AccessLog.Lines)
		sub(&p.AccessLog.Dropped, before.AccessLog.Dropped)
	}
}

func (f *Frontend) sub(before *Frontend) {
	sub(&f.Connections.Total, before.Connections.Total)
	f.Traffic.sub(&before.Traffic)
	sub(&f.MessagesDelayed, before.MessagesDelayed)
	sub(&f.MessagesRejected, before.MessagesRejected)
	subMap(f.Refused, before.Refused)
	subMap(f.SessionsEnded, before.SessionsEnded)
	subMap(f.SNIRoutes, before.SNIRoutes)
	f.Connect.sub(&before.Connect)
	f.Queue.sub(&before.Queue)
	if f.HTTP != nil && before.HTTP != nil {
		f.HTTP.sub(before.HTTP)
	}
	if f.TLS != nil && before.TLS != nil {
		f.TLS.sub(before.TLS)
	}
}

func (h *HTTP) sub(before *HTTP) {
	sub(&h.Requests, before.Requests)
	subMap(h.Responses, before.Responses)
	subMap(h.OwnResponses, before.OwnResponses)
	subMap(h.Malformed, before.Malformed)
	sub(&h.Compressed, before.Compressed)
	sub(&h.Tunnels, before.Tunnels)
	sub(&h.BadFrames, before.BadFrames)
	subMap(h.Eras, before.Eras)
	subMap(h.Methods, before.Methods)
	sub(&h.SessionRequests, before.SessionRequests)
	sub(&h.SessionsOpened, before.SessionsOpened)
	sub(&h.TaskRequests, before.TaskRequests)
	sub(&h.TasksOpened, before.TasksOpened)
	subMap(h.Routes, before.Routes)
	for name, tool := range h.Tools {
		if old := before.Tools[name]; old != nil {
			tool.sub(old)
		}
	}
	for i := range h.Limits {
		h.Limits[i].sub(before.Limits)
	}
}

func (t *Tool) sub(before *Tool) {
	sub(&t.Requests, before.Requests)
	sub(&t.Errors, before.Errors)
	t.Duration.sub(&before.Duration)
}

// sub finds the limit as it was before among all of its frontend.
func (l *RouteLimit) sub(before []RouteLimit) {
	for i := range before {
		if old := &before[i]; old.Route == l.Route && old.Key == l.Key {
			sub(&l.Refused, old.Refused)
			sub(&l.Delayed, old.Delayed)
		}
	}
}

func (t *TLS) sub(before *TLS) {
	subMap(t.Handshakes, before.Handshakes)
	subMap(t.Versions, before.Versions)
	subMap(t.Failed, before.Failed)
}

func (b *Backend) sub(before *Backend) {
	sub(&b.Retries, before.Retries)
	sub(&b.Redispatches, before.Redispatches)
	if b.Discovery != nil && before.Discovery != nil {
		sub(&b.Discovery.Updates, before.Discovery.Updates)
		sub(&b.Discovery.Errors, before.Discovery.Errors)
	}
	for i := range b.Servers {
		if old := find(before.Servers, b.Servers[i].Name, i); old != nil {
			b.Servers[i].sub(old)
		}
	}
}

func (s *Server) sub(before *Server) {
	sub(&s.Connections.Total, before.Connections.Total)
	s.Traffic.sub(&before.Traffic)
	sub(&s.Downs, before.Downs)
	sub(&s.DowntimeSeconds, before.DowntimeSeconds)
	subMap(s.Errors, before.Errors)
	sub(&s.Retries, before.Retries)
	sub(&s.Redispatches, before.Redispatches)
	subMap(s.Responses, before.Responses)
	s.Connect.sub(&before.Connect)
	s.Response.sub(&before.Response)
	sub(&s.Check.Checks, before.Check.Checks)
	sub(&s.Check.Failures, before.Check.Failures)
	sub(&s.Check.Observed, before.Check.Observed)
	for i := range s.Names {
		if old := find(before.Names, s.Names[i].Name, i); old != nil {
			s.Names[i].sub(old)
		}
	}
}

func (n *Name) sub(before *Name) {
	sub(&n.Lookups, before.Lookups)
	sub(&n.Failures, before.Failures)
}

func (t *Traffic) sub(before *Traffic) {
	sub(&t.BytesIn, before.BytesIn)
	sub(&t.BytesOut, before.BytesOut)
	sub(&t.MessagesIn, before.MessagesIn)
	sub(&t.MessagesOut, before.MessagesOut)
}

func (t *Timing) sub(before *Timing) {
	sub(&t.Count, before.Count)
	sub(&t.SumSeconds, before.SumSeconds)
}

// sub also estimates the quantiles again, from the counts that are left.
func (l *Latency) sub(before *Latency) {
	sub(&l.Count, before.Count)
	sub(&l.SumSeconds, before.SumSeconds)
	for i := range min(len(l.Below), len(before.Below)) {
		sub(&l.Below[i], before.Below[i])
	}
	l.estimate()
}

func (r *RateLimit) sub(before *RateLimit) {
	sub(&r.SourcesForgotten, before.SourcesForgotten)
	subMap(r.Refused, before.Refused)
	sub(&r.MessagesDelayed, before.MessagesDelayed)
	sub(&r.MessagesRejected, before.MessagesRejected)
	sub(&r.BansImposed, before.BansImposed)
}

// sub subtracts before from a counter, unless the counter has restarted.
func sub[N uint64 | float64](counter *N, before N) {
	if *counter >= before {
		*counter -= before
	}
}

func subMap(counters, before map[string]uint64) {
	for name, n := range counters {
		sub(&n, before[name])
		counters[name] = n
	}
}
