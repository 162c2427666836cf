package ratelimit

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Several balancers share their rates by telling each other, now and then, what they
// have let pass: each charges that to its own buckets. So a bucket is charged with
// everything in the end, and is late by as long as the news takes. Loops only count
// (tally); all else happens on the caller's goroutine.

// Usage is what clients have used of the rates.
type Usage struct {
	Messages    uint64        // charged to global_message_rate
	Connections uint64        // charged to global_connection_rate
	Sources     []SourceUsage // those that used most, in no order
	Lost        uint64        // events of sources for which there was no room
}

// SourceUsage is what one source has used.
type SourceUsage struct {
	Key         uint64 // Source.Key
	Messages    uint32 // charged to message_rate
	Connections uint32 // charged to connection_rate
}

// events is all of it.
func (u SourceUsage) events() uint64 { return uint64(u.Messages) + uint64(u.Connections) }

// sharing counts what is to be shared.
type sharing struct {
	current  atomic.Pointer[tally] // where loops count
	messages atomic.Uint64         // charged to global_message_rate
	spare    *tally                // empty; Limiter.changing guards it
}

// used counts messages of a source. s may be nil: nothing is shared.
func (s *sharing) used(k key, messages int, limits *limits) {
	if s == nil || messages <= 0 {
		return
	}
	if limits.message.interval != 0 {
		s.current.Load().add(k, uint64(messages))
	}
	if limits.globalMessage.interval != 0 {
		s.messages.Add(uint64(messages))
	}
}

// connected counts a new connection of a source. s may be nil.
func (s *sharing) connected(k key, limits *limits) {
	if s != nil && limits.connection.interval != 0 {
		s.current.Load().add(k, oneConnection)
	}
}

// Share begins or ends the counting of what is used. While it is off, the limiter is
// alone: the global rates are its own in full.
func (l *Limiter) Share(on bool) {
	l.changing.Lock()
	defer l.changing.Unlock()
	changed := *l.limits.Load()
	if on == (changed.sharing != nil) {
		return
	}
	if changed.sharing = nil; on {
		l.connections.used() // forgets what was used before
		changed.sharing = &sharing{spare: newTally(l.seed)}
		changed.sharing.current.Store(newTally(l.seed))
	}
	l.divideMessages(&changed, 1)
	l.limits.Store(&changed)
	l.connections.divide(changed.globalConnection, Part{Fraction: 1}, 0)
}

// settling is how long Collect waits for loops that are in the middle of counting.
const settling = time.Millisecond

// Collect returns what was used since the last call, with at most most sources. It
// waits a millisecond. While nothing is shared, it returns the zero value.
func (l *Limiter) Collect(most int) (u Usage) {
	l.changing.Lock()
	defer l.changing.Unlock()
	s := l.limits.Load().sharing
	if s == nil {
		return u
	}
	full := s.current.Swap(s.spare)
	s.spare = full
	u.Messages, u.Connections = s.messages.Swap(0), l.connections.used()
	time.Sleep(settling)
	u.Lost = full.drain(func(source SourceUsage) { u.Sources = append(u.Sources, source) })
	if len(u.Sources) > most {
		slices.SortFunc(u.Sources, func(a, b SourceUsage) int { return cmp.Compare(b.events(), a.events()) })
		for _, omitted := range u.Sources[most:] {
			u.Lost += omitted.events()
		}
		u.Sources = u.Sources[:most]
	}
	return u
}

// GlobalRates returns the global rates as configured, per second; 0 = no limit.
func (l *Limiter) GlobalRates() (messages, connections int) {
	limits := l.limits.Load()
	return limits.globalMessages, limits.globalConnection
}

// Part is what one balancer of several may do of a global rate.
type Part struct {
	Fraction float64 // of the rate; above 0 and at most 1
	Charge   float64 // events to be charged at once; below 0: to be given back
}

