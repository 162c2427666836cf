package backend

import "slices"

// source is the policy that keeps each client address on one server, its
// primary, and the servers even. Where both cannot be, it leaves sources unsplit
// if they are many and alike, and keeps the servers even if the sources are few
// or unequal.
//
// A new source's primary server is chosen by weighted rendezvous hashing of its
// address, among the servers that keep both sources and connections even
// (bounds.go). It is remembered: memory.go has the entries, sticky.go their
// states. From then on
//
//   - a connection that takes the place of one that ended always goes to the
//     primary server: so sources that leave and come back, in whatever order,
//     get the servers that they had;
//   - a connection beyond the most that the source ever had goes there too, while
//     the bounds allow it, or while the source stays unsplit (unsplit.go). Else
//     the source gets a further entry with another primary server: it is split;
//   - while the primary server is out of use, its sources use fallback servers,
//     spread evenly over the others, and return afterwards, as they reconnect. A
//     server that is down keeps its sources and its part in the fair shares, so
//     its death and return disturb no other source.
//
// What holds over n equal servers, with a balance_factor of 1.02, while
// connections come. Off is how far the farthest server is above or below its
// fair share, from 1,000 connections on.
//
// Sources that end with as many connections each:
//
//   - In turn: never more than 2% off. They are split only if their number is no
//     multiple of n, on the servers that have one more than others.
//   - Fewer than 8n, of more than 125 connections: within 2% in the end, in any
//     order; never more than 2% off if they come one after another. They are
//     split as far as that takes.
//   - A multiple of n, at least 2n, of up to 100 connections: all unsplit and the
//     same number on every server, so even in the end; in turn, one after
//     another, at random, each of these also with many at once. On the way a
//     server is off by a source, or by what chance makes.
//   - A multiple of n, at least 8n, of any size: the same in turn and at random.
//     One after another the first 8n are few at that time, and split.
//   - As the last two, but no multiple of n: at random, some are split, to end
//     within 3%; one after another, all stay unsplit, so that a server ends with
//     one source more than another.
//
// Others:
//
//   - Few heavy sources and many light ones, in random order (Zipf): the heavy
//     ones are split, to end within 2%.
//   - Sizes made by chance, each connection being of any source: off by chance
//     in the end, 10% at 4,000 connections, 2.4% at 40,000. They look the same as
//     sources of one size in random order of which more is to come.
//   - Very unequal ones, one after another: 20% off in the end if they are 40,
//     12% if they are 400. What is still to come is unknown.
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
// Measured over 4 servers with 4,000 connections, the worst of 20 runs. "At once"
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
type source struct {
	members *members
	sticky  *sticky
	factor  float64 // balance_factor, above 0

	// Scratch: the results of candidates and admitted.
	candidateSet []int32
	admittedSet  []int32
}

// plan is how policy source intends to serve a request: the entry of the memory
// that the connection will count for, and its primary server. Its zero value is
// the plan of every other policy: no entry.
type plan struct {
	source   [16]byte
	entry    ref   // noEntry: a new one
	primary  int32 // member; none: no server may be a primary
	peers    int32 // of a new source: see Placement
	remember bool  // a new or existing entry counts for the connection
	fallback bool  // the server chosen becomes the entry's fallback
}

// resize makes the scratch sets large enough for all members.
func (p *source) resize() {
	p.candidateSet = slices.Grow(p.candidateSet[:0], len(p.members.all))
	p.admittedSet = slices.Grow(p.admittedSet[:0], len(p.members.all))
}

// prepare decides which entry a connection will count for:
//
//	the source has an entry with fewer connections than it had   that one
//	it has entries, all at their peak: it grows                  grow
//	it is new                                                    a new one
func (p *source) prepare(s *search) {
	pl := &s.plan
	pl.source, pl.primary, pl.remember = sourceKey(s.source), none, true
	s.hash = hashOf(pl.source)
	memory := &p.sticky.memory
	first := p.sticky.recall(pl.source)
	for r := first; r != noEntry; r = memory.at(r).sibling {
		p.refresh(r, s)
		if e := memory.at(r); e.live < e.Peak {
			pl.entry, pl.primary = r, e.Primary
			return
		}
	}
	if first == noEntry {
		primary, others := p.newPrimary(s)
		pl.primary, pl.peers = primary, p.peersOf(&others, primary)
	} else {
		pl.entry, pl.primary = p.grow(first, s)
	}
}

