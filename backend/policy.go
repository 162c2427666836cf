package backend

import (
	"math/rand/v2"
	"net/netip"

	"mcplb/conf"
)

// policy chooses a server for a request. A pool's lock guards its policies.
type policy interface {
	// prepare takes the decisions about a request that do not depend on which
	// servers have free slots. It is called once for each request.
	prepare(s *search)
	// choose returns the index of the member that the request should have, among
	// those that the search's filter admits, or none if it admits none.
	choose(s *search) int
}

// unprepared is embedded by policies that have nothing to prepare.
type unprepared struct{}

func (unprepared) prepare(*search) {}

// policies has one of each policy and selects the one for a request.
type policies struct {
	balance    conf.Balance // of requests that name none
	leastConn  leastConn
	roundRobin roundRobin
	random     random
	keyedHash  keyedHash
	source     source
}

func (p *policies) init(ms *members, k *sticky) {
	p.leastConn.members = ms
	p.roundRobin.members = ms
	p.random.members, p.random.rng = ms, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	p.keyedHash.members = ms
	p.source.members, p.source.sticky = ms, k
}

// of returns the policy that balances r.
func (p *policies) of(r *Request) policy {
	if r.Key != 0 {
		return &p.keyedHash
	}
	balance := r.Balance
	if balance == "" {
		balance = p.balance
	}
	switch balance {
	case conf.BalanceRoundRobin:
		return &p.roundRobin
	case conf.BalanceRandom:
		return &p.random
	case conf.BalanceSource:
		return p.bySource(r)
	}
	return &p.leastConn
}

// bySource returns the policy that balances r by its source.
func (p *policies) bySource(r *Request) policy {
	switch {
	case !r.Source.IsValid():
		return &p.leastConn
	case p.source.factor == 0:
		return &p.keyedHash
	}
	return &p.source
}

// search is a request for which a server is being chosen. A balancer has one
// and uses it again for each request: policies are called through an interface,
// so a new one would be allocated on the heap each time.
type search struct {
	filter
	source netip.Addr
	key    uint64 // Request.Key
	hash   uint64 // policies by hash: of the source, or the key
	plan   plan   // policy source
}

// filter says which members a request may use now.
type filter struct {
	endpoints endpoints
	tier      tier
	backup    bool // backup servers, since no other is usable; otherwise, no backup server
	tried     []*Server
}

// begin makes s the search for r among ms, without a plan.
func (s *search) begin(r *Request, ms *members) {
	s.endpoints, s.tried = endpointSet(r.Endpoint), r.Tried
	s.backup = !ms.served(s.endpoints)
	s.source, s.key = r.Source, r.Key
	s.plan = plan{server: none}
}

// end drops the references to the request.
func (s *search) end() {
	s.tried, s.source = nil, netip.Addr{}
}
