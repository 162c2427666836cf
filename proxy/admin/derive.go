package admin

import "time"

// snapshotOf returns the Snapshot of source, with the derived fields that do not
// need a history.
func snapshotOf(source Source) Snapshot {
	s := source.Snapshot()
	s.Process.UptimeSeconds = s.Time.Sub(s.Process.StartTime).Seconds()
	s.Loops = present(s.Loops)
	s.Frontends = present(s.Frontends)
	for i := range s.Frontends {
		f := &s.Frontends[i]
		f.Listen, f.Backends = present(f.Listen), present(f.Backends)
		f.Refused, f.SessionsEnded = presentMap(f.Refused), presentMap(f.SessionsEnded)
		f.HTTP.complete()
	}
	s.Backends = present(s.Backends)
	for i := range s.Backends {
		s.Backends[i].derive(s.Time)
	}
	s.RateLimit.Refused = presentMap(s.RateLimit.Refused)
	s.RateLimit.Bans = present(s.RateLimit.Bans)
	s.RateLimit.Throttled = present(s.RateLimit.Throttled)
	s.Fleet.complete()
	s.Events = present(s.Events)
	s.Leaving.Frontends, s.Leaving.Servers = present(s.Leaving.Frontends), present(s.Leaving.Servers)
	return s
}

// complete makes all maps present.
func (h *HTTP) complete() {
	if h == nil {
		return
	}
	h.Responses, h.OwnResponses, h.Malformed = presentMap(h.Responses), presentMap(h.OwnResponses), presentMap(h.Malformed)
	h.Eras, h.Methods = presentMap(h.Eras), presentMap(h.Methods)
	h.Routes, h.Tools, h.Limits = presentMap(h.Routes), presentMap(h.Tools), present(h.Limits)
	for _, tool := range h.Tools {
		tool.Duration.complete()
	}
}

// derive counts the backend's servers and computes their shares.
func (b *Backend) derive(now time.Time) {
	b.Servers = present(b.Servers)
	b.ServersUsable, b.ServersTotal = 0, len(b.Servers)
	var connections int64
	var weight float64
	standby := b.standby()
	for i := range b.Servers {
		server := &b.Servers[i]
		server.Addresses, server.Errors = presentMap(server.Addresses), presentMap(server.Errors)
		server.Responses = presentMap(server.Responses)
		for j := range server.Names {
			server.Names[j].derive(now)
		}
		server.Connect.complete()
		server.Response.complete()
		connections += server.Connections.Current
		if server.Usable {
			b.ServersUsable++
		}
		if server.Usable && server.Backup == standby {
			weight += server.EffectiveWeight
		}
	}
	for i := range b.Servers {
		server := &b.Servers[i]
		server.Share = part(float64(server.Connections.Current), float64(connections))
		server.FairShare = 0
		if server.Usable && server.Backup == standby {
			server.FairShare = part(server.EffectiveWeight, weight)
		}
	}
}

// standby reports whether the backup servers get the new clients: no other server is
// usable.
func (b *Backend) standby() bool {
	for i := range b.Servers {
		if s := &b.Servers[i]; s.Usable && !s.Backup {
			return false
		}
	}
	return true
}

// part returns of/total, or 0 if total is not positive.
func part(of, total float64) float64 {
	if total <= 0 {
		return 0
	}
	return of / total
}

// present replaces nil with an empty list, which JSON shows as [] instead of null.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// presentMap is present for maps.
func presentMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
