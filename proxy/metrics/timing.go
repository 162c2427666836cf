package metrics

import "time"

// Timing counts events that take time, and keeps the sum and the maximum of
// their durations. One goroutine adds; any goroutine may read.
type Timing struct {
	count, sum Counter // the sum and the maximum are in nanoseconds
	longest    Max
}

// Add counts one event that took so many nanoseconds.
func (t *Timing) Add(nanoseconds int64) {
	t.count.Add(1)
	t.sum.Add(uint64(nanoseconds))
	t.longest.Observe(uint64(nanoseconds))
}

// ResetMax clears the maximum (Max.Reset); count and sum stay.
func (t *Timing) ResetMax() { t.longest.Reset() }

// Visit lists the counters under name, for a Set that contains the Timing.
func (t *Timing) Visit(name string, v Visitor) {
	v.Counter(name+".count", &t.count)
	v.Counter(name+".sum", &t.sum)
	v.Max(name+".max", &t.longest)
}

// TimingTotal is the sum of Timings at one moment.
type TimingTotal struct {
	Count uint64
	Sum   time.Duration
	Max   time.Duration // the greatest of their maxima
}

// Add adds what t has counted.
func (total *TimingTotal) Add(t *Timing) {
	total.Count += t.count.Load()
	total.Sum += time.Duration(t.sum.Load())
	total.Max = max(total.Max, time.Duration(t.longest.Load()))
}
