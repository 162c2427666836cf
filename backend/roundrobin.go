package backend

// roundRobin returns the slots that f admits in turn, each as often as its
// weight says and evenly interleaved: smooth weighted round robin. Of W picks
// (W the sum of weights over their common divisor) each slot gets exactly its
// share, as long as the same slots are open. It returns none if f admits none.
func (p *Pool) roundRobin(f *filter) int {
	best, total := none, int64(0)
	for i := range p.slots {
		if !p.open(i, f) {
			continue
		}
		sl := &p.slots[i]
		sl.current += int64(sl.effective)
		total += int64(sl.effective)
		if best == none || sl.current > p.slots[best].current {
			best = i
		}
	}
	if best != none {
		p.slots[best].current -= total
	}
	return best
}
