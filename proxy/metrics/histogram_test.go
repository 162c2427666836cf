package metrics

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	t.Parallel()
	for i := range buckets {
		floor, end := floorOf(i), floorOf(i+1)
		if bucketOf(floor) != i || bucketOf(end-1) != i || end <= floor {
			t.Fatalf("bucket %d from %d to %d: %d, %d", i, floor, end, bucketOf(floor), bucketOf(end-1))
		}
		if width := end - floor; width > 1 && width*8 > floor {
			t.Fatalf("bucket %d from %d to %d is too wide", i, floor, end)
		}
	}
	for _, us := range []uint64{1<<mostBits - 1, 1 << mostBits, 1<<64 - 1} {
		if bucketOf(us) != buckets-1 {
			t.Errorf("%d is in bucket %d", us, bucketOf(us))
		}
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var none Latency
	if none.Quantile(0.5) != 0 || none.Count() != 0 || none.Below(time.Hour) != 0 {
		t.Error("an empty Latency is not empty")
	}
	var h Histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2)) // the same each time: one in 10,000 others is beyond the bounds
	for range 10000 {
		d := time.Duration(random.ExpFloat64() * float64(20*time.Millisecond))
		h.Add(int64(d))
		all = append(all, d)
	}
	slices.Sort(all)
	var l Latency
	l.Add(&h)
	for _, part := range []float64{0, 0.01, 0.5, 0.95, 0.99, 1} {
		exact := all[min(int(part*float64(len(all))), len(all)-1)]
		got := l.Quantile(part)
		if off := (got - exact).Abs(); off > exact/7+time.Microsecond {
			t.Errorf("quantile %v is %v, want %v", part, got, exact)
		}
	}
	if n := l.Below(20 * time.Millisecond); n < 5500 || n > 6500 {
		t.Errorf("%d of 10000 are below the mean", n)
	}
	if l.Below(time.Hour) != 10000 || l.Count() != 10000 {
		t.Errorf("%d of %d are below an hour, want 10000 of 10000", l.Below(time.Hour), l.Count())
	}
	var odd Histogram
	odd.Add(-5) // a clock that was set back
	odd.Add(int64(time.Second))
	var two Latency
	two.Add(&odd)
	if two.Count() != 2 || two.Sum() != time.Second || two.Below(time.Millisecond) != 1 {
		t.Errorf("%d events in %v, want 2 in 1s", two.Count(), two.Sum())
	}
}
