package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"
)

// options holds the command line's values.
type options struct {
	mcplb    string        // the balancer's binary
	length   time.Duration // of each attack
	before   time.Duration // how long other clients are measured before it
	patience time.Duration // of the other clients
	memory   int           // MB that the balancer may use
	only     string        // the attack to run; "" = all
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var o options
	flag.StringVar(&o.mcplb, "mcplb", filepath.Join("bin", "mcplb"), "the balancer's binary, a `file`")
	seconds := flag.Int("seconds", 10, "length of each attack in `seconds`")
	flag.DurationVar(&o.before, "before", 3*time.Second, "how long other clients are measured before each attack")
	flag.DurationVar(&o.patience, "patience", 10*time.Second, "how long other clients wait for a response")
	flag.IntVar(&o.memory, "memory", 256, "how many `MB` the balancer may use")
	flag.StringVar(&o.only, "only", "", "run this `attack` only")
	flag.Parse()
	o.length = time.Duration(*seconds) * time.Second
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "http2:", err)
		stop()
		os.Exit(1)
	}
}

// run runs the attacks, and writes a line for each.
func run(ctx context.Context, o options, out io.Writer) error {
	server, apart := startServer(), startServer()
	defer server.Close()
	defer apart.Close()
	b, err := startBalancer(ctx, o.mcplb, server.Listener.Addr().String(), apart.Listener.Addr().String())
	if err != nil {
		return err
	}
	defer b.stop()
	table := tabwriter.NewWriter(out, 2, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintln(table, "attack\tconnections\tcut\tframes\tCPU %\tMB\trequests\tfailed\tmedian\t99 %\tlongest\tbefore: median\t99 %\tapart: median\t99 %\tdirect: median\t99 %\t")
	wrong := 0
	for _, a := range attacks {
		if o.only != "" && o.only != a.name {
			continue
		}
		r := b.withstand(ctx, o, &a)
		r.print(table, a.name)
		for _, complaint := range r.judge(o, &a) {
			wrong++
			fmt.Fprintf(os.Stderr, "http2: %s: %s\n", a.name, complaint)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d complaints", wrong)
	}
	return ctx.Err()
}

// print writes a result as a line of a table.
func (r *result) print(table io.Writer, name string) {
	d := &r.during
	fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.0f\t%d\t%d\t%d\t", name, r.connections, r.cut, r.frames, r.cpu, r.memory, len(d.took)+d.failed, d.failed)
	for _, took := range []time.Duration{d.quantile(0.5), d.quantile(0.99), d.quantile(1), r.before.quantile(0.5), r.before.quantile(0.99),
		r.apart.quantile(0.5), r.apart.quantile(0.99), r.direct.quantile(0.5), r.direct.quantile(0.99)} {
		fmt.Fprintf(table, "%v\t", took)
	}
	fmt.Fprintln(table)
}

// judge returns what is wrong with a result.
func (r *result) judge(o options, a *attack) (complaints []string) {
	switch d := &r.during; {
	case d.failed > 0:
		complaints = append(complaints, fmt.Sprintf("%d requests of other clients failed: %v", d.failed, d.failure))
	case len(d.took) == 0:
		complaints = append(complaints, "other clients got no response")
	}
	if a.cut && r.cut == 0 {
		complaints = append(complaints, "no connection was cut")
	}
	if a.connections > 0 && a.version1 == "" && r.frames == 0 {
		complaints = append(complaints, "nothing was sent")
	}
	if r.memory > o.memory {
		complaints = append(complaints, fmt.Sprintf("the balancer used %d MB, more than %d", r.memory, o.memory))
	}
	return complaints
}
