package healthcheck

import (
	"sync/atomic"
	"time"

	"mcplb/backend"
)

// prodInterval is the minimum time between two evaluations of the evidence about one
// server, and so between two probes that evidence causes.
const prodInterval = 100 * time.Millisecond

// kind is a kind of failure of client connections.
type kind uint8

const (
	hard  kind = iota // counts as a failed check
	soft              // counts as a failed check, but a probe must confirm it
	kinds             // number of kinds
)

// kindOf classifies outcomes. A reset may concern only one connection, and other
// failed connects may be the balancer's fault (no free local port): neither may
// take a server down alone. Outcomes that the client or the balancer caused are
// not evidence; neither is silence, as the server may have had nothing to send.
func kindOf(outcome backend.Outcome) (k kind, isEvidence bool) {
	switch outcome {
	case backend.Refused, backend.ConnectTimeout:
		return hard, true
	case backend.Unreachable, backend.ServerReset:
		return soft, true
	}
	return 0, false
}

// evidence holds the failures of client connections to one server. Event loops add
// them, the watch of the server takes them. A burst of any size (all connections
// of a server that dies) causes one signal and one failed check. The zero value is
// ready for use.
type evidence struct {
	met     [kinds]atomic.Uint64
	outcome atomic.Uint32 // the latest hard failure, for the log
	fresh   atomic.Bool   // there is something to take, and the watch was notified

	// Owned by the watch.
	taken   [kinds]uint64 // value of met at the last take
	takenAt time.Time     // time of the last take
}

// add records one failure and reports whether the watch must be notified. It neither
// blocks nor allocates.
func (e *evidence) add(k kind, outcome backend.Outcome) (notify bool) {
	if k == hard {
		e.outcome.Store(uint32(outcome))
	}
	e.met[k].Add(1)
	return !e.fresh.Load() && e.fresh.CompareAndSwap(false, true)
}

// take returns which kinds were added since the last take. It clears fresh before it
// reads the counts: a failure added in between causes another notification, and is
// never lost.
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

// total returns the number of failures so far.
func (e *evidence) total() uint64 {
	return e.met[hard].Load() + e.met[soft].Load()
}

// result returns the latest hard failure as the result of a probe.
func (e *evidence) result(now time.Time) Result {
	if backend.Outcome(e.outcome.Load()) == backend.ConnectTimeout {
		return Result{Code: L4TOUT, Detail: "connection timed out, seen by a client", At: now}
	}
	return Result{Code: L4CON, Detail: "connection refused, seen by a client", At: now}
}
