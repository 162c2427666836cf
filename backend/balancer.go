package backend

import (
	"math"
	"slices"

	"mcplb/conf"
)

// balancer gives the slots of a pool's servers to requests, at once or by way of
// the queue. The pool's lock guards it.
type balancer struct {
	members   members
	slowStart slowStart
	sticky    sticky
	queue     queue
	suspended bool // no slot is given away: a new process takes over

	policies policies
	search   search
}

// init makes b an empty balancer.
func (b *balancer) init() {
	ms := &b.members
	b.slowStart.members = ms
	b.sticky.members, b.sticky.shared.members = ms, ms
	b.sticky.memory.init(maxEntries)
	b.queue.init(ms)
	b.policies.init(ms, &b.sticky)
}

// configure puts c's rules of balancing in force.
func (b *balancer) configure(c *conf.Backend) {
	b.policies.balance = c.Balance
	b.policies.source.factor = c.BalanceFactor
	b.policies.source.failback = c.Failback
	b.sticky.duration = int64(c.StickyTime)
	b.slowStart.duration = int64(c.SlowStart)
}

// remove takes s out of its member, except for what sources remember.
func (b *balancer) remove(s *Server) {
	b.queue.unbind(s)
	b.slowStart.stop(b.members.of(s))
	b.members.vacate(s)
	b.members.changed = true
}

// seat gives every new server a member.
func (b *balancer) seat(servers []*Server) {
	b.members.seat(servers)
	b.policies.source.resize()
}

// refresh brings the member of s to what its state, weight and limit say. The
// caller grants the slots that this opens up.
func (b *balancer) refresh(s *Server) {
	m := b.members.of(s)
	if m == nil {
		return
	}
	st := s.State()
	m.weight = s.weight.Load()
	if !b.suspended { // else Suspend has lowered it
		m.limit = limitOf(s)
	}
	m.share, m.backup = m.weight, s.conf.Backup
	if m.share == 0 {
		m.share = clamp(s.conf.Weight)
	}
	was := m.tier
	m.tier = tierOf(st, m.weight)
	b.members.changed = true
	if m.tier == unusable {
		b.slowStart.stop(m)
	} else if was == unusable {
		m.current = 0
	}
	b.slowStart.update(m)
	if !st.TakesBound() {
		b.queue.unbind(s)
	}
}

// limitOf is the most slots of a server that may be in use.
func limitOf(s *Server) int32 {
	if most := s.maxConn.Load(); most != 0 {
		return most
	}
	return math.MaxInt32
}

func tierOf(st State, weight int32) tier {
	switch {
	case !st.TakesNew() || weight == 0:
		return unusable
	case st.Degraded:
		return degraded
	}
	return good
}

// advance brings to now what changes with time alone.
func (b *balancer) advance(now int64) {
	b.slowStart.advance(now)
	b.sticky.advance(now)
}

// acquire is Pool.Acquire, under the lock.
func (b *balancer) acquire(r *Request, w Waiter) (Slot, Result) {
	b.advance(r.Now)
	b.search.begin(r, &b.members)
	defer b.search.end()
	bound, i := b.boundServer(r), none
	if !b.suspended || r.Stay {
		i = b.choose(r, bound)
	}
	switch {
	case i != none:
		return b.take(i), Granted
	case bound == nil && !b.members.usable(&filter{endpoints: b.search.endpoints, backup: b.search.backup}):
		return Slot{}, NoServer
	case w == nil:
		return Slot{}, Full
	}
	b.queue.push(r, w, bound)
	return Slot{}, Queued
}

// boundServer returns the server that r is bound to if it takes bound clients
// and r may use it, else nil.
func (b *balancer) boundServer(r *Request) *Server {
	s := r.Bound
	if s == nil || &s.pool.balancer != b || s.member == removed || !s.State().TakesBound() ||
		b.members.of(s).endpoints&b.search.endpoints == 0 || slices.Contains(r.Tried, s) {
		return nil
	}
	return s
}

// choose picks a member for r: that of bound, if there is one, else by policy one
// with a good server, else with a degraded one. Servers tried before come last,
// once no other is usable at all.
func (b *balancer) choose(r *Request, bound *Server) int {
	if bound != nil {
		if b.members.of(bound).full() {
			return none
		}
		return bound.member
	}
	policy := b.policies.of(r)
	policy.prepare(&b.search)
	i := b.pick(policy)
	if i == none && len(b.search.tried) > 0 && !b.members.usable(&b.search.filter) {
		b.search.tried = nil
		i = b.pick(policy)
	}
	return i
}

// pick returns the member that the policy chooses among the good ones, else among
// the degraded ones.
func (b *balancer) pick(p policy) int {
	for b.search.tier = good; b.search.tier != unusable; b.search.tier-- {
		if i := p.choose(&b.search); i != none {
			return i
		}
	}
	return none
}

// take takes a slot of a member for the search's request.
func (b *balancer) take(i int) Slot {
	m := &b.members.all[i]
	m.conns++
	m.server.setConns(m.conns)
	return Slot{server: m.server, entry: b.sticky.settle(&b.search.plan)}
}

// release gives back a slot of s, and the place that the connection had in the
// sticky memory. It returns the grant of that slot to the first waiter that may
// use it.
func (b *balancer) release(s *Server, e ref, now int64) grant {
	b.advance(now)
	b.sticky.disconnect(e)
	s.setConns(s.conns.Load() - 1)
	m := b.members.of(s)
	if m == nil {
		return grant{}
	}
	m.conns--
	return b.grant(s.member)
}

// grant takes a free slot of a member for the first waiter that may use it. It
// returns no grant if there is no free slot or no such waiter.
func (b *balancer) grant(i int) grant {
	m := &b.members.all[i]
	if b.queue.len() == 0 || m.full() {
		return grant{}
	}
	n := b.queue.firstFor(m)
	if n == nil {
		return grant{}
	}
	b.search.begin(&n.request, &b.members)
	defer b.search.end()
	if n.request.Bound == nil {
		b.policies.of(&n.request).prepare(&b.search)
	}
	g := grant{waiter: n.waiter, slot: b.take(i)}
	b.queue.remove(n)
	return g
}

// grantAll grants every free slot that a waiter may use, one slot of each server
// in turn. The caller delivers the grants once it holds no lock.
func (b *balancer) grantAll() []grant {
	var grants []grant
	for again := b.queue.len() > 0; again; {
		again = false
		for i := range b.members.all {
			if b.members.all[i].server == nil {
				continue
			}
			if g := b.grant(i); g.waiter != nil {
				grants = append(grants, g)
				again = true
			}
		}
	}
	return grants
}
