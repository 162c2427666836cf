package report

import (
	"fmt"
	"time"
)

// Expectations decide whether a run has failed. The zero value of each means that
// nothing is expected, except that of Errors.
type Expectations struct {
	Distribution  float64 // percent that a node may be off its share of the sessions
	P50, P95, P99 time.Duration
	Spread        float64       // percent between the nodes' p50
	Sticky        bool          // no answer from another node, and without a fault no client on another node
	Failover      time.Duration // until the balancer has noticed the fault
	Recovery      time.Duration // until the last lost client has a session
	Undisturbed   bool          // only clients of the broken node lose their session
	Memory        []MemoryLimit
	Errors        uint64 // losses that are tolerated, besides those that a fault explains
}

// MemoryLimit is the most memory that a watched process may have.
type MemoryLimit struct {
	Name string
	MB   float64
}

// Verdict is one expectation and what was found.
type Verdict struct {
	Expected string `json:"expected"`
	Found    string `json:"found"`
	OK       bool   `json:"ok"`
}

// Judge compares a report with what is expected. In any case all clients must have
// a session and all messages must be answered correctly; with monitored, all
// clients must have answered after the silence.
func (e *Expectations) Judge(r *Report, monitored bool) []Verdict {
	j := judgement{report: r}
	j.add(r.Held == r.Clients, fmt.Sprintf("%d sessions at the end", r.Clients), "%d", r.Held)
	if monitored {
		j.add(r.Monitor.Answered >= uint64(r.Clients), "every client answers at the end", "%d of %d", r.Monitor.Answered, r.Clients)
	}
	j.losses(e)
	if e.Distribution > 0 {
		j.add(r.Off <= e.Distribution, fmt.Sprintf("nodes within %g%% of their share", e.Distribution), "%.2f%%", r.Off)
	}
	j.latency("p50", e.P50, r.Load.Latency.P50)
	j.latency("p95", e.P95, r.Load.Latency.P95)
	j.latency("p99", e.P99, r.Load.Latency.P99)
	if e.Spread > 0 {
		j.add(r.Load.Spread <= e.Spread, fmt.Sprintf("nodes' p50 within %g%%", e.Spread), "%.2f%%", r.Load.Spread)
	}
	if e.Sticky {
		j.add(r.Sticky.WrongNode == 0 && (r.Fault != nil || r.Sticky.Moved == 0), "sticky", "%d wrong nodes, %d moved", r.Sticky.WrongNode, r.Sticky.Moved)
	}
	for _, m := range e.Memory {
		peak := r.Process(m.Name).Peak
		j.add(peak > 0 && MB(peak) <= m.MB, fmt.Sprintf("%s at most %g MB", m.Name, m.MB), "%.1f MB", MB(peak))
	}
	if r.Fault != nil {
		j.within("fault noticed", r.Fault.Detected, e.Failover)
		j.within("lost clients back", r.Fault.Recovered, e.Recovery)
	}
	return j.verdicts
}

// judgement is the comparison of a report with what is expected.
type judgement struct {
	report   *Report
	verdicts []Verdict
}

func (j *judgement) add(ok bool, expected, found string, args ...any) {
	j.verdicts = append(j.verdicts, Verdict{Expected: expected, Found: fmt.Sprintf(found, args...), OK: ok})
}

// losses judges the losses. With a fault, those of the broken node's sessions and
// of their attempts to return do not count.
func (j *judgement) losses(e *Expectations) {
	if j.report.Fault == nil {
		lost := j.report.LostTotal()
		j.add(lost <= e.Errors, fmt.Sprintf("at most %d losses", e.Errors), "%d", lost)
		return
	}
	disturbed := j.report.Fault.Disturbed
	j.add(disturbed <= e.Errors || !e.Undisturbed, fmt.Sprintf("at most %d losses on other nodes", e.Errors), "%d", disturbed)
}

func (j *judgement) latency(name string, limit time.Duration, found float64) {
	if limit > 0 {
		ok := j.report.Load.Latency.Count > 0 && found <= float64(limit)/1e6
		j.add(ok, fmt.Sprintf("%s at most %v", name, limit), "%.2f ms", found)
	}
}

func (j *judgement) within(what string, found *float64, limit time.Duration) {
	if limit > 0 {
		j.add(found != nil && *found <= limit.Seconds(), fmt.Sprintf("%s within %v", what, limit), "%s", Seconds(found))
	}
}
