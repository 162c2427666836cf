package ratelimit

import (
	"sync/atomic"
	"time"
)

// limit is a rate and a burst in the terms of GCRA, the generic cell rate
// algorithm (ITU-T I.371). The zero value is no limit.
type limit struct {
	interval int64 // nanoseconds between two events at the rate; 0 = no limit
	capacity int64 // nanoseconds: interval times burst
}

// maxTokens bounds a burst and a charge, so that no sum of times overflows: at
// one token per second it is 34 years.
const maxTokens = 1 << 30

// maxDebt bounds a bucket's debt for the same reason.
const maxDebt = 1 << 61

// newLimit returns the limit of perSecond events with bursts of burst (at least
// 1). The interval is rounded up, so the rate is never exceeded.
func newLimit(perSecond, burst int) limit {
	if perSecond <= 0 {
		return limit{}
	}
	interval := (int64(time.Second)-1)/int64(perSecond) + 1
	return limit{interval: interval, capacity: interval * int64(min(max(burst, 1), maxTokens))}
}

// bucket is a token bucket in one word: the theoretical arrival time, at which
// it is full again. Every token moves that time on by the limit's interval; what
// is further ahead than the limit's capacity is debt. The zero value is a full
// bucket. A bucket does not contain its limit, so the limit may change.
type bucket struct {
	full atomic.Int64 // nanoseconds
}

// take takes one token if there is one and returns 0; otherwise it takes
// nothing and returns the nanoseconds until there is one.
func (b *bucket) take(r limit, now int64) (wait int64) {
	if r.interval == 0 {
		return 0
	}
	for {
		full := b.full.Load()
		after := max(full, now) + r.interval
		if wait := after - r.capacity - now; wait > 0 {
			return wait
		}
		if b.full.CompareAndSwap(full, after) {
			return 0
		}
	}
}

// charge takes n tokens, available or not, and returns the nanoseconds until
// there is one to take; 0 if there is one now.
func (b *bucket) charge(r limit, n int, now int64) (wait int64) {
	if r.interval == 0 {
		return 0
	}
	cost := r.interval * int64(min(max(n, 0), maxTokens))
	for {
		full := b.full.Load()
		after := min(max(full, now)+cost, now+maxDebt)
		if cost == 0 || b.full.CompareAndSwap(full, after) {
			return max(0, after+r.interval-r.capacity-now)
		}
	}
}

// isFull reports whether the bucket is like a new one.
func (b *bucket) isFull(now int64) bool { return b.full.Load() <= now }

// reset makes the bucket full.
func (b *bucket) reset() { b.full.Store(0) }
