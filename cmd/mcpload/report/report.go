package report

import (
	"fmt"
	"strings"
	"time"

	"mcplb/cmd/mcpload/latency"
	"mcplb/cmd/mcpload/proc"
)

// Report is the result of a run. It is written as JSON as it is: names and meanings
// do not change, members may be added. Times are in seconds since Begin, latencies
// in milliseconds and of correct answers.
type Report struct {
	Title       string    `json:"title,omitempty"`
	Begin       time.Time `json:"begin"`
	Clients     int       `json:"clients"` // as requested
	Mix         string    `json:"mix"`
	Message     string    `json:"message"`
	Interval    float64   `json:"interval_seconds"`
	Rate        int       `json:"ramp_rate"`
	Interrupted bool      `json:"interrupted"`

	Ramp    Ramp              `json:"ramp"`
	Load    Load              `json:"load"`
	Monitor Monitor           `json:"monitor"`
	Nodes   []Node            `json:"nodes"`                    // by name
	Held    int               `json:"held"`                     // sessions at the end
	Off     float64           `json:"distribution_off_percent"` // how far the furthest node is off its fair share of the sessions, before the fault if there is one
	Lost    map[string]uint64 `json:"lost"`                     // sessions, and attempts to open one, by reason
	Sticky  Sticky            `json:"sticky"`
	Fault   *Fault            `json:"fault,omitempty"`
	Watched []Watched         `json:"watched,omitempty"`
	Marks   []Mark            `json:"marks,omitempty"`
	Verdict []Verdict         `json:"verdict,omitempty"`
	Samples []Sample          `json:"samples"`
}

// Ramp is the opening of the sessions.
type Ramp struct {
	Seconds float64           `json:"seconds"` // until all clients had a session
	Started int               `json:"started"`
	Held    int               `json:"held"`
	PerSec  float64           `json:"sessions_per_second"`
	Opening latency.Quantiles `json:"opening"` // from connect to the end of initialize
}

// Load is the sending of messages.
type Load struct {
	Seconds  float64                      `json:"seconds"`
	Sent     uint64                       `json:"sent"`
	Answered uint64                       `json:"answered"` // correctly
	Late     uint64                       `json:"late"`     // sent behind schedule
	PerSec   float64                      `json:"answers_per_second"`
	Latency  latency.Quantiles            `json:"latency"`
	Kinds    map[string]latency.Quantiles `json:"kinds"`
	Spread   float64                      `json:"node_spread_percent"` // the largest p50 of a node above the smallest
}

// Monitor is the silence after the load.
type Monitor struct {
	Held     int    `json:"held"`     // sessions after the silence
	Answered uint64 `json:"answered"` // how many of these then answered correctly
}

// Node is one MCP node, by the name that it reports.
type Node struct {
	Name     string            `json:"name"`
	Number   int               `json:"number"`   // its position in the lists of the samples, from 1
	Sessions int               `json:"sessions"` // at the end
	Before   int               `json:"before"`   // when the load began
	Lost     uint64            `json:"lost"`     // sessions
	Messages latency.Quantiles `json:"latency"`
}

// Sticky is how well sessions and clients stayed on their nodes.
type Sticky struct {
	Returned  uint64 `json:"returned"`   // sessions that were opened again on the node of the client's first one
	Moved     uint64 `json:"moved"`      // on another node
	WrongNode uint64 `json:"wrong_node"` // answers by another node than the session's
}

// Fault is what the fault of a run did. Times are in seconds after the fault, nil
// if it did not happen or was not seen.
type Fault struct {
	Node          string            `json:"node"`
	At            float64           `json:"at"`        // since Begin
	Before        int               `json:"before"`    // sessions of the node
	Lost          uint64            `json:"lost"`      // how many of these
	Disturbed     uint64            `json:"disturbed"` // sessions that other nodes lost from then on, but for these:
	Again         uint64            `json:"again"`     // those of the node's own clients, which they had opened elsewhere meanwhile
	FirstLoss     *float64          `json:"first_loss,omitempty"`
	LastLoss      *float64          `json:"last_loss,omitempty"`
	Detected      *float64          `json:"detected,omitempty"`  // the balancer reported the node as down
	Recovered     *float64          `json:"recovered,omitempty"` // the longest that a client was without a session; nil if one still is
	Away          latency.Quantiles `json:"away"`                // how long clients were without a session
	SessionsAfter []int             `json:"refuge"`              // of each node, by its number, when all clients were back
	Repaired      *float64          `json:"repaired,omitempty"`  // from the repair until the balancer reported the node as up
}

// Watched is a process and what it had in use.
type Watched struct {
	Name  string     `json:"name"`
	PID   int        `json:"pid"`
	Start proc.Usage `json:"start"` // before the first client
	Held  proc.Usage `json:"held"`  // with all of them
	Peak  int64      `json:"peak_resident_bytes"`
	CPU   float64    `json:"load_cpu_seconds"` // while messages were sent
}

// Mark is an event of a run.
type Mark struct {
	Seconds float64 `json:"seconds"`
	What    string  `json:"what"` // fault, down, repair or up
	Detail  string  `json:"detail,omitempty"`
}

// Sample is the state of a run at one time.
type Sample struct {
	Seconds  float64           `json:"seconds"`
	Phase    string            `json:"phase"` // ramp, load or monitor
	Started  int               `json:"started"`
	Held     int               `json:"held"`
	Away     int               `json:"away"` // clients that lost their session and have no other
	PerSec   float64           `json:"answers_per_second"`
	Lost     uint64            `json:"lost"`     // so far
	Latency  latency.Quantiles `json:"latency"`  // since the previous sample
	Sessions []int             `json:"sessions"` // of each node, by its number
	Watched  []proc.Usage      `json:"watched,omitempty"`
}

// Failed reports whether any expectation was not met.
func (r *Report) Failed() bool {
	for _, v := range r.Verdict {
		if !v.OK {
			return true
		}
	}
	return false
}

// LostTotal returns how many sessions and attempts were lost.
func (r *Report) LostTotal() uint64 {
	sum := uint64(0)
	for _, n := range r.Lost {
		sum += n
	}
	return sum
}

// Process returns a watched process by its name, empty if it was not watched.
func (r *Report) Process(name string) Watched {
	for _, w := range r.Watched {
		if w.Name == name {
			return w
		}
	}
	return Watched{}
}

// Cost returns the processor time that a watched process took per message, in
// microseconds.
func (r *Report) Cost(process string) float64 {
	if r.Load.Answered == 0 {
		return 0
	}
	return 1e6 * r.Process(process).CPU / float64(r.Load.Answered)
}

// nodeName returns the name of the node with a number.
func (r *Report) nodeName(number int) string {
	for _, n := range r.Nodes {
		if n.Number == number {
			return n.Name
		}
	}
	return fmt.Sprintf("node number %d", number)
}

// CompareNames orders names that end with numbers by these.
func CompareNames(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// FurthestOff returns by how many percent of their mean the furthest of numbers
// differs from it; 0 if all are 0.
func FurthestOff(numbers []int) float64 {
	sum, furthest := 0, 0.0
	for _, n := range numbers {
		sum += n
	}
	if sum == 0 {
		return 0
	}
	fair := float64(sum) / float64(len(numbers))
	for _, n := range numbers {
		furthest = max(furthest, 100*abs(float64(n)-fair)/fair)
	}
	return furthest
}

func abs(x float64) float64 { return max(x, -x) }

// MB converts bytes to megabytes.
func MB(bytes int64) float64 { return float64(bytes) / 1e6 }
