package backend

// random draws two different slots that f admits, each by its weight, and
// returns the one with fewer connections for its weight: the power of two
// choices. It returns none if f admits none.
func (p *Pool) random(f *filter) int {
	total := int64(0)
	for i := range p.slots {
		if p.open(i, f) {
			total += int64(p.slots[i].effective)
		}
	}
	if total == 0 {
		return none
	}
	first := p.nth(f, p.rng.Int64N(total), none)
	total -= int64(p.slots[first].effective)
	if total == 0 {
		return first
	}
	second := p.nth(f, p.rng.Int64N(total), first)
	if p.lighter(second, first) {
		return second
	}
	return first
}

// nth returns the slot that holds unit n of the effective weights, laid end to
// end, of the slots that f admits, but for slot except.
func (p *Pool) nth(f *filter, n int64, except int) int {
	for i := range p.slots {
		if i == except || !p.open(i, f) {
			continue
		}
		n -= int64(p.slots[i].effective)
		if n < 0 {
			return i
		}
	}
	return none // n is below the sum of the weights: not reached
}
