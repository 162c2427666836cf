package admin

// estimate sets the quantiles from the counts.
func (l *Latency) estimate() {
	l.P50Seconds = quantile(l.Below, l.Count, 0.50)
	l.P95Seconds = quantile(l.Below, l.Count, 0.95)
	l.P99Seconds = quantile(l.Below, l.Count, 0.99)
}

// quantile estimates the time within which the given part of count durations
// was done, from how many took less than each of LatencyBounds: evenly spread
// between two bounds, as Prometheus's histogram_quantile has it. It is 0 of
// none, and the last bound for what took longer.
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
