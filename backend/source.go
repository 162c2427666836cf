package backend

import "slices"

// source is the policy that keeps each client address on one server, and the
// servers even. It is weighted rendezvous hashing of the address, bounded, so
// balancers that know nothing of each other agree for nearly all sources, and so
// does a balancer before and after a restart.
//
// A server's connections are those attributed to it: of the sources that belong
// there, wherever they are now. It has room while they do not exceed
//
//	max(balance_factor x fair share, fair share + 20)
//
// the fair shares going by weight.
//
//	a source             belongs on
//	new                  its first server by hash, if that has room for as many
//	                     connections as other sources have on average. Else it
//	                     is displaced: members.spread
//	displaced before     the same server, if that has room for one connection
//	  (sticky_time)
//	connected: it grows  its main server (the first by hash, or where it was
//	                     displaced to), else a server where it has connections,
//	                     if that has room, and no other server lags while it has
//	                     its share. Else it is split: the connection belongs on a
//	                     server that lags, or as members.spread says
//
// So no server is given more than its bound while another has room, sources of
// one connection are never displaced by the lower bound, and sources of several
// keep the servers within the bound on both sides. A source at its first server
// needs no memory once its connections have ended; one that was displaced is
// remembered for sticky_time.
//
// A source whose main server is out of use (down, draining, in maintenance, of
// weight 0 by command) still belongs there, without a bound; its connections go
// to fallback servers, by hash and bounded likewise, until they return as they
// reconnect. So its death and its return move no other source.
//
// Without failback they do not return: a source that finds its main server out of
// use, or one that refuses it, is displaced.
type source struct {
	members  *members
	sticky   *sticky
	factor   float64 // balance_factor, above 0
	failback bool    // sources return to their main server once that is in use again

	// Scratch: the results of candidates and admitted.
	candidateSet []int32
	admittedSet  []int32
	outOfUse     []int32 // the members left out of the set of candidates, since they are out of use
}

// plan is how policy source intends to serve a request: where the connection
// belongs. Its zero value is the plan of every other policy: nowhere.
type plan struct {
	source    [16]byte
	remember  bool  // the connection counts for the server where it belongs
	server    int32 // the member where it belongs; none: no server may be
	connected bool  // the source has connections
	moved     bool  // the source has left its main server for good
	displaced bool  // the source is new or moved, and this is not its first server by hash
}

// resize makes the scratch sets large enough for all members.
func (p *source) resize() {
	for _, set := range []*[]int32{&p.candidateSet, &p.admittedSet, &p.outOfUse} {
		*set = slices.Grow((*set)[:0], len(p.members.all))
	}
}

// prepare decides where a connection belongs.
func (p *source) prepare(s *search) {
	pl := &s.plan
	pl.source, pl.remember = sourceKey(s.source), true
	s.hash = hashOf(pl.source)
	first := p.sticky.recall(pl.source)
	pl.connected = p.sticky.connected(first)
	home, set := p.candidates(s)
	main := p.displacedTo(first, s)
	remembered := main != none
	if !remembered {
		main = home
	}
	switch {
	case main != none && p.leaves(main, s):
		pl.moved = true
		pl.server = p.successor(main, set, s)
		pl.displaced = pl.server != home
	case main == none || p.members.all[main].tier == unusable || len(set) == 0:
		pl.server = main
	case pl.connected:
		pl.server = p.grow(first, main, set, s.hash)
	default:
		pl.server = p.enter(main, remembered, set, s.hash)
		pl.displaced = pl.server != home
	}
}

// leaves reports whether the source of s leaves its main server for good.
func (p *source) leaves(main int32, s *search) bool {
	if p.failback {
		return false
	}
	m := &p.members.all[main]
	return m.tier == unusable || m.server != nil && slices.Contains(s.tried, m.server)
}

// successor returns where a source belongs that leaves its main server: there, if
// no other server is in use.
func (p *source) successor(main int32, set []int32, s *search) int32 {
	set = slices.DeleteFunc(set, func(i int32) bool {
		return i == main || slices.Contains(s.tried, p.members.all[i].server)
	})
	if len(set) == 0 {
		return main
	}
	sh := p.measure(set, 1)
	return p.members.spread(set, &sh, s.hash)
}

// displacedTo returns the member that a source with this first entry was displaced
// to and that s may use, none if there is none.
func (p *source) displacedTo(first ref, s *search) int32 {
	for r := first; r != noEntry; r = p.sticky.memory.at(r).sibling {
		e := p.sticky.memory.at(r)
		if e.Displaced && p.members.all[e.Server].mayBeMain(s.endpoints) {
			return e.Server
		}
	}
	return none
}

