package backend

import (
	"math"
	"sync"
	"time"
)

// SetHealth commits the verdict of the checks at the time now; reason says what
// they saw. A verdict that changes nothing is ignored, its reason too. A server
// that a reload removed keeps a state as long as it has connections.
func (s *Server) SetHealth(h Health, reason string, now time.Time) {
	s.commit(func(st *State) {
		if st.Health == h {
			return
		}
		st.Outages.Ended = st.Downtime(now)
		if h == Down {
			st.Outages.Count++
			st.Outages.Last = now
		}
		st.Health, st.Reason, st.Since = h, reason, now
	})
}

// SetReason replaces the reason of a verdict that stays, and leaves Since.
func (s *Server) SetReason(reason string) {
	s.commit(func(st *State) { st.Reason = reason })
}

// SetDegraded commits whether a check is overdue, and why. It does not change
// Since. When a check is no longer overdue, the reason of a verdict that was
// committed meanwhile stays.
func (s *Server) SetDegraded(degraded bool, reason string) {
	s.commit(func(st *State) {
		if st.Degraded == degraded {
			return
		}
		st.Degraded = degraded
		if degraded {
			s.degradedReason = reason
		} else if st.Reason != s.degradedReason {
			return
		}
		st.Reason = reason
	})
}

// SetDrainRequest commits at the time now that the server itself asks to be drained,
// and what it answered; "" = it asks no more. The operator's Admin is not touched. A
// new answer to the same effect replaces the reason alone.
func (s *Server) SetDrainRequest(reason string, now time.Time) {
	s.commit(func(st *State) {
		if (st.DrainRequest == "") != (reason == "") {
			st.DrainRequestSince = now
		}
		st.DrainRequest = reason
	})
}

// SetAdmin commits the operator's will at the time now; reason says why and by
// whom. It is ignored if it changes nothing.
func (s *Server) SetAdmin(a Admin, reason string, now time.Time) {
	s.commit(func(st *State) {
		if st.Admin != a {
			st.Admin, st.AdminReason, st.AdminSince = a, reason, now
		}
	})
}

// SetEmptied commits whether a server that drains has neither connections nor sessions, as
// of the time now. It is ignored for one that does not drain.
func (s *Server) SetEmptied(empty bool, now time.Time) {
	s.commit(func(st *State) {
		switch {
		case !empty:
			st.Emptied = time.Time{}
		case st.Emptied.IsZero():
			st.Emptied = now
		}
	})
}

// Explain replaces the reason of the admin state.
func (s *Server) Explain(reason string) {
	s.commit(func(st *State) { st.AdminReason = reason })
}

// SetWeight sets the weight until a reload changes it; 0 and less means that the
// server takes no new clients.
func (s *Server) SetWeight(weight int) {
	s.adjust(func() { s.weight.Store(clamp(weight)) })
}

// SetMaxConn sets the limit on slots until a reload changes it; 0 and less means
// no limit. Lowering it below the slots in use takes none away: the server gets no
// new client until enough have left.
func (s *Server) SetMaxConn(n int) {
	s.adjust(func() { s.maxConn.Store(clamp(n)) })
}

// clamp brings a weight or limit into the range that the pool calculates in.
func clamp(n int) int32 { return int32(min(max(n, 0), math.MaxInt32/weightScale)) }

// commit is the one place where a server's state changes: health, admin and the
// server's own request are separate inputs, update applies one of them. Observers are notified and
// waiters served before it returns.
func (s *Server) commit(update func(*State)) {
	p := s.pool
	p.mu.Lock()
	if !s.change(update) {
		p.mu.Unlock()
		return
	}
	grants := p.balancer.grantAll()
	p.mu.Unlock()
	p.changes.deliver()
	deliver(grants)
}

// change is commit under the lock, without what comes after it. It reports whether
// anything changed.
func (s *Server) change(update func(*State)) bool {
	p, old := s.pool, s.State()
	st := old
	update(&st)
	if !st.Draining() {
		st.Emptied = time.Time{}
	}
	if st == old {
		return false
	}
	s.state.Store(&st)
	p.changes.add(change{server: s, old: old, new: st})
	p.balancer.refresh(s)
	if m := p.balancer.members.of(s); m != nil && returned(old, st) {
		p.balancer.slowStart.start(m)
	}
	return true
}

// Why a server is in maintenance, or not any more, by its key disabled.
const (
	reasonDisabled = "disabled in the configuration"
	reasonEnabled  = "no longer disabled in the configuration"
)

// disable puts a change of the server's key disabled in force: into maintenance, or
// out of it. A server that the operator drains stays drained.
func (st *State) disable(disabled bool, now time.Time) {
	switch {
	case disabled && st.Admin != Maint:
		st.Admin, st.AdminReason, st.AdminSince = Maint, reasonDisabled, now
	case !disabled && st.Admin == Maint:
		st.Admin, st.AdminReason, st.AdminSince = Ready, reasonEnabled, now
	}
}

// adjust sets one of the server's numbers.
func (s *Server) adjust(set func()) {
	p := s.pool
	p.mu.Lock()
	set()
	p.balancer.refresh(s)
	grants := p.balancer.grantAll()
	p.mu.Unlock()
	deliver(grants)
}

// change is a committed change of a server's state.
type change struct {
	server   *Server
	old, new State
}

// notifier notifies observers of changes, in their order, one at a time. Its
// zero value has no observers.
type notifier struct {
	mu         sync.Mutex // taken after Pool.mu; not held while observers run
	observers  []func(s *Server, old, new State)
	pending    []change
	delivering bool // a goroutine is delivering
}

func (n *notifier) observe(f func(s *Server, old, new State)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.observers = append(n.observers, f)
}

// add appends a change, which the next deliver delivers. The caller holds
// Pool.mu, so changes come in the order of their commits.
func (n *notifier) add(c change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending = append(n.pending, c)
}

// deliver notifies the observers of every pending change. If another goroutine
// is delivering, that one does it.
func (n *notifier) deliver() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.delivering {
		return
	}
	n.delivering = true
	for len(n.pending) > 0 {
		batch, observers := n.pending, n.observers
		n.pending = nil
		n.mu.Unlock()
		for _, c := range batch {
			for _, f := range observers {
				f(c.server, c.old, c.new)
			}
		}
		n.mu.Lock()
	}
	n.delivering = false
}
