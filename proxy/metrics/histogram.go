package metrics

import (
	"math"
	"math/bits"
	"time"
)

// Histogram counts durations by their size. A bucket is at most an eighth as
// wide as its durations are long: each microsecond below 16 has its bucket, each
// power of two above has eight, up to 19 hours. One goroutine adds; any goroutine
// may read.
type Histogram struct {
	counts [buckets]Counter
	sum    Counter // nanoseconds
}

const (
	fineBits = 3
	exact    = 2 << fineBits // below it, each microsecond has its bucket
	mostBits = 36
	buckets  = (mostBits - fineBits + 1) << fineBits
)

// Add counts one event that took so many nanoseconds. A negative duration counts
// as zero.
func (h *Histogram) Add(nanoseconds int64) {
	d := uint64(max(nanoseconds, 0))
	h.counts[bucketOf(d/1000)].Add(1)
	h.sum.Add(d)
}

// Visit lists the counters under name, for a Set that contains the Histogram.
func (h *Histogram) Visit(name string, v Visitor) {
	v.Counters(name+".counts", h.counts[:])
	v.Counter(name+".sum", &h.sum)
}

// bucketOf returns the bucket of a duration in microseconds.
func bucketOf(us uint64) int {
	us = min(us, 1<<mostBits-1)
	if us < exact {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - fineBits
	return shift<<fineBits + int(us>>shift)
}

// floorOf returns the smallest duration of a bucket in microseconds. The floor of
// bucket number buckets is where the last one ends.
func floorOf(bucket int) uint64 {
	if bucket < exact {
		return uint64(bucket)
	}
	shift := bucket>>fineBits - 1
	return uint64(bucket&(1<<fineBits-1)|1<<fineBits) << shift
}

// Latency is the sum of Histograms at one moment: a value that may be copied.
type Latency struct {
	counts [buckets]uint64
	total  uint64
	sum    time.Duration
}

// Add adds what h has counted.
func (l *Latency) Add(h *Histogram) {
	for i := range h.counts {
		n := h.counts[i].Load()
		l.counts[i] += n
		l.total += n
	}
	l.sum += time.Duration(h.sum.Load())
}

// Count returns the number of events.
func (l *Latency) Count() uint64 { return l.total }

// Sum returns the sum of their durations.
func (l *Latency) Sum() time.Duration { return l.sum }

// Below returns how many events took less than d. Events within an eighth of d
// may be missing from the result.
func (l *Latency) Below(d time.Duration) uint64 {
	n := uint64(0)
	for i := 0; i < buckets && floorOf(i+1) <= uint64(max(d.Microseconds(), 0)); i++ {
		n += l.counts[i]
	}
	return n
}

// Quantile returns the duration within which the given part of the events, such
// as 0.99, finished. It is exact to an eighth, and 0 if there were no events.
func (l *Latency) Quantile(part float64) time.Duration {
	rank := uint64(math.Ceil(min(max(part, 0), 1) * float64(l.total)))
	rank = max(rank, 1)
	for i, n := range l.counts {
		if n < rank {
			rank -= n
			continue
		}
		floor, ceiling := float64(floorOf(i)), float64(floorOf(i+1))
		us := floor + (ceiling-floor)*float64(rank)/float64(n)
		return time.Duration(us * float64(time.Microsecond))
	}
	return 0
}
