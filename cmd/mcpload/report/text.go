package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Print writes the report as text.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	r.printPhases(t)
	if r.Fault != nil {
		r.Fault.print(t)
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Lost)) {
		fmt.Fprintf(t, "lost\t%d: %s\n", r.Lost[reason], reason)
	}
	r.printNodes(t)
	r.printProcesses(t)
	r.printVerdict(t)
	return t.Flush()
}

func (r *Report) printPhases(w io.Writer) {
	fmt.Fprintf(w, "\nramp\t%d of %d sessions in %.1f s, %.0f a second; opening p50 %.1f, p99 %.1f, max %.1f ms\n",
		r.Ramp.Held, r.Clients, r.Ramp.Seconds, r.Ramp.PerSec, r.Ramp.Opening.P50, r.Ramp.Opening.P99, r.Ramp.Opening.Max)
	fmt.Fprintf(w, "load\t%d messages in %.1f s, %d answered rightly, %.0f a second; p50 %.1f, p95 %.1f, p99 %.1f, max %.1f ms\n",
		r.Load.Sent, r.Load.Seconds, r.Load.Answered, r.Load.PerSec, r.Load.Latency.P50, r.Load.Latency.P95, r.Load.Latency.P99, r.Load.Latency.Max)
	fmt.Fprintf(w, "monitor\t%d sessions held, %d answered again\n", r.Monitor.Held, r.Monitor.Answered)
	fmt.Fprintf(w, "sticky\t%d sessions opened again on the same node, %d on another; %d answers of a wrong node\n",
		r.Sticky.Returned, r.Sticky.Moved, r.Sticky.WrongNode)
	fmt.Fprintf(w, "even\tno node further than %.2f%% off its share\n", r.Off)
}

func (f *Fault) print(w io.Writer) {
	if f.Node == "" { // -fault-node was not given
		fmt.Fprintf(w, "fault\t%d sessions lost", f.Lost+f.Disturbed)
	} else {
		fmt.Fprintf(w, "fault\t%d of %d sessions of %s lost, %d of other nodes", f.Lost, f.Before, f.Node, f.Disturbed)
	}
	fmt.Fprintf(w, "; balancer noticed after %s\n", Seconds(f.Detected))
	if f.Again > 0 {
		fmt.Fprintf(w, "\t%d sessions that its clients had opened on other nodes lost, too\n", f.Again)
	}
	fmt.Fprintf(w, "\tback: the last client %s after its loss (p50 %.0f, p99 %.0f ms), sessions then %v; balancer saw the repair after %s\n",
		Seconds(f.Recovered), f.Away.P50, f.Away.P99, f.SessionsAfter, Seconds(f.Repaired))
}

func (r *Report) printNodes(w io.Writer) {
	fmt.Fprintln(w, "\nNODE\tSESSIONS\tAT LOAD\tLOST\tMESSAGES\tP50 ms\tP95 ms\tP99 ms\tMAX ms")
	for _, n := range r.Nodes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\n", n.Name, n.Sessions, n.Before, n.Lost,
			n.Messages.Count, n.Messages.P50, n.Messages.P95, n.Messages.P99, n.Messages.Max)
	}
}

func (r *Report) printProcesses(w io.Writer) {
	if len(r.Watched) == 0 {
		return
	}
	fmt.Fprintln(w, "\nPROCESS\tSTART MB\tHELD MB\tPEAK MB\tFILES\tCPU s IN LOAD")
	for _, u := range r.Watched {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%d\t%.2f\n", u.Name, MB(u.Start.Resident), MB(u.Held.Resident), MB(u.Peak), u.Held.Files, u.CPU)
	}
}

func (r *Report) printVerdict(w io.Writer) {
	if len(r.Verdict) == 0 {
		return
	}
	fmt.Fprintln(w, "\nEXPECTED\tFOUND\t")
	for _, v := range r.Verdict {
		word := "FAILED"
		if v.OK {
			word = "ok"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Expected, v.Found, word)
	}
}

// Seconds formats a time that is nil if the event was not seen.
func Seconds(s *float64) string {
	if s == nil {
		return "(not seen)"
	}
	return fmt.Sprintf("%.2f s", *s)
}
