package backend

import (
	"math"
	"time"
)

// change is a committed change of a server's state.
type change struct {
	server   *Server
	old, new State
}

// SetHealth commits the checks' verdict on s: reason says what they saw, now
// when. A verdict that changes nothing is ignored, its reason too. A server of
// another pool is ignored by this and all setters; one that a reload removed
// keeps a state as long as it has connections.
func (p *Pool) SetHealth(s *Server, h Health, reason string, now time.Time) {
	p.commit(s, func(st *State) {
		if st.Health != h {
			st.Health, st.Reason, st.Since = h, reason, now
		}
	})
}

// SetDegraded commits that a check of s is overdue, or no longer is, and why. It
// does not change Since. The end of suspicion leaves alone the reason of a
// verdict that was committed meanwhile.
func (p *Pool) SetDegraded(s *Server, suspect bool, reason string) {
	p.commit(s, func(st *State) {
		if st.Suspect == suspect {
			return
		}
		st.Suspect = suspect
		if suspect {
			s.doubt = reason
		} else if st.Reason != s.doubt {
			return
		}
		st.Reason = reason
	})
}

// SetAdmin commits the operator's will for s: reason says why and who, now
// when. What is said already is ignored.
func (p *Pool) SetAdmin(s *Server, a Admin, reason string, now time.Time) {
	p.commit(s, func(st *State) {
		if st.Admin != a {
			st.Admin, st.AdminReason, st.Since = a, reason, now
		}
	})
}

// SetWeight sets the weight of s until a reload changes it; 0 and less means
// that s takes no new clients.
func (p *Pool) SetWeight(s *Server, weight int) {
	p.adjust(s, func() { s.weight.Store(clamp(weight)) })
}

// SetMaxConn sets the limit on the slots of s until a reload changes it; 0 and
// less means no limit. Lowered below what is in use, it takes away nothing:
// the server gets no new client until enough have left.
func (p *Pool) SetMaxConn(s *Server, n int) {
	p.adjust(s, func() { s.maxConn.Store(clamp(n)) })
}

// clamp brings a weight or limit into the range that the pool calculates in.
func clamp(n int) int32 { return int32(min(max(n, 0), math.MaxInt32/weightScale)) }

// commit is the one place where a server's state changes: health and admin are
// separate inputs, update applies one of them.
func (p *Pool) commit(s *Server, update func(*State)) {
	if s.pool != p {
		return
	}
	p.mu.Lock()
	old := s.State()
	st := old
	update(&st)
	if st == old {
		p.mu.Unlock()
		return
	}
	s.state.Store(&st)
	p.changes = append(p.changes, change{server: s, old: old, new: st})
	p.refresh(s)
	if returned(old, st) {
		p.startRamp(s)
	}
	grants := p.grantAll()
	p.mu.Unlock()
	p.deliver()
	tellAll(grants)
}

// adjust sets one of the numbers of s.
func (p *Pool) adjust(s *Server, set func()) {
	if s.pool != p {
		return
	}
	p.mu.Lock()
	set()
	p.refresh(s)
	grants := p.grantAll()
	p.mu.Unlock()
	tellAll(grants)
}

// refresh brings the slot of s to what its state, weight and limit say. Slots
// that this opens up are the caller's to grant.
func (p *Pool) refresh(s *Server) {
	if s.slot == removed {
		return
	}
	st := s.State()
	sl := &p.slots[s.slot]
	sl.weight = s.weight.Load()
	sl.limit = s.maxConn.Load()
	if sl.limit == 0 {
		sl.limit = math.MaxInt32
	}
	sl.counts = sl.weight > 0 && st.Admin == Ready
	was := sl.tier
	switch {
	case !st.TakesNew() || sl.weight == 0:
		sl.tier = unusable
	case st.Suspect:
		sl.tier = suspect
	default:
		sl.tier = good
	}
	if sl.tier == unusable {
		p.stopRamp(s.slot)
	} else if was == unusable {
		sl.current = 0
	}
	p.setEffective(sl)
	if !st.TakesBound() {
		p.queue.unbind(s)
	}
}

// deliver tells the observers of every change not told yet, in order. One
// goroutine does so at a time; another's changes are told by it.
func (p *Pool) deliver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.delivering {
		return
	}
	p.delivering = true
	for len(p.changes) > 0 {
		batch, observers := p.changes, p.onChange
		p.changes = nil
		p.mu.Unlock()
		for _, c := range batch {
			for _, f := range observers {
				f(c.server, c.old, c.new)
			}
		}
		p.mu.Lock()
	}
	p.delivering = false
}
