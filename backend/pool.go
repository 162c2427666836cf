package backend

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"mcplb/conf"
)

// Pool is the servers of one backend and the rules by which clients are spread
// over them. All methods may be called by any goroutine at any time.
type Pool struct {
	name    string
	loops   int
	observe func(*Server, Outcome) // set before use; nil = nobody looks

	config     atomic.Pointer[conf.Backend]
	servers    atomic.Pointer[[]*Server]
	queued     atomic.Int64
	queuedPeak atomic.Int64 // the most there ever were

	reloading sync.Mutex // held through Apply, taken before mu

	// mu guards everything below, and the fields of Server that say so. It is
	// never held while foreign code runs.
	mu        sync.Mutex
	slots     []slot
	leaving   []*Server // removed, with connections, when last looked at
	names     []string  // by slot, of its server; kept after that was removed
	clock     int64     // the latest monotonic time that a caller named
	balance   conf.Balance
	factor    float64
	sticky    int64 // sticky_time in nanoseconds; 0 = no limit
	slowStart int64 // in nanoseconds; 0 = off
	ramping   int   // slots whose slow start is under way
	turn      int   // leastconn: where ties are broken next
	rng       *rand.Rand
	memory    memory
	queue     queue
	frozen    bool    // no slot is given away: another process takes over
	homes     []int32 // scratch: slots that may be a source's home
	others    []int32 // scratch: slots that may take a source in

	onChange   []func(s *Server, old, new State)
	changes    []change // committed and not yet told
	delivering bool     // a goroutine is telling them, in order
}

// slot is a server's place in the pool: what balancing needs to know of it,
// side by side in memory. A slot outlives its server for as long as sources
// remember it, so that the server finds them again if it returns. It fills one
// cache line.
type slot struct {
	server    *Server   // nil: removed from the configuration
	hash      uint64    // of the server's name, for rendezvous hashing; kept after it was removed
	ramp      int64     // when slow start began; 0 = none under way
	current   int64     // roundrobin: the smooth weighted algorithm's running weight
	conns     int32     // slots in use
	limit     int32     // most slots in use
	weight    int32     // as configured or set by the operator
	effective int32     // weight * weightScale, less during slow start
	endpoints endpoints // which addresses the server has
	tier      tier      // how welcome the server is to new clients
	counts    bool      // sources may have their home here, be the server up or down

	// Of policy source.
	attributed int32 // live connections, wherever they are, of sources at home here
	residents  *residents
}

// residents counts the entries of the sticky memory that name a slot. The first
// entry of a source stands for the source.
type residents struct {
	sources  int32 // first entries whose home this is
	live     int32 // of these, those with connections
	grown    int32 // of these, those as large as their peers were when they came
	entries  int32 // all entries whose home this is
	expected int32 // their connections, soon: entry.expected
	guests   int32 // entries that take refuge here
	refugees int32 // the places (peaks) of these
}

// tier orders servers by how welcome they are to new clients.
type tier uint8

const (
	unusable tier = iota
	suspect       // only where no good one can be had
	good
)

// none is the index of no slot.
const none = -1