// refresh forgets the places of r that were not used for sticky_time, and finds
// r a new primary server if a reload removed its own: its fallback, if it has
// one.
func (p *source) refresh(r ref, s *search) {
	e := p.sticky.memory.at(r)
	p.sticky.decay(e)
	if p.members.all[e.Primary].server != nil {
		return
	}
	primary := e.Fallback
	if primary == none || !p.members.all[primary].mayBePrimary {
		if primary, _ = p.newPrimary(s); primary == none {
			return
		}
	}
	p.sticky.setFallback(e, none)
	p.sticky.setPrimary(e, primary)
}

// newPrimary returns the primary server of a source without one, and the sources
// that it finds on the servers. Of the servers that keep the connections even, it
// takes those with the fewest sources for their weight, and of these the one
// that rendezvous hashing prefers. While sources are small, their numbers come
// first, and connections count only where chance does not explain them.
func (p *source) newPrimary(s *search) (int32, population) {
	set := p.candidates(s.endpoints)
	others := p.members.population(set)
	conns := bounds{quantity: expected, weight: fullWeight, factor: p.factor, from: boundFromOn(set)}
	if small(float64(others.sources)/float64(len(set)), others.average()) {
		conns.deviations = serverDeviations
	}
	byConns := p.members.measure(set, conns)
	bySources := p.members.measure(set, bounds{quantity: sources, weight: fullWeight, factor: 1})
	set = p.members.narrow(set, &byConns)
	set = p.members.narrow(set, &bySources)
	return p.members.highest(set, s.hash), others
}

// grow returns the entry for one more connection of a source that has as many
// as ever: its first that keeps the connections even, else none, which means a
// new one, with its primary server. What is split off goes where it is needed
// now: it is held to half the slack, from the first connection on.
func (p *source) grow(first ref, s *search) (ref, int32) {
	memory := &p.sticky.memory
	set := p.candidates(s.endpoints)
	e := memory.at(first)
	unsplit := e.sibling == noEntry
	if unsplit && p.staysUnsplit(e, set) {
		return first, e.Primary
	}
	b := p.connBounds(set, attributed, fullWeight)
	tight := p.members.measure(set, bounds{quantity: attributed, weight: fullWeight, factor: 1 + (p.factor-1)/2})
	set = p.members.narrow(set, &b)
	if unsplit && p.mayGrow(e, set, s.endpoints) {
		return first, e.Primary
	}
	set = p.members.narrow(set, &tight)
	for r := first; r != noEntry; r = memory.at(r).sibling {
		if e := memory.at(r); p.mayGrow(e, set, s.endpoints) {
			return r, e.Primary
		}
	}
	return noEntry, p.members.highest(set, s.hash)
}

// mayGrow reports whether e may have one connection more than ever, set being
// the primary servers that keep the connections even.
func (p *source) mayGrow(e *entry, set []int32, want endpoints) bool {
	even := !p.members.all[e.Primary].mayBePrimary || slices.Contains(set, e.Primary)
	return even && !p.crowded(e, want)
}

// crowded reports whether e uses a fallback server that should not get yet
// another connection.
func (p *source) crowded(e *entry, want endpoints) bool {
	if p.members.all[e.Primary].tier == good || e.Fallback == none {
		return false
	}
	set := p.admitted(&filter{endpoints: want, tier: good})
	b := p.connBounds(set, conns, rampWeight)
	return !slices.Contains(p.members.narrow(set, &b), e.Fallback)
}

