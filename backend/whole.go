package backend

import (
	"math"
	"slices"
)

// Which sources are kept whole, though their home is over its bounds: those of
// which the servers will be even in the end all the same, because they are many
// and alike, and every server is home to its share of them. That is, a source
// takes one more connection at home whatever the bounds say if (keepsWhole)
//
//   - it is on one server still;
//   - sources are small: the fair share of its home, by weight, of the sources
//     that have connections is manySources or more, or it is fewSources or more
//     and the others have smallSource connections or fewer on average;
//   - it has fewer connections than its allowance. When a source grows, its
//     allowance is raised to the average of the others at that moment, and as
//     much more as chance may bring about: so who comes late may grow as large
//     as the others are, and nobody is split for being ahead by chance.
//
// An allowance once given is not raised where a home has too many sources
// (tooMany): where their number is no multiple of the number of servers some
// must have one more than their share. So of sources that grow together those
// at home there are split. Of sources that come one after another none is:
// while one of them is growing up, to the size that its peers had when it came,
// nobody knows yet how many there will be.
const (
	fewSources  = 2
	manySources = 8
	smallSource = 125
)

// How far chance is allowed for, in standard deviations of a number of
// arrivals in random order (at most its square root). A source is judged at
// each of its connections, so the allowance must practically never fail; a
// server's share only guides where new sources go.
const (
	sourceDeviations = 5
	serverDeviations = 3
)

// byChance returns by how much a number of arrivals may differ from the n
// expected.
func byChance(n, deviations float64) float64 { return deviations*math.Sqrt(n) + 1 }

// allowanceFor returns the allowance of a source whose peers have average
// connections.
func allowanceFor(average float64) int32 {
	return int32(average + byChance(average, sourceDeviations))
}

// population is the sources that have their home on some slots and
// connections now.
type population struct {
	sources int64
	grown   int64 // sources as large as their peers were when they came
	conns   int64
	weights int64 // of the slots
}

// populationOf returns the population of the slots of set.
func (p *Pool) populationOf(set []int32) population {
	var n population
	for _, i := range set {
		sl := &p.slots[i]
		n.sources += int64(sl.residents.live)
		n.grown += int64(sl.residents.grown)
		n.conns += int64(sl.attributed)
		n.weights += int64(sl.weight)
	}
	return n
}

// average returns the connections of a source, 0 if there is none.
func (n *population) average() float64 {
	if n.sources <= 0 {
		return 0
	}
	return float64(n.conns) / float64(n.sources)
}

// averageWithout is average over the sources other than that of e, which has
// connections.
func (n *population) averageWithout(e *entry) float64 {
	others := population{sources: n.sources - 1, conns: n.conns - int64(e.live)}
	return others.average()
}

// share returns the fair share of the sources, by weight, of one of the slots.
func (n *population) share(weight int32) float64 {
	return float64(n.sources) * float64(weight) / float64(n.weights)
}

// tooMany reports whether a slot is home to more than its fair share of the
// sources, times factor, and none of all of them is still growing up.
func (n *population) tooMany(sl *slot, factor float64) bool {
	return n.grown == n.sources && float64(sl.residents.live) > factor*n.share(sl.weight)
}

// small reports whether sources of this average are small for a slot whose fair
// share is so many of them.
func small(share, average float64) bool {
	return share >= manySources || share >= fewSources && average <= smallSource
}

// peersOf returns the average of n, the population that a new source with this
// home finds, rounded down; 0 if it is not to be kept whole by them.
func (p *Pool) peersOf(n *population, home int32) int32 {
	if home == none || !small(n.share(p.slots[home].weight), n.average()) {
		return 0
	}
	return int32(n.average())
}

// keepsWhole reports whether e, the only entry of a source that has as many
// connections as ever, takes one more at home whatever the bounds say. It
// raises the allowance of e where that is due. set is the slots that may be
// homes.
func (p *Pool) keepsWhole(e *entry, set []int32) bool {
	if !slices.Contains(set, e.home) {
		return false
	}
	sl := &p.slots[e.home]
	n := p.populationOf(set)
	share, average := n.share(sl.weight), n.averageWithout(e)
	if !small(share, average) {
		return false
	}
	if e.allowance == 0 || !n.tooMany(sl, p.factor) {
		e.allowance = max(e.allowance, allowanceFor(average))
	}
	return e.live < e.allowance
}

// expected returns the connections that e can be expected to have soon: who has
// just come and has few will have more, if the others are any guide; a third of
// what they had is presumed. Without it, of several who come at once too many
// would find the same server the emptiest.
func (e *entry) expected() int32 {
	if e.live == 0 {
		return 0
	}
	return max(e.live, e.peers/3)
}

// grown reports whether e stands for a source that is as large as its peers
// were when it came.
func (e *entry) grown() bool { return !e.further && e.live > 0 && e.live >= e.peers }