// Divide changes the part that this balancer has of the global rates. Bursts stay
// those of the rates in full. Apply and Share set both fractions to 1.
func (l *Limiter) Divide(messages, connections Part, now int64) {
	l.changing.Lock()
	defer l.changing.Unlock()
	limits := l.limits.Load()
	if messages.Fraction != limits.fraction {
		changed := *limits
		l.divideMessages(&changed, messages.Fraction)
		l.limits.Store(&changed)
		l.messages.rescale(limits.globalMessage, changed.globalMessage, now)
		limits = &changed
	}
	l.messages.charge(limits.globalMessage, int64(math.Round(messages.Charge)), now)
	l.connections.divide(limits.globalConnection, connections, now)
}

// GlobalTokens returns how many events the global rates allow at once; below 0, how many
// are charged in advance.
func (l *Limiter) GlobalTokens(now int64) (messages, connections float64) {
	limits := l.limits.Load()
	if r := limits.globalMessage; r.interval != 0 {
		messages = float64(r.capacity-max(l.messages.full.Load()-now, 0)) / float64(r.interval)
	}
	return messages, l.connections.tokens(now)
}

// divideMessages sets the fraction of global_message_rate.
func (l *Limiter) divideMessages(limits *limits, fraction float64) {
	limits.fraction = fraction
	limits.globalMessage = newLimit(limits.globalMessages, limits.globalMessages)
	if r := &limits.globalMessage; r.interval != 0 {
		r.interval = int64(math.Ceil(float64(r.interval) / fraction))
		r.capacity = r.interval * int64(limits.globalMessages)
	}
}

// Charge charges to a source what it has used at another balancer. It need not be
// known here. Exempt ones are not charged.
func (l *Limiter) Charge(u SourceUsage, now int64) {
	limits := l.limits.Load()
	k := key(u.Key)
	if k == 0 || !limits.tracked || limits.exempt.Contains(k.prefix().Addr()) {
		return
	}
	sh, hash := l.place(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.pick(k, hash, now)
	s.messages.charge(limits.message, int64(u.Messages), now)
	s.connections.charge(limits.connection, int64(u.Connections), now)
	if s.held == 0 {
		sh.table.enlist(s)
	}
	sh.shrink(limits)
}

// longestDebt is how far beyond empty a bucket may be charged by others, so that no
// wrong number silences anybody for long.
const longestDebt = int64(10 * time.Second)

// charge takes n tokens whether they are there or not; below 0, it gives them back.
func (b *bucket) charge(r limit, n, now int64) {
	if r.interval == 0 || n == 0 {
		return
	}
	most := now + r.capacity + longestDebt
	for {
		full := b.full.Load()
		after := full + max(n, -maxTokens)*r.interval
		if n > 0 {
			after = max(full, now) + min(n, maxTokens)*r.interval
			after = max(full, min(after, most))
		}
		if b.full.CompareAndSwap(full, after) {
			return
		}
	}
}

// rescale keeps the number of tokens when the limit changes.
func (b *bucket) rescale(before, after limit, now int64) {
	if before.interval == 0 || after.interval == 0 {
		return
	}
	for {
		full := b.full.Load()
		if full <= now || b.full.CompareAndSwap(full, now+int64(float64(full-now)*float64(after.interval)/float64(before.interval))) {
			return
		}
	}
}

// Adopt imposes a ban of another balancer, unless the same is in force here: it reports
// whether there was none. It is not announced to OnBan, and not counted as imposed. There
// are at most as many bans of sources as the table may have sources.
func (l *Limiter) Adopt(b Ban, now int64) bool {
	prefix := normalPrefix(b.Source)
	record := BanRecord{Until: end(b.Remaining, now), Violations: int32(b.Violations), Reason: b.Reason}
	if !isSource(prefix) {
		_, before, banned := l.ranges.covering(prefix.Addr(), now)
		l.ranges.put(prefix, record)
		return !banned || before.Until <= now
	}
	k := keyOf(prefix.Addr())
	sh := l.shardOf(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, banned := sh.bans.active(k, now)
	if !banned && len(sh.bans.byKey) >= l.limits.Load().shardSize {
		sh.bans.counts.BansDeclined++
		return false
	}
	sh.bans.put(k, record)
	return !banned
}

// Fraction is the part of global_message_rate that Divide has set; 1 = all of it.
func (l *Limiter) Fraction() float64 { return l.limits.Load().fraction }
