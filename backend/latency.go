package backend

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations by their size in microseconds, in buckets that
// are no wider than an eighth of what they hold: one each up to 16, and then
// eight for every power of two, up to 19 hours. Its zero value is empty. Only
// one goroutine adds; anybody may read.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Uint64 // nanoseconds
}

const (
	fineBits = 3
	exact    = 2 << fineBits // below it, each microsecond has its bucket
	mostBits = 36
	buckets  = (mostBits - fineBits + 1) << fineBits
)

// Add counts a duration of so many nanoseconds; one below zero counts as zero.
func (h *Histogram) Add(nanoseconds int64) {
	d := uint64(max(nanoseconds, 0))
	h.counts[bucketOf(d/1000)].Add(1)
	h.sum.Add(d)
}

// bucketOf is the bucket of a duration in microseconds.
func bucketOf(us uint64) int {
	us = min(us, 1<<mostBits-1)
	if us < exact {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - fineBits
	return shift<<fineBits + int(us>>shift)
}

// floorOf is the smallest duration of a bucket, in microseconds; that of the
// one behind the last is where the last ends.
func floorOf(bucket int) uint64 {
	if bucket < exact {
		return uint64(bucket)
	}
	shift := bucket>>fineBits - 1
	return uint64(bucket&(1<<fineBits-1)|1<<fineBits) << shift
}

// Latency is how long something took, many times: what histograms had counted
// at one moment. It is a value; its zero value is of nothing.
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

// Since returns what was counted after before was, an earlier value of the same
// histograms.
func (l *Latency) Since(before *Latency) Latency {
	d := Latency{sum: l.sum - before.sum}
	for i, n := range l.counts {
		d.counts[i] = n - min(n, before.counts[i])
		d.total += d.counts[i]
	}
	return d
}

// Count returns how many there were.
func (l *Latency) Count() uint64 { return l.total }

// Sum returns how long they took together.
func (l *Latency) Sum() time.Duration { return l.sum }

// Below returns how many took less than d, as exactly as an eighth of d.
func (l *Latency) Below(d time.Duration) uint64 {
	n := uint64(0)
	for i := 0; i < buckets && floorOf(i+1) <= uint64(max(d.Microseconds(), 0)); i++ {
		n += l.counts[i]
	}
	return n
}

// Quantile returns the time within which the given part of them was done, such
// as 0.99: exactly but for an eighth of it. It is 0 where there were none.
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
