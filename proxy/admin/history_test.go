package admin

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/proxy/metrics"
)

// The history holds 15 minutes and no more, follows reloads that add and remove
// servers, and computes rates from counters.
func TestHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ticks, extra := uint64(0), false
		var responses metrics.Histogram
		source := &fixed{build: func() Snapshot {
			s := example()
			s.Time = time.Now()
			ticks++
			s.Frontends[0].BytesIn += 300 * ticks
			s.Frontends[0].Refused["connection_rate"] += 30 * ticks
			node := &s.Backends[0].Servers[0]
			slow := 400 * time.Millisecond
			if ticks < historySamples-lastMinute {
				slow = 4 * time.Second // too long ago
			}
			for range 10 {
				responses.Add(int64(slow))
			}
			node.Response.Exact = &metrics.Latency{}
			node.Response.Exact.Add(&responses)
			if extra {
				s.Backends[0].Servers = append(s.Backends[0].Servers, Server{Name: "node4"})
			}
			return s
		}}
		h := NewHistory(source)
		for range historySamples + 7 {
			h.sample()
			time.Sleep(historyInterval)
		}
		if n, m := len(h.times), len(h.values(SeriesKey{Frontend: "tcp"})); n != historySamples || m != historySamples {
			t.Errorf("%d and %d samples, want %d", n, m, historySamples)
		}
		if times := h.clock(); times[len(times)-1].Sub(times[0]) != (historySamples-1)*historyInterval {
			t.Errorf("they span %v", times[len(times)-1].Sub(times[0]))
		}
		s := snapshotOf(source)
		h.setRates(&s)
		if r := s.Frontends[0].Rates; r.BytesIn != 100 || r.Refused != 10 || s.Process.Rates.BytesIn != 100 {
			t.Errorf("rates: %+v", r)
		}
		node := &s.Backends[0].Servers[0]
		for _, percentile := range []float64{node.RecentP50Seconds, node.RecentP95Seconds, node.RecentP99Seconds} {
			if math.Abs(percentile-0.4) > 0.05 {
				t.Errorf("recent percentile: %v", percentile)
			}
		}
		if node.RecentResponses != 10*lastMinute {
			t.Errorf("%d responses in the last minute", node.RecentResponses)
		}
		extra = true
		h.sample()
		values := h.values(SeriesKey{Backend: "nodes", Server: "node4"})
		if len(values) != historySamples || values[0] == values[0] || values[historySamples-1] != 0 {
			t.Errorf("a new server has %d samples, %v to %v", len(values), values[0], values[len(values)-1])
		}
		extra = false
		h.sample()
		if values := h.values(SeriesKey{Backend: "nodes", Server: "node4"}); values != nil {
			t.Errorf("a removed server has %d samples", len(values))
		}
	})
}

// A restored history precedes the samples of the new process, 15 minutes in total.
// Series of frontends that do not exist any more are dropped.
func TestHistoryHandover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b"}
		source := &fixed{build: func() Snapshot {
			s := example()
			s.Time = time.Now()
			s.Frontends = nil
			for i, name := range names {
				s.Frontends = append(s.Frontends, Frontend{Name: name, Connections: Connections{Current: int64(10*i + 1)}})
			}
			return s
		}}
		run := func(h *History, samples int) *History {
			for range samples {
				h.sample()
				time.Sleep(historyInterval)
			}
			return h
		}
		check := func(h *History, frontend string, want ...float32) {
			t.Helper()
			got := h.values(SeriesKey{Frontend: frontend})
			if !slices.EqualFunc(got, want, func(a, b float32) bool { return a == b || a != a && b != b }) {
				t.Errorf("%s: %v, want %v", frontend, got, want)
			}
		}
		old := run(NewHistory(source), 3)
		names = []string{"b", "c"}
		first := NewHistory(source)
		first.Restore(old.Handover()) // before its first sample
		run(first, 1)
		second := run(NewHistory(source), 1)
		second.Restore(old.Handover()) // after it
		for _, h := range []*History{first, second} {
			run(h, 1)
			check(h, "a")
			check(h, "b", 11, 11, 11, 1, 1)
			check(h, "c", gap, gap, gap, 11, 11)
			if times := h.clock(); len(times) != 5 || times[4].Sub(times[0]) < 4*historyInterval {
				t.Errorf("%d samples: %v", len(times), times)
			}
		}
		full := run(NewHistory(source), historySamples)
		second.Restore(full.Handover())
		run(second, 1)
		if n, m := len(second.times), len(second.values(SeriesKey{Frontend: "b"})); n != historySamples || m != n {
			t.Errorf("%d times and %d values, want %d", n, m, historySamples)
		}
	})
}

// expiring returns TLS with one certificate.
func expiring(at time.Time) *TLS {
	return &TLS{Certificates: []Certificate{{File: "lb.pem", NotAfter: at}}}
}