// connBounds returns the bounds by balance_factor on a number of connections
// over the members of set.
func (p *source) connBounds(set []int32, quantity, weight func(*member) int32) bounds {
	return p.members.measure(set, bounds{quantity: quantity, weight: weight, factor: p.factor, from: boundFromOn(set)})
}

// candidates returns the members that may be a source's primary server, up or
// down, so that a server's death changes no primary server. Members to which as
// many connections belong as they may ever hold are left out while there are
// others. The result is valid until the next call.
func (p *source) candidates(want endpoints) []int32 {
	all, set := p.members.all, p.candidateSet[:0]
	saturated := true
	for i := range all {
		if m := &all[i]; m.mayBePrimary && m.endpoints&want != 0 {
			set = append(set, int32(i))
			saturated = saturated && m.attributed >= m.limit
		}
	}
	p.candidateSet = set
	if saturated {
		return set
	}
	return slices.DeleteFunc(set, func(i int32) bool { return all[i].attributed >= all[i].limit })
}

// admitted returns the members that f admits. The result is valid until the next
// call.
func (p *source) admitted(f *filter) []int32 {
	set := p.admittedSet[:0]
	for i := range p.members.all {
		if p.members.all[i].open(f) {
			set = append(set, int32(i))
		}
	}
	p.admittedSet = set
	return set
}

// choose follows the search's plan:
//
//	primary server in use, has room                  the primary server
//	in use, but full or tried or lacks the           by rendezvous hashing, for
//	  endpoint wanted                                  this connection only
//	down, draining, starting slowly, ...             the entry's fallback; if it
//	                                                   has none in use, a new one
func (p *source) choose(s *search) int {
	pl, all := &s.plan, p.members.all
	pl.fallback = false
	if pl.primary == none {
		return none
	}
	primary := &all[pl.primary]
	inUse := primary.tier == good && !p.holdsBack(primary)
	if (inUse || s.tier == degraded) && primary.open(&s.filter) {
		return int(pl.primary)
	}
	if s.tier == degraded {
		return p.byHash(s)
	}
	if !inUse && pl.entry != noEntry {
		if i := p.sticky.memory.at(pl.entry).Fallback; i != none && all[i].tier == good {
			if all[i].open(&s.filter) {
				return int(i)
			}
			inUse = true
		}
	}
	if inUse {
		return p.byHash(s)
	}
	return p.newFallback(s)
}

// byHash returns the member that rendezvous hashing prefers among all that the
// search admits.
func (p *source) byHash(s *search) int {
	return int(p.members.highest(p.admitted(&s.filter), s.hash))
}

// newFallback returns a fallback server: of those with the fewest fallback
// places for their weight the one that rendezvous hashing prefers. A new entry,
// whose size is unknown, takes those that keep the connections even, and of
// these those with the fewest entries. It returns the primary server only if
// that is open and there is no other.
func (p *source) newFallback(s *search) int {
	pl := &s.plan
	set := p.admitted(&s.filter)
	if len(set) > 1 {
		set = slices.DeleteFunc(set, func(i int32) bool { return i == pl.primary })
	}
	if len(set) == 0 {
		return none
	}
	pl.fallback = true
	if pl.entry != noEntry {
		set = p.members.fewest(set, fallbackPeaks, p.sticky.memory.at(pl.entry).Peak)
	} else {
		b := p.connBounds(set, conns, rampWeight)
		set = p.members.fewest(p.members.narrow(set, &b), fallbacks, 1)
	}
	return int(p.members.highest(set, s.hash))
}

// holdsBack reports whether m is starting slowly and has for now as many
// connections as its effective weight gives it.
func (p *source) holdsBack(m *member) bool {
	if m.ramp == 0 {
		return false
	}
	set := p.admittedSet[:0]
	for i := range p.members.all {
		if p.members.all[i].tier == good {
			set = append(set, int32(i))
		}
	}
	p.admittedSet = set
	b := p.members.measure(set, bounds{quantity: conns, weight: rampWeight, factor: 1})
	return b.full(m)
}
