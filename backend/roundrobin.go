package backend

// roundRobin chooses the members in turn, each as often as its weight says and
// evenly interleaved: smooth weighted round robin. Of W choices (W the sum of
// weights over their common divisor) each member gets exactly its share, as
// long as the same members are open.
type roundRobin struct {
	unprepared
	members *members
}

func (p *roundRobin) choose(s *search) int {
	all := p.members.all
	best, total := none, int64(0)
	for i := range all {
		m := &all[i]
		if !m.open(&s.filter) {
			continue
		}
		m.current += int64(m.effective)
		total += int64(m.effective)
		if best == none || m.current > all[best].current {
			best = i
		}
	}
	if best != none {
		all[best].current -= total
	}
	return best
}
