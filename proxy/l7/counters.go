//go:build linux

package l7

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"mcplb/backend"
	"mcplb/proxy/http1"
	"mcplb/proxy/l4"
	"mcplb/proxy/mcp"
)

// Counters are what one loop has counted for one frontend. Only that loop
// adds; anybody may read.
type Counters struct {
	Taken       l4.Counters                     // of clients' connections and their bytes; messages are requests
	Requests    atomic.Uint64                   // whose head was read whole
	Status      [6]atomic.Uint64                // answers by class: [2] is 2xx; those of the balancer's own among them
	Own         [own]atomic.Uint64              // answers of the balancer's own, by why
	Malformed   [http1.NumReasons]atomic.Uint64 // requests refused as malformed, by what is wrong
	Eras        [mcp.NumEras]atomic.Uint64      // JSON-RPC requests by era
	Methods     [mcp.NumMethods]atomic.Uint64   // requests by Mcp-Method; those without it are not counted
	WithSession atomic.Uint64                   // requests that bore an MCP session
	Opened      atomic.Uint64                   // MCP sessions that servers opened
	Tunnels     atomic.Uint64                   // connections that became WebSockets
	BadFrames   atomic.Uint64                   // WebSockets that ended for a malformed frame of the client's
	Zipped      atomic.Uint64                   // answers compressed
}

// countRequest counts the request whose head is parsed.
func (c *client) countRequest(head *http1.RequestHead) {
	c.counters.Requests.Add(1)
	c.counters.Taken.MessagesIn.Add(1)
	era := mcp.EraSession
	if c.exchange.flags&modern != 0 {
		era = mcp.EraStateless
	}
	if c.exchange.flags&rpc != 0 {
		c.counters.Eras[era].Add(1)
	}
	if head.Has(http1.HeaderMcpMethod) {
		c.counters.Methods[mcp.MethodOf(head.Get(http1.HeaderMcpMethod))].Add(1)
	}
}

// countAnswer counts the server's answer whose head is parsed, and how long the
// server took.
func (c *client) countAnswer(head *http1.ResponseHead) {
	x := &c.exchange
	class := head.Status / 100
	c.counters.Status[class].Add(1)
	c.counters.Taken.MessagesOut.Add(1)
	figures := &x.origin.figures
	figures.status[class].Add(1)
	figures.latency.add(c.worker.loop.Now() - x.sent)
}

// countSent counts bytes of a request's body on their way to the server.
func (c *client) countSent(n int) { c.exchange.origin.counters.BytesIn.Add(uint64(n)) }

// countOutcome notes with a server how the use of a slot of it ended.
func countOutcome(counters *backend.Counters, outcome backend.Outcome) {
	switch outcome {
	case backend.Refused, backend.Unreachable:
		counters.ConnectErrors.Add(1)
	case backend.ConnectTimeout:
		counters.ConnectTimeouts.Add(1)
	case backend.ServerReset:
		counters.Resets.Add(1)
	case backend.ClientAbort:
		counters.ClientAborts.Add(1)
	case backend.Aborted:
		counters.Aborts.Add(1)
	}
}

// Totals are a frontend's counters, summed over the loops. The zero values are
// there, so that every label exists from the start; but Methods has those only
// that were met.
type Totals struct {
	l4.Totals
	Requests    uint64
	Status      map[string]uint64 // by class: "2xx"
	Own         map[string]uint64 // by Why
	Malformed   map[string]uint64 // by http1.Reason
	Eras        map[string]uint64 // by mcp.Era
	Methods     map[string]uint64 // by mcp.Method
	WithSession uint64
	Opened      uint64
	Tunnels     uint64
	BadFrames   uint64
	Zipped      uint64
}

// Totals sums the frontend's counters.
func (f *Frontend) Totals() Totals {
	t := Totals{
		Totals: l4.NewTotals(), Status: map[string]uint64{}, Own: map[string]uint64{},
		Malformed: map[string]uint64{}, Eras: map[string]uint64{}, Methods: map[string]uint64{},
	}
	for i := range f.counters {
		t.add(&f.counters[i])
	}
	return t
}

