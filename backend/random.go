package backend

import "math/rand/v2"

// random draws two different members, each by its weight, and chooses the one
// with fewer connections for its weight: the power of two choices.
type random struct {
	unprepared
	members *members
	rng     *rand.Rand
}

func (p *random) choose(s *search) int {
	all := p.members.all
	total := int64(0)
	for i := range all {
		if all[i].open(&s.filter) {
			total += int64(all[i].effective)
		}
	}
	if total == 0 {
		return none
	}
	first := p.nth(&s.filter, p.rng.Int64N(total), none)
	total -= int64(all[first].effective)
	if total == 0 {
		return first
	}
	second := p.nth(&s.filter, p.rng.Int64N(total), first)
	if all[second].lighter(&all[first]) {
		return second
	}
	return first
}

// nth lays the effective weights of the members that f admits, except one, end
// to end, and returns the member that holds unit n.
func (p *random) nth(f *filter, n int64, except int) int {
	all := p.members.all
	for i := range all {
		if i == except || !all[i].open(f) {
			continue
		}
		n -= int64(all[i].effective)
		if n < 0 {
			return i
		}
	}
	return none // n is below the sum of the weights: not reached
}
