package main

import (
	"maps"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxNodes bounds how many nodes are told apart; number 0 is the unknown one.
const maxNodes = 256

// tally is what one worker counts. It belongs to the worker's loop; others get
// copies (worker.snapshot) and add them up.
type tally struct {
	states                     [numStates]int          // clients now
	held                       [numKinds][maxNodes]int // sessions now
	opened                     uint64                  // sessions
	sent                       uint64                  // messages
	right                      uint64                  // messages answered rightly
	late                       uint64                  // messages sent behind the schedule, since the last answer was still to come
	lost                       map[string]uint64       // sessions and attempts, by reason
	losing                     [maxNodes]losing        // sessions, by the node that served them
	moved, returned, wrongNode uint64                  // sessions opened anew on another node than at first, on the same; answers of another node

	opening  latency            // from connect to the end of initialize
	overall  latency            // of messages
	interval latency            // of messages, since the last snapshot
	kinds    [numKinds]*latency // of messages; nil = none
	nodes    [maxNodes]*latency // of messages; nil = none
	away     latency            // from a loss to the next session
}

// losing counts the losses of one node's sessions.
type losing struct {
	count       uint64
	first, last int64
}

func newTally() *tally {
	return &tally{lost: map[string]uint64{}}
}

// answered records a right answer. Where messages have an interval, a late
// answer counts for those too that could not be sent meanwhile
// (hdrhistogram's RecordCorrectedValue).
func (t *tally) answered(k kind, node uint8, took, interval int64) {
	t.right++
	t.overall.recordCorrected(took, interval)
	t.interval.recordCorrected(took, interval)
	if t.kinds[k] == nil {
		t.kinds[k] = &latency{}
	}
	t.kinds[k].recordCorrected(took, interval)
	if t.nodes[node] == nil {
		t.nodes[node] = &latency{}
	}
	t.nodes[node].recordCorrected(took, interval)
}

// losses records the loss of a session, or a failed attempt to open one.
func (t *tally) losses(c *client, reason string, now int64) {
	t.lost[reason]++
	if !c.state.held() {
		return
	}
	l := &t.losing[c.node]
	if l.count == 0 {
		l.first = now
	}
	l.count++
	l.last = now
}

// recovered records that a lost client has a session again.
func (t *tally) recovered(lost, now int64) { t.away.record(now - lost) }

// resetMessages forgets the messages and their latencies, so that a phase is
// counted from its beginning.
func (t *tally) resetMessages() {
	t.sent, t.right, t.late = 0, 0, 0
	t.overall, t.interval = latency{}, latency{}
	clear(t.kinds[:])
	clear(t.nodes[:])
}

// copy is an independent copy. The short one has the histogram of the interval,
// which begins anew; the whole one has the others instead: copying them takes
// milliseconds, in which the loop measures nothing.
func (t *tally) copy(whole bool) *tally {
	c := *t
	c.lost = maps.Clone(t.lost)
	c.opening, c.overall, c.away = latency{}, latency{}, latency{}
	clear(c.kinds[:])
	clear(c.nodes[:])
	if !whole {
		t.interval = latency{}
		return &c
	}
	c.interval = latency{}
	c.opening, c.overall, c.away = t.opening.copy(), t.overall.copy(), t.away.copy()
	for i, l := range t.kinds {
		c.kinds[i] = merged(nil, l)
	}
	for i, l := range t.nodes {
		c.nodes[i] = merged(nil, l)
	}
	return &c
}

// add adds another worker's counts.
func (t *tally) add(o *tally) {
	for i, n := range o.states {
		t.states[i] += n
	}
	for k := range o.held {
		for i, n := range o.held[k] {
			t.held[k][i] += n
		}
	}
	t.opened += o.opened
	t.sent += o.sent
	t.right += o.right
	t.late += o.late
	t.moved += o.moved
	t.returned += o.returned
	t.wrongNode += o.wrongNode
	for reason, n := range o.lost {
		t.lost[reason] += n
	}
	for i, l := range o.losing {
		t.losing[i].add(l)
	}
	t.opening.merge(&o.opening)
	t.overall.merge(&o.overall)
	t.interval.merge(&o.interval)
	t.away.merge(&o.away)
	for i, l := range o.kinds {
		t.kinds[i] = merged(t.kinds[i], l)
	}
	for i, l := range o.nodes {
		t.nodes[i] = merged(t.nodes[i], l)
	}
}

func (l *losing) add(o losing) {
	if l.count == 0 || o.count > 0 && o.first < l.first {
		l.first = o.first
	}
	l.count += o.count
	l.last = max(l.last, o.last)
}

// clients is how many there are in the given states.
func (t *tally) clients(states ...state) int {
	sum := 0
	for _, s := range states {
		sum += t.states[s]
	}
	return sum
}

// sessions is how many sessions a node has now.
func (t *tally) sessions(node int) int {
	sum := 0
	for k := range t.held {
		sum += t.held[k][node]
	}
	return sum
}

// allHeld is how many sessions there are now.
func (t *tally) allHeld() int { return t.clients(stateOpen, stateAsking) }

// latency is a histogram of durations in nanoseconds, kept in microseconds
// with three significant digits up to maxLatency. The zero value is empty.
type latency struct{ histogram *hdrhistogram.Histogram }

// maxLatency in microseconds; what takes longer counts as that.
const maxLatency = 600_000_000

func (l *latency) record(nanoseconds int64) { l.recordCorrected(nanoseconds, 0) }

func (l *latency) recordCorrected(nanoseconds, interval int64) {
	l.open()
	micros := min(max(nanoseconds/1000, 1), maxLatency)
	_ = l.histogram.RecordCorrectedValue(micros, interval/1000) // it is in range
}

func (l *latency) open() {
	if l.histogram == nil {
		l.histogram = hdrhistogram.New(1, maxLatency, 3)
	}
}

func (l *latency) merge(o *latency) {
	if o.histogram != nil {
		l.open()
		l.histogram.Merge(o.histogram)
	}
}

func merged(a, b *latency) *latency {
	if b == nil {
		return a
	}
	if a == nil {
		a = &latency{}
	}
	a.merge(b)
	return a
}

func (l *latency) copy() latency {
	var c latency
	c.merge(l)
	return c
}

// quantile is the latency in milliseconds that the given part of all, in
// percent, did not exceed; 0 when there are none.
func (l *latency) quantile(percent float64) float64 {
	if l == nil || l.histogram == nil {
		return 0
	}
	return float64(l.histogram.ValueAtQuantile(percent)) / 1000
}

func (l *latency) count() int64 {
	if l == nil || l.histogram == nil {
		return 0
	}
	return l.histogram.TotalCount()
}
