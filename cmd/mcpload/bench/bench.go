package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"mcplb/cmd/mcpload/lab"
	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
	"mcplb/plot"
)

// Benchmark measures something on a cluster.
type Benchmark struct {
	Name    string
	Summary string
	measure func(b *bench) (*report.Table, []plot.Chart, error)
}

// All returns the benchmarks.
func All() []Benchmark {
	return []Benchmark{
		{"scaling", "what more and more connections cost: memory, files, opening, latency", scaling},
		{"sustained", "the same load for long: does anything grow or slow down?", sustained},
		{"latency", "the latency's distribution, and the balancer's own share of it", latency},
		{"throughput", "messages a second without a pause, and what each costs the balancer", throughput},
		{"failure", "a node dies and comes back", failure},
	}
}

// Choose returns the benchmarks with these names, in their order; "all" alone means
// all of them.
func Choose(names []string) ([]Benchmark, error) {
	if slices.Equal(names, []string{"all"}) {
		return All(), nil
	}
	var chosen []Benchmark
	for _, name := range names {
		i := slices.IndexFunc(All(), func(b Benchmark) bool { return b.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no benchmark %q; mcpload bench -h lists them", name)
		}
		chosen = append(chosen, All()[i])
	}
	if len(chosen) == 0 {
		return nil, errors.New("name a benchmark, or all; mcpload bench -h lists them")
	}
	return chosen, nil
}

// Options are what all benchmarks have in common.
type Options struct {
	Bin     string        // the directory of the programs; "" = this program's
	Out     string        // the directory for the results
	Against string        // the directory of earlier results to compare with; "" = none
	Load    time.Duration // of each case
	Clients int           // at most
}

// Run measures one benchmark on a new cluster and writes the results.
func (one *Benchmark) Run(ctx context.Context, o *Options, stdout, progress io.Writer) error {
	l, err := lab.New(o.Bin, 4)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Start(ctx); err != nil {
		return err
	}
	table, charts, err := one.measure(&bench{Options: o, ctx: ctx, lab: l, progress: progress})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\n%s: %s\n\n", one.Name, one.Summary)
	results := report.Results{Name: one.Name, Table: table, Charts: charts}
	return results.Write(stdout, o.Out, o.Against)
}

// bench is the cluster that one benchmark has, and its parameters.
type bench struct {
	*Options
	ctx      context.Context
	lab      *lab.Lab
	progress io.Writer
}

// run runs one case, which fails if an expectation is not met. change changes the
// options of a run on the cluster.
func (b *bench) run(name string, change func(o *run.Options)) (*report.Report, error) {
	o, err := b.lab.Options(b.ctx)
	if err != nil {
		return nil, err
	}
	o.Load, o.Monitor = b.Load, 0
	change(&o)
	fmt.Fprintf(b.progress, "%s: %d clients (%v), a message every %v for %v\n", name, o.Clients, o.Mix, o.Interval, o.Load)
	r, err := run.Do(b.ctx, &o, io.Discard)
	switch {
	case err != nil:
		return nil, err
	case r.Interrupted:
		return nil, errors.New("interrupted")
	case r.Failed():
		return nil, fmt.Errorf("%s: not as expected: %+v, lost %v", name, r.Verdict, r.Lost)
	}
	return r, nil
}
