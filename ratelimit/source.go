package ratelimit

import (
	"sync/atomic"
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
	limiter *Limiter     // constant
	self    slot         // constant: where this source lies in its shard's table
	waiting atomic.Int32 // connections whose next message waits for a token of the source

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

// Take takes tokens for up to n messages that are to pass at the time now, and
// returns for how many there were: those may pass, and no others before Take is
// called again, after wait. So never more than the burst passes at once, however
// many messages came, on however many connections. What the global rate refuses
// costs the source nothing. Waiting is no violation.
//
// Tokens go to those who have waited for them, first come first served. t is the
// connection's place among them: the same for each of its calls, until none of its
// messages waits or Leave. With n = 0 Take does nothing.
func (s *Source) Take(t *Turn, n int, now int64) (taken int, wait time.Duration) {
	if s == nil || n <= 0 {
		return n, 0
	}
	limits := s.limiter.limits.Load()
	own, global := s.queue(), s.limiter.queue()
	there := own.take(t, limits.message, n, now)
	taken = global.take(t, limits.globalMessage, there, now)
	s.messages.giveBack(limits.message, there-taken)
	limits.sharing.used(s.key, taken, limits)
	switch {
	case taken == n:
		s.Leave(t)
		return n, 0
	case taken < there:
		s.noteWait(everyone, taken > 0 || !t.in(ofAll), now)
		own.leave(t)
		return taken, time.Duration(global.await(t, limits.globalMessage, taken, now))
	}
	s.noteWait(s.key, taken > 0 || !t.in(ofSource), now)
	global.leave(t)
	return taken, time.Duration(own.await(t, limits.message, taken, now))
}

// noteWait notes that messages begin to wait, or go on to: those of the source, or of
// everyone, because of the global rate.
func (s *Source) noteWait(who key, waits bool, now int64) {
	if waits {
		s.limiter.throttle.note(who, delayed, now)
	}
}

// Leave gives the connection's place up: it is closed, or none of its messages
// waits any more. What was not taken was not charged.
func (s *Source) Leave(t *Turn) {
	if s != nil && t.Waits() {
		s.queue().leave(t)
		s.limiter.queue().leave(t)
	}
}

// Rejoin gives a connection of the source the place back that it had in the old process
// of an upgrade: Turn.Place says which. Those who come to the new process first do not
// get ahead of it.
func (s *Source) Rejoin(t *Turn, place int64) {
	if s != nil {
		s.queue().rejoin(t, place)
		s.limiter.queue().rejoin(t, place)
	}
}

func (s *Source) queue() queue { return queue{&s.messages, &s.waiting, ofSource} }

// Allow reports whether one message may pass at the time now. If not, it may
// after retryAfter, provided that no other message of the source passes before.
// A message over the source's rate is a violation; one over the global rate is
// none, and costs the source nothing.
func (s *Source) Allow(now int64) (ok bool, retryAfter time.Duration) {
	if s == nil {
		return true, 0
	}
	limits := s.limiter.limits.Load()
	if wait := s.messages.take(limits.message, now); wait > 0 {
		s.limiter.throttle.note(s.key, rejected, now)
		if count, over := s.violate(limits, now); over {
			s.limiter.shardOf(s.key).banSource(s, MessageRate, count, limits, now)
		}
		return false, time.Duration(wait)
	}
	if wait := s.limiter.messages.take(limits.globalMessage, now); wait > 0 {
		s.limiter.throttle.note(everyone, rejected, now)
		s.messages.giveBack(limits.message, 1)
		return false, time.Duration(wait)
	}
	limits.sharing.used(s.key, 1, limits)
	return true, 0
}

// Release ends a connection. It must be called exactly once for each Admit that
// returned this source, and the caller must not use the source afterwards.
func (s *Source) Release() {
	if s != nil {
		s.limiter.shardOf(s.key).release(s)
	}
}

// judge charges a new connection to the buckets and decides about it.
func (s *Source) judge(limits *limits, now int64) Verdict {
	if s.connections.take(limits.connection, now) > 0 {
		return RefusedRate
	}
	limits.sharing.connected(s.key, limits)
	switch {
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
