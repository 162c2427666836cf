package backend

import (
	"net/netip"

	"mcplb/conf"
)

// Request says what a client needs of a pool. The pool reads it during Acquire
// and keeps no reference to it, nor to Tried.
type Request struct {
	Source   netip.Addr    // the client, whose /64 is the source if it is IPv6; without it, policy source balances as leastconn does
	Balance  conf.Balance  // the policy; "" = the backend's
	Key      uint64        // a hash by which to choose instead of by policy: the same server everywhere, nothing remembered; 0 = none
	Endpoint conf.Endpoint // which address is wanted; "" = any
	Tried    []*Server     // tried for this client in vain: not chosen again while another is usable
	Stay     bool          // of a connection that cannot move to a new process (Suspend)
	Bound    *Server       // the server that the client is bound to, taken even while it drains; nil = none
	Now      int64         // monotonic nanoseconds, the caller's cached clock
}

// Waiter waits for a slot. It must be comparable (a pointer).
type Waiter interface {
	// Granted hands over the slot waited for. It is called exactly once for
	// each Acquire that returned Queued, unless Cancel returned true: by the
	// goroutine that freed the slot, outside all locks. It must not block.
	Granted(Slot)
}

// Result is the outcome of Acquire.
type Result uint8

// The values of Result.
const (
	NoServer Result = iota // no server is usable for the request
	Granted                // the slot is the caller's
	Queued                 // every usable server is full; the waiter is in the queue
	Full                   // every usable server is full and there was no waiter to queue
)

// String returns the lower-case words that logs show.
func (r Result) String() string {
	return word([]string{"no server", "granted", "queued", "full"}, int(r))
}

// Outcome says how the use of a slot ended.
type Outcome uint8

// The values of Outcome.
const (
	Completed      Outcome = iota // the connection or exchange ran to its end
	Refused                       // the connect was refused (ECONNREFUSED)
	ConnectTimeout                // the connect took longer than timeout_connect
	Unreachable                   // the connect failed otherwise
	ServerReset                   // the server reset the established connection
	ServerTimeout                 // the server was silent for longer than its timeout
	ClientAbort                   // the client broke off
	Aborted                       // the balancer ended it: server down, limits, shutdown
)

// String returns the lower-case words that logs show.
func (o Outcome) String() string {
	return word([]string{"completed", "refused", "connect timeout", "unreachable",
		"server reset", "server timeout", "client abort", "aborted"}, int(o))
}

// Slot is the right to one slot of one server, to be given back by Release. Its
// zero value is no slot. It is a small value with one owner: of its copies only
// one may be used. It is not safe for concurrent use.
type Slot struct {
	server *Server
	entry  ref // the sticky memory that counts the connection; none for most policies
	use    Use
}

// Use is what a slot is used for, for operators: what is open for long, and is in
// the way of a server that drains.
type Use uint8

// The values of Use.
const (
	Plain  Use = iota // a TCP connection, or an HTTP exchange that ends soon
	Stream            // an HTTP response that is an event stream
	Tunnel            // a WebSocket
	numUses
)

// SetUse says what the slot is used for from now on, until it is given back.
func (s *Slot) SetUse(u Use) {
	if s.server == nil || s.use == u {
		return
	}
	s.count(-1)
	s.use = u
	s.count(1)
}

// count adds to the number of slots in the same use.
func (s *Slot) count(n int32) {
	if s.use != Plain {
		s.server.uses[s.use].Add(n)
	}
}

// Server returns the server whose slot it is, nil for no slot.
func (s *Slot) Server() *Server { return s.server }

// Entry is the name of the connection's entry in the sticky memory, for Handover;
// 0 = none.
func (s *Slot) Entry() uint32 { return uint32(s.entry) }

// Moved gives up a slot whose connection, and with it the slot, another process has
// now: it is not free. It is no slot afterwards.
func (s *Slot) Moved(now int64) {
	if server := s.server; server != nil {
		s.count(-1)
		server.pool.moved(server, s.entry, now)
		*s = Slot{}
	}
}

// Release gives the slot back and reports to the pool's observer how its use
// ended. It is no slot afterwards, so releasing it again does nothing. The freed
// slot may go to a waiter, whose Granted is called before Release returns. now
// is the caller's cached monotonic clock, in nanoseconds.
func (s *Slot) Release(o Outcome, now int64) {
	server, entry := s.server, s.entry
	if server == nil {
		return
	}
	s.count(-1)
	*s = Slot{}
	if server.pool.observe != nil {
		server.pool.observe(server, o)
	}
	server.pool.release(server, entry, now)
}
