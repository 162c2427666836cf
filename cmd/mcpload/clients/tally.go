package clients

import (
	"maps"
	"time"

	"mcplb/cmd/mcpload/latency"
)

// Tally is what clients have counted. A worker's tally belongs to its loop; Fleet
// returns sums of copies.
type Tally struct {
	// These count since the latest Fleet.Ask. Answers to earlier messages are not among
	// them, so that no count of answers exceeds what was sent.
	Sent      uint64 // messages
	Answered  uint64 // messages that were answered correctly
	Answering uint64 // clients with at least one correct answer
	Late      uint64 // messages that were sent behind schedule, since the previous answer was late

	Lost   map[string]uint64 // sessions, and attempts to open one, by reason
	Losses [MaxNodes]Losses  // of sessions, by their node

	Returned  uint64 // sessions that were opened again on the node of the client's first one
	Moved     uint64 // sessions that were opened again on another node
	WrongNode uint64 // answers by another node than the session's

	Opening  latency.Histogram            // from connect to the end of initialize
	Messages latency.Histogram            // until the answer
	Recent   latency.Histogram            // the same, since the previous Sample
	Away     latency.Histogram            // from a loss to the next session
	ByKind   [NumKinds]*latency.Histogram // messages; nil = none
	ByNode   [MaxNodes]*latency.Histogram // messages; nil = none

	states   [numStates]int          // clients now
	sessions [NumKinds][MaxNodes]int // now
}

// Losses counts the lost sessions of one node. The times are on the loops' clock
// (Fleet.Now).
type Losses struct {
	Count       uint64
	Again       uint64 // how many of these were of clients that had come from the broken node (Fleet.ResetLosses)
	First, Last int64  // 0 = there is none
}

func newTally() *Tally { return &Tally{Lost: map[string]uint64{}} }

// Held returns how many clients have a session.
func (t *Tally) Held() int { return t.states[stateOpen] + t.states[stateAsking] }

// Asking returns how many clients wait for an answer.
func (t *Tally) Asking() int { return t.states[stateAsking] }

// Lacking returns how many clients have lost their session, or failed to open one,
// and are not trying at the moment.
func (t *Tally) Lacking() int { return t.states[stateWaiting] + t.states[stateGone] }

// WithoutSession returns how many started clients have no session.
func (t *Tally) WithoutSession() int {
	return t.Lacking() + t.states[stateOpening] + t.states[stateAnnouncing]
}

// Sessions returns how many sessions a node has.
func (t *Tally) Sessions(node int) int {
	sum := 0
	for k := range t.sessions {
		sum += t.sessions[k][node]
	}
	return sum
}

// answered records a correct answer. If messages have an interval, a late answer
// also counts for those that could not be sent meanwhile.
func (t *Tally) answered(k Kind, node uint8, took, interval time.Duration) {
	t.Answered++
	t.Messages.RecordPaced(took, interval)
	t.Recent.RecordPaced(took, interval)
	if t.ByKind[k] == nil {
		t.ByKind[k] = &latency.Histogram{}
	}
	t.ByKind[k].RecordPaced(took, interval)
	if t.ByNode[node] == nil {
		t.ByNode[node] = &latency.Histogram{}
	}
	t.ByNode[node].RecordPaced(took, interval)
}

// lose records the loss of a client's session, or its failed attempt to open one.
func (t *Tally) lose(c *client, reason string, now int64) {
	t.Lost[reason]++
	if !c.state.held() {
		return
	}
	l := &t.Losses[c.node]
	if l.Count == 0 {
		l.First = now
	}
	l.Count++
	if w := c.worker; w.broken != 0 && c.firstNode == w.broken && c.node != w.broken {
		l.Again++
	}
	l.Last = now
}

// resetMessages clears the counts and latencies of messages at the start of a
// phase.
func (t *Tally) resetMessages() {
	t.Sent, t.Answered, t.Answering, t.Late = 0, 0, 0, 0
	t.Messages, t.Recent = latency.Histogram{}, latency.Histogram{}
	clear(t.ByKind[:])
	clear(t.ByNode[:])
}

// count returns a copy of the clients' states and the messages' counts alone.
func (t *Tally) count() *Tally {
	return &Tally{states: t.states, Sent: t.Sent, Answered: t.Answered, Answering: t.Answering}
}

// sample returns a copy of all counts and of Recent, which starts over.
func (t *Tally) sample() *Tally {
	c := t.copyCounts()
	c.Recent, t.Recent = t.Recent, latency.Histogram{}
	return c
}

// total returns a copy of everything but Recent. Copying the histograms takes
// milliseconds, in which the loop measures nothing.
func (t *Tally) total() *Tally {
	c := t.copyCounts()
	c.Opening, c.Messages, c.Away = t.Opening.Copy(), t.Messages.Copy(), t.Away.Copy()
	for i, h := range t.ByKind {
		c.ByKind[i] = merge(nil, h)
	}
	for i, h := range t.ByNode {
		c.ByNode[i] = merge(nil, h)
	}
	return c
}

func (t *Tally) copyCounts() *Tally {
	c := *t
	c.Lost = maps.Clone(t.Lost)
	c.Opening, c.Messages, c.Recent, c.Away = latency.Histogram{}, latency.Histogram{}, latency.Histogram{}, latency.Histogram{}
	clear(c.ByKind[:])
	clear(c.ByNode[:])
	return &c
}

// add adds another tally.
func (t *Tally) add(o *Tally) {
	for i, n := range o.states {
		t.states[i] += n
	}
	for k := range o.sessions {
		for i, n := range o.sessions[k] {
			t.sessions[k][i] += n
		}
	}
	t.Sent += o.Sent
	t.Answered += o.Answered
	t.Answering += o.Answering
	t.Late += o.Late
	t.Moved += o.Moved
	t.Returned += o.Returned
	t.WrongNode += o.WrongNode
	for reason, n := range o.Lost {
		t.Lost[reason] += n
	}
	for i, l := range o.Losses {
		t.Losses[i].add(l)
	}
	t.addLatencies(o)
}

func (t *Tally) addLatencies(o *Tally) {
	t.Opening.Merge(&o.Opening)
	t.Messages.Merge(&o.Messages)
	t.Recent.Merge(&o.Recent)
	t.Away.Merge(&o.Away)
	for i, h := range o.ByKind {
		t.ByKind[i] = merge(t.ByKind[i], h)
	}
	for i, h := range o.ByNode {
		t.ByNode[i] = merge(t.ByNode[i], h)
	}
}

func (l *Losses) add(o Losses) {
	if l.Count == 0 || o.Count > 0 && o.First < l.First {
		l.First = o.First
	}
	l.Count += o.Count
	l.Again += o.Again
	l.Last = max(l.Last, o.Last)
}

// merge adds b to a, either of which may be nil, and returns the sum.
func merge(a, b *latency.Histogram) *latency.Histogram {
	if b == nil {
		return a
	}
	if a == nil {
		a = &latency.Histogram{}
	}
	a.Merge(b)
	return a
}
