package admin

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
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
	taken  int               // number of samples taken since the start
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
	return &History{source: source, series: map[SeriesKey]*series{}, worst: map[string]string{}}
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
	h.before = s
	for key, one := range h.series {
		if one.latest < h.taken { // removed by a reload
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
		key := SeriesKey{Backend: b.Name, Server: server.Name}
		h.addRates(key, server.Connections.Current, serverRates(server, old, seconds))
		key.Measure = responseLatency
		h.add(key, recentLatency(&server.Response, old))
		key.Measure = checkLatency
		h.add(key, server.Check.LatencySeconds)
	}
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
			server.RecentP95Seconds = h.recent(key, lastMinute)
		}
	}
}

// rates returns the latest rates of the frontend or server of key.
func (h *History) rates(key SeriesKey) Rates {
	last := func(what measure) float64 {
		key.Measure = what
		return h.recent(key, 1)
	}
	return Rates{
		Connections: last(connectionRate), Messages: last(messageRate),
		BytesIn: last(bytesInRate), BytesOut: last(bytesOutRate), Refused: last(refusedRate),
	}
}

// recent returns the median of the last values of a series, at most so many, without
// gaps; 0 if there are none.
func (h *History) recent(key SeriesKey, most int) float64 {
	one := h.series[key]
	if one == nil {
		return 0
	}
	values := one.values[max(len(one.values)-most, 0):]
	var known []float32
	for _, v := range values {
		if v == v { // not NaN
			known = append(known, v)
		}
	}
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return float64(known[len(known)/2])
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

// span returns the times of the first and the last sample.
func (h *History) span() (first, last time.Time) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.times) == 0 {
		return time.Time{}, time.Time{}
	}
	return h.times[0], h.times[len(h.times)-1]
}
