package ratelimit

import (
	"net/netip"
)

// Handover is the state of a limiter, for the new process of an upgrade: all but
// the connections, which follow one by one (Reinstate). It can be encoded. Times
// are absolute: both processes read the system's monotonic clock.
type Handover struct {
	Sources     []HandoverSource // except forgettable ones
	Bans        []HandoverBan
	Ranges      []HandoverRange
	Connections int64 // when the bucket of global_connection_rate is full
	Messages    int64 // when the bucket of global_message_rate is full
	Counts      Counts
}

// HandoverSource is one source.
type HandoverSource struct {
	Key         uint64 // Source.Key
	Connections int64  // when its bucket of connections is full
	Messages    int64  // when its bucket of messages is full
	Violations  uint64 // as a Source holds them
}

// HandoverBan is one ban.
type HandoverBan struct {
	Key uint64 // Source.Key
	BanRecord
}

// HandoverRange is the ban of one range of addresses.
type HandoverRange struct {
	Prefix netip.Prefix
	BanRecord
}

// Key identifies the source among all sources of any limiter; 0 for nil, which
// is the address :: otherwise.
func (s *Source) Key() uint64 {
	if s == nil {
		return 0
	}
	return uint64(s.key)
}

// Spent is when the source's bucket of messages is full again, in nanoseconds on the
// engine's clock; 0 for nil.
func (s *Source) Spent() int64 {
	if s == nil {
		return 0
	}
	return s.messages.full.Load()
}

// Charge takes what has passed in the old process since Limiter.Handover: the bucket of
// messages is full no earlier than until, which is the same source's Spent there, as far as
// the limits at the time now let it be. Safe for concurrent use.
func (s *Source) Charge(until, now int64) {
	s.messages.raise(s.limiter.limits.Load().message.bounded(until, now))
}

// Handover returns the limiter's state at the time now.
func (l *Limiter) Handover(now int64) Handover {
	h := Handover{Connections: l.connections.full(), Messages: l.messages.full.Load()}
	for i := range l.shards {
		l.shards[i].handover(&h, now)
	}
	h.Counts.BansImposed += l.imposed.Load()
	l.ranges.each(now, func(prefix netip.Prefix, b BanRecord) { h.Ranges = append(h.Ranges, HandoverRange{prefix, b}) })
	return h
}

// handover adds the shard's state to h.
func (sh *shard) handover(h *Handover, now int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.bans.sweep(now)
	h.Counts.add(sh.counts)
	for k, b := range sh.bans.byKey {
		h.Bans = append(h.Bans, HandoverBan{uint64(k), b})
	}
	sh.table.each(func(s *Source) {
		if !s.forgettable(now) {
			h.Sources = append(h.Sources, HandoverSource{
				uint64(s.key), s.connections.full.Load(), s.messages.full.Load(), s.violations.word.Load(),
			})
		}
	})
}

// Restore takes over the state of another limiter. It must be called before this
// one is used.
func (l *Limiter) Restore(h Handover, now int64) {
	l.connections.restore(h.Connections)
	limits := l.limits.Load()
	l.messages.full.Store(limits.globalMessage.bounded(h.Messages, now))
	for _, known := range h.Sources {
		s := l.enter(key(known.Key), now)
		s.connections.full.Store(limits.connection.bounded(known.Connections, now))
		s.messages.full.Store(limits.message.bounded(known.Messages, now))
		s.violations.word.Store(known.Violations)
		s.Release()
	}
	for _, b := range h.Bans {
		l.shardOf(key(b.Key)).restoreBan(b)
	}
	for _, b := range h.Ranges {
		if b.Prefix.IsValid() {
			l.ranges.put(normalPrefix(b.Prefix), b.BanRecord)
		}
	}
	first := &l.shards[0]
	first.mu.Lock()
	defer first.mu.Unlock()
	first.counts.add(h.Counts)
}

func (sh *shard) restoreBan(b HandoverBan) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.bans.put(key(b.Key), b.BanRecord)
}

// Reinstate is Admit for a connection that the old process holds or held: no
// limit applies. k is its Source.Key. The caller must release the source.
func (l *Limiter) Reinstate(k uint64, now int64) *Source { return l.enter(key(k), now) }

// enter counts one more connection of a source, known or new.
func (l *Limiter) enter(k key, now int64) *Source {
	sh, hash := l.place(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.pick(k, hash, now)
	s.held++
	return s
}
