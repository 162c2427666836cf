package admin

import "mcplb/proxy/metrics"

// Timing is the number of events that take time, and the sum and maximum of their
// durations.
type Timing struct {
	Count      uint64  `json:"count"`       // counter
	SumSeconds float64 `json:"sum_seconds"` // counter; divided by count it is the mean
	MaxSeconds float64 `json:"max_seconds"` // peak
}

// LatencyBounds are the bounds of Latency.Below in seconds, in ascending order.
var LatencyBounds = []float64{
	0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
}

// Latency is a distribution of durations.
type Latency struct {
	Count      uint64   `json:"count"`       // counter
	SumSeconds float64  `json:"sum_seconds"` // counter; divided by count it is the mean
	P50Seconds float64  `json:"p50_seconds"` // median; exact to an eighth; 0 if there were no events
	P95Seconds float64  `json:"p95_seconds"`
	P99Seconds float64  `json:"p99_seconds"`
	Below      []uint64 `json:"below"` // counters: events that took less than each of LatencyBounds

	Exact *metrics.Latency `json:"-"` // the whole distribution, for percentiles of the last minute; nil = they are not shown
}

// complete makes Below present.
func (l *Latency) complete() {
	if l.Below == nil {
		l.Below = make([]uint64, len(LatencyBounds))
	}
}

// estimate computes the quantiles from the counts.
func (l *Latency) estimate() {
	l.P50Seconds = quantile(l.Below, l.Count, 0.50)
	l.P95Seconds = quantile(l.Below, l.Count, 0.95)
	l.P99Seconds = quantile(l.Below, l.Count, 0.99)
}

// quantile estimates a quantile of count durations, of which below[i] are less than
// LatencyBounds[i]. Like Prometheus's histogram_quantile it assumes that durations
// are evenly distributed between two bounds. It returns 0 if count is 0, and the
// last bound for quantiles above it.
func quantile(below []uint64, count uint64, part float64) float64 {
	if count == 0 {
		return 0
	}
	rank := part * float64(count)
	floor, under := 0.0, uint64(0)
	for i, n := range below {
		if n > under && float64(n) >= rank {
			return floor + (LatencyBounds[i]-floor)*max(rank-float64(under), 0)/float64(n-under)
		}
		floor, under = LatencyBounds[i], max(n, under)
	}
	return floor
}