// listed returns TLS with one revocation list.
func listed(nextUpdate time.Time) *TLS {
	return &TLS{RevocationLists: []RevocationList{{File: "clients.crl", Issuer: "CN=clients", NextUpdate: nextUpdate}}}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	calm := func(s *Snapshot) {
		s.RateLimit.BansActive, s.RateLimit.Throttled = 0, nil
		s.Process.AccessLog = nil
		s.Backends[0].QueueCurrent = 0
		s.Backends[0].Servers = s.Backends[0].Servers[:1]
	}
	for _, test := range []struct {
		name  string
		edit  func(*Snapshot)
		level Level
		text  string // "" = no finding
	}{
		{"no problem", func(*Snapshot) {}, Healthy, ""},
		{"a limit of a route", func(s *Snapshot) { s.Frontends[1].HTTP.Limits[0].Active = true }, Healthy,
			`the limit by header:X-API-Key of route "/mcp" of frontend http is exceeded: 12 requests refused, 5 delayed so far`},
		{"a ban", func(s *Snapshot) { s.RateLimit.BansActive = 2 }, Healthy, "2 sources are banned"},
		{"delayed", func(s *Snapshot) {
			s.RateLimit.Throttled = []Throttled{{Source: "192.0.2.7", ForSeconds: 90, Delayed: 9}}
		}, Healthy,
			"the message rate delays messages of 192.0.2.7: 9 in 1m30s"},
		{"rejected", func(s *Snapshot) { s.RateLimit.Throttled = []Throttled{{Source: "2001:db8::/64", Rejected: 9}} }, Healthy,
			"the message rate rejects messages of 2001:db8::/64: 9 in 0s"},
		{"refused", func(s *Snapshot) { s.RateLimit.Throttled = []Throttled{{Source: "192.0.2.7", Refused: 9}} }, Healthy,
			"the limits refuse connections of 192.0.2.7: 9 in 0s"},
		{"delayed together", func(s *Snapshot) { s.RateLimit.Throttled = []Throttled{{Delayed: 9}} }, Healthy,
			"the message rate delays messages of all sources together: 9 in 0s"},
		{"draining", func(s *Snapshot) { s.Process.Draining = true }, Critical, "the balancer is draining"},
		{"maxconn", func(s *Snapshot) { s.Process.AcceptPaused, s.Process.AcceptPauseReason = true, "maxconn" }, Critical, "new clients wait: 30 of 100000 connections are taken (maxconn)"},
		{"nearly maxconn", func(s *Snapshot) { s.Process.Connections.Limit = 33 }, Degraded, "30 of 33 connections (maxconn) are taken"},
		{"no descriptors", func(s *Snapshot) { s.Process.acceptsFail = true }, Critical, "clients could not be accepted in the last minute"},
		{"descriptors", func(s *Snapshot) { s.Process.OpenFiles.Used = 200_000 }, Degraded, "200000 of 200100 open files"},
		{"access log", func(s *Snapshot) { s.Process.AccessLog = &AccessLog{Path: "/x", Error: "disk full"} }, Degraded, "the access log /x cannot be written: disk full"},
		{"fleet apart", func(s *Snapshot) {
			s.Fleet = &Fleet{Redis: "redis://:***@r:6379/0", Error: "dial tcp: refused", Advice: "start it", LagSeconds: 65}
		}, Degraded, "the fleet's Redis redis://:***@r:6379/0 cannot be used for 1m05s, and this balancer works alone: dial tcp: refused"},
		{"fleet blinks", func(s *Snapshot) { s.Fleet = &Fleet{Error: "EOF", LagSeconds: 1} }, Healthy, ""},
		{"fleet slow", func(s *Snapshot) { s.Fleet = &Fleet{Connected: true, RoundTripSeconds: 0.45} }, Healthy, "is slow: an exchange takes 450 ms"},
		{"fleet twice", func(s *Snapshot) { s.Fleet = &Fleet{Name: "f", Instance: "i", Connected: true, Conflict: true} }, Degraded, "another balancer of fleet f calls itself i, too"},
		{"fleet rubbish", func(s *Snapshot) {
			s.Fleet = &Fleet{Name: "f", Connected: true, Invalid: map[string]uint64{"bans": 2, "rates": 1}}
		}, Healthy, "3 entries of fleet f in Redis are none of mcplb's"},
		{"fleet overrun", func(s *Snapshot) { s.Fleet = &Fleet{Name: "f", Connected: true, Lost: map[string]uint64{"bans": 2}} }, Healthy, "2 changes were not shared with fleet f"},
		{"certificate", func(s *Snapshot) { s.Frontends[0].TLS = expiring(s.Time.Add(49 * time.Hour)) }, Degraded, "certificate lb.pem of frontend tcp expires in 2d1h"},
		{"certificate expired", func(s *Snapshot) { s.Frontends[0].TLS = expiring(s.Time.Add(-time.Hour)) }, Critical, "certificate lb.pem of frontend tcp expired 1h00m ago"},
		{"revocation list", func(s *Snapshot) { s.Frontends[0].TLS = listed(s.Time.Add(-25 * time.Hour)) }, Degraded,
			"the revocation list of CN=clients in clients.crl of frontend tcp should have been replaced 1d1h ago: certificates revoked since are accepted"},
		{"revocation list, in time", func(s *Snapshot) { s.Frontends[0].TLS = listed(s.Time.Add(time.Minute)) }, Healthy, ""},
		{"revocation list for ever", func(s *Snapshot) { s.Frontends[0].TLS = listed(time.Time{}) }, Healthy, ""},
		{"reload", func(s *Snapshot) { s.Process.Reload = Reload{Error: "lb.toml:3: x"} }, Degraded, "the last reload failed, the configuration before is in force: lb.toml:3: x"},
		{"no server", func(s *Snapshot) { s.Backends[0].Servers[0].Usable = false }, Critical, "backend nodes has no usable server out of 1"},
		{"down", func(s *Snapshot) { s.Backends[0].Servers[0].State = ServerDown }, Degraded, "server nodes/node1 is down for 1h00m: L4OK connected"},
		{"suspect", func(s *Snapshot) { s.Backends[0].Servers[0].Suspect = true }, Degraded, "server nodes/node1 does not answer its check in time"},
		{"full", func(s *Snapshot) { s.Backends[0].Servers[0].Connections.Limit = 21 }, Degraded, "server nodes/node1 is full: 21 connections"},
		{"drained", func(s *Snapshot) { s.Backends[0].Servers[0].Admin = AdminDrain }, Healthy, "server nodes/node1 is in drain (no reason given)"},
		{"queue", func(s *Snapshot) { s.Backends[0].QueueCurrent = 5 }, Degraded, "5 clients wait for a slot of backend nodes"},
		{"flood", func(s *Snapshot) { s.Frontends[0].Rates.Refused, s.Frontends[0].refusing = 80, "connection_rate" }, Healthy, "turns away 80 clients a second, most of them for connection_rate"},
		{"refused", func(s *Snapshot) { s.Frontends[0].Rates.Refused, s.Frontends[0].refusing = 80, "connect_refused" }, Degraded, "most of them for connect_refused"},
		{"slow", func(s *Snapshot) {
			one := s.Backends[0].Servers[0]
			s.Backends[0].Servers = []Server{one, one, one}
			s.Backends[0].Servers[2].Name = "node3"
			for i, p95 := range []float64{0.02, 0.03, 1.5} {
				s.Backends[0].Servers[i].RecentP95Seconds = p95
			}
		}, Degraded, "server nodes/node3 is slow: p95 1.5 s in the last minute, the backend's median server 30 ms"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := snapshotOf(edited(func(s *Snapshot) { calm(s); test.edit(s) }))
			sum := assess(&s)
			if sum.Level != test.level || len(sum.Findings) == 0 && test.text != "" {
				t.Fatalf("%+v, want %s", sum, test.level)
			}
			if test.text == "" {
				if len(sum.Findings) > 0 {
					t.Errorf("found %+v", sum.Findings)
				}
				return
			}
			if f := sum.Findings[0]; !strings.Contains(f.Text, test.text) || f.Advice == "" {
				t.Errorf("found %+v, want %s", f, test.text)
			}
		})
	}
}

