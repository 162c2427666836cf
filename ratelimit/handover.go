package ratelimit

import (
	"hash/maphash"
	"math"
)

// Handover is what a limiter knows, for the process that takes its place: all
// but the connections, which move one by one (Reinstate). Times are relative to
// the moment of Carry, since the other process has another clock. It is fit for
// encoding.
type Handover struct {
	Sources           []CarriedSource // those that differ from unknown ones
	Bans              []CarriedBan
	Opened, Messages  int64 // the global buckets: nanoseconds until they are full
	Evictions         uint64
	Imposed, Declined uint64
}

// CarriedSource is one source.
type CarriedSource struct {
	Key              uint64 // Source.Key
	Opened, Messages int64  // nanoseconds until its buckets are full
	Violations       int
	Age              int64 // nanoseconds since the first of the violations
}

// CarriedBan is one ban.
type CarriedBan struct {
	Key        uint64
	Remaining  int64 // nanoseconds; the largest number = no end
	Violations int32
	Reason     Reason
}

// Key identifies the source among all sources of any limiter; 0 for nil, which
// is the address :: otherwise.
func (s *Source) Key() uint64 {
	if s == nil {
		return 0
	}
	return uint64(s.key)
}

// Handover returns what the limiter knows at the time now.
func (l *Limiter) Handover(now int64) Handover {
	c := Handover{Opened: l.opened.missing(now), Messages: l.messages.missing(now)}
	for i := range l.shards {
		l.shards[i].carry(&c, now)
	}
	return c
}

// missing is how long it takes until the bucket is full.
func (b *bucket) missing(now int64) int64 { return max(b.full.Load()-now, 0) }

func (sh *shard) carry(c *Handover, now int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c.Evictions += sh.evictions
	c.Imposed += sh.bans.imposed
	c.Declined += sh.bans.declined
	sh.bans.sweep(now)
	for k, b := range sh.bans.byKey {
		remaining := int64(math.MaxInt64)
		if b.until != endless {
			remaining = b.until - now
		}
		c.Bans = append(c.Bans, CarriedBan{Key: uint64(k), Remaining: remaining, Violations: b.violations, Reason: b.reason})
	}
	sh.table.each(func(s *Source) {
		if s.forgettable(now) {
			return
		}
		carried := CarriedSource{Key: uint64(s.key), Opened: s.opened.missing(now), Messages: s.messages.missing(now)}
		carried.Violations, carried.Age = s.violations.carry(now)
		c.Sources = append(c.Sources, carried)
	})
}

// carry tells how many violations count now, and the age of the first.
func (v *violations) carry(now int64) (count int, age int64) {
	word := v.word.Load()
	if violationsLapsed(word, now) {
		return 0, 0
	}
	return int(word & maxViolations), now - int64(word>>21)<<violationUnit
}

// Restore takes over what another limiter knew, before this one is used.
func (l *Limiter) Restore(c Handover, now int64) {
	l.opened.full.Store(now + c.Opened)
	l.messages.full.Store(now + c.Messages)
	for _, carried := range c.Sources {
		s := l.enter(key(carried.Key), now)
		s.opened.full.Store(now + carried.Opened)
		s.messages.full.Store(now + carried.Messages)
		s.violations.restore(carried.Violations, now-carried.Age)
		l.shards[s.shard].release(s)
	}
	for _, b := range c.Bans {
		until := int64(endless)
		if b.Remaining < endless-now {
			until = now + b.Remaining
		}
		l.shardOf(key(b.Key)).restoreBan(key(b.Key), ban{until: until, violations: b.Violations, reason: b.Reason})
	}
	l.shards[0].restoreCounts(&c)
}

// Reinstate is Admit for a connection that is held already, elsewhere, by the
// source of a key: no limit is asked. The source is to be released.
func (l *Limiter) Reinstate(k uint64, now int64) *Source { return l.enter(key(k), now) }

// enter takes a connection for a source in, known or new.
func (l *Limiter) enter(k key, now int64) *Source {
	hash := maphash.Comparable(l.seed, k)
	sh := &l.shards[hash>>l.shift]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.pick(k, hash, now)
	s.held++
	return s
}

// restore sets what counts.
func (v *violations) restore(count int, first int64) {
	if count > 0 {
		v.word.Store(uint64(max(first, 0))>>violationUnit<<21 | uint64(min(count, maxViolations)))
	}
}

func (sh *shard) restoreBan(k key, record ban) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.bans.put(k, record)
	sh.bans.imposed-- // it was counted where it was imposed
}

func (sh *shard) restoreCounts(c *Handover) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.evictions += c.Evictions
	sh.bans.imposed += c.Imposed
	sh.bans.declined += c.Declined
}
