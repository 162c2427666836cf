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
	server, err := startServer()
	if err != nil {
		return err
	}
	defer server.Close()
	b, err := startBalancer(ctx, o.mcplb, server.Listener.Addr().String())
	if err != nil {
		return err
	}
	defer b.stop()
	table := tabwriter.NewWriter(out, 2, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintln(table, "attack\tconnections\tcut\tframes\tCPU %\tMB\trequests\tfailed\tmedian\t99 %\tlongest\t")
	wrong := 0
	for _, a := range attacks {
		if o.only != "" && o.only != a.name {
			continue
		}
		r := b.withstand(ctx, o, &a)
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.0f\t%d\t%d\t%d\t%v\t%v\t%v\t\n", a.name, r.connections, r.cut, r.frames, r.cpu, r.memory,
			len(r.took)+r.failed, r.failed, r.quantile(0.5), r.quantile(0.99), r.quantile(1))
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

// judge returns what is wrong with a result.
func (r *result) judge(o options, a *attack) (complaints []string) {
	switch {
	case r.failed > 0:
		complaints = append(complaints, fmt.Sprintf("%d requests of other clients failed: %v", r.failed, r.failure))
	case len(r.took) == 0:
		complaints = append(complaints, "other clients got no response")
	}
	if lingers := 8 * time.Second; a.cut && r.cut == 0 && (!a.unread || o.length > lingers) {
		complaints = append(complaints, "no connection was cut")
	}
	if a.connections > 0 && r.frames == 0 {
		complaints = append(complaints, "nothing was sent")
	}
	if r.memory > o.memory {
		complaints = append(complaints, fmt.Sprintf("the balancer used %d MB, more than %d", r.memory, o.memory))
	}
	return complaints
}