// Who is delayed must learn what to do about it, and that differs: a proxy that names
// no clients must name them, and no source is to blame for a global rate. However
// many are delayed, other findings are still read.
func TestThrottledAdvice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		throttled Throttled
		advice    string
	}{
		{Throttled{Source: "192.0.2.7", Delayed: 1}, "raise ratelimit.message_rate and message_burst, or add it to ratelimit.exempt"},
		{Throttled{Source: "192.0.2.7", Refused: 1}, "raise ratelimit.connection_rate or max_connections, or add it to ratelimit.exempt"},
		{Throttled{Source: "192.0.2.7", Rejected: 1, TrustedProxy: true}, "let it send X-Forwarded-For"},
		{Throttled{Rejected: 1}, "raise ratelimit.global_message_rate"},
		{Throttled{Refused: 1}, "raise ratelimit.global_connection_rate"},
	} {
		sum := Summary{}
		sum.throttled([]Throttled{c.throttled})
		if len(sum.Findings) != 1 || !strings.Contains(sum.Findings[0].Advice, c.advice) {
			t.Errorf("%+v: %+v, want %s", c.throttled, sum.Findings, c.advice)
		}
	}
	var sum Summary
	sum.throttled(slices.Repeat([]Throttled{{Source: "192.0.2.7", Delayed: 1}}, 16))
	if n := len(sum.Findings); n != mostThrottled+1 || !strings.Contains(sum.Findings[n-1].Text, "11 more sources") {
		t.Errorf("%+v", sum.Findings)
	}
}

// Many servers that are down do not hide other findings.
func TestSummaryOfMuch(t *testing.T) {
	t.Parallel()
	s := snapshotOf(edited(func(s *Snapshot) {
		s.Process.Draining = true
		down := s.Backends[0].Servers[1]
		down.Admin, s.Backends[0].Servers = AdminReady, nil
		for range 100 {
			s.Backends[0].Servers = append(s.Backends[0].Servers, down)
		}
	}))
	sum := assess(&s)
	if n := len(sum.Findings); n != maxFindings+1 || sum.Findings[0].Level != Critical || !strings.HasPrefix(sum.Findings[n-1].Text, "and ") {
		t.Errorf("%d findings, the last is %+v", n, sum.Findings[n-1])
	}
}