// NewPool makes a pool of c's servers, none of them checked yet, for event
// loops numbered from 0 to loops-1. It resolves every address once, by
// resolve, and fails if one cannot be resolved.
func NewPool(c conf.Backend, loops int, resolve func(hostport string) (netip.AddrPort, error)) (*Pool, error) {
	if loops < 1 {
		return nil, fmt.Errorf("backend %s: %d event loops, at least 1 is needed", c.Name, loops)
	}
	p := &Pool{
		name:  c.Name,
		loops: loops,
		rng:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	p.memory.init(maxEntries)
	p.queue.init()
	p.servers.Store(&[]*Server{})
	if _, err := p.Apply(c, resolve); err != nil {
		return nil, err
	}
	return p, nil
}

// Name returns the backend's name.
func (p *Pool) Name() string { return p.name }

// Config returns the configuration in force, as last applied: what the
// operator set at run time is not in it.
func (p *Pool) Config() conf.Backend { return *p.config.Load() }

// Servers returns the servers in the order of the configuration. It is an
// immutable snapshot: the caller must not change it.
func (p *Pool) Servers() []*Server { return *p.servers.Load() }

// Queued returns how many wait for a slot now.
func (p *Pool) Queued() int { return int(p.queued.Load()) }

// Usable returns how many servers take new clients now.
func (p *Pool) Usable() int {
	n := 0
	for _, s := range p.Servers() {
		if s.Usable() {
			n++
		}
	}
	return n
}

// Observe has f called with the outcome of every released lease, before its
// slot is free for others: so evidence against a server counts before the next
// client is sent there. f is called outside all locks and must not block. It
// must be set before the pool is used, once.
func (p *Pool) Observe(f func(*Server, Outcome)) { p.observe = f }

// OnChange has f called after every committed change of a server's state, in
// the order of the changes, one at a time, outside all locks: f may use the
// pool. Functions are called in the order in which they were given.
func (p *Pool) OnChange(f func(s *Server, old, new State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onChange = append(p.onChange, f)
}

// Acquire chooses a server for r and takes one of its slots. It never blocks.
//
//	Granted   the lease holds the slot, until Release
//	Queued    all usable servers are full; w.Granted will bring the lease,
//	          unless Cancel takes w out of the queue first
//	Full      as Queued, but w is nil
//	NoServer  no usable server has the endpoint
//
// A waiter waits for one slot at a time.
func (p *Pool) Acquire(r *Request, w Waiter) (Slot, Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(r.Now)
	c := choice{slot: none}
	if !p.frozen || r.Stay {
		c = p.choose(r)
	} else if s := r.Bound; s != nil && p.takesBound(s, &filter{endpoints: endpointSet(r.Endpoint)}) {
		c.bound = s
	}
	switch {
	case c.slot != none:
		return p.take(&c), Granted
	case c.bound == nil && !p.another(&filter{endpoints: endpointSet(r.Endpoint)}):
		return Slot{}, NoServer
	case w == nil:
		return Slot{}, Full
	}
	p.queue.push(r, w, c.bound)
	p.queued.Store(int64(p.queue.len()))
	p.queuedPeak.Store(max(p.queuedPeak.Load(), int64(p.queue.len())))
	return Slot{}, Queued
}

// Cancel takes w out of the queue and reports whether it was there. If it was
// not, it has been granted, is being granted this moment, or was never queued.
func (p *Pool) Cancel(w Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.queue.cancel(w)
	p.queued.Store(int64(p.queue.len()))
	return found
}

// choice is a server chosen, or none, and what is to be done about it when it
// is taken.
type choice struct {
	slot  int
	bound *Server // the full server that the request is bound to, if slot is none
	plan  plan    // policy source only
}

// filter says which slots a request may use now.
type filter struct {
	endpoints endpoints
	tier      tier
	tried     []*Server
}

// open reports whether a request may have a slot of slots[i] now.
func (p *Pool) open(i int, f *filter) bool {
	sl := &p.slots[i]
	return sl.tier == f.tier && sl.endpoints&f.endpoints != 0 && sl.conns < sl.limit &&
		(len(f.tried) == 0 || !slices.Contains(f.tried, sl.server))
}

// another reports whether there is a usable server that f admits, full or not.
func (p *Pool) another(f *filter) bool {
	for i := range p.slots {
		sl := &p.slots[i]
		if sl.tier != unusable && sl.endpoints&f.endpoints != 0 && !slices.Contains(f.tried, sl.server) {
			return true
		}
	}
	return false
}

// choose picks a slot for r: the bound server's, or by policy one of a good
// server, else of a suspect one. Servers tried before come last, once no
// other is usable at all.
func (p *Pool) choose(r *Request) choice {
	f := filter{endpoints: endpointSet(r.Endpoint), tried: r.Tried}
	if s := r.Bound; s != nil && p.takesBound(s, &f) {
		if sl := &p.slots[s.slot]; sl.conns < sl.limit {
			return choice{slot: s.slot}
		}
		return choice{slot: none, bound: s}
	}
	c := choice{}
	policy := p.policy(r)
	if policy == conf.BalanceSource {
		c.plan = p.planFor(r, f.endpoints)
	}
	p.pick(&c, policy, &f)
	if c.slot == none && len(f.tried) > 0 && !p.another(&f) {
		f.tried = nil
		p.pick(&c, policy, &f)
	}
	return c
}

// takesBound reports whether s takes a client that is bound to it.
func (p *Pool) takesBound(s *Server, f *filter) bool {
	return s.pool == p && s.slot != removed && s.State().TakesBound() &&
		s.endpoints&f.endpoints != 0 && !slices.Contains(f.tried, s)
}

// policy returns the policy that r is balanced by.
func (p *Pool) policy(r *Request) conf.Balance {
	if r.Key != 0 {
		return conf.BalanceSource // as with balance_factor 0
	}
	policy := r.Balance
	if policy == "" {
		policy = p.balance
	}
	if policy == conf.BalanceSource && !r.Source.IsValid() {
		return conf.BalanceLeastConn
	}
	return policy
}

// pick sets c.slot to what the policy prefers among the slots that f admits.
func (p *Pool) pick(c *choice, policy conf.Balance, f *filter) {
	for f.tier = good; f.tier != unusable; f.tier-- {
		switch policy {
		case conf.BalanceSource:
			c.slot = p.source(&c.plan, f)
		case conf.BalanceRoundRobin:
			c.slot = p.roundRobin(f)
		case conf.BalanceRandom:
			c.slot = p.random(f)
		default:
			c.slot = p.leastConn(f)
		}
		if c.slot != none {
			return
		}
	}
}

// take takes the slot chosen.
func (p *Pool) take(c *choice) Slot {
	sl := &p.slots[c.slot]
	sl.conns++
	sl.server.setConns(sl.conns)
	return Slot{server: sl.server, entry: p.settle(&c.plan, c.slot)}
}

// release gives back a slot of s, and the place that the connection had in the
// sticky memory. It hands the slot to the first waiter that may use it.
func (p *Pool) release(s *Server, e ref, now int64) {
	p.mu.Lock()
	p.advance(now)
	p.disconnect(e)
	s.setConns(s.conns.Load() - 1)
	var g grant
	if s.slot != removed {
		p.slots[s.slot].conns--
		g = p.grant(s.slot)
	}
	p.mu.Unlock()
	g.tell()
}

// advance brings to now what changes with time alone.
func (p *Pool) advance(now int64) {
	if now > p.clock {
		p.clock = now
	}
	if p.ramping > 0 {
		p.rampUp()
	}
	p.expire()
}
