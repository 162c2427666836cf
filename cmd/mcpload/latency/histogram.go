package latency

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Longest is the longest duration that is distinguished; longer ones count as this
// long.
const Longest = 10 * time.Minute

// Histogram is a distribution of durations, in microseconds with three significant
// digits. The zero value is empty and takes no memory until something is recorded;
// nil can be read as empty. It is not safe for concurrent use.
type Histogram struct{ hdr *hdrhistogram.Histogram }

// Record adds a duration.
func (h *Histogram) Record(took time.Duration) { h.RecordPaced(took, 0) }

// RecordPaced adds the duration of an action that is due every interval: one that
// takes longer than the interval also counts for the actions that it delayed
// (hdrhistogram's RecordCorrectedValue). An interval of 0 adds the duration alone.
func (h *Histogram) RecordPaced(took, interval time.Duration) {
	h.open()
	micros := min(max(took, time.Microsecond), Longest).Microseconds()
	_ = h.hdr.RecordCorrectedValue(micros, interval.Microseconds()) // cannot fail: it is in range
}

func (h *Histogram) open() {
	if h.hdr == nil {
		h.hdr = hdrhistogram.New(1, Longest.Microseconds(), 3)
	}
}

// Merge adds everything that o holds.
func (h *Histogram) Merge(o *Histogram) {
	if o != nil && o.hdr != nil {
		h.open()
		h.hdr.Merge(o.hdr)
	}
}

// Copy returns an independent copy.
func (h *Histogram) Copy() Histogram {
	var c Histogram
	c.Merge(h)
	return c
}

// Quantiles describes a distribution, in milliseconds. All are 0 if it is empty.
type Quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// Quantiles returns the percentiles of what was recorded.
func (h *Histogram) Quantiles() Quantiles {
	if h == nil || h.hdr == nil {
		return Quantiles{}
	}
	at := func(percent float64) float64 { return float64(h.hdr.ValueAtQuantile(percent)) / 1000 }
	return Quantiles{Count: h.hdr.TotalCount(), P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}
