package backend

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"mcplb/conf"
	"mcplb/proxy/metrics"
)

// Health is what the checks say of a server. Its zero value is Unchecked.
type Health uint8

// The values of Health.
const (
	Unchecked Health = iota // nothing is known yet; the server is used as if it were up
	Up
	Down
)

// String returns the lower-case word that status, metrics and logs show.
func (h Health) String() string {
	return word([]string{"unchecked", "up", "down"}, int(h))
}

// Admin is what the operator says of a server. Its zero value is Ready.
type Admin uint8

// The values of Admin.
const (
	Ready Admin = iota // takes clients as its health allows
	Drain              // takes bound clients only: nothing new
	Maint              // takes nothing at all
)

// String returns the lower-case word that status, metrics and logs show.
func (a Admin) String() string {
	return word([]string{"ready", "drain", "maint"}, int(a))
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

// State is a server's state at one moment. It is a value: it does not follow
// later changes. The zero State is that of a server never checked.
type State struct {
	Health      Health
	Admin       Admin
	Suspect     bool      // a check is overdue: chosen only where nothing better is to be had
	Reason      string    // why Health is what it is, in words for the operator; "" until the first verdict
	AdminReason string    // why Admin is what it is, and by whom; "" until first set
	Since       time.Time // when Health or Admin last changed; at first when the server was created
}

// TakesNew reports whether a server in this state takes new clients, if its
// weight is above zero.
func (s State) TakesNew() bool { return s.Health != Down && s.Admin == Ready }

// TakesBound reports whether a server in this state takes clients that are
// bound to it by a session or a cookie, whatever its weight.
func (s State) TakesBound() bool { return s.Health != Down && s.Admin != Maint }

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
	Connect         metrics.Histogram // duration of connects that succeeded
	Response        metrics.Histogram // mode http: from the request forwarded to the response head
	_               [88]byte
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

// Classes counts responses by status class: [2] is 2xx; [0] is not used.
type Classes [6]metrics.Counter

// ClassName returns the name of a status class from 1 to 5, such as "2xx".
func ClassName(class int) string { return string(rune('0'+class)) + "xx" }

// Totals is the sum of a server's Counters over all loops, field by field.
type Totals struct {
	Connections, BytesIn, BytesOut, MessagesIn, MessagesOut uint64
	ConnectErrors, ConnectTimeouts, Retries, Redispatches   uint64
	Resets, Timeouts, ClientAborts, Aborts                  uint64
	Responses                                               [6]uint64
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
	t.Connect.Add(&c.Connect)
	t.Response.Add(&c.Response)
}

// Server is one server of a Pool. Its identity, name and addresses, never
// changes; a server whose address changes is another Server. Everything else
// is read through methods that take no lock and may be called at any time by
// any goroutine, also after a reload removed the server.
type Server struct {
	pool      *Pool
	name      string
	addrs     addresses
	endpoints endpoints
	counters  []Counters // by loop

	state   atomic.Pointer[State]
	weight  atomic.Int32
	maxConn atomic.Int32
	conns   atomic.Int32
	peak    atomic.Int32
	gone    atomic.Bool // a reload took it away

	// Guarded by pool.mu.
	slot   int      // index into pool.slots; removed once a reload took it away
	bound  waitList // who waits for this server and no other
	conf   conf.Server
	before *Server // of this name, with other addresses, until it is replaced
	doubt  string  // the reason of the last suspicion
}

// removed is the slot of a server that its pool no longer has.
const removed = -1

// Name returns the server's name, unique in its backend.
func (s *Server) Name() string { return s.name }

// Backend returns the name of the pool that the server belongs to.
func (s *Server) Backend() string { return s.pool.name }

// Pool returns the pool that the server belongs to, or belonged to.
func (s *Server) Pool() *Pool { return s.pool }

// Addr returns the server's address for e. It is invalid (its zero value)
// when the server has none.
func (s *Server) Addr(e conf.Endpoint) netip.AddrPort {
	if i := endpointIndex(e); i >= 0 {
		return s.addrs[i]
	}
	return netip.AddrPort{}
}

// Weight returns the weight in force; 0 means that it takes no new clients.
func (s *Server) Weight() int { return int(s.weight.Load()) }

// MaxConn returns the limit on its slots in force; 0 means no limit.
func (s *Server) MaxConn() int { return int(s.maxConn.Load()) }

// Conns returns the number of slots in use now.
func (s *Server) Conns() int { return int(s.conns.Load()) }

// Peak returns the most slots that were ever in use at once.
func (s *Server) Peak() int { return int(s.peak.Load()) }

// State returns the server's state now.
func (s *Server) State() State { return *s.state.Load() }

// Removed reports whether a reload took the server away: it takes nobody, and
// nothing of it changes any more but that its connections end.
func (s *Server) Removed() bool { return s.gone.Load() }

// Usable reports whether the server takes new clients now: not down, ready,
// and of a weight above zero. A suspect server and one without a free slot
// are usable.
func (s *Server) Usable() bool { return s.state.Load().TakesNew() && s.Weight() > 0 }

// Counters returns what the given event loop counts for the server. Loops are
// numbered from 0 to one less than what NewPool was told; any other number
// panics.
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
