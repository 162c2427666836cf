package healthcheck

import (
	"sync/atomic"
	"time"

	"mcplb/backend"
)

// prodInterval is the least time between two counts of what clients met at one
// server, and so between two probes that they cause.
const prodInterval = 100 * time.Millisecond

// kind is one sort of failure that clients' connections meet.
type kind uint8

const (
	hard  kind = iota // counts as a failed check
	soft              // counts as one that never decides: a probe must confirm it
	kinds             // how many there are
)

// kindOf sorts outcomes. A reset may be the fault of one connection, and a
// connect that failed otherwise that of the balancer (no local port is left):
// neither may take a server down alone. What is the client's doing or the
// balancer's, and silence, which may be all that there was to say, is no
// evidence.
func kindOf(outcome backend.Outcome) (k kind, isEvidence bool) {
	switch outcome {
	case backend.Refused, backend.ConnectTimeout:
		return hard, true
	case backend.Unreachable, backend.ServerReset:
		return soft, true
	}
	return 0, false
}

// evidence is what clients' connections met at one server. Event loops add to
// it, its watch takes it. A burst of any size (all the connections of a server
// that dies) makes one signal and one failed check. Its zero value is ready.
type evidence struct {
	met     [kinds]atomic.Uint64
	outcome atomic.Uint32 // the latest hard one, for the log
	fresh   atomic.Bool   // there is something that was not taken, and the watch knows

	// Owned by the watch.
	taken   [kinds]uint64 // how much of met was taken
	takenAt time.Time     // when that was
}

// add takes note of one failure and reports whether the watch must be told.
// It neither blocks nor allocates.
func (e *evidence) add(k kind, outcome backend.Outcome) (tell bool) {
	if k == hard {
		e.outcome.Store(uint32(outcome))
	}
	e.met[k].Add(1)
	return !e.fresh.Load() && e.fresh.CompareAndSwap(false, true)
}

// take reports which kinds were added since the last time. It lowers fresh
// before it reads the counts: what is added between the two is told of again,
// and never lost.
func (e *evidence) take(now time.Time) (added [kinds]bool) {
	e.fresh.Store(false)
	for k := range kinds {
		met := e.met[k].Load()
		added[k] = met != e.taken[k]
		e.taken[k] = met
	}
	e.takenAt = now
	return added
}

// total is how many failures clients have met so far.
func (e *evidence) total() uint64 {
	return e.met[hard].Load() + e.met[soft].Load()
}

// result words the latest hard evidence as if a probe had met it.
func (e *evidence) result(now time.Time) Result {
	if backend.Outcome(e.outcome.Load()) == backend.ConnectTimeout {
		return Result{Code: L4TOUT, Detail: "connection timed out, seen by a client", At: now}
	}
	return Result{Code: L4CON, Detail: "connection refused, seen by a client", At: now}
}
