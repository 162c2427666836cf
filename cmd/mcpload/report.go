package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// report is what a run found out. It is written as JSON as it stands: names and
// meanings stay, members may be added. Times are in seconds since Begin,
// latencies in milliseconds, with a right answer for each.
type report struct {
	Title       string    `json:"title,omitempty"`
	Begin       time.Time `json:"begin"`
	Clients     int       `json:"clients"` // asked for
	Mix         string    `json:"mix"`
	Message     string    `json:"message"`
	Interval    float64   `json:"interval_seconds"`
	Rate        int       `json:"ramp_rate"`
	Interrupted bool      `json:"interrupted"`

	Ramp    rampReport        `json:"ramp"`
	Load    loadReport        `json:"load"`
	Monitor monitorReport     `json:"monitor"`
	Nodes   []nodeReport      `json:"nodes"`                    // by name
	Held    int               `json:"held"`                     // sessions at the end
	Off     float64           `json:"distribution_off_percent"` // the furthest node from its fair share of the sessions, before the fault if there is one
	Lost    map[string]uint64 `json:"lost"`                     // sessions, and attempts to open one, by reason
	Sticky  stickyReport      `json:"sticky"`
	Fault   *faultReport      `json:"fault,omitempty"`
	Watched []watchReport     `json:"watched,omitempty"`
	Marks   []mark            `json:"marks,omitempty"`
	Verdict []verdict         `json:"verdict,omitempty"`
	Samples []sample          `json:"samples"`
}

type quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func quantilesOf(l *latency) quantiles {
	return quantiles{l.count(), l.quantile(50), l.quantile(95), l.quantile(99), l.quantile(100)}
}

type rampReport struct {
	Seconds float64   `json:"seconds"` // until all had a session
	Started int       `json:"started"`
	Held    int       `json:"held"`
	PerSec  float64   `json:"sessions_per_second"`
	Opening quantiles `json:"opening"` // from connect to the end of initialize
}

type loadReport struct {
	Seconds  float64              `json:"seconds"`
	Sent     uint64               `json:"sent"`
	Answered uint64               `json:"answered"` // rightly
	Late     uint64               `json:"late"`     // sent behind the schedule
	PerSec   float64              `json:"answers_per_second"`
	Latency  quantiles            `json:"latency"`
	Kinds    map[string]quantiles `json:"kinds"`
	Spread   float64              `json:"node_spread_percent"` // of the nodes' p50: the largest above the smallest
}

type monitorReport struct {
	Held     int    `json:"held"`     // sessions after the silence
	Answered uint64 `json:"answered"` // of these, how many then answered rightly
}

type nodeReport struct {
	Name     string    `json:"name"`
	Number   int       `json:"number"`   // its place in the lists of the samples, from 1
	Sessions int       `json:"sessions"` // at the end
	Before   int       `json:"before"`   // when the load began
	Lost     uint64    `json:"lost"`     // sessions
	Messages quantiles `json:"latency"`
}

type stickyReport struct {
	Returned  uint64 `json:"returned"`   // sessions opened anew on the node of the client's first one
	Moved     uint64 `json:"moved"`      // on another
	WrongNode uint64 `json:"wrong_node"` // answers by another node than the session's
}

type watchReport struct {
	Name  string  `json:"name"`
	PID   int     `json:"pid"`
	Start usage   `json:"start"` // before the first client
	Held  usage   `json:"held"`  // with all of them
	Peak  int64   `json:"peak_resident_bytes"`
	CPU   float64 `json:"load_cpu_seconds"` // while messages were sent
	begun time.Duration
}

// sample is how a run stood at one time.
type sample struct {
	Seconds  float64   `json:"seconds"`
	Phase    string    `json:"phase"`
	Started  int       `json:"started"`
	Held     int       `json:"held"`
	Away     int       `json:"away"` // clients that lost their session and have no other
	PerSec   float64   `json:"answers_per_second"`
	Lost     uint64    `json:"lost"` // all so far
	Latency  quantiles `json:"latency"`
	Sessions []int     `json:"sessions"` // of each node, by its number
	Watched  []usage   `json:"watched,omitempty"`
}

