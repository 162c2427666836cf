package backend

import "math"

// Connections are held to their bounds from 1,000 on, and from so many for each
// server that 2% of them are a connection. The bounds set in a little before
// that: of the last arrivals some are of sources kept whole, which do not go
// where they are needed.
const (
	boundFrom          = 990
	boundFromPerServer = 50
)

// boundFromOn returns the number of connections on the slots of set from which
// they are held to bounds.
func boundFromOn(set []int32) int64 { return max(boundFrom, boundFromPerServer*int64(len(set))) }

// bounds keeps a quantity near its fair shares on a set of slots: no slot is
// given one more where that would lift it over its share by more than the
// factor, and a slot that lags behind by as much is given the next. While the
// total grows, every slot stays within both bounds.
//
// From a total of from on the bounds hold. Below it they say only what is
// needed for them to hold when it gets there: no slot is given more than it may
// have then, and once the slots that lag need all that is still to come, only
// they are given any.
type bounds struct {
	quantity   func(*slot) int32
	weight     func(*slot) int32
	factor     float64 // of the fair share, at least 1
	deviations float64 // above 0, the bounds are at least as wide as chance is: byChance
	from       int64

	// What measure finds.
	total   int64 // of the quantity
	weights int64
	slots   int64
	lag     int64 // what all slots together lack to their lower bounds

	last struct { // limits of the weight asked for last: neighbours mostly share it
		weight      int64
		least, most int32
	}
}

// What may be bounded, and by which weights the shares are fair.
func attributed(sl *slot) int32 { return sl.attributed }
func expected(sl *slot) int32   { return sl.residents.expected }
func sources(sl *slot) int32    { return sl.residents.sources }
func refugees(sl *slot) int32   { return sl.residents.refugees }
func guests(sl *slot) int32     { return sl.residents.guests }
func conns(sl *slot) int32      { return sl.conns }
func fullWeight(sl *slot) int32 { return sl.weight }
func rampWeight(sl *slot) int32 { return sl.effective }

// connBounds returns the bounds by balance_factor on a number of connections
// over the slots of set.
func (p *Pool) connBounds(set []int32, quantity, weight func(*slot) int32) bounds {
	return p.measure(set, bounds{quantity: quantity, weight: weight, factor: p.factor, from: boundFromOn(set)})
}

// measure returns b as it stands over the slots of set.
func (p *Pool) measure(set []int32, b bounds) bounds {
	b.slots = int64(len(set))
	for _, i := range set {
		b.total += int64(b.quantity(&p.slots[i]))
		b.weights += int64(b.weight(&p.slots[i]))
	}
	for _, i := range set {
		least, _ := b.limits(&p.slots[i])
		b.lag += int64(max(0, least-b.quantity(&p.slots[i])))
	}
	return b
}

// limits returns the lower and the upper bound of a slot for the next total.
//
// The upper bound is at least the fair share rounded up, so that there is
// always a slot with room; the lower at most the fair share rounded down. The
// lower looks one round ahead (one more on every slot), since of several slots
// that fall behind at once all but one must wait for their turn.
func (b *bounds) limits(sl *slot) (least, most int32) {
	w := int64(b.weight(sl))
	if w == b.last.weight {
		return b.last.least, b.last.most
	}
	next := max(b.total+1, b.from)
	scaled := next * w
	share := float64(scaled) / float64(b.weights)
	ahead := float64((next+b.slots-1)*w) / float64(b.weights)
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

// lags reports whether a slot is below its lower bound.
func (b *bounds) lags(sl *slot) bool {
	least, _ := b.limits(sl)
	return b.quantity(sl) < least
}

// full reports whether a slot has reached its upper bound.
func (b *bounds) full(sl *slot) bool {
	_, most := b.limits(sl)
	return b.quantity(sl) >= most
}

// narrow reduces set, in place, to the slots that may be given one more: those
// that lag, if it is their turn, otherwise those with room, otherwise (the set
// is but a part of what b was taken over) all.
func (p *Pool) narrow(set []int32, b *bounds) []int32 {
	if b.lag > 0 && b.lag >= b.from-b.total {
		if kept := p.keep(set, b.lags, true); len(kept) > 0 {
			return kept
		}
	}
	if kept := p.keep(set, b.full, false); len(kept) > 0 {
		return kept
	}
	return set
}

// keep reduces set, in place, to the slots for which is gives want. If there
// are none it leaves set as it is and returns nothing.
func (p *Pool) keep(set []int32, is func(*slot) bool, want bool) []int32 {
	n := 0
	for _, i := range set {
		if is(&p.slots[i]) == want {
			set[n] = i
			n++
		}
	}
	return set[:n]
}
