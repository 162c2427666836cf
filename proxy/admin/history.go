package admin

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// The history's span and grain.
const (
	historyInterval = 3 * time.Second
	historySamples  = 300 // 15 minutes
	lastMinute      = 20  // samples
)

// History remembers the last 15 minutes, a sample every 3 seconds: what plots
// and rates are made of. It takes some 10 KB for every server and
// frontend, whatever the load. NewHistory makes one, Run keeps it; all methods
// may be called by any goroutine.
type History struct {
	source Source

	mu     sync.RWMutex // guards what follows
	times  []time.Time  // of the samples, the oldest first
	series map[seriesKey]*series
	taken  int               // samples, ever
	before Snapshot          // the last one, for differences
	failed int               // the number of the last sample that saw accepts fail; 0 = none has
	worst  map[string]string // by frontend: why most clients were turned away since the one before
}

// series are the values of one measure, the latest last; gaps are not numbers.
type series struct {
	values []float32
	latest int // the number of the sample that it was last part of
}

// seriesKey names one series: of a frontend, or of a server of a backend, or of
// the whole where both are empty.
type seriesKey struct {
	frontend, backend, server string
	what                      measure
}

// measure is what is measured.
type measure uint8

const (
	connections     measure = iota // now
	connectionRate                 // a second
	messageRate                    // from clients, a second; HTTP: requests
	bytesInRate                    // a second
	bytesOutRate                   // a second
	refusedRate                    // clients turned away, a second
	responseLatency                // seconds, the 95th percentile of the interval; gap where there was none
	checkLatency                   // seconds, of the last health check
)

// Rates are how fast counters grew over the last 3 seconds.
type Rates struct {
	Connections float64 `json:"connections_per_second"`
	Messages    float64 `json:"messages_per_second"` // from clients; mode http: requests
	BytesIn     float64 `json:"bytes_in_per_second"`
	BytesOut    float64 `json:"bytes_out_per_second"`
	Refused     float64 `json:"refused_per_second"` // of frontends: clients turned away
}

// NewHistory returns an empty history of source.
func NewHistory(source Source) *History {
	return &History{source: source, series: map[seriesKey]*series{}, worst: map[string]string{}}
}

// Run samples until ctx ends. Sampling takes a Snapshot, on the goroutine that
// calls Run.
func (h *History) Run(ctx context.Context) {
	ticker := time.NewTicker(historyInterval)
	defer ticker.Stop()
	h.sample()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.sample()
		}
	}
}

// sample takes one.
func (h *History) sample() {
	s := take(h.source)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times = append(trim(h.times), s.Time)
	h.taken++
	h.add(seriesKey{what: connections}, float64(s.Process.Connections.Current))
	seconds := s.Time.Sub(h.before.Time).Seconds()
	if h.taken > 1 && s.Process.AcceptFailures > h.before.Process.AcceptFailures {
		h.failed = h.taken
	}
	for i := range s.Frontends {
		f := &s.Frontends[i]
		before := find(h.before.Frontends, f.Name, i)
		h.addRates(seriesKey{frontend: f.Name}, f.Connections.Current, frontendRates(f, before, seconds))
		h.worst[f.Name] = mostGrown(f, before)
	}
	for i := range s.Backends {
		h.sampleBackend(&s.Backends[i], find(h.before.Backends, s.Backends[i].Name, i), seconds)
	}
	h.before = s
	for key, one := range h.series {
		if one.latest < h.taken { // gone with a reload
			delete(h.series, key)
		}
	}
}

func (h *History) sampleBackend(b, before *Backend, seconds float64) {
	for i := range b.Servers {
		server := &b.Servers[i]
		var old *Server
		if before != nil {
			old = find(before.Servers, server.Name, i)
		}
		key := seriesKey{backend: b.Name, server: server.Name}
		h.addRates(key, server.Connections.Current, serverRates(server, old, seconds))
		key.what = responseLatency
		h.add(key, recentLatency(&server.Response, old))
		key.what = checkLatency
		h.add(key, server.Check.LatencySeconds)
	}
}

// named are things with a name.
type named interface{ named() string }

func (f Frontend) named() string { return f.Name }
func (b Backend) named() string  { return b.Name }
func (s Server) named() string   { return s.Name }

