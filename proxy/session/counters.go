package session

import (
	"sync/atomic"
	"time"
)

// Counters are what one loop has counted for one frontend. Only that loop
// adds; anybody may read.
type Counters struct {
	Sessions    atomic.Uint64 // begun
	Ended       [Reasons]atomic.Uint64
	BytesIn     atomic.Uint64 // from clients
	BytesOut    atomic.Uint64 // to clients
	MessagesIn  atomic.Uint64 // from clients; mode mcp
	MessagesOut atomic.Uint64 // to clients, but for those spliced; mode mcp
	Delayed     atomic.Uint64 // times that reading was paused by the message rate
	Rejected    atomic.Uint64 // messages answered with an error by the message rate
	Connect     Timing        // of connection attempts that succeeded
	Queue       Timing        // of waiting for a slot, where one was got
	_           [64]byte      // keep loops' counters off each other's cache lines
}

// Timing sums how long something took. Only one loop adds; anybody may read.
type Timing struct {
	count, sum, max atomic.Uint64 // the sum and the maximum in nanoseconds
}

// Add notes one that took d nanoseconds.
func (t *Timing) Add(d int64) {
	t.count.Add(1)
	t.sum.Add(uint64(d))
	if uint64(d) > t.max.Load() {
		t.max.Store(uint64(d))
	}
}

// clearMax has the maximum begin anew. It may lose one that is just being
// noted.
func (t *Timing) clearMax() { t.max.Store(0) }

// ClearPeaks has the peaks that it counts begin anew. Any goroutine may call
// it.
func (c *Counters) ClearPeaks() {
	c.Connect.clearMax()
	c.Queue.clearMax()
}

// TimingTotal is a Timing, summed over the loops.
type TimingTotal struct {
	Count uint64
	Sum   time.Duration
	Max   time.Duration
}

func (t *TimingTotal) add(one *Timing) {
	t.Count += one.count.Load()
	t.Sum += time.Duration(one.sum.Load())
	t.Max = max(t.Max, time.Duration(one.max.Load()))
}

// Totals are a frontend's counters, summed over the loops.
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
	Connect     TimingTotal
	Queue       TimingTotal
}

// NewTotals are totals of nothing: every reason is there, with 0.
func NewTotals() Totals {
	t := Totals{Refused: map[string]uint64{}, Ended: map[string]uint64{}}
	for reason := range Reasons {
		t.by(reason)[reason.String()] = 0
	}
	return t
}

// by is the map that counts a reason.
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
	t.Connect.add(&c.Connect)
	t.Queue.add(&c.Queue)
	for reason := range Reasons {
		t.by(reason)[reason.String()] += c.Ended[reason].Load()
	}
}
