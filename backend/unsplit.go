package backend

import (
	"math"
	"slices"
)

// Some sources stay unsplit though their primary server is over its bounds:
// those with which the servers will be even in the end all the same, because
// the sources are many and alike and every server has its share of them. A
// source takes one more connection on its primary server, whatever the bounds
// say, if (staysUnsplit)
//
//   - it is still on one server;
//   - sources are small: the primary server's fair share, by weight, of the
//     sources that have connections is manySources or more, or it is fewSources
//     or more and the others have smallSource connections or fewer on average;
//   - it has fewer connections than its allowance. When a source grows, its
//     allowance is raised to the average of the others at that moment plus what
//     chance may add. So a source that comes late may grow as large as the
//     others are, and no source is split for being ahead by chance.
//
// An allowance once given is not raised while the primary server has too many
// sources (tooMany): if their number is no multiple of the number of servers,
// some servers must have one more than their share. So of sources that grow
// together, those on such a server are split. Of sources that come one after
// another none is: while one of them is still growing to the size that its peers
// had when it came, their final number is unknown.
const (
	fewSources  = 2
	manySources = 8
	smallSource = 125
)

// How much chance is allowed for, in standard deviations of a number of arrivals
// in random order (at most its square root). A source is judged at each of its
// connections, so the allowance must practically never fail; a server's share
// only guides where new sources go.
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

// population is the sources that have connections now and their primary server
// among some members.
type population struct {
	sources int64
	grown   int64 // sources as large as their peers were when they came
	conns   int64
	weights int64 // of the members
}

// population returns the population of the members of set.
func (ms *members) population(set []int32) population {
	var n population
	for _, i := range set {
		m := &ms.all[i]
		n.sources += int64(m.placements.live)
		n.grown += int64(m.placements.grown)
		n.conns += int64(m.attributed)
		n.weights += int64(m.weight)
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

// share returns the fair share of the sources, by weight, of one of the members.
func (n *population) share(weight int32) float64 {
	return float64(n.sources) * float64(weight) / float64(n.weights)
}

// tooMany reports whether m is the primary server of more than its fair share of
// the sources, times factor, and no source of the population is still growing up.
func (n *population) tooMany(m *member, factor float64) bool {
	return n.grown == n.sources && float64(m.placements.live) > factor*n.share(m.weight)
}

// small reports whether sources of this average are small for a server whose
// fair share is this number of them.
func small(share, average float64) bool {
	return share >= manySources || share >= fewSources && average <= smallSource
}

// peersOf returns the average of n, the population that a new source with this
// primary server finds, rounded down; 0 if the source is not to stay unsplit.
func (p *source) peersOf(n *population, primary int32) int32 {
	if primary == none || !small(n.share(p.members.all[primary].weight), n.average()) {
		return 0
	}
	return int32(n.average())
}

// staysUnsplit reports whether e, the only entry of a source that has as many
// connections as ever, takes one more on its primary server whatever the bounds
// say. It raises the allowance of e where that is due. set is the members that
// may be primary servers.
func (p *source) staysUnsplit(e *entry, set []int32) bool {
	if !slices.Contains(set, e.Primary) {
		return false
	}
	m := &p.members.all[e.Primary]
	n := p.members.population(set)
	share, average := n.share(m.weight), n.averageWithout(e)
	if !small(share, average) {
		return false
	}
	if e.Allowance == 0 || !n.tooMany(m, p.factor) {
		e.Allowance = max(e.Allowance, allowanceFor(average))
	}
	return e.live < e.Allowance
}

// expected returns the connections that e can be expected to have soon: a source
// that has just come and has few will have more, if the others are any guide; a
// third of theirs is presumed. Otherwise too many of several sources that come at
// once would find the same server the emptiest.
func (e *entry) expected() int32 {
	if e.live == 0 {
		return 0
	}
	return max(e.live, e.Peers/3)
}

// grown reports whether e stands for a source that is as large as its peers
// were when it came.
func (e *entry) grown() bool { return !e.Further && e.live > 0 && e.live >= e.Peers }
