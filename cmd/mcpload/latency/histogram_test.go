package latency

import (
	"math"
	"testing"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var h, none Histogram
	for i := range 100 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	h.Merge(&none)
	h.Merge(nil)
	copied := h.Copy()
	h.Record(time.Hour) // counts as Longest
	if q := copied.Quantiles(); q.Count != 100 || !near(q.P50, 50) || !near(q.P95, 95) || !near(q.P99, 99) || !near(q.Max, 100) {
		t.Errorf("%+v", q)
	}
	if q := h.Quantiles(); q.Count != 101 || !near(q.Max, 600_000) {
		t.Errorf("with an hour: %+v", q)
	}
	if q := (*Histogram)(nil).Quantiles(); q != none.Quantiles() || q != (Quantiles{}) {
		t.Errorf("empty: %+v", q)
	}
}

// A duration of four intervals counts for the three actions that it delayed.
func TestRecordPaced(t *testing.T) {
	t.Parallel()
	var h Histogram
	h.RecordPaced(400*time.Millisecond, 100*time.Millisecond)
	if q := h.Quantiles(); q.Count != 4 || !near(q.P50, 200) || !near(q.Max, 400) {
		t.Errorf("%+v", q)
	}
}

func near(got, want float64) bool { return math.Abs(got-want) <= want/500 }
