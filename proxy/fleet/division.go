package fleet

import (
	"math"

	"mcplb/ratelimit"
)

// division divides a global rate. Its state is one balancer's; the balancers do not agree
// on parts, but each leaves what the others use, and takes what they leave:
//
//   - its part is what it uses and its share of what is not used, by the means of the last
//     half second, and at least that of a fair division;
//
//   - what the others let pass beyond what its part leaves them is charged to its bucket,
//     and what they leave is given back. So everything that passes anywhere is charged
//     everywhere in the end, and all together keep the rate. Balancers that use the rate
//     do so over half a second or, if they are many, longer: since all correct the same
//     error, they would go from too much to too little and back. One that uses nothing
//     does it at once, so that its bucket is right when its load comes.
//
//   - nothing is charged that would leave less than most of a fair division (leastShare): a
//     balancer that has no tokens lets nothing pass, the others see an idle one and take the
//     rate in full, and are charged here again: that would never end. What is not charged
//     is owed.
//
// The zero value is alone.
type division struct {
	used  float64 // 1 - fraction of the rate that is in force here
	own   float64 // what this one lets pass, per second: the mean
	other float64 // the same of the others
	owed  float64 // what is yet to be charged
}

// smoothing is the time, in seconds, over which a division evens out.
const smoothing = 0.4

// leastChange is the change of a part, of the rate, that is worth one.
const leastChange = 0.02

// mostBalancers bounds how many balancers are believed to exist.
const mostBalancers = 100

// leastShare is the part of a fair division that is never charged.
const leastShare = 0.9

// advance is step for a bucket that has so many tokens, below 0 if it is charged in advance.
func (d *division) advance(perSecond, own, passed, tokens float64, balancers int, seconds float64) ratelimit.Part {
	part := d.step(perSecond, own, passed, balancers, seconds)
	fair := 1 / float64(min(max(balancers, 1), mostBalancers))
	most := max(tokens+(part.Fraction-leastShare*fair)*perSecond*seconds, 0)
	if excess := part.Charge - most; excess > 0 {
		d.owed += excess
		part.Charge = most
	}
	return part
}

// step advances by so many seconds, in which own events passed here, and passed events at
// others. perSecond is the rate, balancers are those that use it, this one included.
func (d *division) step(perSecond, own, passed float64, balancers int, seconds float64) ratelimit.Part {
	if perSecond <= 0 || seconds <= 0 {
		*d = division{}
		return ratelimit.Part{Fraction: 1}
	}
	count := float64(min(max(balancers, 1), mostBalancers))
	passed = min(passed, count*perSecond*(1+seconds)) // no others can let more pass
	d.owed += passed - d.used*perSecond*seconds
	d.owed = min(max(d.owed, -perSecond*smoothing), count*perSecond)
	weight := 1 - math.Exp(-seconds/(smoothing*count/2))
	mean := 1 - math.Exp(-seconds/smoothing)
	d.other += (passed/seconds - d.other) * mean
	d.own += (own/seconds - d.own) * mean

	free := max(perSecond-d.own-d.other, 0)
	used := 1 - max((d.own+free/count)/perSecond, 1/count)
	if used = max(used, 0); used < leastChange/4 || count == 1 && d.other < perSecond*leastChange {
		used = 0
	}
	if math.Abs(used-d.used) > leastChange || used == 0 {
		d.used = used
	}
	idle := 1 - min(own/(perSecond*seconds*(1-d.used)), 1)
	charge := d.owed * (weight + (1-weight)*idle*idle)
	d.owed -= charge
	return ratelimit.Part{Fraction: 1 - d.used, Charge: charge}
}
