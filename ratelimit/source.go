package ratelimit

import (
	"time"
)

// Source is the state of one source address, and the handle that a connection
// holds from Admit to Release. Many connections may share it, on any loops. All
// methods accept nil, which is a source without limits.
//
// It is 64 bytes, one cache line, with one pointer for the garbage collector to
// follow. A source is in one of three states:
//
//	state      held  in the table  in the idle list   leaves it by
//	free        0    no            no                 Admit: connected, or idle if refused
//	idle        0    yes           yes                Admit: connected; forgotten: free
//	connected   >0   yes           no                 the last Release: idle
type Source struct {
	limiter *Limiter // constant
	self    slot     // constant: where this source lies in its shard's table
	shard   uint32   // constant: which of the limiter's shards

	// Changed only by the shard, under its lock. The key does not change while
	// the source is connected.
	key          key
	held         int32 // live connections
	chain        slot  // the next of the same hash bucket, or the next free one
	older, newer slot  // neighbours in the idle list

	connections bucket
	messages    bucket
	violations  violations
}

// Metered reports whether messages of this source are limited, so whether the
// caller must count them. Apply may change the answer.
func (s *Source) Metered() bool {
	return s != nil && s.limiter.limits.Load().metered
}

// Delay charges n messages that were read at the time now, and returns for how
// long the connection must not be read: until the source's bucket and the global
// one have room for another message; 0 = read on. The n messages pass in any
// case, so buckets may be in debt, which the pause includes. With n = 0 it only
// returns the pause. Slowing down is no violation.
func (s *Source) Delay(n int, now int64) (pause time.Duration) {
	if s == nil {
		return 0
	}
	limits := s.limiter.limits.Load()
	own := s.messages.charge(limits.message, n, now)
	global := s.limiter.messages.charge(limits.globalMessage, n, now)
	if n > 0 {
		s.noteDelay(own, global, now)
	}
	return time.Duration(max(own, global))
}

// noteDelay notes who is delayed: the source by its own rate, or all by the global
// one.
func (s *Source) noteDelay(own, global, now int64) {
	switch {
	case own > 0 && own >= global:
		s.limiter.throttle.note(s.key, delayed, now)
	case global > 0:
		s.limiter.throttle.note(everyone, delayed, now)
	}
}

// Allow reports whether one message may pass at the time now. If not, it may
// after retryAfter, provided that no other message of the source passes before.
// A message over the source's rate is a violation; one over the global rate is
// none, but has drawn on the source's bucket.
func (s *Source) Allow(now int64) (ok bool, retryAfter time.Duration) {
	if s == nil {
		return true, 0
	}
	limits := s.limiter.limits.Load()
	if wait := s.messages.take(limits.message, now); wait > 0 {
		s.limiter.throttle.note(s.key, rejected, now)
		if count, over := s.violate(limits, now); over {
			s.limiter.shards[s.shard].banSource(s, MessageRate, count, limits, now)
		}
		return false, time.Duration(wait)
	}
	wait := s.limiter.messages.take(limits.globalMessage, now)
	if wait > 0 {
		s.limiter.throttle.note(everyone, rejected, now)
	}
	return wait == 0, time.Duration(wait)
}

// Release ends a connection. It must be called exactly once for each Admit that
// returned this source, and the caller must not use the source afterwards.
func (s *Source) Release() {
	if s != nil {
		s.limiter.shards[s.shard].release(s)
	}
}

// judge charges a new connection to the buckets and decides about it.
func (s *Source) judge(limits *limits, now int64) Verdict {
	switch {
	case s.connections.take(limits.connection, now) > 0:
		return RefusedRate
	case s.held >= limits.maxConnections:
		return RefusedConcurrent
	case !s.limiter.underGlobalRate(limits, now):
		return RefusedGlobalRate
	}
	return Admitted
}

// violate counts a violation. If the source is to be banned for it, over is true,
// count is the number of violations, and counting starts again.
func (s *Source) violate(limits *limits, now int64) (count int, over bool) {
	if limits.banAfter <= 0 {
		return 0, false
	}
	if count = s.violations.add(now); count < limits.banAfter { // none, if it is immune
		return count, false
	}
	s.violations.reset()
	return count, true
}

// forgettable reports whether a new source would be treated alike.
func (s *Source) forgettable(now int64) bool {
	return s.connections.isFull(now) && s.messages.isFull(now) && s.violations.lapsed(now)
}
