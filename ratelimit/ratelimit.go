package ratelimit

import (
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/conf"
)

// Verdict is what Admit decides about a connection.
type Verdict uint8

// The verdicts. The zero value is Admitted.
const (
	Admitted          Verdict = iota // accepted
	RefusedBanned                    // its source is banned
	RefusedRate                      // over its source's connection_rate; a violation
	RefusedConcurrent                // over its source's max_connections; a violation
	RefusedGlobalRate                // over global_connection_rate
)

// String returns the verdict's name, fit for a metric label.
func (v Verdict) String() string {
	switch v {
	case Admitted:
		return "admitted"
	case RefusedBanned:
		return "banned"
	case RefusedRate:
		return "connection_rate"
	case RefusedConcurrent:
		return "source_connections"
	case RefusedGlobalRate:
		return "global_connection_rate"
	}
	return "unknown"
}

// Limiter holds the state of all sources. Its methods may be called by any number
// of goroutines at once, and none waits longer than another call takes. New makes
// one; the zero value is not usable.
type Limiter struct {
	limits   atomic.Pointer[limits]
	changing sync.Mutex // held by who replaces limits

	seed   maphash.Seed
	shards []shard // a power of two; its length never changes
	shift  uint    // hash >> shift is the number of a key's shard

	onBan    func(Ban) // nil = bans are not reported
	ranges   ranges
	imposed  atomic.Uint64 // bans of ranges
	throttle throttle
	_        [cacheLine]byte

	bans        atomic.Int64 // in all shards, expired ones included
	_           [cacheLine]byte
	connections globalRate // global_connection_rate
	_           [cacheLine]byte
	messages    bucket       // for global_message_rate
	waiting     atomic.Int32 // connections whose next message waits for a token of it
	_           [cacheLine]byte
}

// cacheLine is the padding between fields that different loops write, or only
// read.
const cacheLine = 64

// A table is split into shards of at least leastShard sources each, and into
// maxShards at most.
const (
	leastShard = 4096
	maxShards  = 128
)

// New returns a limiter that knows no source yet. It takes little memory until
// sources arrive. The number of shards follows from the table_size given here: a
// limiter whose table Apply makes much larger remains correct, but its callers
// contend for fewer locks.
func New(limits conf.RateLimit) *Limiter {
	count := shardCount(limits.TableSize)
	l := &Limiter{
		seed:   maphash.MakeSeed(),
		shards: make([]shard, count),
		shift:  uint(64 - bits.TrailingZeros(uint(count))),
	}
	for i := range l.shards {
		l.shards[i].init(l)
	}
	l.Apply(limits, 0)
	return l
}

func shardCount(tableSize int) int {
	count := 1
	for count < maxShards && (tableSize <= 0 || tableSize/(2*count) >= leastShard) {
		count *= 2
	}
	return count
}

// Apply changes the limits in place, at the time now. What a source owes of a larger burst
// than it has now, or of a slower rate, is forgiven. Sources, counts and bans stay, and connected
// sources are subject to the new limits from their next message on. A smaller
// table shrinks step by step as sources come and go. Connections that were
// admitted without a *Source, because they had no limits, stay unlimited and do
// not count for max_connections.
func (l *Limiter) Apply(limits conf.RateLimit, now int64) {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.connections.set(limits.GlobalConnectionRate)
	changed := newLimits(limits, len(l.shards))
	before := l.limits.Load()
	if before == nil {
		l.limits.Store(changed)
		return
	}
	changed.sharing = before.sharing
	l.limits.Store(changed)
	l.settle(before, changed, now)
}

// settle bounds what sources owe after a change of their limits. The global bucket needs
// none of it: whatever its rate, it fills within a second.
func (l *Limiter) settle(before, after *limits, now int64) {
	if before.message.capacity <= after.message.capacity && before.connection.capacity <= after.connection.capacity {
		return
	}
	for i := range l.shards {
		l.shards[i].settle(before, after, now)
	}
}

// OverMessage returns how to treat a message over the rate: for conf.Delay call
// Source.Take, for conf.Reject call Source.Allow.
func (l *Limiter) OverMessage() conf.OverMessage { return l.limits.Load().overMessage }

// Admit decides about a new connection from address at the time now. If the
// verdict is Admitted, the caller must release the source exactly once; it is nil
// if nothing is limited (an exempt address, or no limits at all), which all
// methods of *Source accept. With any other verdict the source is nil.
//
// Every attempt of a source that is not banned draws on its connection_rate,
// whatever the verdict. An exempt address is refused only while its source is
// banned by an operator. The invalid address counts as ::.
func (l *Limiter) Admit(address netip.Addr, now int64) (*Source, Verdict) {
	address = normal(address)
	limits := l.limits.Load()
	if _, _, banned := l.ranges.covering(address, now); banned {
		return nil, RefusedBanned
	}
	exempt := limits.exempt.Contains(address)
	if exempt || !limits.tracked {
		return nil, l.admitUntracked(address, exempt, limits, now)
	}
	k := keyOf(address)
	sh, hash := l.place(k)
	s, verdict, imposed := sh.admit(k, hash, limits, now)
	l.announce(k, imposed, now)
	return s, verdict
}

