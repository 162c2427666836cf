package admin

import (
	"slices"
	"time"
)

// HandoverHistory is the content of a History, for the new process of an upgrade.
// It is fit for encoding.
type HandoverHistory struct {
	Times  []time.Time
	Series []HandoverSeries
	Events []Event
}

// HandoverSeries is one series.
type HandoverSeries struct {
	SeriesKey
	Values []float32 // for the last of the times; NaN is a gap
}

// Handover returns the content of the history.
func (h *History) Handover() HandoverHistory {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := HandoverHistory{Times: slices.Clone(h.times), Events: slices.Clone(h.events.list)}
	for key, one := range h.series {
		all.Series = append(all.Series, HandoverSeries{key, slices.Clone(one.values)})
	}
	return all
}

// Restore inserts the history of the old process before the samples of this one.
// It ignores series of frontends and servers that do not exist here; if there is
// no sample yet, the first one removes them.
func (h *History) Restore(old HandoverHistory) {
	h.mu.Lock()
	defer h.mu.Unlock()
	here := len(h.times)
	before := old.Times[max(len(old.Times)+here-historySamples, 0):]
	known := map[SeriesKey][]float32{}
	for _, one := range old.Series {
		known[one.SeriesKey] = one.Values
		if h.series[one.SeriesKey] == nil && here == 0 {
			h.series[one.SeriesKey] = &series{latest: h.taken}
		}
	}
	h.times = slices.Concat(before, h.times)
	for _, event := range old.Events {
		h.events.add(event)
	}
	if n := len(before); n > 0 {
		h.events.add(Event{Time: before[n-1], Kind: EventUpgrade})
	}
	for key, one := range h.series {
		one.values = slices.Concat(lastOf(known[key], len(before)), lastOf(one.values, here))
	}
}

// lastOf returns the last n values, with gaps before them if there are fewer.
func lastOf(values []float32, n int) []float32 {
	if missing := n - len(values); missing > 0 {
		return append(slices.Repeat([]float32{gap}, missing), values...)
	}
	return values[len(values)-n:]
}