func newReport(o *options) *report {
	r := &report{
		Title: o.title, Clients: o.clients, Mix: o.mix.String(), Message: o.message.String(),
		Interval: o.interval.Seconds(), Rate: o.rate, Lost: map[string]uint64{},
	}
	for _, w := range o.watch {
		start, _ := usageOf(w.pid, true) // a process that is not there has nothing in use
		r.Watched = append(r.Watched, watchReport{Name: w.name, PID: w.pid, Start: start})
	}
	return r
}

// sample takes a sample and shows it.
func (r *run) sample() {
	now := time.Now()
	t := r.snapshot(false)
	lost := uint64(0)
	for _, n := range t.lost {
		lost += n
	}
	s := sample{
		Seconds: now.Sub(r.begin).Seconds(), Phase: r.phase, Started: r.started,
		Held: t.allHeld(), Away: t.clients(stateWaiting, stateGone), Lost: lost,
		Latency: quantilesOf(&t.interval),
	}
	if elapsed := now.Sub(r.sampled).Seconds(); elapsed > 0 && t.right >= r.previous.right {
		s.PerSec = float64(t.right-r.previous.right) / elapsed
	}
	for i := 1; i < len(r.nodes.all()); i++ {
		s.Sessions = append(s.Sessions, t.sessions(i))
	}
	for i, w := range r.options.watch {
		u, _ := usageOf(w.pid, false)
		s.Watched = append(s.Watched, u)
		r.report.Watched[i].Peak = max(r.report.Watched[i].Peak, u.Resident)
	}
	r.previous, r.sampled = t, now
	r.report.Samples = append(r.report.Samples, s)
	r.show(&s)
}

// show writes a line of progress.
func (r *run) show(s *sample) {
	if r.options.quiet {
		return
	}
	fmt.Fprintf(r.out, "%6.1fs  %-7s  %7d of %d held  %6d away  %8.0f answers/s  p50 %.1f  p99 %.1f ms  nodes %v", s.Seconds, s.Phase,
		s.Held, r.options.clients, s.Away, s.PerSec, s.Latency.P50, s.Latency.P99, s.Sessions)
	if s.Lost > 0 {
		fmt.Fprintf(r.out, "  lost %d", s.Lost)
	}
	fmt.Fprintln(r.out)
	for _, reason := range slices.Sorted(maps.Keys(r.previous.lost)) {
		if n := r.previous.lost[reason]; n > r.shown[reason] {
			fmt.Fprintf(r.out, "         %d lost: %s\n", n-r.shown[reason], reason)
		}
	}
	r.shown = r.previous.lost
}

// loadBegan notes how things stand when all clients are there.
func (p *report) loadBegan(r *run) {
	t := r.snapshot(true)
	p.Ramp = rampReport{
		Seconds: time.Since(r.begin).Seconds(), Started: r.started, Held: t.allHeld(), Opening: quantilesOf(&t.opening),
	}
	p.Ramp.PerSec = float64(p.Ramp.Held) / p.Ramp.Seconds
	p.fillNodes(r, t, func(n *nodeReport, sessions int) { n.Before = sessions })
	p.Off = p.off(func(n *nodeReport) int { return n.Before })
	for i := range p.Watched {
		w := &p.Watched[i]
		w.Held, _ = usageOf(w.PID, true)
		w.begun = w.Held.CPU
	}
}

// loadEnded takes what the load found.
func (p *report) loadEnded(r *run, t *tally, took time.Duration) {
	p.Load = loadReport{
		Seconds: took.Seconds(), Sent: t.sent, Answered: t.right, Late: t.late,
		PerSec: float64(t.right) / took.Seconds(), Latency: quantilesOf(&t.overall), Kinds: map[string]quantiles{},
	}
	for k, l := range t.kinds {
		if l != nil {
			p.Load.Kinds[kind(k).String()] = quantilesOf(l)
		}
	}
	p.fillNodes(r, t, func(n *nodeReport, _ int) { n.Messages = quantilesOf(t.nodes[r.nodes.number([]byte(n.Name))]) })
	least, most := 0.0, 0.0
	for _, n := range p.Nodes {
		if p50 := n.Messages.P50; p50 > 0 {
			most = max(most, p50)
			if least == 0 || p50 < least {
				least = p50
			}
		}
	}
	if least > 0 {
		p.Load.Spread = 100 * (most - least) / least
	}
	for i := range p.Watched {
		if u, err := usageOf(p.Watched[i].PID, false); err == nil {
			p.Watched[i].CPU = (u.CPU - p.Watched[i].begun).Seconds()
		}
	}
}