func (t *Totals) add(c *Counters) {
	t.Totals.Add(&c.Taken)
	t.Requests += c.Requests.Load()
	t.WithSession += c.WithSession.Load()
	t.Opened += c.Opened.Load()
	t.Tunnels += c.Tunnels.Load()
	t.BadFrames += c.BadFrames.Load()
	t.Zipped += c.Zipped.Load()
	for class := 1; class < len(c.Status); class++ {
		t.Status[className(class)] += c.Status[class].Load()
	}
	for why := range own {
		t.Own[why.String()] += c.Own[why].Load()
	}
	for reason := http1.ReasonNone + 1; reason < http1.NumReasons; reason++ {
		t.Malformed[reason.String()] += c.Malformed[reason].Load()
	}
	for era := range mcp.NumEras {
		t.Eras[era.String()] += c.Eras[era].Load()
	}
	for method := range mcp.NumMethods {
		if n := c.Methods[method].Load(); n > 0 {
			t.Methods[method.String()] += n
		}
	}
}

// className is what a class of statuses is called.
func className(class int) string { return string(rune('0'+class)) + "xx" }

// figures are what one loop has measured of one server's answers. Only that
// loop adds; anybody may read.
type figures struct {
	status  [6]atomic.Uint64 // by class
	latency histogram
}

// ServerTotals are what the http frontends have measured of one server, over
// all loops.
type ServerTotals struct {
	Status  map[string]uint64 // answers by class: "2xx"
	Latency Latency           // from the request forwarded to the head of its answer
	Idle    int               // kept-alive connections that wait to be used
}

// Server sums what was measured of a server. Any goroutine may call it.
func (ws Workers) Server(server *backend.Server) ServerTotals {
	t := ServerTotals{Status: map[string]uint64{}}
	for class := 1; class < 6; class++ {
		t.Status[className(class)] = 0
	}
	for _, w := range ws {
		w.mu.Lock()
		o := w.origins[server]
		w.mu.Unlock()
		if o == nil {
			continue
		}
		for class := 1; class < len(o.figures.status); class++ {
			t.Status[className(class)] += o.figures.status[class].Load()
		}
		t.Latency.add(&o.figures.latency)
		t.Idle += int(o.waits.Load())
	}
	return t
}

// histogram counts durations by their size in microseconds, in buckets that are
// no wider than an eighth of what they hold: one each up to 16, and then eight
// for every power of two, up to 19 hours.
type histogram [buckets]atomic.Uint64

const (
	fineBits = 3
	exact    = 2 << fineBits // below it, each microsecond has its bucket
	mostBits = 36
	buckets  = (mostBits - fineBits + 1) << fineBits
)

// add counts a duration of so many nanoseconds.
func (h *histogram) add(nanoseconds int64) {
	h[bucketOf(uint64(max(nanoseconds, 0))/1000)].Add(1)
}

// bucketOf is the bucket of a duration in microseconds.
func bucketOf(us uint64) int {
	us = min(us, 1<<mostBits-1)
	if us < exact {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - fineBits
	return shift<<fineBits + int(us>>shift)
}

// floorOf is the smallest duration of a bucket, in microseconds; that of the
// one behind the last is where the last ends.
func floorOf(bucket int) uint64 {
	if bucket < exact {
		return uint64(bucket)
	}
	shift := bucket>>fineBits - 1
	return uint64(bucket&(1<<fineBits-1)|1<<fineBits) << shift
}

// Latency is how long something took, many times. The zero value is none.
type Latency struct {
	counts [buckets]uint64
	total  uint64
}

func (l *Latency) add(h *histogram) {
	for i := range h {
		n := h[i].Load()
		l.counts[i] += n
		l.total += n
	}
}

// Count is how many there were.
func (l *Latency) Count() uint64 { return l.total }

// Below is how many took less than d, as exactly as an eighth of d.
func (l *Latency) Below(d time.Duration) uint64 {
	n := uint64(0)
	for i := 0; i < buckets && floorOf(i+1) <= uint64(max(d.Microseconds(), 0)); i++ {
		n += l.counts[i]
	}
	return n
}

// Quantile is the time within which the given part of them was done, such as
// 0.99: exactly but for an eighth of it. It is 0 where there were none.
func (l *Latency) Quantile(part float64) time.Duration {
	rank := uint64(math.Ceil(min(max(part, 0), 1) * float64(l.total)))
	rank = max(rank, 1)
	for i, n := range l.counts {
		if n < rank {
			rank -= n
			continue
		}
		floor, ceiling := float64(floorOf(i)), float64(floorOf(i+1))
		us := floor + (ceiling-floor)*float64(rank)/float64(n)
		return time.Duration(us * float64(time.Microsecond))
	}
	return 0
}
