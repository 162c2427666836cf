package ratelimit

import "sync"

// shard holds the sources whose hashes have the same upper bits, and their bans.
type shard struct {
	mu     sync.Mutex // guards all of this, and the fields of a Source that say so
	table  table
	bans   bans
	counts Counts
	_      [cacheLine]byte // keeps the next shard's lock off these cache lines
}

func (sh *shard) init(l *Limiter) {
	sh.table.limiter = l
	sh.bans.total, sh.bans.counts = &l.bans, &sh.counts
}

// admit decides about a connection of the source with the given key. imposed is the
// ban that this attempt brought about, if any.
func (sh *shard) admit(k key, hash uint64, limits *limits, now int64) (s *Source, verdict Verdict, imposed BanRecord) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, banned := sh.bans.active(k, now); banned {
		return nil, RefusedBanned, imposed
	}
	s = sh.pick(k, hash, now)
	verdict = s.judge(limits, now)
	if verdict == Admitted {
		s.held++
		sh.shrink(limits)
		return s, Admitted, imposed
	}
	imposed = sh.refused(s, verdict, limits, now)
	if s.held == 0 {
		sh.table.enlist(s)
	}
	sh.shrink(limits)
	return nil, verdict, imposed
}

// enter counts one more holder of the source with the given key, banned or not. A
// trusted proxy's own source becomes immune.
func (sh *shard) enter(k key, hash uint64, proxy bool, limits *limits, now int64) *Source {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.pick(k, hash, now)
	s.held++
	if proxy {
		s.violations.waive()
	}
	sh.shrink(limits)
	return s
}

// settle bounds what the sources owe after a change of their limits.
func (sh *shard) settle(before, after *limits, now int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.table.each(func(s *Source) {
		s.messages.settle(before.message, after.message, now)
		s.connections.settle(before.connection, after.connection, now)
	})
}

// pick returns the source of a key, known or new, and takes it out of the idle
// list.
func (sh *shard) pick(k key, hash uint64, now int64) *Source {
	s := sh.table.find(k, hash)
	switch {
	case s == nil:
		sh.forget(now)
		return sh.table.insert(k, hash)
	case s.held == 0:
		sh.table.unlist(s)
	}
	return s
}

// forget removes up to two of the longest idle sources if they are forgettable.
// It is called once for each new source, so the table shrinks to what it needs.
func (sh *shard) forget(now int64) {
	for range 2 {
		if sh.table.oldest == 0 || !sh.table.at(sh.table.oldest).forgettable(now) {
			return
		}
		sh.table.forgetOldest()
	}
}

// refused counts a refused connection as a violation, if it is one. imposed is the
// ban that it led to, if any.
func (sh *shard) refused(s *Source, verdict Verdict, limits *limits, now int64) (imposed BanRecord) {
	reason := ConnectionRate
	switch verdict {
	case RefusedGlobalRate:
		s.limiter.throttle.note(everyone, refusedConnection, now)
		return imposed // not the source's fault
	case RefusedConcurrent:
		reason = SourceConnections
	}
	s.limiter.throttle.note(s.key, refusedConnection, now)
	if count, over := s.violate(limits, now); over {
		imposed = sh.bans.punish(s.key, reason, count, limits, now)
	}
	return imposed
}

// release removes a connection from its source.
func (sh *shard) release(s *Source) {
	limits := s.limiter.limits.Load()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.held--; s.held == 0 {
		sh.table.enlist(s)
	}
	sh.shrink(limits)
}

// shrink forgets idle sources while there are too many, at most two per call: no
// single call pays for a table that a reload has made smaller.
func (sh *shard) shrink(limits *limits) {
	for range 2 {
		if sh.table.count <= limits.shardSize || sh.table.oldest == 0 {
			return
		}
		sh.table.forgetOldest()
		sh.counts.Evictions++
	}
}

// banSource bans a source for a message. Unlike for the functions above, the
// caller does not hold the lock.
func (sh *shard) banSource(s *Source, reason Reason, violations int, limits *limits, now int64) {
	s.limiter.announce(s.key, sh.punish(s, reason, violations, limits, now), now)
}

func (sh *shard) punish(s *Source, reason Reason, violations int, limits *limits, now int64) (imposed BanRecord) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.bans.punish(s.key, reason, violations, limits, now)
}

func (sh *shard) addTo(sum *Stats, now int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.bans.sweep(now)
	sum.Sources += sh.table.count
	sum.Connected += sh.table.count - sh.table.idle
	sum.Bans += len(sh.bans.byKey)
	sum.Counts.add(sh.counts)
}