// observed takes what the monitor phase found.
func (p *report) observed(held int, t *tally) {
	p.Monitor = monitorReport{Held: held, Answered: t.right}
}

// finish takes the last look.
func (p *report) finish(r *run, t *tally) {
	if p.Ramp.Started == 0 {
		p.loadBegan(r) // there was no load
	}
	p.Held = t.allHeld()
	p.Lost = maps.Clone(t.lost)
	p.Sticky = stickyReport{t.returned, t.moved, t.wrongNode}
	p.fillNodes(r, t, func(n *nodeReport, sessions int) {
		n.Sessions, n.Lost = sessions, t.losing[r.nodes.number([]byte(n.Name))].count
	})
	p.Marks = r.fault.marks
	if r.options.faultCommand != "" {
		p.Fault = newFaultReport(r, t)
	} else {
		p.Off = p.off(func(n *nodeReport) int { return n.Sessions })
	}
	p.Verdict = r.options.expect.judge(p, r.options)
}

// fillNodes has fill complete every node that is known by now.
func (p *report) fillNodes(r *run, t *tally, fill func(n *nodeReport, sessions int)) {
	for i, name := range r.nodes.all() {
		if i == 0 {
			continue
		}
		at := slices.IndexFunc(p.Nodes, func(n nodeReport) bool { return n.Name == name })
		if at < 0 {
			at = len(p.Nodes)
			p.Nodes = append(p.Nodes, nodeReport{Name: name, Number: i})
		}
		fill(&p.Nodes[at], t.sessions(i))
	}
	slices.SortFunc(p.Nodes, func(a, b nodeReport) int { return compareNames(a.Name, b.Name) })
}