// find returns the one of that name, nil if there is none; it is most likely
// found at place.
func find[T named](list []T, name string, place int) *T {
	if place < len(list) && list[place].named() == name {
		return &list[place]
	}
	if i := slices.IndexFunc(list, func(item T) bool { return item.named() == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// add appends a value to a series; one that is new has a gap before.
func (h *History) add(key seriesKey, value float64) {
	one := h.series[key]
	if one == nil {
		one = &series{}
		h.series[key] = one
	}
	values := trim(one.values)
	for len(values) < len(h.times)-1 {
		values = append(values, gap)
	}
	one.values, one.latest = append(values, float32(value)), h.taken
}

var gap = float32(math.NaN())

// trim makes room for one more sample. The slices never grow beyond a few more
// than there are samples.
func trim[T any](values []T) []T {
	if values == nil {
		return make([]T, 0, historySamples)
	}
	if len(values) < historySamples {
		return values
	}
	copy(values, values[1:])
	return values[:historySamples-1]
}

func (h *History) addRates(key seriesKey, current int64, r Rates) {
	for what, value := range map[measure]float64{
		connections: float64(current), connectionRate: r.Connections, messageRate: r.Messages,
		bytesInRate: r.BytesIn, bytesOutRate: r.BytesOut, refusedRate: r.Refused,
	} {
		key.what = what
		h.add(key, value)
	}
}

// rate is how fast a counter grew; one that fell began anew.
func rate(now, before uint64, seconds float64) float64 {
	if seconds <= 0 || now < before {
		return 0
	}
	return float64(now-before) / seconds
}

// unknown are the rates of what is seen for the first time.
var unknown = Rates{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()}

func frontendRates(f, before *Frontend, seconds float64) Rates {
	if before == nil {
		return unknown
	}
	return Rates{
		Connections: rate(f.Connections.Total, before.Connections.Total, seconds),
		Messages:    rate(f.MessagesIn, before.MessagesIn, seconds),
		BytesIn:     rate(f.BytesIn, before.BytesIn, seconds),
		BytesOut:    rate(f.BytesOut, before.BytesOut, seconds),
		Refused:     rate(total(f.Refused), total(before.Refused), seconds),
	}
}

// mostGrown is the reason for which most clients were turned away since before.
func mostGrown(f, before *Frontend) string {
	worst, most := "", uint64(0)
	if before == nil {
		return worst
	}
	for reason, n := range f.Refused {
		if grown := n - min(n, before.Refused[reason]); grown > most || grown == most && most > 0 && reason < worst {
			worst, most = reason, grown
		}
	}
	return worst
}

func serverRates(s, before *Server, seconds float64) Rates {
	if before == nil {
		return unknown
	}
	messages := rate(s.MessagesIn, before.MessagesIn, seconds)
	return Rates{
		Connections: rate(s.Connections.Total, before.Connections.Total, seconds),
		Messages:    max(messages, rate(s.Response.Count, before.Response.Count, seconds)),
		BytesIn:     rate(s.BytesIn, before.BytesIn, seconds),
		BytesOut:    rate(s.BytesOut, before.BytesOut, seconds),
	}
}

// recentLatency is the 95th percentile of what came since before, not a number
// where nothing did.
func recentLatency(now *Latency, before *Server) float64 {
	if before == nil || now.Count <= before.Response.Count || len(now.Below) != len(before.Response.Below) {
		return math.NaN()
	}
	below := make([]uint64, len(now.Below))
	for i := range below {
		below[i] = now.Below[i] - min(before.Response.Below[i], now.Below[i])
	}
	return quantile(below, now.Count-before.Response.Count, 0.95)
}

// total sums the counters of a map.
func total(counters map[string]uint64) uint64 {
	sum := uint64(0)
	for _, n := range counters {
		sum += n
	}
	return sum
}

// fill sets the rates of a Snapshot, and the latest latencies.
func (h *History) fill(s *Snapshot) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s.Process.acceptsFail = h.failed > 0 && h.taken-h.failed < lastMinute
	for i := range s.Frontends {
		f := &s.Frontends[i]
		f.Rates, f.refusing = h.rates(seriesKey{frontend: f.Name}), h.worst[f.Name]
		s.Process.Rates.add(f.Rates)
	}
	for i := range s.Backends {
		for j := range s.Backends[i].Servers {
			server := &s.Backends[i].Servers[j]
			key := seriesKey{backend: s.Backends[i].Name, server: server.Name}
			server.Rates = h.rates(key)
			key.what = responseLatency
			server.RecentP95Seconds = h.recent(key, lastMinute)
		}
	}
}

// add sums rates.
func (r *Rates) add(other Rates) {
	r.Connections += other.Connections
	r.Messages += other.Messages
	r.BytesIn += other.BytesIn
	r.BytesOut += other.BytesOut
	r.Refused += other.Refused
}

// rates are the last ones of what key names.
func (h *History) rates(key seriesKey) Rates {
	last := func(what measure) float64 {
		key.what = what
		return h.recent(key, 1)
	}
	return Rates{
		Connections: last(connectionRate), Messages: last(messageRate),
		BytesIn: last(bytesInRate), BytesOut: last(bytesOutRate), Refused: last(refusedRate),
	}
}

// recent is the median of the last values of a series, gaps left aside; 0 of
// none.
func (h *History) recent(key seriesKey, most int) float64 {
	one := h.series[key]
	if one == nil {
		return 0
	}
	values := one.values[max(len(one.values)-most, 0):]
	var known []float32
	for _, v := range values {
		if v == v { // a number
			known = append(known, v)
		}
	}
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return float64(known[len(known)/2])
}

// values are a copy of a series, as long as the history; gaps are not numbers.
func (h *History) values(key seriesKey) []float32 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if one := h.series[key]; one != nil {
		return slices.Clone(one.values)
	}
	return nil
}

// span tells when the first and the last sample were taken.
func (h *History) span() (first, last time.Time) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.times) == 0 {
		return time.Time{}, time.Time{}
	}
	return h.times[0], h.times[len(h.times)-1]
}
