package backend

import (
	"math"
	"net/netip"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Policy source keeps each client address on one server, its home, and the
// servers even.
//
// A new source's home is chosen by weighted rendezvous hashing of its address,
// among the servers that keep both connections and sources within bounds
// (bounds.go). It is remembered: memory.go has the entries, sticky.go their
// life. From then on
//
//   - a connection that takes the place of one that ended goes home, always: so
//     everybody who leaves and comes back, in whatever order, lands where they
//     were;
//   - a connection more than the source ever had goes home too, while the
//     bounds allow. Where they do not, the source gets a further entry with
//     another home: it is split;
//   - while home is out of use, its sources take refuge, spread evenly over the
//     other servers, and return home afterwards, as they reconnect. A server
//     that is down keeps its sources and its part in the fair shares, so its
//     death and return disturb nobody else.
//
// From 1,000 connections on no server stands over its bounds while connections
// arrive, however few their sources and in whatever order: where both cannot
// be, that comes before keeping a source whole. Sources that come in turn, as
// many at home on each server, are never split; of sources in random order some
// are, by a connection or a few. A larger balance_factor splits fewer.

// plan is how policy source means to serve a request: the entry of the memory
// that the connection will count for, and the home of that entry. Its zero
// value is the plan of every other policy: no entry.
type plan struct {
	source   [16]byte
	hash     uint64
	entry    ref   // noEntry: a new one
	home     int32 // slot; none: no server may be a home
	remember bool  // a new or existing entry counts for the connection
	shelter  bool  // the server chosen becomes the entry's refuge
}

// plan decides which entry a connection from source will count for:
//
//	the source has an entry with fewer connections than it had   that one
//	it has entries, all at their peak: it grows                  grow
//	it is new                                                    a new one
func (p *Pool) plan(source netip.Addr, want endpoints) plan {
	pl := plan{source: source.As16(), home: none}
	pl.hash = xxhash.Sum64(pl.source[:])
	if p.factor == 0 {
		return pl
	}
	pl.remember = true
	first := p.recall(pl.source)
	for r := first; r != noEntry; r = p.memory.at(r).sibling {
		p.refreshEntry(r, &pl, want)
		if e := p.memory.at(r); e.live < e.peak {
			pl.entry, pl.home = r, e.home
			return pl
		}
	}
	if first == noEntry {
		pl.home = p.newHome(pl.hash, want)
	} else {
		pl.entry, pl.home = p.grow(first, &pl, want)
	}
	return pl
}

// recall returns the first of the source's entries that have not expired.
func (p *Pool) recall(source [16]byte) ref {
	first := p.memory.first[source]
	for r := first; r != noEntry; {
		e := p.memory.at(r)
		sibling := e.sibling
		if e.live == 0 && p.expired(e) {
			p.forget(r)
		}
		r = sibling
	}
	return p.memory.first[source]
}

// refreshEntry forgets the places of r that were not used for sticky_time, and
// finds r a new home if a reload took its own away: its refuge, if it has one.
func (p *Pool) refreshEntry(r ref, pl *plan, want endpoints) {
	e := p.memory.at(r)
	p.decay(e)
	if p.slots[e.home].server != nil {
		return
	}
	home := e.refuge
	if home == none || !p.slots[home].counts {
		if home = p.newHome(pl.hash, want); home == none {
			return
		}
	}
	p.setRefuge(e, none)
	p.setHome(e, home)
}

// newHome returns the home of a source without one: of the servers that keep
// the connections even, those that keep the sources even, and of these the one
// that rendezvous hashing prefers.
func (p *Pool) newHome(hash uint64, want endpoints) int32 {
	set := p.candidates(want)
	byConns := p.connBounds(set, attributed, fullWeight, p.factor)
	// Sources are held to half the slack: the rest is for their sizes.
	bySources := p.boundsOf(set, sources, fullWeight, tighter(p.factor), 0)
	set = p.narrow(set, &byConns)
	set = p.narrow(set, &bySources)
	return p.highest(set, hash)
}

// tighter returns a factor with half the slack.
func tighter(factor float64) float64 { return 1 + (factor-1)/2 }

// grow returns the entry for one more connection of a source that has as many
// as ever: its first that keeps the connections even, else none, which is a
// new one, with its home. Sources on several servers already are held to
// tighter bounds than others, so that fewer others need be split.
func (p *Pool) grow(first ref, pl *plan, want endpoints) (ref, int32) {
	set := p.candidates(want)
	b := p.connBounds(set, attributed, fullWeight, p.factor)
	if e := p.memory.at(first); e.sibling == noEntry && slices.Contains(set, e.home) && p.likeItsPeers(e, set, &b) {
		return first, e.home
	}
	if p.memory.at(first).sibling == noEntry {
		set = p.narrow(set, &b)
	} else {
		tight := p.connBounds(set, attributed, fullWeight, tighter(p.factor))
		set = p.narrow(set, &b)
		set = p.narrow(set, &tight)
	}
	for r := first; r != noEntry; r = p.memory.at(r).sibling {
		e := p.memory.at(r)
		even := !p.slots[e.home].counts || slices.Contains(set, e.home)
		if even && !p.crowded(e, want) {
			return r, e.home
		}
	}
	return noEntry, p.highest(set, pl.hash)
}

// likeItsPeers reports whether a source that is still whole is no larger than
// others are, and its home has no more sources than it should: then sizes will
// even out by themselves, and it is not split for being early or late.
func (p *Pool) likeItsPeers(e *entry, set []int32, b *bounds) bool {
	n := p.boundsOf(set, sources, fullWeight, 1, 0)
	sl := &p.slots[e.home]
	average := float64(b.total-int64(e.live)) / float64(max(n.total-1, 1))
	fair := float64(n.total*int64(sl.weight)) / float64(n.weights)
	if n.total >= 2*n.slots && float64(e.live+1) <= average && float64(sl.sources) < fair+1 {
		return true // catching up
	}
	return n.total >= 8*n.slots && float64(e.live) <= average+4*math.Sqrt(average)+1 && float64(sl.sources) <= fair
}

// crowded reports whether e, if it has taken refuge, should not bring yet
// another connection there.
func (p *Pool) crowded(e *entry, want endpoints) bool {
	if p.slots[e.home].tier == good || e.refuge == none {
		return false
	}
	set := p.admitted(&filter{endpoints: want, tier: good})
	b := p.connBounds(set, conns, rampWeight, p.factor)
	return !slices.Contains(p.narrow(set, &b), e.refuge)
}

// candidates returns the slots that may be a source's home: those that count,
// up or down, so that a server's death disturbs nobody else's home. Slots with
// as many connections at home as they may ever hold are left out while there
// are others. The result is valid until the next call.
func (p *Pool) candidates(want endpoints) []int32 {
	set := p.homes[:0]
	saturated := true
	for i := range p.slots {
		if sl := &p.slots[i]; sl.counts && sl.endpoints&want != 0 {
			set = append(set, int32(i))
			saturated = saturated && sl.attributed >= sl.limit
		}
	}
	p.homes = set
	if saturated {
		return set
	}
	return slices.DeleteFunc(set, func(i int32) bool { return p.slots[i].attributed >= p.slots[i].limit })
}

// admitted returns the slots that f admits. The result is valid until the next
// call.
func (p *Pool) admitted(f *filter) []int32 {
	set := p.others[:0]
	for i := range p.slots {
		if p.open(i, f) {
			set = append(set, int32(i))
		}
	}
	p.others = set
	return set
}

// source returns the slot for a connection of plan pl, none if f admits none.
//
//	home in use, has room                          home
//	home in use, but full or tried or lacks the    by rendezvous, for this
//	  endpoint wanted                                connection only
//	home down, draining, starting slowly, ...      the entry's refuge; if it has
//	                                                 none in use, a new refuge
func (p *Pool) source(pl *plan, f *filter) int {
	pl.shelter = false
	if !pl.remember {
		return p.plain(pl.hash, f)
	}
	if pl.home == none {
		return none
	}
	home := int(pl.home)
	if f.tier == suspect {
		if p.open(home, f) {
			return home
		}
		return int(p.highest(p.admitted(f), pl.hash))
	}
	inUse := p.slots[home].tier == good && !p.holdsBack(home)
	if inUse && p.open(home, f) {
		return home
	}
	if !inUse && pl.entry != noEntry {
		if refuge := p.memory.at(pl.entry).refuge; refuge != none && p.slots[refuge].tier == good {
			if p.open(int(refuge), f) {
				return int(refuge)
			}
			inUse = true
		}
	}
	if inUse {
		return int(p.highest(p.admitted(f), pl.hash))
	}
	return p.refuge(pl, f)
}

// refuge returns a slot to take refuge in: of those that keep the connections
// even if the entry is new, those with the fewest refugees for their weight,
// and of these the one that rendezvous hashing prefers. It returns home only
// if home is open and there is no other.
func (p *Pool) refuge(pl *plan, f *filter) int {
	home, size := pl.home, int32(1)
	set := p.admitted(f)
	if len(set) > 1 {
		set = slices.DeleteFunc(set, func(i int32) bool { return i == home })
	}
	if len(set) == 0 {
		return none
	}
	if pl.entry != noEntry {
		size = p.memory.at(pl.entry).peak
	} else {
		b := p.connBounds(set, conns, rampWeight, p.factor)
		set = p.narrow(set, &b)
	}
	pl.shelter = true
	return int(p.highest(p.fewestRefugees(set, size), pl.hash))
}

// fewestRefugees reduces set, in place, to the slots with the fewest refugees
// for their weight, counting size more on each.
func (p *Pool) fewestRefugees(set []int32, size int32) []int32 {
	load := func(i int32) float64 {
		sl := &p.slots[i]
		return float64(sl.refugees+size) / float64(sl.effective)
	}
	least := math.Inf(1)
	for _, i := range set {
		least = min(least, load(i))
	}
	return slices.DeleteFunc(set, func(i int32) bool { return load(i) > least })
}

// holdsBack reports whether slots[i] is starting slowly and has for now as many
// connections as its effective weight gives it.
func (p *Pool) holdsBack(i int) bool {
	sl := &p.slots[i]
	if sl.ramp == 0 {
		return false
	}
	set := p.others[:0]
	for k := range p.slots {
		if p.slots[k].tier == good {
			set = append(set, int32(k))
		}
	}
	p.others = set
	b := p.boundsOf(set, conns, rampWeight, 1, 0)
	return b.full(sl)
}