// enter returns where a source without connections belongs, whose main server is
// in use.
func (p *source) enter(main int32, remembered bool, set []int32, hash uint64) int32 {
	sh := p.measure(set, p.sticky.average())
	if remembered {
		sh.need = 1
	}
	if slices.Contains(set, main) && sh.hasRoom(&p.members.all[main]) {
		return main
	}
	return p.members.spread(set, &sh, hash)
}

// grow returns where one more connection of a source belongs.
func (p *source) grow(first ref, main int32, set []int32, hash uint64) int32 {
	sh := p.measure(set, 1)
	lagging := p.members.lagging(set, &sh, hash)
	takes := func(i int32) bool {
		m := &p.members.all[i]
		return slices.Contains(set, i) && sh.hasRoom(m) && (lagging == none || sh.isBelow(m))
	}
	if takes(main) {
		return main
	}
	for r := first; r != noEntry; r = p.sticky.memory.at(r).sibling {
		if e := p.sticky.memory.at(r); e.live > 0 && takes(e.Server) {
			return e.Server
		}
	}
	if lagging != none {
		return lagging
	}
	return p.members.spread(set, &sh, hash)
}

// measure returns the fair shares of the members of set, the candidates, in the
// connections attributed to them: those over the servers in use, or over all, if
// that makes them larger. The connections of a server that is out of use may be
// gone, or back on other servers and still attributed to it.
func (p *source) measure(set []int32, need int32) shares {
	inUse := p.members.measure(set, shares{quantity: attributed, weight: share, factor: p.factor, need: need})
	all := p.members.measure(p.outOfUse, inUse)
	if all.perWeight() > inUse.perWeight() {
		return all
	}
	return inUse
}

// candidates returns the first server by hash of the source of s, in use or not
// (none: no server may be), and the members in use on which sources may be. Those
// to which as many connections belong as they may ever hold are left out while
// there are others. The set is valid until the next call; so is outOfUse.
func (p *source) candidates(s *search) (home int32, set []int32) {
	all, highest := p.members.all, rank{}
	home, set = none, p.candidateSet[:0]
	saturated := 0
	p.outOfUse = p.outOfUse[:0]
	for i := range all {
		m := &all[i]
		if !m.mayBeMain(s.endpoints) {
			continue
		}
		if r := rankOf(m.hash, s.hash, m.share); home == none || r.above(highest) {
			home, highest = int32(i), r
		}
		if m.tier == unusable {
			p.outOfUse = append(p.outOfUse, int32(i))
			continue
		}
		set = append(set, int32(i))
		if m.saturated() {
			saturated++
		}
	}
	p.candidateSet = set
	if saturated == 0 || saturated == len(set) {
		return home, set
	}
	return home, slices.DeleteFunc(set, func(i int32) bool { return all[i].saturated() })
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
//	the server where the connection belongs
//	is in use, has room                            that one
//	in use, but full or tried                      by rendezvous hashing, for
//	                                                 this connection only
//	down, draining, starting slowly, ...           a fallback server
func (p *source) choose(s *search) int {
	pl, all := &s.plan, p.members.all
	if pl.server == none {
		return p.fallback(s)
	}
	m := &all[pl.server]
	inUse := m.tier == good && !p.holdsBack(m, s)
	switch {
	case (inUse || s.tier == degraded) && m.open(&s.filter):
		return int(pl.server)
	case inUse || s.tier == degraded:
		return int(p.members.highest(p.admitted(&s.filter), s.hash))
	}
	return p.fallback(s)
}

// fallback returns the fallback server for a connection, none if there is none:
// the server where it belongs only if that is open and there is no other.
func (p *source) fallback(s *search) int {
	set := p.admitted(&s.filter)
	if len(set) > 1 {
		set = slices.DeleteFunc(set, func(i int32) bool { return i == s.plan.server })
	}
	if len(set) == 0 {
		return none
	}
	sh := p.members.measure(set, shares{quantity: conns, weight: effective, factor: p.factor, need: 1})
	if s.plan.connected {
		if i := p.members.lagging(set, &sh, s.hash); i != none {
			return int(i)
		}
	}
	return int(p.members.spread(set, &sh, s.hash))
}

// holdsBack reports whether m is starting slowly and has for now as many
// connections as its effective weight gives it.
func (p *source) holdsBack(m *member, s *search) bool {
	if m.ramp == 0 {
		return false
	}
	set := p.admittedSet[:0]
	for i := range p.members.all {
		if other := &p.members.all[i]; other.tier == good && other.backup == s.backup {
			set = append(set, int32(i))
		}
	}
	p.admittedSet = set
	sh := p.members.measure(set, shares{quantity: conns, weight: effective, need: 1})
	return float64(m.conns) >= max(1, sh.fair(m))
}
