package admin

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// CarriedHistory is what a History remembers, for the process that takes the
// place of this one. It is fit for encoding.
type CarriedHistory struct {
	Times  []time.Time
	Series []CarriedSeries
}

// CarriedSeries is one series.
type CarriedSeries struct {
	Frontend, Backend, Server string
	Measure                   uint8
	Values                    []byte // 4 for each of the last times: a float32, the low byte first
}

// Carry returns what the history remembers.
func (h *History) Carry() CarriedHistory {
	h.mu.RLock()
	defer h.mu.RUnlock()
	c := CarriedHistory{Times: slices.Clone(h.times)}
	for key, one := range h.series {
		carried := CarriedSeries{key.frontend, key.backend, key.server, uint8(key.what), make([]byte, 0, 4*len(one.values))}
		for _, v := range one.values {
			carried.Values = binary.LittleEndian.AppendUint32(carried.Values, math.Float32bits(v))
		}
		c.Series = append(c.Series, carried)
	}
	return c
}

// Restore puts what the history of another process remembered before what this
// one does. Series of what is not there any more are left out, now or with the
// next sample.
func (h *History) Restore(c CarriedHistory) {
	h.mu.Lock()
	defer h.mu.Unlock()
	here := len(h.times)
	before := c.Times[max(len(c.Times)+here-historySamples, 0):]
	known := map[seriesKey][]float32{}
	for _, carried := range c.Series {
		key := seriesKey{carried.Frontend, carried.Backend, carried.Server, measure(carried.Measure)}
		known[key] = carried.values()
		if h.series[key] == nil && here == 0 {
			h.series[key] = &series{latest: h.taken}
		}
	}
	h.times = slices.Concat(before, h.times)
	for key, one := range h.series {
		one.values = slices.Concat(lastOf(known[key], len(before)), lastOf(one.values, here))
	}
}

func (c *CarriedSeries) values() []float32 {
	var all []float32
	for p := c.Values; len(p) >= 4; p = p[4:] {
		all = append(all, math.Float32frombits(binary.LittleEndian.Uint32(p)))
	}
	return all
}

// lastOf returns the last n values, gaps before them where there are fewer.
func lastOf(values []float32, n int) []float32 {
	if missing := n - len(values); missing > 0 {
		return append(slices.Repeat([]float32{gap}, missing), values...)
	}
	return values[len(values)-n:]
}
