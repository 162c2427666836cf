package backend

// leastConn chooses the member with the fewest connections for its weight.
// Equals take turns.
type leastConn struct {
	unprepared
	members *members
	turn    int // where ties are broken next
}

func (p *leastConn) choose(s *search) int {
	all := p.members.all
	best, n := none, len(all)
	for k, i := 0, p.turn; k < n; k, i = k+1, i+1 {
		if i >= n {
			i = 0
		}
		if all[i].open(&s.filter) && (best == none || all[i].lighter(&all[best])) {
			best = i
		}
	}
	if best != none {
		p.turn = best + 1
	}
	return best
}
