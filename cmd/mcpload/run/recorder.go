package run

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/latency"
	"mcplb/cmd/mcpload/proc"
	"mcplb/cmd/mcpload/report"
)

// recorder turns what a fleet counts into samples, progress and the report.
type recorder struct {
	options *Options
	fleet   *clients.Fleet
	out     io.Writer // progress
	report  *report.Report
	begin   time.Time
	clock   int64 // the loops' time at begin
	phase   string

	previous *clients.Tally // of the previous sample
	sampled  time.Time      // when it was taken
	shown    map[string]uint64
	after    []int // sessions of each node when the clients were back after the fault
}

func newRecorder(o *Options, fleet *clients.Fleet, out io.Writer, begin time.Time) *recorder {
	p := &report.Report{
		Title: o.Title, Begin: begin, Clients: o.Clients, Mix: o.Mix.String(), Message: o.Message.String(),
		Interval: o.Interval.Seconds(), Rate: o.Rate, Lost: map[string]uint64{},
	}
	for _, w := range o.Watch {
		start, _ := proc.UsageOf(w.PID, true) // a process that does not exist has nothing in use
		p.Watched = append(p.Watched, report.Watched{Name: w.Name, PID: w.PID, Start: start})
	}
	return &recorder{
		options: o, fleet: fleet, out: out, report: p, begin: begin, clock: fleet.Now(),
		previous: &clients.Tally{}, sampled: begin,
	}
}

// sample takes a sample and shows it.
func (r *recorder) sample() {
	now := time.Now()
	t := r.fleet.Sample()
	s := report.Sample{
		Seconds: now.Sub(r.begin).Seconds(), Phase: r.phase, Started: r.fleet.Started(),
		Held: t.Held(), Away: t.Lacking(), Latency: t.Recent.Quantiles(), Sessions: r.sessions(t),
	}
	for _, n := range t.Lost {
		s.Lost += n
	}
	if elapsed := now.Sub(r.sampled).Seconds(); elapsed > 0 && t.Answered >= r.previous.Answered {
		s.PerSec = float64(t.Answered-r.previous.Answered) / elapsed
	}
	for i, w := range r.options.Watch {
		u, _ := proc.UsageOf(w.PID, false)
		s.Watched = append(s.Watched, u)
		r.report.Watched[i].Peak = max(r.report.Watched[i].Peak, u.Resident)
	}
	r.previous, r.sampled = t, now
	r.report.Samples = append(r.report.Samples, s)
	if !r.options.Quiet {
		r.show(&s, t.Lost)
	}
}

// restart makes the next sample count messages from 0, as the fleet does in a new
// phase.
func (r *recorder) restart() { r.previous = &clients.Tally{} }

// sessions returns the sessions of each node, by its number.
func (r *recorder) sessions(t *clients.Tally) []int {
	var sessions []int
	for i := 1; i < len(r.fleet.Nodes()); i++ {
		sessions = append(sessions, t.Sessions(i))
	}
	return sessions
}

// show writes a line of progress, and one for each reason with new losses.
func (r *recorder) show(s *report.Sample, lost map[string]uint64) {
	fmt.Fprintf(r.out, "%6.1fs  %-7s  %7d of %d held  %6d away  %8.0f answers/s  p50 %.1f  p99 %.1f ms  nodes %v", s.Seconds, s.Phase,
		s.Held, r.options.Clients, s.Away, s.PerSec, s.Latency.P50, s.Latency.P99, s.Sessions)
	if s.Lost > 0 {
		fmt.Fprintf(r.out, "  lost %d", s.Lost)
	}
	fmt.Fprintln(r.out)
	for _, reason := range slices.Sorted(maps.Keys(lost)) {
		if n := lost[reason]; n > r.shown[reason] {
			fmt.Fprintf(r.out, "         %d lost: %s\n", n-r.shown[reason], reason)
		}
	}
	r.shown = lost
}

// rampDone records the end of the ramp, when all clients have been started.
func (r *recorder) rampDone() {
	t := r.fleet.Total()
	ramp := report.Ramp{
		Seconds: time.Since(r.begin).Seconds(), Started: r.fleet.Started(), Held: t.Held(), Opening: t.Opening.Quantiles(),
	}
	ramp.PerSec = float64(ramp.Held) / ramp.Seconds
	r.report.Ramp = ramp
	r.eachNode(func(n *report.Node) { n.Before = t.Sessions(n.Number) })
	r.report.Off = r.off(func(n *report.Node) int { return n.Before })
	for i := range r.report.Watched {
		w := &r.report.Watched[i]
		w.Held, _ = proc.UsageOf(w.PID, true)
	}
}

