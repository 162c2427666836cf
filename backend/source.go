package backend

import (
	"math"
	"net/netip"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Policy source keeps each client address on one server, its home, and the
// servers even. Where both cannot be, it keeps whole sources on one server if
// they are many and alike, and the servers even if they are few or unequal.
//
// A new source's home is chosen by weighted rendezvous hashing of its address,
// among the servers that keep both sources and connections even (bounds.go). It
// is remembered: memory.go has the entries, sticky.go their life. From then on
//
//   - a connection that takes the place of one that ended goes home, always: so
//     everybody who leaves and comes back, in whatever order, lands where they
//     were;
//   - a connection more than the source ever had goes home too, while the
//     bounds allow, or while the source is kept whole (whole.go). Else the
//     source gets a further entry with another home: it is split;
//   - while home is out of use, its sources take refuge, spread evenly over the
//     other servers, and return home afterwards, as they reconnect. A server
//     that is down keeps its sources and its part in the fair shares, so its
//     death and return disturb nobody else.
//
// What holds over n equal servers, with a balance_factor of 1.02, while
// connections come. Off is how far the farthest server is above or below its
// fair share; it is looked at from 1,000 connections on.
//
// Sources that end with as many connections each:
//
//   - They take turns: never more than 2% off. They are split only if their
//     number is no multiple of n, on the servers that have one more than others.
//   - Fewer than 8n, of more than 125 connections: within 2% in the end, in any
//     order; never more than 2% off if they come one after another. They are
//     split as that takes.
//   - A multiple of n, at least 2n, of up to 100 connections: all whole and the
//     same number on every server, so even in the end; in turn, one after
//     another, at random, each of these also with many at once. On the way a
//     server is off by a source, or by what chance makes.
//   - A multiple of n, at least 8n, of any size: the same in turn and at random.
//     One after another the first 8n are few at their time, and split.
//   - As the last two, but no multiple of n: at random, some are split, to end
//     within 3%; one after another, all stay whole, so that a server ends with
//     one source more than another.
//
// Others:
//
//   - Few heavy sources and many light ones, in random order (Zipf): the heavy
//     ones are split, to end within 2%.
//   - Sizes made by chance, each connection being of any source: off by chance
//     in the end, 10% at 4,000 connections, 2.4% at 40,000. They cannot be told
//     from sources of one size in random order of which more is to come.
//   - Very unequal ones, one after another: 20% off in the end if they are 40,
//     12% if they are 400. Nobody knows what is still to come.
//   - Sources that leave for good and are followed by others: off by how far
//     each has grown at the moment. Of 40 with up to 100 connections as many as
//     29% half of the time, of 400 with up to 10 8%, of 2,000 with up to 10 4%.
//
// Exceptions: the first 2n sources are few, and split if they have more than
// 1,000 connections together (n above 4, for sources of 100). Batches, each
// complete before the next, of a number that is no multiple of n are split: of
// 40 sources in batches of 10 over 4 servers up to 6 are, to end 6% off, and of
// 32 sources, to end 18% off. A source ahead of the others by more than 5
// standard deviations of what chance makes is split.
//
// Measured over 4 servers with 4,000 connections, the worst of 20 runs. At once
// is 200 in flight of which any may arrive next, and every fifth is followed by
// the end of one, which is then opened again.
//
//	sources            order                           off: way      end  split
//	5, 7, 10, 15, 31   in turn                              1%       1%   2-21
//	33, 41, 50         in turn                              2%       1%   9-14
//	40, 100, 400       in turn                              0%       0%   none
//	40, 100, 400       in turn, at once                     7%       0%   none
//	5 to 31            one after another                    2%       1%   most
//	40, 100, 400       one after another           27, 12,  3%       0%   none
//	40, 100, 400       one after another, at once  19, 10,  7%       0%   none
//	33, 34, 41, 50     one after another                   33%  4 to 9%   none
//	5, 6, 7            at random                            2%       1%   2-6
//	8 to 31            at random                           18%       2%   0-24
//	40, 100, 400       at random, at once or not           14%       0%   none
//	33, 34, 41, 50     at random                           16%       3%   4-26
//	5, 6, 7            Zipf                                 2%       1%   1-5
//	8 to 4,000         Zipf                                42%       1%   2-13
//	32 to 4,000        sizes by chance                     18%      10%   0-25
//	40, 100, 400       unequal, one after another  71, 52, 32%  20, 14, 11%  0-24

// plan is how policy source means to serve a request: the entry of the memory
// that the connection will count for, and the home of that entry. Its zero
// value is the plan of every other policy: no entry.
type plan struct {
	source   [16]byte
	hash     uint64
	entry    ref   // noEntry: a new one
	home     int32 // slot; none: no server may be a home
	peers    int32 // of a new source: see entry
	remember bool  // a new or existing entry counts for the connection
	shelter  bool  // the server chosen becomes the entry's refuge
}

// planFor is the plan for a request: by its key, or by its source.
func (p *Pool) planFor(r *Request, want endpoints) plan {
	if r.Key != 0 {
		return plan{hash: r.Key, home: none}
	}
	return p.plan(r.Source, want)
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
		home, others := p.newHome(pl.hash, want)
		pl.home, pl.peers = home, p.peersOf(&others, home)
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
		if home, _ = p.newHome(pl.hash, want); home == none {
			return
		}
	}
	p.setRefuge(e, none)
	p.setHome(e, home)
}

