package backend

// slackConns is by how many connections a server may exceed its fair share,
// whatever balance_factor says: 2% of a few connections would be none, and
// sources would move for nothing.
const slackConns = 20

// shares is the fair shares, by weight, of some members in a quantity, if need
// more is added to it. A member may exceed its share by slack.
type shares struct {
	quantity func(*member) int32
	weight   func(*member) int32
	factor   float64 // balance_factor: of the fair share, at least 1
	need     int32

	// What measure finds.
	total   int64 // of the quantity
	weights int64
}

// What may be shared, and by which weights.
func attributed(m *member) int32 { return m.attributed }
func conns(m *member) int32      { return m.conns }
func share(m *member) int32      { return m.share }
func effective(m *member) int32  { return m.effective }

// measure returns s with what it finds on the members of set added to it.
func (ms *members) measure(set []int32, s shares) shares {
	for _, i := range set {
		s.total += int64(s.quantity(&ms.all[i]))
		s.weights += int64(s.weight(&ms.all[i]))
	}
	return s
}

// fair returns the fair share of m.
func (s *shares) fair(m *member) float64 { return s.perWeight() * float64(s.weight(m)) }

// perWeight returns the fair share of a member of weight 1.
func (s *shares) perWeight() float64 { return float64(s.total+int64(s.need)) / float64(s.weights) }

// slack returns by how much a fair share may be exceeded.
func (s *shares) slack(fair float64) float64 { return max((s.factor-1)*fair, slackConns) }

// hasRoom reports whether m may have what is needed.
func (s *shares) hasRoom(m *member) bool {
	fair := s.fair(m)
	return float64(s.quantity(m)+s.need) <= fair+s.slack(fair)
}

// isBelow reports whether m stays within its fair share with what is needed.
func (s *shares) isBelow(m *member) bool { return float64(s.quantity(m)+s.need) <= s.fair(m) }

// lags reports whether m is as far below its fair share as none may be above.
func (s *shares) lags(m *member) bool {
	fair := s.fair(m)
	return float64(s.quantity(m)) < fair-s.slack(fair)
}

// spread returns the member of set that rendezvous hashing prefers if it has
// room, else the one preferred of those below their share, else of those with
// room, else of those with the least for their weight. It reorders set, which is
// what s was measured on and not empty.
func (ms *members) spread(set []int32, s *shares, hash uint64) int32 {
	first := ms.highest(set, hash)
	if s.hasRoom(&ms.all[first]) {
		return first
	}
	if below := ms.keep(set, s.isBelow); len(below) > 0 {
		return ms.highest(below, hash)
	}
	if roomy := ms.keep(set, s.hasRoom); len(roomy) > 0 {
		return ms.highest(roomy, hash)
	}
	return ms.highest(ms.fewest(set, s), hash)
}

// fewest reduces set, in place, to the members with the least for their weight.
func (ms *members) fewest(set []int32, s *shares) []int32 {
	n, least := 0, 0.0
	for _, i := range set {
		m := &ms.all[i]
		load := float64(s.quantity(m)+s.need) / float64(s.weight(m))
		if n == 0 || load < least {
			n, least = 0, load
		}
		if load == least {
			set[n] = i
			n++
		}
	}
	return set[:n]
}

// keep reduces set, in place, to the members for which is holds. If there are
// none it leaves set as it is and returns nothing.
func (ms *members) keep(set []int32, is func(*member) bool) []int32 {
	n := 0
	for _, i := range set {
		if is(&ms.all[i]) {
			set[n] = i
			n++
		}
	}
	return set[:n]
}

// lagging returns the member of set that rendezvous hashing prefers among those
// that lag, none if none does.
func (ms *members) lagging(set []int32, s *shares, hash uint64) int32 {
	best, highest := int32(none), rank{}
	for _, i := range set {
		m := &ms.all[i]
		if !s.lags(m) {
			continue
		}
		if r := rankOf(m.hash, hash, m.share); best == none || r.above(highest) {
			best, highest = i, r
		}
	}
	return best
}
