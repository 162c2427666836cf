package metrics

import (
	"testing"
	"time"
)

// The percentiles of the last minute come from what a histogram gained: they must not
// show what was before.
func TestGrowth(t *testing.T) {
	t.Parallel()
	var h Histogram
	at := func() *Latency {
		var l Latency
		l.Add(&h)
		return &l
	}
	for range 100 {
		h.Add(int64(5 * time.Second))
	}
	before := at()
	for range 10 {
		h.Add(int64(2 * time.Millisecond))
	}
	after := at()
	growth := after.Growth(before)
	var recent Latency
	recent.AddGrowth(&growth)
	recent.AddGrowth(&growth)
	if p99 := recent.Quantile(0.99); growth.Count() != 10 || recent.Count() != 20 || p99 < 1750*time.Microsecond || p99 > 2250*time.Microsecond {
		t.Errorf("%d and %d events, the 99th percentile is %v", growth.Count(), recent.Count(), p99)
	}
	if none := after.Growth(after); none.Count() != 0 || len(none.buckets) != 0 {
		t.Errorf("grew by %+v without an event", none)
	}
	if restarted := before.Growth(&Latency{total: 7}); restarted.Count() != 100 {
		t.Errorf("after a restart it has %d events", restarted.Count())
	}
}
