package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"mcplb/plot"
)

// benchmark measures something on a lab of its own and returns the figures and
// the plots.
type benchmark struct {
	name    string
	summary string
	run     func(b *bench) (*table, []plot.Chart, error)
}

// benchmarks lists them in the order of the usage.
func benchmarks() []benchmark {
	return []benchmark{
		{"scaling", "what more and more connections cost: memory, files, opening, latency", benchScaling},
		{"sustained", "the same load for long: does anything grow or slow down?", benchSustained},
		{"latency", "the latency's distribution, and the balancer's own share of it", benchLatency},
		{"throughput", "messages a second without a pause, and what each costs the balancer", benchThroughput},
		{"failure", "a node dies and comes back", benchFailure},
	}
}

// bench is one benchmark's surroundings.
type bench struct {
	ctx     context.Context
	lab     *lab
	seconds time.Duration // of load, for each case
	clients int           // at most
	out     io.Writer     // progress
}

// benchCommand is "mcpload bench".
func benchCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mcpload bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bin := flags.String("bin", "", "the `directory` of mcpcluster, mcpnode and mcplb (default that of mcpload itself)")
	out := flags.String("o", "bench", "the `directory` for NAME.csv, NAME.md and the plots")
	against := flags.String("against", "", "compare with the results in this `directory`")
	seconds := flags.Duration("load", 10*time.Second, "how `long` each case is put under load")
	clients := flags.Int("n", 100_000, "at most so many `clients` (and no more than the open-files limit allows)")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "mcpload bench measures a cluster of four nodes, which it starts by itself.\n\nUsage: mcpload bench [flags] NAME...\n\nNames (or all):")
		for _, b := range benchmarks() {
			fmt.Fprintf(stderr, "  %-11s %s\n", b.name, b.summary)
		}
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	chosen, chooseErr := chooseBenchmarks(flags.Args())
	switch err = cmpErr(err, chooseErr); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "mcpload bench:", err)
		return 2
	}
	for _, one := range chosen {
		b := &bench{ctx: ctx, seconds: *seconds, clients: *clients, out: stderr}
		if err := b.measure(one, *bin, *out, *against, stdout); err != nil {
			fmt.Fprintf(stderr, "mcpload bench %s: %v\n", one.name, err)
			return 1
		}
	}
	return 0
}

// cmpErr is the first that is an error.
func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func chooseBenchmarks(names []string) ([]benchmark, error) {
	if slices.Equal(names, []string{"all"}) {
		return benchmarks(), nil
	}
	var chosen []benchmark
	for _, name := range names {
		i := slices.IndexFunc(benchmarks(), func(b benchmark) bool { return b.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no benchmark %q; mcpload bench -h lists them", name)
		}
		chosen = append(chosen, benchmarks()[i])
	}
	if len(chosen) == 0 {
		return nil, errors.New("name a benchmark, or all; mcpload bench -h lists them")
	}
	return chosen, nil
}

// measure runs one benchmark on a fresh cluster and writes what it found.
func (b *bench) measure(one benchmark, bin, out, against string, stdout io.Writer) error {
	lab, err := newLab(bin, 4)
	if err != nil {
		return err
	}
	defer lab.close()
	if err := lab.start(b.ctx); err != nil {
		return err
	}
	b.lab = lab
	measured, charts, err := one.run(b)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\n%s: %s\n\n", one.name, one.summary)
	return writeResults(stdout, measured, charts, out, one.name, against)
}

// writeResults shows a table, and writes it and its plots into a directory.
func writeResults(stdout io.Writer, measured *table, charts []plot.Chart, out, name, against string) error {
	if err := measured.markdown(stdout); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make the directory for results: %w", err)
	}
	path := filepath.Join(out, name)
	err := errors.Join(writeFile(path+".csv", measured.writeCSV), writeFile(path+".md", measured.markdown))
	for i := range charts {
		file := path + ".svg"
		if len(charts) > 1 {
			file = fmt.Sprintf("%s-%d.svg", path, i+1)
		}
		err = errors.Join(err, writeFile(file, func(w io.Writer) error {
			_, err := io.WriteString(w, charts[i].SVG())
			return err
		}))
	}
	if err != nil || against == "" {
		return err
	}
	earlier, err := readTable(filepath.Join(against, name+".csv"))
	if err != nil {
		return err
	}
	return measured.compare(stdout, earlier)
}

// load runs one case, and fails when it was not right.
func (b *bench) load(name string, change func(o *options)) (*report, error) {
	o, err := b.lab.options(b.ctx)
	if err != nil {
		return nil, err
	}
	o.load, o.monitor = b.seconds, 0
	change(&o)
	if err := o.validate(); err != nil {
		return nil, err
	}
	fmt.Fprintf(b.out, "%s: %d clients (%v), a message every %v for %v\n", name, o.clients, o.mix, o.interval, o.load)
	report, err := doRun(b.ctx, &o, io.Discard)
	switch {
	case err != nil:
		return nil, err
	case report.Interrupted:
		return nil, errors.New("interrupted")
	case report.failed():
		return nil, fmt.Errorf("%s: not as expected: %+v, lost %v", name, report.Verdict, report.Lost)
	}
	return report, nil
}