// newHome returns the home of a source without one, and the sources that it
// finds there and elsewhere. Of the servers that keep the connections even, it
// takes those with the fewest sources for their weight, and of these the one
// that rendezvous hashing prefers. While sources are small, their numbers come
// first, and connections count only where chance does not explain them.
func (p *Pool) newHome(hash uint64, want endpoints) (int32, population) {
	set := p.candidates(want)
	others := p.populationOf(set)
	conns := bounds{quantity: expected, weight: fullWeight, factor: p.factor, from: boundFromOn(set)}
	if small(float64(others.sources)/float64(len(set)), others.average()) {
		conns.deviations = serverDeviations
	}
	byConns := p.measure(set, conns)
	bySources := p.measure(set, bounds{quantity: sources, weight: fullWeight, factor: 1})
	set = p.narrow(set, &byConns)
	set = p.narrow(set, &bySources)
	return p.highest(set, hash), others
}

// grow returns the entry for one more connection of a source that has as many
// as ever: its first that keeps the connections even, else none, which is a
// new one, with its home. What is split off goes where it is needed now: it is
// held to half the slack, and to that from the first connection on.
func (p *Pool) grow(first ref, pl *plan, want endpoints) (ref, int32) {
	set := p.candidates(want)
	e := p.memory.at(first)
	whole := e.sibling == noEntry
	if whole && p.keepsWhole(e, set) {
		return first, e.home
	}
	b := p.connBounds(set, attributed, fullWeight)
	tight := p.measure(set, bounds{quantity: attributed, weight: fullWeight, factor: 1 + (p.factor-1)/2})
	set = p.narrow(set, &b)
	if whole && p.mayGrow(e, set, want) {
		return first, e.home
	}
	set = p.narrow(set, &tight)
	for r := first; r != noEntry; r = p.memory.at(r).sibling {
		if e := p.memory.at(r); p.mayGrow(e, set, want) {
			return r, e.home
		}
	}
	return noEntry, p.highest(set, pl.hash)
}

// mayGrow reports whether e may have one connection more than ever, set being
// the homes that keep the connections even.
func (p *Pool) mayGrow(e *entry, set []int32, want endpoints) bool {
	even := !p.slots[e.home].counts || slices.Contains(set, e.home)
	return even && !p.crowded(e, want)
}

// crowded reports whether e, if it has taken refuge, should not bring yet
// another connection there.
func (p *Pool) crowded(e *entry, want endpoints) bool {
	if p.slots[e.home].tier == good || e.refuge == none {
		return false
	}
	set := p.admitted(&filter{endpoints: want, tier: good})
	b := p.connBounds(set, conns, rampWeight)
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

// refuge returns a slot to take refuge in: of those with the fewest refugees
// for their weight the one that rendezvous hashing prefers. A new entry, whose
// size nobody knows, takes those that keep the connections even, and of these
// those with the fewest guests. It returns home only if home is open and there
// is no other.
func (p *Pool) refuge(pl *plan, f *filter) int {
	home := pl.home
	set := p.admitted(f)
	if len(set) > 1 {
		set = slices.DeleteFunc(set, func(i int32) bool { return i == home })
	}
	if len(set) == 0 {
		return none
	}
	pl.shelter = true
	if pl.entry != noEntry {
		return int(p.highest(p.fewest(set, refugees, p.memory.at(pl.entry).peak), pl.hash))
	}
	b := p.connBounds(set, conns, rampWeight)
	return int(p.highest(p.fewest(p.narrow(set, &b), guests, 1), pl.hash))
}

// fewest reduces set, in place, to the slots with the least of a quantity for
// their weight, counting more on each.
func (p *Pool) fewest(set []int32, quantity func(*slot) int32, more int32) []int32 {
	load := func(i int32) float64 {
		sl := &p.slots[i]
		return float64(quantity(sl)+more) / float64(sl.effective)
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
	b := p.measure(set, bounds{quantity: conns, weight: rampWeight, factor: 1})
	return b.full(sl)
}
