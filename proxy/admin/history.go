package admin

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"mcplb/proxy/metrics"
)

// Interval and length of the history.
const (
	historyInterval = 3 * time.Second
	historySamples  = 300 // 15 minutes
	lastMinute      = 20  // samples
)

// History holds samples of the last 15 minutes, one every 3 seconds, for plots and
// rates. It takes about 10 KB per server and frontend, whatever the load. Create
// it with NewHistory; Run takes the samples. Any goroutine may call its methods.
type History struct {
	source Source

	mu     sync.RWMutex // guards what follows
	times  []time.Time  // of the samples, the oldest first
	series map[SeriesKey]*series
	taken  int                            // number of samples taken since the start
	recent map[SeriesKey][]metrics.Growth // by server: its responses between the samples of the last minute
	events events
	before Snapshot          // at the latest sample
	failed int               // number of the latest sample with failed accepts; 0 = none
	worst  map[string]string // by frontend: the most frequent reason of refusals between the last two samples
}

// series holds the values of one measure, the latest last. NaN is a gap.
type series struct {
	values []float32
	latest int // number of the latest sample that had it
}

// SeriesKey identifies a series: of a frontend, of a server of a backend or, if all
// names are empty, of the process.
type SeriesKey struct {
	Frontend, Backend, Server string
	Measure                   measure
}

// measure is the quantity that a series records. New ones are added at the end, as a
// hand-over contains the numbers.
type measure uint8

const (
	connections     measure = iota // now
	connectionRate                 // per second
	messageRate                    // from clients, per second; HTTP: requests
	bytesInRate                    // per second
	bytesOutRate                   // per second
	refusedRate                    // refused clients per second
	responseLatency                // seconds, 95th percentile of the interval; a gap without responses
	checkLatency                   // seconds, of the last health check
)

// NewHistory returns an empty history of source.
func NewHistory(source Source) *History {
	return &History{source: source, series: map[SeriesKey]*series{}, recent: map[SeriesKey][]metrics.Growth{}, worst: map[string]string{}}
}

// Run takes samples until ctx ends. The goroutine that calls it also calls
// Source.Snapshot.
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

// sample takes one sample.
func (h *History) sample() {
	s := snapshotOf(h.source)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times = append(trim(h.times), s.Time)
	h.taken++
	h.add(SeriesKey{Measure: connections}, float64(s.Process.Connections.Current))
	seconds := s.Time.Sub(h.before.Time).Seconds()
	if h.taken > 1 && s.Process.AcceptFailures > h.before.Process.AcceptFailures {
		h.failed = h.taken
	}
	for i := range s.Frontends {
		f := &s.Frontends[i]
		before := find(h.before.Frontends, f.Name, i)
		h.addRates(SeriesKey{Frontend: f.Name}, f.Connections.Current, frontendRates(f, before, seconds))
		h.worst[f.Name] = mostGrown(f, before)
	}
	for i := range s.Backends {
		h.sampleBackend(&s.Backends[i], find(h.before.Backends, s.Backends[i].Name, i), seconds)
	}
	h.events.find(&s, &h.before)
	h.events.forget(h.times[0].Add(-historyInterval)) // what came just before the first sample counts: the first checks
	h.before = s
	for key, one := range h.series {
		if one.latest < h.taken { // removed by a reload
			delete(h.series, key)
			delete(h.recent, key)
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
		key := SeriesKey{Backend: b.Name, Server: server.Name}
		h.addRates(key, server.Connections.Current, serverRates(server, old, seconds))
		key.Measure = responseLatency
		h.addResponses(key, responseGrowth(server, old))
		key.Measure = checkLatency
		h.add(key, server.Check.LatencySeconds)
	}
}

// addResponses adds the responses of a server since the sample before.
func (h *History) addResponses(key SeriesKey, growth metrics.Growth) {
	recent := h.recent[key]
	if len(recent) >= lastMinute {
		recent = slices.Delete(recent, 0, len(recent)-lastMinute+1)
	}
	h.recent[key] = append(recent, growth)
	p95 := math.NaN()
	if growth.Count() > 0 {
		p95 = latencyOf(growth).Quantile(0.95).Seconds()
	}
	h.add(key, p95)
}

// latencyOf returns the distribution of the growths together.
func latencyOf(growths ...metrics.Growth) *metrics.Latency {
	var all metrics.Latency
	for i := range growths {
		all.AddGrowth(&growths[i])
	}
	return &all
}

// add appends a value to a series. A new series starts with gaps.
func (h *History) add(key SeriesKey, value float64) {
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

// trim makes room for one more sample by removing the oldest one if necessary.
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

func (h *History) addRates(key SeriesKey, current int64, r Rates) {
	for what, value := range map[measure]float64{
		connections: float64(current), connectionRate: r.Connections, messageRate: r.Messages,
		bytesInRate: r.BytesIn, bytesOutRate: r.BytesOut, refusedRate: r.Refused,
	} {
		key.Measure = what
		h.add(key, value)
	}
}

// setRates sets the rates and recent latencies of s.
func (h *History) setRates(s *Snapshot) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s.Process.acceptsFail = h.failed > 0 && h.taken-h.failed < lastMinute
	for i := range s.Frontends {
		f := &s.Frontends[i]
		f.Rates, f.refusing = h.rates(SeriesKey{Frontend: f.Name}), h.worst[f.Name]
		s.Process.Rates.add(f.Rates)
	}
	for i := range s.Backends {
		for j := range s.Backends[i].Servers {
			server := &s.Backends[i].Servers[j]
			key := SeriesKey{Backend: s.Backends[i].Name, Server: server.Name}
			server.Rates = h.rates(key)
			key.Measure = responseLatency
			server.setRecent(latencyOf(h.recent[key]...))
		}
	}
	s.Events = slices.Clone(h.events.list)
}

// setRecent sets the percentiles of the last minute.
func (s *Server) setRecent(l *metrics.Latency) {
	s.RecentResponses = int64(l.Count())
	s.RecentP50Seconds, s.RecentP95Seconds, s.RecentP99Seconds = l.Quantile(0.50).Seconds(), l.Quantile(0.95).Seconds(), l.Quantile(0.99).Seconds()
}

// rates returns the latest rates of the frontend or server of key.
func (h *History) rates(key SeriesKey) Rates {
	last := func(what measure) float64 {
		key.Measure = what
		return h.latest(key)
	}
	return Rates{
		Connections: last(connectionRate), Messages: last(messageRate),
		BytesIn: last(bytesInRate), BytesOut: last(bytesOutRate), Refused: last(refusedRate),
	}
}

// latest returns the last value of a series; 0 if it is a gap.
func (h *History) latest(key SeriesKey) float64 {
	one := h.series[key]
	if one == nil || len(one.values) == 0 {
		return 0
	}
	if v := one.values[len(one.values)-1]; v == v { // not NaN
		return float64(v)
	}
	return 0
}

// values returns a copy of a series, or nil. NaN is a gap.
func (h *History) values(key SeriesKey) []float32 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if one := h.series[key]; one != nil {
		return slices.Clone(one.values)
	}
	return nil
}

// clock returns a copy of the times of the samples.
func (h *History) clock() []time.Time {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.times)
}