// watchedAs finds a process among those watched.
func (p *report) watchedAs(name string) watchReport {
	for _, w := range p.Watched {
		if w.Name == name {
			return w
		}
	}
	return watchReport{}
}

// cost is what the balancer took for one message, in microseconds of processor
// time.
func (p *report) cost(process string) float64 {
	if p.Load.Answered == 0 {
		return 0
	}
	return 1e6 * p.watchedAs(process).CPU / float64(p.Load.Answered)
}

// scalingSizes are the numbers of clients, up to a limit, which ends the list
// where it stands between two of them.
func scalingSizes(limit int) []int {
	var sizes []int
	for _, n := range []int{100, 1000, 10_000, 25_000, 100_000} {
		if n >= limit {
			return append(sizes, limit)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// scalingRate is how many messages a second all clients send together, however
// many they are.
const scalingRate = 500

func benchScaling(b *bench) (*table, []plot.Chart, error) {
	t := &table{kind: "clients"}
	lines := mix{kindTCP: 1}
	limit, err := room(lines)
	if err != nil {
		return nil, nil, err
	}
	var x []float64
	for _, n := range scalingSizes(min(limit, b.clients)) {
		report, err := b.load("scaling", func(o *options) {
			o.clients, o.mix = n, lines
			o.interval = max(time.Duration(n)*time.Second/scalingRate, 10*time.Millisecond)
		})
		if err != nil {
			return nil, nil, err
		}
		name, balancer := strconv.Itoa(n), report.watchedAs("mcplb")
		x = append(x, float64(n))
		t.add(name, "sessions/s", report.Ramp.PerSec)
		t.add(name, "opening p99 ms", report.Ramp.Opening.P99)
		t.add(name, "p50 ms", report.Load.Latency.P50)
		t.add(name, "p95 ms", report.Load.Latency.P95)
		t.add(name, "p99 ms", report.Load.Latency.P99)
		t.add(name, "mcplb MB", mega(balancer.Held.Resident))
		t.add(name, "mcplb files", float64(balancer.Held.Files))
		t.add(name, "mcplb µs/message", report.cost("mcplb"))
		t.add(name, "node off its share %", report.Off)
	}
	draw := func(title, unit string, figures ...string) plot.Chart {
		c := plot.Chart{Title: title, X: "connections", Y: unit, Log: true}
		for _, what := range figures {
			c.Series = append(c.Series, plot.Series{Name: what, X: x, Y: t.row(what)})
		}
		return c
	}
	return t, []plot.Chart{draw("Latency at 500 messages a second", "ms", "p50 ms", "p95 ms", "p99 ms"), draw("The balancer's memory", "MB", "mcplb MB")}, nil
}

func benchSustained(b *bench) (*table, []plot.Chart, error) {
	const rate = 500
	report, err := b.load("sustained", func(o *options) {
		o.clients = min(1000, b.clients)
		o.interval, o.load = time.Duration(o.clients)*time.Second/rate, 6*b.seconds
	})
	if err != nil {
		return nil, nil, err
	}
	t := &table{kind: "sixth of the time"}
	part := 0
	begin := report.Ramp.Seconds
	for ; part < 6; part++ {
		from := begin + float64(part)*b.seconds.Seconds()
		t.addPart(report, strconv.Itoa(part+1), from, from+b.seconds.Seconds())
	}
	charts := report.charts()
	return t, []plot.Chart{charts[3], charts[4]}, nil
}

// addPart adds what the samples between two times say.
func (t *table) addPart(p *report, name string, from, to float64) {
	n, answers, p50, p99, memory := 0.0, 0.0, 0.0, 0.0, 0.0
	for _, s := range p.Samples {
		if s.Phase != phaseLoad || s.Seconds <= from || s.Seconds > to || s.Latency.Count == 0 {
			continue
		}
		n++
		answers, p50, p99 = answers+s.PerSec, p50+s.Latency.P50, max(p99, s.Latency.P99)
		for i, w := range p.Watched {
			if w.Name == "mcplb" {
				memory = mega(s.Watched[i].Resident)
			}
		}
	}
	if n > 0 {
		t.add(name, "answers/s", answers/n)
		t.add(name, "mean p50 ms", p50/n)
		t.add(name, "worst p99 ms", p99)
		t.add(name, "mcplb MB", memory)
	}
}

// latencyRates are the messages a second of the latency benchmark.
var latencyRates = []int{100, 500, 1000, 2000}

func benchLatency(b *bench) (*table, []plot.Chart, error) {
	t := &table{kind: "messages/s"}
	quantile := func(name string, p *report, suffix string) {
		t.add(name, "p50 ms"+suffix, p.Load.Latency.P50)
		t.add(name, "p95 ms"+suffix, p.Load.Latency.P95)
		t.add(name, "p99 ms"+suffix, p.Load.Latency.P99)
		t.add(name, "max ms"+suffix, p.Load.Latency.Max)
	}
	bars := plot.Chart{Title: "Latency through mcplb and without it", Y: "ms", Labels: []string{},
		Series: []plot.Series{{Name: "p50 through"}, {Name: "p50 direct"}, {Name: "p99 through"}, {Name: "p99 direct"}}}
	for _, rate := range latencyRates {
		name := strconv.Itoa(rate)
		set := func(o *options) {
			o.clients, o.mix = min(200, b.clients), mix{kindTCP: 1}
			o.interval = time.Duration(o.clients) * time.Second / time.Duration(rate)
		}
		direct, err := b.load("latency, direct", func(o *options) {
			set(o)
			o.targets[kindTCP] = b.lab.address(balancerHost+1, portLines)
		})
		if err != nil {
			return nil, nil, err
		}
		through, err := b.load("latency, through mcplb", set)
		if err != nil {
			return nil, nil, err
		}
		quantile(name, through, "")
		quantile(name, direct, " direct")
		t.add(name, "mcplb's p50 µs", 1000*(through.Load.Latency.P50-direct.Load.Latency.P50))
		t.add(name, "between nodes %", through.Load.Spread)
		bars.Labels = append(bars.Labels, name)
		for i, value := range []float64{through.Load.Latency.P50, direct.Load.Latency.P50, through.Load.Latency.P99, direct.Load.Latency.P99} {
			bars.Series[i].Y = append(bars.Series[i].Y, value)
		}
	}
	bars.X = "messages a second"
	return t, []plot.Chart{bars}, nil
}

func benchThroughput(b *bench) (*table, []plot.Chart, error) {
	t := &table{kind: "clients"}

	chart := plot.Chart{Title: "Messages a second, the next one sent when the last is answered", X: "clients", Y: "messages a second", Log: true}
	for _, k := range []kind{kindTCP, kindHTTP, kindWS} {
		line := plot.Series{Name: k.String()}
		for _, n := range []int{1, 16, 64, 256} {
			report, err := b.load("throughput", func(o *options) {
				o.clients, o.interval, o.message, o.load = n, 0, messageEcho, b.seconds/2
				o.mix = mix{}
				o.mix[k] = 1
			})
			if err != nil {
				return nil, nil, err
			}
			name := fmt.Sprintf("%v, %d", k, n)
			t.add(name, "messages/s", report.Load.PerSec)
			t.add(name, "p50 ms", report.Load.Latency.P50)
			t.add(name, "p99 ms", report.Load.Latency.P99)
			t.add(name, "mcplb µs/message", report.cost("mcplb"))
			t.add(name, "nodes µs/message", report.cost("node1")+report.cost("node2")+report.cost("node3")+report.cost("node4"))
			line.X, line.Y = append(line.X, float64(n)), append(line.Y, report.Load.PerSec)
		}
		chart.Series = append(chart.Series, line)
	}
	return t, []plot.Chart{chart}, nil
}

func benchFailure(b *bench) (*table, []plot.Chart, error) {
	report, err := b.load("failure", func(o *options) {
		o.clients, o.interval = min(1000, b.clients), 2*time.Second
		o.load, o.monitor = 3*b.seconds, time.Second
		b.lab.breakNode(o, "node2")
		o.faultAt, o.repairAt = b.seconds, 2*b.seconds
	})
	if err != nil {
		return nil, nil, err
	}
	t := &table{kind: "what"}
	f := report.Fault
	t.add("the balancer notices, ms", "value", 1000*value(f.Detected))
	t.add("sessions lost with the node", "value", float64(f.Lost))
	t.add("sessions lost on other nodes", "value", float64(f.Disturbed))
	t.add("client without a session, p50 ms", "value", f.Away.P50)
	t.add("client without a session, longest ms", "value", f.Away.Max)
	t.add("furthest node off a third %", "value", offShare(f.Refuge))
	t.add("the balancer sees it return, ms", "value", 1000*value(f.Repaired))
	charts := report.charts()
	return t, []plot.Chart{charts[1], charts[3]}, nil
}

// breakNode has a run kill a node of the lab, and start it again.
func (l *lab) breakNode(o *options, node string) {
	o.faultNode = node
	for _, w := range o.watch {
		if w.name == node {
			o.faultCommand = fmt.Sprintf("kill -9 %d", w.pid)
		}
	}
	o.repairCommand = l.command("start " + node)
	o.expect.failover, o.expect.undisturbed = 5*time.Second, true
}

func value(s *float64) float64 {
	if s == nil {
		return 0
	}
	return *s
}

// offShare is by how many percent the furthest of the numbers that matter is
// off their mean; those below a tenth of the largest are the dead node's
// clients that have not noticed.
func offShare(numbers []int) float64 {
	alive := slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return 10*n < 3*slices.Max(numbers) })
	sum := 0
	for _, n := range alive {
		sum += n
	}
	furthest, fair := 0.0, float64(sum)/float64(max(len(alive), 1))
	for _, n := range alive {
		furthest = max(furthest, 100*abs(float64(n)-fair)/fair)
	}
	return furthest
}
