package ratelimit

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Reason is why a source is banned.
type Reason uint8

// The reasons: an operator's command, or the kind of the last violation.
const (
	Manual            Reason = iota
	ConnectionRate           // connection_rate
	SourceConnections        // max_connections
	MessageRate              // message_rate, with over_message = "reject"
)

// String returns the reason's name, fit for a metric label.
func (r Reason) String() string {
	switch r {
	case Manual:
		return "manual"
	case ConnectionRate:
		return "connection_rate"
	case SourceConnections:
		return "source_connections"
	case MessageRate:
		return "message_rate"
	}
	return "unknown"
}

// Ban is a ban in force.
type Ban struct {
	Source     netip.Prefix  // an IPv4 /32 or an IPv6 /64; a manual one, any prefix
	Remaining  time.Duration // until it ends; 0 = until Unban
	Reason     Reason
	Violations int // that led to it; 0 for a manual one
}

// Ban bans the source of address for d from now on; d <= 0 means until Unban.
// It replaces any ban that the source has. Unlike an automatic ban it applies to
// exempt addresses too.
func (l *Limiter) Ban(address netip.Addr, d time.Duration, now int64) {
	k := keyOf(normal(address))
	sh := l.shardOf(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.bans.impose(k, BanRecord{Until: end(d, now), Reason: Manual})
}

// Unban ends the ban of the source of address and reports whether there was one.
func (l *Limiter) Unban(address netip.Addr, now int64) bool {
	k := keyOf(normal(address))
	sh := l.shardOf(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, was := sh.bans.active(k, now)
	sh.bans.remove(k)
	return was
}

// Bans returns the bans in force, in the order of their sources.
func (l *Limiter) Bans(now int64) []Ban {
	var list []Ban
	for i := range l.shards {
		list = l.shards[i].appendBans(list, now)
	}
	l.ranges.each(now, func(prefix netip.Prefix, b BanRecord) { list = append(list, b.show(prefix, now)) })
	slices.SortFunc(list, func(a, b Ban) int {
		return cmp.Or(a.Source.Addr().Compare(b.Source.Addr()), a.Source.Bits()-b.Source.Bits())
	})
	return list
}

// OnBan makes the limiter call f with every automatic ban that it imposes, on the
// goroutine of the violation and without a lock. It must be called before the
// limiter is used.
func (l *Limiter) OnBan(f func(Ban)) { l.onBan = f }

// announce makes a ban known that was imposed for violations; it does nothing for
// the zero record. The caller holds no lock.
func (l *Limiter) announce(k key, imposed BanRecord, now int64) {
	if imposed.Until != 0 && l.onBan != nil {
		l.onBan(imposed.show(k.prefix(), now))
	}
}

func (sh *shard) appendBans(list []Ban, now int64) []Ban {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.bans.sweep(now)
	for k, b := range sh.bans.byKey {
		list = append(list, b.show(k.prefix(), now))
	}
	return list
}

// banned returns the ban of a source that is not in the table, if it is in force.
// Only an operator can ban an exempt one.
func (sh *shard) banned(k key, exempt bool, now int64) (BanRecord, bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	b, banned := sh.bans.active(k, now)
	return b, banned && (!exempt || b.Reason == Manual)
}

// BanRecord is a ban as a limiter stores it. It has no pointers, so the garbage
// collector need not scan it.
type BanRecord struct {
	Until      int64 // when it ends; the largest number = never
	Violations int32 // that led to it
	Reason     Reason
}

// endless is when a ban ends that has no end.
const endless = math.MaxInt64

// end returns when a ban ends that begins now and lasts for d; d <= 0 is endless.
func end(d time.Duration, now int64) int64 {
	if d <= 0 || int64(d) > endless-now {
		return endless
	}
	return now + int64(d)
}

func (b BanRecord) show(source netip.Prefix, now int64) Ban {
	return Ban{Source: source, Remaining: b.remaining(now), Reason: b.Reason, Violations: int(b.Violations)}
}

func (b BanRecord) remaining(now int64) time.Duration {
	if b.Until == endless {
		return 0
	}
	return time.Duration(b.Until - now)
}

// bans are the bans of one shard, whose lock guards them. An expired ban is
// removed when it is looked up. At most once per second, adding one removes all
// that have expired.
type bans struct {
	byKey  map[key]BanRecord
	total  *atomic.Int64 // the sum of len(byKey) over all shards
	counts *Counts       // the shard's
	swept  int64         // when expired bans were last removed
}

// active returns the ban of a source if it is in force.
func (b *bans) active(k key, now int64) (BanRecord, bool) {
	found, ok := b.byKey[k]
	if ok && found.Until <= now {
		b.remove(k)
		return BanRecord{}, false
	}
	return found, ok
}

// punish bans a source for its violations. It changes nothing if the source is
// banned already, since bans are not prolonged, or if there are as many bans as
// the shard may have sources; then it returns the zero record, otherwise the ban.
func (b *bans) punish(k key, reason Reason, violations int, limits *limits, now int64) (imposed BanRecord) {
	if _, banned := b.active(k, now); banned {
		return imposed
	}
	if now-b.swept >= int64(time.Second) { // bounds the cost of visiting all of them
		b.sweep(now)
	}
	if len(b.byKey) >= limits.shardSize {
		b.counts.BansDeclined++
		return imposed
	}
	imposed = BanRecord{end(limits.banTime, now), int32(violations), reason}
	b.impose(k, imposed)
	return imposed
}

// impose bans a source, replacing any ban that it has.
func (b *bans) impose(k key, record BanRecord) {
	b.put(k, record)
	b.counts.BansImposed++
}

// put is impose without counting the ban.
func (b *bans) put(k key, record BanRecord) {
	if b.byKey == nil {
		b.byKey = make(map[key]BanRecord)
	}
	before := len(b.byKey)
	b.byKey[k] = record
	b.total.Add(int64(len(b.byKey) - before))
}

func (b *bans) remove(k key) {
	if _, ok := b.byKey[k]; ok {
		delete(b.byKey, k)
		b.total.Add(-1)
	}
}

// sweep removes all bans that have expired.
func (b *bans) sweep(now int64) {
	b.swept = now
	for k, record := range b.byKey {
		if record.Until <= now {
			b.remove(k)
		}
	}
}
