package l4

import (
	"math"
	"strings"
	"time"

	"mcplb/backend"
	"mcplb/proxy/clienthello"
	"mcplb/proxy/metrics"
	"mcplb/proxy/session"

	"golang.org/x/sys/unix"
)

// helloTime is how long a ClientHello is awaited. Clients that say nothing so long may be
// waiting for their server to speak first.
const helloTime = 10 * time.Second

// longestKept is how much of a name is kept for log and status, in bytes.
const longestKept = 255

// readHello looks at what the client has sent, until it is known whether it asks for a
// name. Everything stays in the socket: it is the server's, and a new process finds it
// there.
func (s *Session) readHello() {
	c := s.client.Conn
	if s.settings().Names == nil { // since a reload
		s.dispatchTo(s.settings().Pool)
		return
	}
	s.arm()
	if !c.Readable() {
		return
	}
	buffer := s.loop.Scratch()
	n, errno := c.Peek(buffer)
	if errno == unix.EAGAIN {
		return
	}
	name, status := clienthello.Parse(buffer[:n])
	switch more := status == clienthello.Incomplete && n < len(buffer); {
	case errno != 0, n == 0, more && c.HungUp():
		s.clientGone()
	case more:
		c.AwaitMore()
	case status == clienthello.Complete && len(name) > 0:
		s.named(name)
	default:
		s.unnamed()
	}
}

// named continues with a client that asks for a name.
func (s *Session) named(name []byte) {
	route := s.settings().Names.Find(string(name))
	s.name = string(name[:min(len(name), longestKept)])
	s.relay.Log.Asked(s.name)
	s.take(route)
}

// unnamed continues with a client that asks for no name.
func (s *Session) unnamed() {
	if names := s.settings().Names; names != nil {
		s.take(names.Default())
		return
	}
	s.dispatchTo(s.settings().Pool)
}

func (s *Session) take(route *session.NameRoute) {
	route.Taken.Add(1)
	s.dispatchTo(route.Pool)
}

// poolFor is the backend for a client of which is known that it asks for a name, or for
// none ("").
func (s *Session) poolFor(name string) *backend.Pool {
	switch names := s.settings().Names; {
	case names == nil:
		return s.settings().Pool
	case name == "":
		return names.Default().Pool
	default:
		return names.Find(name).Pool
	}
}

// NameCounters are what all loops together have counted for a frontend's routes by SNI.
// They stay when a reload changes the routes: a route is known by its name. Any
// goroutine may use them.
type NameCounters struct {
	taken metrics.Labelled[metrics.Counter]
}

func (c *NameCounters) init() { c.taken.Init(math.MaxInt) }

// bind makes routes count here.
func (c *NameCounters) bind(names *session.NameRoutes) {
	if names == nil {
		return
	}
	for _, r := range names.All {
		r.Taken = c.taken.Get([]byte(r.Name))
	}
}

// countsTaken is the beginning of the counters' names.
const countsTaken = "sni_route/"

// Visit implements metrics.Set.
func (c *NameCounters) Visit(v metrics.Visitor) {
	c.taken.Each(func(name string, n *metrics.Counter) { v.Counter(countsTaken+name, n) })
}

// AddNames implements metrics.Adder.
func (c *NameCounters) AddNames(names []string) {
	for _, name := range names {
		if label, ok := strings.CutPrefix(name, countsTaken); ok {
			c.taken.Get([]byte(label))
		}
	}
}

// Totals are the clients that took each route; nil if the frontend never had any.
func (c *NameCounters) Totals() (taken map[string]uint64) {
	c.taken.Each(func(name string, n *metrics.Counter) {
		if taken == nil {
			taken = map[string]uint64{}
		}
		taken[name] = n.Load()
	})
	return taken
}