// compareNames orders names that end in numbers by these.
func compareNames(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// off is by how many percent of its fair share the furthest node is off it.
func (p *report) off(sessions func(*nodeReport) int) float64 {
	sum, furthest := 0, 0.0
	for i := range p.Nodes {
		sum += sessions(&p.Nodes[i])
	}
	if sum == 0 {
		return 0
	}
	fair := float64(sum) / float64(len(p.Nodes))
	for i := range p.Nodes {
		furthest = max(furthest, 100*abs(float64(sessions(&p.Nodes[i]))-fair)/fair)
	}
	return furthest
}

func abs(x float64) float64 { return max(x, -x) }

// lostAll is how many sessions and attempts were lost.
func (p *report) lostAll() uint64 {
	sum := uint64(0)
	for _, n := range p.Lost {
		sum += n
	}
	return sum
}

// write writes the report to the files that the options name.
func (p *report) write(o *options) error {
	for _, file := range []struct {
		path  string
		write func(io.Writer) error
	}{{o.jsonFile, p.writeJSON}, {o.csvFile, p.writeCSV}, {o.htmlFile, p.writeHTML}} {
		if file.path == "" {
			continue
		}
		if err := writeFile(file.path, file.write); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file whole.
func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := write(file); err != nil {
		file.Close()
		return fmt.Errorf("write the report to %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write the report to %s: %w", path, err)
	}
	return nil
}

func (p *report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(p)
}

// writeCSV writes the samples, a line each.
func (p *report) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	header := []string{"seconds", "phase", "started", "held", "away", "answers_per_second", "lost", "p50_ms", "p95_ms", "p99_ms", "max_ms"}
	nodes := 0
	for _, s := range p.Samples {
		nodes = max(nodes, len(s.Sessions))
	}
	for i := range nodes {
		header = append(header, p.numbered(i+1)+"_sessions")
	}
	for _, w := range p.Watched {
		header = append(header, w.Name+"_resident_mb", w.Name+"_cpu_seconds")
	}
	rows := [][]string{header}
	for _, s := range p.Samples {
		rows = append(rows, s.row(nodes))
	}
	return out.WriteAll(rows)
}

func (s *sample) row(nodes int) []string {
	row := []string{decimal(s.Seconds, 3), s.Phase, strconv.Itoa(s.Started), strconv.Itoa(s.Held), strconv.Itoa(s.Away), decimal(s.PerSec, 1),
		strconv.FormatUint(s.Lost, 10), decimal(s.Latency.P50, 3), decimal(s.Latency.P95, 3), decimal(s.Latency.P99, 3), decimal(s.Latency.Max, 3)}
	for i := range nodes {
		sessions := 0
		if i < len(s.Sessions) {
			sessions = s.Sessions[i]
		}
		row = append(row, strconv.Itoa(sessions))
	}
	for _, u := range s.Watched {
		row = append(row, decimal(float64(u.Resident)/1e6, 1), decimal(u.CPU.Seconds(), 2))
	}
	return row
}

func decimal(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }

// print shows the report as text.
func (p *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nramp\t%d of %d sessions in %.1f s, %.0f a second; opening p50 %.1f, p99 %.1f, max %.1f ms\n",
		p.Ramp.Held, p.Clients, p.Ramp.Seconds, p.Ramp.PerSec, p.Ramp.Opening.P50, p.Ramp.Opening.P99, p.Ramp.Opening.Max)
	fmt.Fprintf(t, "load\t%d messages in %.1f s, %d answered rightly, %.0f a second; p50 %.1f, p95 %.1f, p99 %.1f, max %.1f ms\n",
		p.Load.Sent, p.Load.Seconds, p.Load.Answered, p.Load.PerSec, p.Load.Latency.P50, p.Load.Latency.P95, p.Load.Latency.P99, p.Load.Latency.Max)
	fmt.Fprintf(t, "monitor\t%d sessions held, %d answered again\n", p.Monitor.Held, p.Monitor.Answered)
	fmt.Fprintf(t, "sticky\t%d sessions opened anew on the same node, %d on another; %d answers of a wrong node\n",
		p.Sticky.Returned, p.Sticky.Moved, p.Sticky.WrongNode)
	fmt.Fprintf(t, "even\tno node further than %.2f%% off its share\n", p.Off)
	if f := p.Fault; f != nil {
		fmt.Fprintf(t, "fault\t%d of %d sessions of %s lost, %d of other nodes; balancer noticed after %s\n", f.Lost, f.Before, f.Node, f.Disturbed, seconds(f.Detected))
		fmt.Fprintf(t, "\tback: the last client %s after its loss (p50 %.0f, p99 %.0f ms), sessions then %v; balancer saw the repair after %s\n",
			seconds(f.Recovered), f.Away.P50, f.Away.P99, f.Refuge, seconds(f.Repaired))
	}
	for _, reason := range slices.Sorted(maps.Keys(p.Lost)) {
		fmt.Fprintf(t, "lost\t%d: %s\n", p.Lost[reason], reason)
	}
	fmt.Fprintln(t, "\nNODE\tSESSIONS\tAT LOAD\tLOST\tMESSAGES\tP50 ms\tP95 ms\tP99 ms\tMAX ms")
	for _, n := range p.Nodes {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\n", n.Name, n.Sessions, n.Before, n.Lost,
			n.Messages.Count, n.Messages.P50, n.Messages.P95, n.Messages.P99, n.Messages.Max)
	}
	if len(p.Watched) > 0 {
		fmt.Fprintln(t, "\nPROCESS\tSTART MB\tHELD MB\tPEAK MB\tFILES\tCPU s IN LOAD")
	}
	for _, u := range p.Watched {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%d\t%.2f\n", u.Name, mega(u.Start.Resident), mega(u.Held.Resident), mega(u.Peak), u.Held.Files, u.CPU)
	}
	if len(p.Verdict) > 0 {
		fmt.Fprintln(t, "\nEXPECTED\tFOUND\t")
	}
	for _, v := range p.Verdict {
		fmt.Fprintf(t, "%s\t%s\t%s\n", v.Expected, v.Found, v.word())
	}
	return t.Flush()
}

func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

// seconds writes a time that may not have come.
func seconds(s *float64) string {
	if s == nil {
		return "(not seen)"
	}
	return fmt.Sprintf("%.2f s", *s)
}
