package backend

import "net/netip"

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
	tried     []*Server
}

// begin makes s the search for r, without a plan.
func (s *search) begin(r *Request) {
	s.endpoints, s.tried = endpointSet(r.Endpoint), r.Tried
	s.source, s.key = r.Source, r.Key
	s.plan = plan{}
}

// end drops the references to the request.
func (s *search) end() {
	s.tried, s.source = nil, netip.Addr{}
}
