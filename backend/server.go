package backend

import (
	"net/netip"
	"sync/atomic"

	"mcplb/backend/servertls"
	"mcplb/conf"
	"mcplb/proxy/metrics"
)

// Counters are what one event loop counts for one server since the server was
// created. The loop adds; any goroutine may read. The padding keeps the counters
// of two loops on different cache lines.
type Counters struct {
	Connections     metrics.Counter   // connections to the server that were established
	BytesIn         metrics.Counter   // bytes from clients, sent to the server
	BytesOut        metrics.Counter   // bytes from the server, sent to clients
	MessagesIn      metrics.Counter   // messages from clients
	MessagesOut     metrics.Counter   // messages from the server
	ConnectErrors   metrics.Counter   // connects that were refused or failed otherwise, except by timeout
	ConnectTimeouts metrics.Counter   // connects given up after timeout_connect
	Retries         metrics.Counter   // further attempts on this server after a failed connect
	Redispatches    metrics.Counter   // attempts that left this server for another after a failed connect
	Resets          metrics.Counter   // established connections that the server reset
	Timeouts        metrics.Counter   // requests that the server did not answer within timeout_server
	ClientAborts    metrics.Counter   // connections that the client broke off
	Aborts          metrics.Counter   // connections that the balancer ended: server down, limits, shutdown
	Responses       Classes           // responses in mode http, by status class
	Handshakes      Handshakes        // of TLS with the server, in connections of clients
	Connect         metrics.Histogram // duration of connects that succeeded
	Response        metrics.Histogram // mode http: from the request forwarded to the response head
	_               [56]byte
}

// Visit implements metrics.Set.
func (c *Counters) Visit(v metrics.Visitor) {
	v.Counter("Connections", &c.Connections)
	v.Counter("BytesIn", &c.BytesIn)
	v.Counter("BytesOut", &c.BytesOut)
	v.Counter("MessagesIn", &c.MessagesIn)
	v.Counter("MessagesOut", &c.MessagesOut)
	v.Counter("ConnectErrors", &c.ConnectErrors)
	v.Counter("ConnectTimeouts", &c.ConnectTimeouts)
	v.Counter("Retries", &c.Retries)
	v.Counter("Redispatches", &c.Redispatches)
	v.Counter("Resets", &c.Resets)
	v.Counter("Timeouts", &c.Timeouts)
	v.Counter("ClientAborts", &c.ClientAborts)
	v.Counter("Aborts", &c.Aborts)
	v.Counters("Responses", c.Responses[:])
	v.Counter("TLSFull", &c.Handshakes.Full)
	v.Counter("TLSResumed", &c.Handshakes.Resumed)
	v.Counters("TLSFailed", c.Handshakes.Failed[:])
	c.Connect.Visit("Connect", v)
	c.Response.Visit("Response", v)
}

// CountOutcome counts how the use of one of the server's slots ended. Completed is
// not counted.
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

// Handshakes counts the TLS handshakes with a server. One that a timeout or a stop cut
// short is not counted.
type Handshakes struct {
	Full    metrics.Counter                        // completed, with a certificate
	Resumed metrics.Counter                        // completed, of an earlier session
	Failed  [servertls.NumFailures]metrics.Counter // by kind
}

// classOther is the status class of 600 to 999, which no standard defines.
const classOther = 6

// Classes counts responses by status class: [2] is 2xx, the last is other; [0] is
// not used.
type Classes [classOther + 1]metrics.Counter

// ClassOf returns the status class of a status from 100 to 999.
func ClassOf(status int) int { return min(status/100, classOther) }

// ClassName returns the name of a status class from 1 to 6, such as "2xx"; that of
// the last is "other".
func ClassName(class int) string {
	if class == classOther {
		return "other"
	}
	return string(rune('0'+class)) + "xx"
}

// Totals is the sum of a server's Counters over all loops, field by field.
type Totals struct {
	Connections, BytesIn, BytesOut, MessagesIn, MessagesOut uint64
	ConnectErrors, ConnectTimeouts, Retries, Redispatches   uint64
	Resets, Timeouts, ClientAborts, Aborts                  uint64
	Responses                                               [classOther + 1]uint64
	FullHandshakes, ResumedHandshakes                       uint64
	FailedHandshakes                                        [servertls.NumFailures]uint64
	Connect, Response                                       metrics.Latency
}

// add adds what one loop has counted.
func (t *Totals) add(c *Counters) {
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
	t.FullHandshakes += c.Handshakes.Full.Load()
	t.ResumedHandshakes += c.Handshakes.Resumed.Load()
	for kind := range c.Handshakes.Failed {
		t.FailedHandshakes[kind] += c.Handshakes.Failed[kind].Load()
	}
	t.Connect.Add(&c.Connect)
	t.Response.Add(&c.Response)
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
// the server; reading takes no lock, except for ConfiguredWeight, EffectiveWeight
// and Backup.
type Server struct {
	pool     *Pool
	id       Identity
	counters []Counters // by loop

	state   atomic.Pointer[State]
	weight  atomic.Int32
	maxConn atomic.Int32
	conns   atomic.Int32
	peak    atomic.Int32
	uses    [numUses]atomic.Int32 // slots by their use; Plain is not counted
	queued  atomic.Int32          // waiters for this server and no other; written with pool.mu held
	gone    atomic.Bool           // a reload removed it

	sessions *sessions // shared with a predecessor, as sessions know names only

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

// Written returns the server's address for e as the configuration has it, host:port; ""
// when the server has none.
func (s *Server) Written(e conf.Endpoint) string {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.conf.Address(e)
}

// Weight returns the weight in force; 0 means that it takes no new clients.
func (s *Server) Weight() int { return int(s.weight.Load()) }

// ConfiguredWeight returns the weight of the configuration.
func (s *Server) ConfiguredWeight() int {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.conf.Weight
}

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

// Backup reports whether the server takes new clients only while no other server of
// its pool is usable.
func (s *Server) Backup() bool {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.conf.Backup
}

// MaxConn returns the limit on its slots in force; 0 means no limit.
func (s *Server) MaxConn() int { return int(s.maxConn.Load()) }

// Conns returns the number of slots in use now.
func (s *Server) Conns() int { return int(s.conns.Load()) }

// Peak returns the most slots that were ever in use at once.
func (s *Server) Peak() int { return int(s.peak.Load()) }

// Used returns the number of slots that are used in a way other than Plain now.
func (s *Server) Used(u Use) int { return int(s.uses[u].Load()) }

// Queued returns how many requests wait for a slot of this server and no other, because
// a session or cookie binds them to it.
func (s *Server) Queued() int { return int(s.queued.Load()) }

// State returns the server's state now.
func (s *Server) State() State { return *s.state.Load() }

// Removed reports whether a reload removed the server: it takes no clients, and
// nothing of it changes any more except that its connections end.
func (s *Server) Removed() bool { return s.gone.Load() }

// Usable reports whether the server takes new clients now: not down, ready,
// and of a weight above zero. A degraded server and one without a free slot
// are usable, and so is a backup server, which takes new clients only while no
// other is.
func (s *Server) Usable() bool { return s.state.Load().TakesNew() && s.Weight() > 0 }

// Counters returns what the given event loop counts for the server. Loops are
// numbered from 0 to one less than NewPool's loops; any other number panics.
func (s *Server) Counters(loop int) *Counters { return &s.counters[loop] }

// Totals returns the sum over all loops. While the loops count, the fields may
// belong to slightly different moments.
func (s *Server) Totals() Totals {
	var t Totals
	for i := range s.counters {
		t.add(&s.counters[i])
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
