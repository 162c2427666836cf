package backend

import (
	"net/netip"
	"sync/atomic"

	"mcplb/conf"
)

// Counters are what one event loop counts for one server. Each field is a
// monotonic count since the server was created; the loop adds, anybody may
// read. The padding keeps loops off each other's cache lines.
type Counters struct {
	Connections     atomic.Uint64 // connections to the server that were established
	BytesIn         atomic.Uint64 // bytes from clients, sent to the server
	BytesOut        atomic.Uint64 // bytes from the server, sent to clients
	MessagesIn      atomic.Uint64 // messages from clients
	MessagesOut     atomic.Uint64 // messages from the server
	ConnectErrors   atomic.Uint64 // connects that were refused or failed otherwise, timeouts not among them
	ConnectTimeouts atomic.Uint64 // connects given up after timeout_connect
	Retries         atomic.Uint64 // further attempts on this server after a failed connect
	Redispatches    atomic.Uint64 // attempts that left this server for another after a failed connect
	Resets          atomic.Uint64 // established connections that the server reset
	Timeouts        atomic.Uint64 // requests that the server did not answer within timeout_server
	ClientAborts    atomic.Uint64 // connections that the client broke off
	Aborts          atomic.Uint64 // connections that the balancer ended: server down, limits, shutdown
	Responses       Classes       // answers of mode http, by the class of their status
	Connect         Histogram     // how long connecting took, where it succeeded
	Response        Histogram     // mode http: from the request forwarded to the head of its answer
	_               [88]byte
}

// CountOutcome counts how the use of a slot of the server ended. A use that ran
// to its end is not counted here.
func (c *Counters) CountOutcome(o Outcome) {
	switch o {
	case Refused, Unreachable:
		c.ConnectErrors.Add(1)
	case ConnectTimeout:
		c.ConnectTimeouts.Add(1)
	case ServerReset:
		c.Resets.Add(1)
	case ServerTimeout:
		c.Timeouts.Add(1)
	case ClientAbort:
		c.ClientAborts.Add(1)
	case Aborted:
		c.Aborts.Add(1)
	}
}

// Classes counts answers by the class of their status: [2] is 2xx; [0] is not
// used.
type Classes [6]atomic.Uint64

// ClassName returns what a class of statuses, 1 to 5, is called: "2xx".
func ClassName(class int) string { return string(rune('0'+class)) + "xx" }

// Totals is the sum of a server's Counters over all loops, field by field.
type Totals struct {
	Connections, BytesIn, BytesOut, MessagesIn, MessagesOut uint64
	ConnectErrors, ConnectTimeouts, Retries, Redispatches   uint64
	Resets, Timeouts, ClientAborts, Aborts                  uint64
	Responses                                               [6]uint64
	Connect, Response                                       Latency
}

// Identity is what makes a server of a pool the same one after a reload or in
// another process.
type Identity struct {
	Name      string
	Addresses Addresses
}

// Server is one server of a Pool. Its identity, name and addresses, never
// changes; a server whose address changes is another Server. Everything else
// may be read and set at any time by any goroutine, also after a reload removed
// the server; reading takes no lock, except for EffectiveWeight.
type Server struct {
	pool     *Pool
	id       Identity
	counters []Counters // by loop

	state   atomic.Pointer[State]
	weight  atomic.Int32
	maxConn atomic.Int32
	conns   atomic.Int32
	peak    atomic.Int32
	gone    atomic.Bool // a reload removed it

	// Guarded by pool.mu.
	member         int      // index in the pool's members, or removed
	bound          waitList // the waiters for this server and no other
	conf           conf.Server
	predecessor    *Server // of this name, with other addresses, until it is replaced
	degradedReason string  // of the last SetDegraded that said so
}

// removed is the member of a server that its pool no longer has.
const removed = -1

// Name returns the server's name, unique in its backend.
func (s *Server) Name() string { return s.id.Name }

// Identity returns the server's identity.
func (s *Server) Identity() Identity { return s.id }

// Backend returns the name of the pool that the server belongs to.
func (s *Server) Backend() string { return s.pool.name }

// Pool returns the pool that the server belongs to, or belonged to.
func (s *Server) Pool() *Pool { return s.pool }

// Addr returns the server's address for e. It is invalid (its zero value)
// when the server has none.
func (s *Server) Addr(e conf.Endpoint) netip.AddrPort {
	if i := endpointIndex(e); i >= 0 {
		return s.id.Addresses[i]
	}
	return netip.AddrPort{}
}

// Weight returns the weight in force; 0 means that it takes no new clients.
func (s *Server) Weight() int { return int(s.weight.Load()) }

// EffectiveWeight returns the weight that balancing goes by now: Weight, or less
// during slow start. It is 0 for a server that a reload removed.
func (s *Server) EffectiveWeight() float64 {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	m := s.pool.balancer.members.of(s)
	if m == nil {
		return 0
	}
	return float64(m.effective) / weightScale
}

// MaxConn returns the limit on its slots in force; 0 means no limit.
func (s *Server) MaxConn() int { return int(s.maxConn.Load()) }

// Conns returns the number of slots in use now.
func (s *Server) Conns() int { return int(s.conns.Load()) }

// Peak returns the most slots that were ever in use at once.
func (s *Server) Peak() int { return int(s.peak.Load()) }

// State returns the server's state now.
func (s *Server) State() State { return *s.state.Load() }

// Removed reports whether a reload removed the server: it takes no clients, and
// nothing of it changes any more except that its connections end.
func (s *Server) Removed() bool { return s.gone.Load() }

// Usable reports whether the server takes new clients now: not down, ready,
// and of a weight above zero. A degraded server and one without a free slot
// are usable.
func (s *Server) Usable() bool { return s.state.Load().TakesNew() && s.Weight() > 0 }

// Counters returns what the given event loop counts for the server. Loops are
// numbered from 0 to one less than NewPool's loops; any other number panics.
func (s *Server) Counters(loop int) *Counters { return &s.counters[loop] }

// Totals returns the sum over all loops at about this moment: while loops
// count, its fields are not of one instant.
func (s *Server) Totals() Totals {
	var t Totals
	for i := range s.counters {
		c := &s.counters[i]
		t.Connections += c.Connections.Load()
		t.BytesIn += c.BytesIn.Load()
		t.BytesOut += c.BytesOut.Load()
		t.MessagesIn += c.MessagesIn.Load()
		t.MessagesOut += c.MessagesOut.Load()
		t.ConnectErrors += c.ConnectErrors.Load()
		t.ConnectTimeouts += c.ConnectTimeouts.Load()
		t.Retries += c.Retries.Load()
		t.Redispatches += c.Redispatches.Load()
		t.Resets += c.Resets.Load()
		t.Timeouts += c.Timeouts.Load()
		t.ClientAborts += c.ClientAborts.Load()
		t.Aborts += c.Aborts.Load()
		for class := range c.Responses {
			t.Responses[class] += c.Responses[class].Load()
		}
		t.Connect.Add(&c.Connect)
		t.Response.Add(&c.Response)
	}
	return t
}

// setConns publishes the number of slots in use. The caller holds pool.mu.
func (s *Server) setConns(n int32) {
	s.conns.Store(n)
	if n > s.peak.Load() {
		s.peak.Store(n)
	}
}
