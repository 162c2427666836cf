package l4

import "mcplb/proxy/metrics"

// Counters are what one loop has counted for one frontend. The loop adds; any
// goroutine may read.
type Counters struct {
	Sessions    metrics.Counter          // begun
	Ended       [reasons]metrics.Counter // sessions that ended, by Reason
	BytesIn     metrics.Counter          // from clients
	BytesOut    metrics.Counter          // to clients
	MessagesIn  metrics.Counter          // from clients; mode mcp
	MessagesOut metrics.Counter          // to clients, except those spliced; mode mcp
	Delayed     metrics.Counter          // times that the message rate paused reading
	Rejected    metrics.Counter          // messages that the message rate answered with an error
	Connect     metrics.Timing           // connects that succeeded
	Queue       metrics.Timing           // waits for a slot that succeeded
	_           [64]byte                 // keeps the counters of two loops on different cache lines
}

// Visit implements metrics.Set.
func (c *Counters) Visit(v metrics.Visitor) {
	v.Counter("Sessions", &c.Sessions)
	v.Counters("Ended", c.Ended[:])
	v.Counter("BytesIn", &c.BytesIn)
	v.Counter("BytesOut", &c.BytesOut)
	v.Counter("MessagesIn", &c.MessagesIn)
	v.Counter("MessagesOut", &c.MessagesOut)
	v.Counter("Delayed", &c.Delayed)
	v.Counter("Rejected", &c.Rejected)
	c.Connect.Visit("Connect", v)
	c.Queue.Visit("Queue", v)
}

// ClearPeaks resets the maxima. Any goroutine may call it.
func (c *Counters) ClearPeaks() {
	c.Connect.ResetMax()
	c.Queue.ResetMax()
}

// Totals are the sums of a frontend's counters over the loops.
type Totals struct {
	Sessions    uint64
	Refused     map[string]uint64 // by Reason
	Ended       map[string]uint64 // by Reason
	BytesIn     uint64
	BytesOut    uint64
	MessagesIn  uint64
	MessagesOut uint64
	Delayed     uint64
	Rejected    uint64
	Connect     metrics.TimingTotal
	Queue       metrics.TimingTotal
}

// NewTotals returns totals of 0, with every reason present.
func NewTotals() Totals {
	t := Totals{Refused: map[string]uint64{}, Ended: map[string]uint64{}}
	for reason := range reasons {
		t.by(reason)[reason.String()] = 0
	}
	return t
}

// by returns the map that counts reason.
func (t *Totals) by(reason Reason) map[string]uint64 {
	if reason.Refusal() {
		return t.Refused
	}
	return t.Ended
}

// Add adds what one loop has counted.
func (t *Totals) Add(c *Counters) {
	t.Sessions += c.Sessions.Load()
	t.BytesIn += c.BytesIn.Load()
	t.BytesOut += c.BytesOut.Load()
	t.MessagesIn += c.MessagesIn.Load()
	t.MessagesOut += c.MessagesOut.Load()
	t.Delayed += c.Delayed.Load()
	t.Rejected += c.Rejected.Load()
	t.Connect.Add(&c.Connect)
	t.Queue.Add(&c.Queue)
	for reason := range reasons {
		t.by(reason)[reason.String()] += c.Ended[reason].Load()
	}
}

// Totals returns the sums of the frontend's counters. Any goroutine may call it.
func (f *Frontend) Totals() Totals {
	t := NewTotals()
	for i := range f.counters {
		t.Add(&f.counters[i])
	}
	return t
}
