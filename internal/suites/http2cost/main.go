package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"mcplb/cmd/mcpload/proc"
	"mcplb/internal/certificate"
)

// options holds the command line's values.
type options struct {
	mcplb    string // the balancer's binary
	rounds   int
	requests int           // of each run of h2load
	idle     int           // connections
	pause    time.Duration // how long they rest
	only     string        // the measurement; "" = all
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var o options
	flag.StringVar(&o.mcplb, "mcplb", filepath.Join("bin", "mcplb"), "the balancer's binary, a `file`")
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	flag.IntVar(&o.requests, "requests", 40_000, "number of requests of each run")
	flag.IntVar(&o.idle, "idle", 2000, "number of idle connections")
	flag.DurationVar(&o.pause, "pause", 20*time.Second, "how long idle connections rest before they are measured once more")
	flag.StringVar(&o.only, "only", "", "measure this alone: requests or idle")
	flag.Parse()
	if err := run(ctx, &o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "http2cost:", err)
		stop()
		os.Exit(1)
	}
}

// samples are figures of one cell of the table, by column, one of each round.
type samples map[string][]float64

// run measures, and writes a line for each balancer.
func run(ctx context.Context, o *options, out io.Writer) error {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "answer") }))
	defer server.Close()
	balancers := installed(o.mcplb)
	figures := make([]samples, len(balancers))
	for round := range o.rounds {
		for i, b := range balancers {
			if figures[i] == nil {
				figures[i] = samples{}
			}
			for _, m := range measurements {
				if o.only != "" && o.only != m.kind {
					continue
				}
				if err := b.measure(ctx, o, m, server.Listener.Addr().String(), figures[i]); err != nil {
					return fmt.Errorf("%s, %s, round %d: %w", b.name, m.name, round+1, err)
				}
			}
		}
	}
	return write(out, balancers, figures)
}

// write writes the table: medians.
func write(out io.Writer, balancers []balancer, figures []samples) error {
	table := tabwriter.NewWriter(out, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\t")
	var columns []string
	for _, m := range measurements {
		for _, column := range m.columns {
			if len(figures[0][column]) > 0 {
				columns = append(columns, column)
				fmt.Fprint(table, column, "\t")
			}
		}
	}
	for i, b := range balancers {
		fmt.Fprint(table, "\n", b.name, "\t")
		for _, column := range columns {
			all := slices.Sorted(slices.Values(figures[i][column]))
			fmt.Fprintf(table, "%.1f\t", all[len(all)/2])
		}
	}
	fmt.Fprintln(table)
	return table.Flush()
}

// measure starts a balancer, makes one measurement, and stops it.
func (b *balancer) measure(ctx context.Context, o *options, m measurement, server string, figures samples) error {
	directory, err := os.MkdirTemp("", "mcplb-http2cost-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	p := &place{server: server, directory: directory}
	if err := p.prepare(); err != nil {
		return err
	}
	configuration := p.file("configuration")
	if err := os.WriteFile(configuration, []byte(b.config(p)), 0o600); err != nil {
		return err
	}
	process, err := proc.Start(b.argv(configuration))
	if err != nil {
		return err
	}
	defer process.Stop()
	if err := await(ctx, p, process); err != nil {
		return err
	}
	return m.run(ctx, o, p, process.PID(), figures)
}

// prepare chooses addresses and writes the certificate.
func (p *place) prepare() error {
	for _, address := range []*string{&p.plain, &p.secure} {
		listener, err := net.Listen("tcp", "127.78.0.1:0") // no other program uses it: the port stays free
		if err != nil {
			return err
		}
		*address = listener.Addr().String()
		defer listener.Close()
	}
	if err := certificate.WriteSelfSigned(p.directory, "127.78.0.1"); err != nil {
		return err
	}
	var both strings.Builder
	for _, name := range []string{"cert.pem", "key.pem"} {
		text, err := os.ReadFile(p.file(name))
		if err != nil {
			return err
		}
		both.Write(text)
	}
	return os.WriteFile(p.file("both.pem"), []byte(both.String()), 0o600)
}

// await waits until the balancer answers over TLS.
func await(ctx context.Context, p *place, process *proc.Process) error {
	const patience = 30 * time.Second
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := connect(p.secure, true)
		if err == nil {
			err = errors.Join(c.ask(), c.client.Close())
		}
		if err == nil {
			return nil
		}
		if output, ended := process.Ended(); ended {
			return fmt.Errorf("it has ended:\n%s", output)
		}
		if time.Since(began) > patience || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("it does not answer: %w", err), ctx.Err())
		}
	}
}
