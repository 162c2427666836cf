package ratelimit

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
)

// ranges are the bans of address ranges: of prefixes that are no single source.
// Only operators impose them. The zero value has none.
//
// Readers take no lock: they look into an immutable table, and every change puts
// another in its place, which shares all but a path with it.
type ranges struct {
	table   atomic.Pointer[bart.Table[BanRecord]] // nil = no ban was ever imposed
	writing sync.Mutex                            // held by who replaces table
}

// covering returns a ban in force of a range that contains a normal address.
func (r *ranges) covering(address netip.Addr, now int64) (netip.Prefix, BanRecord, bool) {
	table := r.table.Load()
	if table == nil || table.Size() == 0 {
		return netip.Prefix{}, BanRecord{}, false
	}
	found, record, ok := table.LookupPrefixLPM(netip.PrefixFrom(address, address.BitLen()))
	if !ok || record.Until > now {
		return found, record, ok
	}
	r.sweep(now) // the narrowest has expired, and a wider one may be in force
	found, record, ok = r.table.Load().LookupPrefixLPM(netip.PrefixFrom(address, address.BitLen()))
	return found, record, ok && record.Until > now
}

// put bans a range, replacing any ban of the same range.
func (r *ranges) put(prefix netip.Prefix, record BanRecord) {
	r.writing.Lock()
	defer r.writing.Unlock()
	table := r.table.Load()
	if table == nil {
		table = new(bart.Table[BanRecord])
	}
	r.table.Store(table.InsertPersist(prefix, record))
}

// remove lifts the ban of a range and reports whether it was in force.
func (r *ranges) remove(prefix netip.Prefix, now int64) bool {
	r.writing.Lock()
	defer r.writing.Unlock()
	table := r.table.Load()
	if table == nil {
		return false
	}
	record, was := table.Get(prefix)
	r.table.Store(table.DeletePersist(prefix))
	return was && record.Until > now
}

// sweep removes all bans that have expired.
func (r *ranges) sweep(now int64) {
	r.writing.Lock()
	defer r.writing.Unlock()
	before := r.table.Load()
	if before == nil {
		return
	}
	table := before
	for prefix, record := range before.All() {
		if record.Until <= now {
			table = table.DeletePersist(prefix)
		}
	}
	if table != before {
		r.table.Store(table)
	}
}

// each calls f for every ban in force, in the order of their addresses.
func (r *ranges) each(now int64, f func(netip.Prefix, BanRecord)) {
	table := r.table.Load()
	if table == nil {
		return
	}
	for prefix, record := range table.AllSorted() {
		if record.Until > now {
			f(prefix, record)
		}
	}
}

// count is the number of bans in force.
func (r *ranges) count(now int64) (n int) {
	r.each(now, func(netip.Prefix, BanRecord) { n++ })
	return n
}

// normalPrefix returns prefix without host bits, and as one of IPv4 if its
// addresses are IPv4-mapped.
func normalPrefix(prefix netip.Prefix) netip.Prefix { return unmapPrefix(prefix).Masked() }

// isSource reports whether a normal prefix is one source: an IPv4 /32 or an IPv6
// /64.
func isSource(prefix netip.Prefix) bool {
	if prefix.Addr().Is4() {
		return prefix.Bits() == 32
	}
	return prefix.Bits() == 64
}

// SourceOf returns the source that address belongs to: an IPv4 /32 or an IPv6 /64.
func SourceOf(address netip.Addr) netip.Prefix { return keyOf(normal(address)).prefix() }

// BanRange bans all addresses of prefix for d from now on, as Ban bans a source;
// d <= 0 means until UnbanRange. A prefix that is one source is banned by Ban. It
// does not touch the bans of sources, or of other ranges, within the prefix.
func (l *Limiter) BanRange(prefix netip.Prefix, d time.Duration, now int64) {
	prefix = normalPrefix(prefix)
	if isSource(prefix) {
		l.Ban(prefix.Addr(), d, now)
		return
	}
	l.ranges.put(prefix, BanRecord{Until: end(d, now), Reason: Manual})
	l.imposed.Add(1)
}

// UnbanRange ends the ban of exactly this prefix and reports whether there was
// one.
func (l *Limiter) UnbanRange(prefix netip.Prefix, now int64) bool {
	prefix = normalPrefix(prefix)
	if isSource(prefix) {
		return l.Unban(prefix.Addr(), now)
	}
	return l.ranges.remove(prefix, now)
}

// CoveringBan returns the range whose ban, in force, contains all of prefix.
func (l *Limiter) CoveringBan(prefix netip.Prefix, now int64) (netip.Prefix, bool) {
	table := l.ranges.table.Load()
	if table == nil {
		return netip.Prefix{}, false
	}
	l.ranges.sweep(now)
	found, _, ok := l.ranges.table.Load().LookupPrefixLPM(normalPrefix(prefix))
	return found, ok
}
