package backend

import (
	"math"
	"slices"
)

// Connections are held to their bounds once there are this many, and this many
// for each server: 2% of fewer is less than a connection.
const (
	boundFrom          = 1000
	boundFromPerServer = 50
)

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
	quantity func(*slot) int32
	weight   func(*slot) int32
	total    int64 // of the quantity
	weights  int64
	slots    int64
	factor   float64 // of the fair share, at least 1
	from     int64
	lag      int64 // what all slots together lack to their lower bounds
}

// What may be bounded, and by which weights the shares are fair.
func attributed(sl *slot) int32 { return sl.attributed }
func sources(sl *slot) int32    { return sl.sources }
func conns(sl *slot) int32      { return sl.conns }
func fullWeight(sl *slot) int32 { return sl.weight }
func rampWeight(sl *slot) int32 { return sl.effective }

// connBounds returns the bounds on a number of connections over the slots of
// set.
func (p *Pool) connBounds(set []int32, quantity, weight func(*slot) int32, factor float64) bounds {
	from := max(boundFrom, boundFromPerServer*int64(len(set)))
	return p.boundsOf(set, quantity, weight, factor, from)
}

// boundsOf returns the bounds on a quantity over the slots of set.
func (p *Pool) boundsOf(set []int32, quantity, weight func(*slot) int32, factor float64, from int64) bounds {
	b := bounds{quantity: quantity, weight: weight, slots: int64(len(set)), factor: factor, from: from}
	for _, i := range set {
		b.total += int64(quantity(&p.slots[i]))
		b.weights += int64(weight(&p.slots[i]))
	}
	for _, i := range set {
		b.lag += int64(max(0, b.least(&p.slots[i])-quantity(&p.slots[i])))
	}
	return b
}

// next returns the total that the bounds are for: the one after the next step,
// or from.
func (b *bounds) next() int64 { return max(b.total+1, b.from) }

// share returns the fair share of a slot in a total.
func (b *bounds) share(sl *slot, total int64) float64 {
	return float64(total*int64(b.weight(sl))) / float64(b.weights)
}

// most returns the upper bound of a slot: at least its fair share rounded up,
// so that there is always a slot with room.
func (b *bounds) most(sl *slot) int32 {
	scaled := b.next() * int64(b.weight(sl))
	fair := (scaled + b.weights - 1) / b.weights
	return int32(max(fair, int64(b.factor*b.share(sl, b.next()))))
}

// least returns the lower bound of a slot: at most its fair share rounded
// down. It looks one round ahead (one more on every slot), since of several
// slots that fall behind at once all but one must wait for their turn.
func (b *bounds) least(sl *slot) int32 {
	fair := b.next() * int64(b.weight(sl)) / b.weights
	ahead := math.Ceil((2 - b.factor) * b.share(sl, b.next()+b.slots-1))
	return int32(min(fair, int64(ahead)))
}

// narrow reduces set, in place, to the slots that may be given one more: those
// that lag, if it is their turn, otherwise those with room, otherwise (the set
// is but a part of what b was taken over) all.
func (p *Pool) narrow(set []int32, b *bounds) []int32 {
	lags := func(i int32) bool { sl := &p.slots[i]; return b.quantity(sl) < b.least(sl) }
	full := func(i int32) bool { sl := &p.slots[i]; return b.quantity(sl) >= b.most(sl) }
	if b.lag > 0 && b.lag >= b.from-b.total && slices.ContainsFunc(set, lags) {
		return slices.DeleteFunc(set, func(i int32) bool { return !lags(i) })
	}
	for _, i := range set {
		if !full(i) {
			return slices.DeleteFunc(set, full)
		}
	}
	return set
}