// AdmitProxy is Admit for a connection of a trusted proxy, which carries what many
// clients do: neither connection_rate nor max_connections holds for it, and no ban.
// Its source is that of what the proxy sends by itself, which is limited by
// message_rate but never banned for it.
func (l *Limiter) AdmitProxy(address netip.Addr, now int64) (*Source, Verdict) {
	limits := l.limits.Load()
	if !limits.exempt.Contains(normal(address)) && !l.underGlobalRate(limits, now) {
		l.throttle.note(everyone, refusedConnection, now)
		return nil, RefusedGlobalRate
	}
	s, _, _ := l.Enter(address, true, now)
	return s, Admitted
}

// Enter returns the source of address for what came over a connection of somebody
// else: of a trusted proxy, which names the client. proxy says that the address is
// the trusted proxy's own: it is never banned. The caller must release the source
// exactly once, be it banned or not; it is nil if nothing is limited. remaining is how
// long the ban still lasts; 0 = until Unban.
//
// The source counts as connected, for max_connections of others of its connections,
// but Enter itself asks no limit.
func (l *Limiter) Enter(address netip.Addr, proxy bool, now int64) (s *Source, remaining time.Duration, banned bool) {
	address = normal(address)
	limits := l.limits.Load()
	if !proxy {
		remaining, banned = l.Banned(address, now)
	}
	k := keyOf(address)
	sh, hash := l.place(k)
	if limits.tracked && !limits.exempt.Contains(address) {
		s = sh.enter(k, hash, proxy, limits, now)
	}
	return s, remaining, banned
}

// Banned reports whether the source of address, or a network that it is in, is banned,
// and for how long; 0 = until Unban.
func (l *Limiter) Banned(address netip.Addr, now int64) (remaining time.Duration, banned bool) {
	address = normal(address)
	if _, ban, banned := l.ranges.covering(address, now); banned {
		return ban.remaining(now), true
	}
	k := keyOf(address)
	ban, banned := l.bannedUntracked(l.shardOf(k), k, l.limits.Load().exempt.Contains(address), now)
	if !banned {
		return 0, false
	}
	return ban.remaining(now), true
}

// bannedUntracked returns the ban of a source that has no limits.
func (l *Limiter) bannedUntracked(sh *shard, k key, exempt bool, now int64) (BanRecord, bool) {
	if l.bans.Load() == 0 {
		return BanRecord{}, false
	}
	return sh.banned(k, exempt, now)
}

// admitUntracked decides about a connection whose source has no limits.
func (l *Limiter) admitUntracked(address netip.Addr, exempt bool, limits *limits, now int64) Verdict {
	k := keyOf(address)
	if _, banned := l.bannedUntracked(l.shardOf(k), k, exempt, now); banned {
		return RefusedBanned
	}
	if !exempt && !l.underGlobalRate(limits, now) {
		l.throttle.note(everyone, refusedConnection, now)
		return RefusedGlobalRate
	}
	return Admitted
}

// underGlobalRate charges a connection to global_connection_rate and reports
// whether it is within that.
func (l *Limiter) underGlobalRate(limits *limits, now int64) bool {
	return limits.globalConnection == 0 || l.connections.allow(now)
}

func (l *Limiter) queue() queue { return queue{&l.messages, &l.waiting, ofAll} }

func (l *Limiter) shardOf(k key) *shard {
	sh, _ := l.place(k)
	return sh
}

// place returns the shard of a key, and its hash there.
func (l *Limiter) place(k key) (*shard, uint64) {
	hash := maphash.Comparable(l.seed, k)
	return &l.shards[hash>>l.shift], hash
}

// Stats describes a limiter at one time.
type Stats struct {
	Sources   int // in the table
	Connected int // of those, the ones with live connections
	Bans      int // in force
	Counts
}

// Counts are totals since the start; a new process continues those of the old.
type Counts struct {
	Evictions    uint64 // sources forgotten because the table was full
	BansImposed  uint64 // bans imposed, by operators and for violations
	BansDeclined uint64 // bans not imposed because table_size bans were in force
}

func (c *Counts) add(more Counts) {
	c.Evictions += more.Evictions
	c.BansImposed += more.BansImposed
	c.BansDeclined += more.BansDeclined
}

// Stats returns the sums over all shards. It locks one shard after the other, so
// the figures are exact only while nothing changes.
func (l *Limiter) Stats(now int64) Stats {
	var sum Stats
	for i := range l.shards {
		l.shards[i].addTo(&sum, now)
	}
	sum.Bans += l.ranges.count(now)
	sum.BansImposed += l.imposed.Load()
	return sum
}
