package backend

import "math"

// Connections are held to their bounds from 1,000 on, and from so many per
// server that 2% of them are one connection. The bounds set in a little earlier:
// some of the last arrivals are of sources that stay unsplit, which do not go
// where they are needed.
const (
	boundFrom          = 990
	boundFromPerServer = 50
)

// boundFromOn returns the number of connections on the slots of set from which
// they are held to bounds.
func boundFromOn(set []int32) int64 { return max(boundFrom, boundFromPerServer*int64(len(set))) }

// bounds keeps a quantity near its fair shares on a set of members: no member
// is given one more if that would lift it over its share by more than the
// factor, and a member that lags behind by as much is given the next. While the
// total grows, every member stays within both bounds.
//
// The bounds hold from a total of from on. Below it they demand only what is
// needed for them to hold when the total gets there: no member is given more
// than it may have then, and once the members that lag need all that is still to
// come, only they are given any.
type bounds struct {
	quantity   func(*member) int32
	weight     func(*member) int32
	factor     float64 // of the fair share, at least 1
	deviations float64 // above 0: the bounds are at least as wide as chance: byChance
	from       int64

	// What measure finds.
	total   int64 // of the quantity
	weights int64
	members int64
	lag     int64 // what all members together lack to their lower bounds

	last struct { // limits of the last weight: neighbours mostly share it
		weight      int64
		least, most int32
	}
}

// What may be bounded, and by which weights the shares are fair.
func attributed(m *member) int32    { return m.attributed }
func expected(m *member) int32      { return m.placements.expected }
func sources(m *member) int32       { return m.placements.sources }
func fallbackPeaks(m *member) int32 { return m.placements.fallbackPeaks }
func fallbacks(m *member) int32     { return m.placements.fallbacks }
func conns(m *member) int32         { return m.conns }
func fullWeight(m *member) int32    { return m.weight }
func rampWeight(m *member) int32    { return m.effective }

// measure returns b with what it finds on the members of set.
func (ms *members) measure(set []int32, b bounds) bounds {
	b.members = int64(len(set))
	for _, i := range set {
		b.total += int64(b.quantity(&ms.all[i]))
		b.weights += int64(b.weight(&ms.all[i]))
	}
	for _, i := range set {
		least, _ := b.limits(&ms.all[i])
		b.lag += int64(max(0, least-b.quantity(&ms.all[i])))
	}
	return b
}

// limits returns the lower and the upper bound of a member for the next total.
//
// The upper bound is at least the fair share rounded up, so that some member
// always has room; the lower is at most the fair share rounded down. The lower
// bound looks one round ahead (one more on every member): of several members
// that fall behind at once all but one must wait for their turn.
func (b *bounds) limits(m *member) (least, most int32) {
	w := int64(b.weight(m))
	if w == b.last.weight {
		return b.last.least, b.last.most
	}
	next := max(b.total+1, b.from)
	scaled := next * w
	share := float64(scaled) / float64(b.weights)
	ahead := float64((next+b.members-1)*w) / float64(b.weights)
	least = int32(min(scaled/b.weights, int64(math.Ceil((2-b.factor)*ahead))))
	most = int32(max((scaled+b.weights-1)/b.weights, int64(b.factor*share)))
	if b.deviations > 0 {
		chance := byChance(share, b.deviations)
		least = min(least, int32(max(0, share-chance)))
		most = max(most, int32(share+chance))
	}
	b.last.weight, b.last.least, b.last.most = w, least, most
	return least, most
}

// lags reports whether a member is below its lower bound.
func (b *bounds) lags(m *member) bool {
	least, _ := b.limits(m)
	return b.quantity(m) < least
}

// full reports whether a member has reached its upper bound.
func (b *bounds) full(m *member) bool {
	_, most := b.limits(m)
	return b.quantity(m) >= most
}

// narrow reduces set, in place, to the members that may be given one more: those
// that lag, if it is their turn, otherwise those with room, otherwise (if set is
// only a part of what b was measured on) all.
func (ms *members) narrow(set []int32, b *bounds) []int32 {
	if b.lag > 0 && b.lag >= b.from-b.total {
		if kept := ms.keep(set, b.lags, true); len(kept) > 0 {
			return kept
		}
	}
	if kept := ms.keep(set, b.full, false); len(kept) > 0 {
		return kept
	}
	return set
}
