package ratelimit

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Throttled describes what the limits have lately done to one source, or to all
// sources together.
type Throttled struct {
	Source   netip.Prefix  // an IPv4 /32 or an IPv6 /64; invalid: all sources together, by a global rate
	For      time.Duration // since this began: no minute since then was without
	Delayed  uint64        // messages, or reads with some, that were delayed
	Rejected uint64        // messages that were refused
	Refused  uint64        // connections that were refused
}

// events is the number of all that happened.
func (t *Throttled) events() uint64 { return t.Delayed + t.Rejected + t.Refused }

// mostThrottled is how many sources a limiter remembers as throttled: enough to see
// who is, however many are.
const mostThrottled = 16

// spell is how long a source counts as throttled after the last event.
const spell = int64(time.Minute)

// everyone is the key that stands for all sources together. Like markIPv4 it is in
// ::/8, which no host has.
const everyone key = 2 << 32

// throttle remembers the sources that the limits delay or refuse most. It is asked
// only when a limit has an effect, and never waits: an event that comes while
// another goroutine is in it goes uncounted, as does one of a source for which
// there is no room. The zero value has none.
type throttle struct {
	mu      sync.Mutex // guards all of this
	entries [mostThrottled]throttled
	size    int
}

// throttled is one source of a throttle.
type throttled struct {
	key          key
	began, ended int64 // of the present spell: its first and its last event
	weight       int   // events, less those of sources for which there was no room
	did          [numEffects]uint64
}

// effect is what a limit did to a client.
type effect uint8

const (
	delayed effect = iota
	rejected
	refusedConnection
	numEffects
)

// note counts what a limit did to a source.
func (t *throttle) note(k key, what effect, now int64) {
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	e := t.entryOf(k, now)
	if e == nil {
		return
	}
	if e.over(now) {
		*e = throttled{key: k, began: now}
	}
	e.ended = max(e.ended, now)
	e.weight++
	e.did[what]++
}

// entryOf returns the entry of a source, known or new; nil if there is no room. The
// sources that are throttled most stay: as many events of others as the lightest
// one had displace it.
func (t *throttle) entryOf(k key, now int64) *throttled {
	var lightest *throttled
	for i := range t.entries[:t.size] {
		e := &t.entries[i]
		if e.key == k {
			return e
		}
		if lightest == nil || e.lighter(lightest, now) {
			lightest = e
		}
	}
	if t.size < mostThrottled {
		t.size++
		lightest = &t.entries[t.size-1]
	} else if lightest.weight--; lightest.weight > 0 && !lightest.over(now) {
		return nil
	}
	*lightest = throttled{key: k, began: now}
	return lightest
}

// over reports whether the entry's spell has ended.
func (e *throttled) over(now int64) bool { return now-e.ended > spell && e.ended != 0 }

// lighter reports whether e is to make room before other.
func (e *throttled) lighter(other *throttled, now int64) bool {
	if a, b := e.over(now), other.over(now); a != b {
		return a
	}
	return e.weight < other.weight
}

// list returns those that are throttled now, the most affected first.
func (t *throttle) list(now int64) []Throttled {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Throttled
	for i := range t.entries[:t.size] {
		e := &t.entries[i]
		if e.over(now) {
			continue
		}
		shown := Throttled{For: time.Duration(max(now-e.began, 0)), Delayed: e.did[delayed], Rejected: e.did[rejected], Refused: e.did[refusedConnection]}
		if e.key != everyone {
			shown.Source = e.key.prefix()
		}
		list = append(list, shown)
	}
	slices.SortFunc(list, func(a, b Throttled) int {
		return cmp.Or(cmp.Compare(b.events(), a.events()), a.Source.Addr().Compare(b.Source.Addr()))
	})
	return list
}

// Throttled returns the sources that the limits have delayed or refused within the
// last minute, the most affected first: at most 16 of them. Their counts are those
// of the present spell, which began when there had been nothing for a minute.
func (l *Limiter) Throttled(now int64) []Throttled { return l.throttle.list(now) }