// loadDone records the load, which took that long.
func (r *recorder) loadDone(took time.Duration) {
	t := r.fleet.Total()
	load := report.Load{
		Seconds: took.Seconds(), Sent: t.Sent, Answered: t.Answered, Late: t.Late,
		PerSec: float64(t.Answered) / took.Seconds(), Latency: t.Messages.Quantiles(), Kinds: map[string]latency.Quantiles{},
	}
	for k, h := range t.ByKind {
		if h != nil {
			load.Kinds[clients.Kind(k).String()] = h.Quantiles()
		}
	}
	r.eachNode(func(n *report.Node) { n.Messages = t.ByNode[n.Number].Quantiles() })
	load.Spread = spreadOf(r.report.Nodes)
	r.report.Load = load
	for i := range r.report.Watched {
		w := &r.report.Watched[i]
		if u, err := proc.UsageOf(w.PID, false); err == nil {
			w.CPU = (u.CPU - w.Held.CPU).Seconds()
		}
	}
}

// spreadOf returns by how many percent the largest p50 of a node exceeds the
// smallest.
func spreadOf(nodes []report.Node) float64 {
	var medians []float64
	for _, n := range nodes {
		if n.Messages.P50 > 0 {
			medians = append(medians, n.Messages.P50)
		}
	}
	if len(medians) == 0 {
		return 0
	}
	least := slices.Min(medians)
	return 100 * (slices.Max(medians) - least) / least
}

// monitorDone records the monitor phase, after whose silence so many sessions were
// held.
func (r *recorder) monitorDone(held int) {
	r.report.Monitor = report.Monitor{Held: held, Answered: r.fleet.Total().Answering}
}

// recovered records where the clients are after the fault.
func (r *recorder) recovered() { r.after = r.sessions(r.fleet.Sample()) }

// finish completes the report.
func (r *recorder) finish(f *faultRun, interrupted bool) *report.Report {
	p := r.report
	if p.Ramp.Started == 0 { // there was no load
		r.rampDone()
	}
	t := r.fleet.Total()
	p.Interrupted, p.Held, p.Lost = interrupted, t.Held(), t.Lost
	p.Sticky = report.Sticky{Returned: t.Returned, Moved: t.Moved, WrongNode: t.WrongNode}
	r.eachNode(func(n *report.Node) { n.Sessions, n.Lost = t.Sessions(n.Number), t.Losses[n.Number].Count })
	p.Marks = f.all()
	if r.options.Fault.Command != "" {
		p.Fault = r.faultReport(f, t)
	} else {
		p.Off = r.off(func(n *report.Node) int { return n.Sessions })
	}
	p.Verdict = r.options.Expect.Judge(p, r.options.Monitor > 0)
	return p
}

// faultReport derives the fault's consequences from the marks and the losses.
func (r *recorder) faultReport(f *faultRun, t *clients.Tally) *report.Fault {
	p := &report.Fault{Node: r.options.Fault.Node, Away: t.Away.Quantiles(), SessionsAfter: r.after}
	p.At, _ = f.at("fault")
	p.Detected, p.Repaired = f.between("fault", "down"), f.between("repair", "up")
	for i := range r.report.Nodes {
		n := &r.report.Nodes[i]
		losses := t.Losses[n.Number]
		if n.Name != p.Node {
			p.Disturbed += losses.Count - losses.Again
			p.Again += losses.Again
			continue
		}
		p.Before, p.Lost = n.Before, losses.Count
		p.FirstLoss, p.LastLoss = r.secondsAfter(p.At, losses.First), r.secondsAfter(p.At, losses.Last)
	}
	if t.WithoutSession() == 0 {
		longest := p.Away.Max / 1000
		p.Recovered = &longest
	}
	return p
}

// secondsAfter returns how long after a time of the run, in seconds, something
// happened at a time of the loops' clock, 0 for never.
func (r *recorder) secondsAfter(at float64, clock int64) *float64 {
	if clock == 0 {
		return nil
	}
	s := time.Duration(clock-r.clock).Seconds() - at
	return &s
}

// eachNode calls fill for every known node, and keeps the nodes sorted by name.
func (r *recorder) eachNode(fill func(n *report.Node)) {
	p := r.report
	for i, name := range r.fleet.Nodes() {
		if i == 0 {
			continue
		}
		at := slices.IndexFunc(p.Nodes, func(n report.Node) bool { return n.Number == i })
		if at < 0 {
			at = len(p.Nodes)
			p.Nodes = append(p.Nodes, report.Node{Name: name, Number: i})
		}
		fill(&p.Nodes[at])
	}
	slices.SortFunc(p.Nodes, func(a, b report.Node) int { return report.CompareNames(a.Name, b.Name) })
}

// off returns how far the furthest node is off its share of the sessions.
func (r *recorder) off(sessions func(*report.Node) int) float64 {
	var numbers []int
	for i := range r.report.Nodes {
		numbers = append(numbers, sessions(&r.report.Nodes[i]))
	}
	return report.FurthestOff(numbers)
}
