package backend

// leastConn returns the slot with the fewest connections for its weight, none
// if f admits no slot. Equals take turns.
func (p *Pool) leastConn(f *filter) int {
	best, n := none, len(p.slots)
	for k, i := 0, p.turn; k < n; k, i = k+1, i+1 {
		if i >= n {
			i = 0
		}
		if p.open(i, f) && (best == none || p.lighter(i, best)) {
			best = i
		}
	}
	if best != none {
		p.turn = best + 1
	}
	return best
}

// lighter reports whether slots[i] has fewer connections for its weight than
// slots[j].
func (p *Pool) lighter(i, j int) bool {
	a, b := &p.slots[i], &p.slots[j]
	return int64(a.conns)*int64(b.effective) < int64(b.conns)*int64(a.effective)
}
