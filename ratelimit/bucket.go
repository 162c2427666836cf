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

// maxTokens bounds a burst and what is taken at once, so that no sum of times
// overflows: at one token per second it is 34 years.
const maxTokens = 1 << 30

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
// it is full again. Every token moves that time on by the limit's interval, and
// none is taken that would move it further ahead than the limit's capacity. The
// zero value is a full bucket. A bucket does not contain its limit, so the limit
// may change.
type bucket struct {
	full atomic.Int64 // nanoseconds
}

// take takes one token if there is one and returns 0; otherwise it takes
// nothing and returns the nanoseconds until there is one.
func (b *bucket) take(r limit, now int64) (wait int64) {
	if b.takeUpTo(r, 1, 0, 1, now) == 1 {
		return 0
	}
	return max(1, b.until(r, 1, now))
}

// takeUpTo takes up to n tokens at once, as long as more than spare remain, and
// returns how many: at least least of them, spare or not, if there are as many.
func (b *bucket) takeUpTo(r limit, n int, spare int64, least int, now int64) (taken int) {
	if r.interval == 0 {
		return n
	}
	n = min(n, maxTokens)
	for {
		full := b.full.Load()
		base := max(full, now)
		after := base + int64(n)*r.interval
		taken = n
		if after+spare*r.interval > now+r.capacity {
			there := (now + r.capacity - base) / r.interval
			taken = int(min(max(there-spare, min(int64(least), there), 0), int64(n)))
			after = base + int64(taken)*r.interval
		}
		if taken == 0 || b.full.CompareAndSwap(full, after) {
			return taken
		}
	}
}

// giveBack returns n tokens that were taken and not used.
func (b *bucket) giveBack(r limit, n int) {
	if n > 0 {
		b.full.Add(-int64(n) * r.interval)
	}
}

// until returns the nanoseconds until there are n tokens, if none are taken
// meanwhile; 0 or less if there are.
func (b *bucket) until(r limit, n, now int64) int64 {
	return max(b.full.Load(), now) + n*r.interval - r.capacity - now
}

// isFull reports whether the bucket is like a new one.
func (b *bucket) isFull(now int64) bool { return b.full.Load() <= now }

// raise makes the bucket full no earlier than at.
func (b *bucket) raise(at int64) {
	for {
		full := b.full.Load()
		if full >= at || b.full.CompareAndSwap(full, at) {
			return
		}
	}
}

// settle bounds what is owed when the limit changes: a bucket that was empty is empty
// then, and no emptier, however long the limit before would have taken to fill it. What
// was charged in advance stays owed.
func (b *bucket) settle(before, after limit, now int64) {
	empty := now + after.capacity
	for {
		full := b.full.Load()
		settled := max(full-max(before.capacity-after.capacity, 0), empty)
		if full <= settled || b.full.CompareAndSwap(full, settled) {
			return
		}
	}
}

// bounded is when a bucket of the limit is full that another process says to be full at
// a time: its limit may have been another, which is not known.
func (r limit) bounded(full, now int64) int64 { return min(full, now+r.capacity+longestDebt) }

// reset makes the bucket full.
func (b *bucket) reset() { b.full.Store(0) }
