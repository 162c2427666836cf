package comparison

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/lab"
	"mcplb/cmd/mcpload/proc"
	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
	"mcplb/plot"
)

// Options are what is compared, and how.
type Options struct {
	Bin          string        // the directory of mcplb; "" = this program's
	Out          string        // the directory for the results
	Against      string        // the directory of earlier results to compare with; "" = none
	Load         time.Duration // of each measurement
	Clients      int           // that hold connections, for memory and files
	Rounds       int           // of which the medians count; below 1 = 1
	Instructions string        // a shell command that counts instructions; "" = none
}

// Run measures every balancer that is installed and writes the results. The origins
// are processes of this program's command "origin".
func Run(ctx context.Context, o *Options, stdout, progress io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	bin := o.Bin
	if bin == "" {
		bin = filepath.Dir(self)
	}
	directory, err := os.MkdirTemp("", "mcpload-*")
	if err != nil {
		return fmt.Errorf("create a directory: %w", err)
	}
	defer os.RemoveAll(directory)
	c := &comparison{options: o, setup: newSetup(directory), table: &report.Table{Kind: "balancer"}, progress: progress}
	stop, err := c.startOrigins(ctx, self)
	defer stop()
	if err != nil {
		return err
	}
	if err := c.measure(ctx, installed(bin)); err != nil {
		return err
	}
	if err := c.addInstructions(ctx); err != nil {
		return err
	}
	results := report.Results{Name: "peers", Table: c.table, Charts: c.charts()}
	return results.Write(stdout, o.Out, o.Against)
}

// comparison is one run of the comparison.
type comparison struct {
	options  *Options
	setup    *setup
	table    *report.Table
	progress io.Writer
}

func newSetup(directory string) *setup {
	network := lab.OwnNetwork()
	s := &setup{
		directory: directory, threads: 1,
		lines: network.Address(lab.BalancerHost, lab.PortLines), http: network.Address(lab.BalancerHost, lab.PortHTTP),
	}
	for i := range s.origins {
		host := lab.BalancerHost + 1 + i
		s.origins[i] = addresses{network.Address(host, lab.PortLines), network.Address(host, lab.PortHTTP)}
	}
	return s
}

// startOrigins starts the origins. stop stops those that were started, also after
// an error.
func (c *comparison) startOrigins(ctx context.Context, self string) (stop func(), err error) {
	var started []*proc.Process
	stop = func() {
		for _, p := range started {
			p.Stop()
		}
	}
	for i, origin := range c.setup.origins {
		p, err := proc.Start([]string{self, "origin", "-name", fmt.Sprint("origin", i+1), "-tcp", origin.lines, "-http", origin.http})
		if err != nil {
			return stop, err
		}
		started = append(started, p)
		if err := awaitServing(ctx, p, c.base(origin)); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// measure measures all balancers, and an origin without one, in every round.
func (c *comparison) measure(ctx context.Context, balancers []balancer) error {
	for range max(c.options.Rounds, 1) {
		if err := c.measureDirect(ctx); err != nil {
			return err
		}
		for i := range balancers {
			if err := c.measureBalancer(ctx, &balancers[i]); err != nil {
				return fmt.Errorf("%s: %w", balancers[i].name, err)
			}
		}
	}
	c.table.Medians()
	return nil
}

// measureDirect measures an origin without a balancer: what remains if the
// balancers' own share is subtracted.
func (c *comparison) measureDirect(ctx context.Context) error {
	s := c.subject("none (direct)", c.setup.origins[0], 0)
	return s.messages(ctx)
}

// measureBalancer starts a balancer, measures it, and stops it.
func (c *comparison) measureBalancer(ctx context.Context, b *balancer) error {
	config := filepath.Join(c.setup.directory, strings.ToLower(b.name)+".conf")
	if err := os.WriteFile(config, []byte(b.config(c.setup)), 0o644); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	p, err := proc.Start(b.command(b.binary, config))
	if err != nil {
		return err
	}
	defer p.Stop()
	s := c.subject(b.name, addresses{c.setup.lines, c.setup.http}, p.PID())
	if err := awaitServing(ctx, p, s.base); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		s.memory, // first: no memory has been used yet
		s.messages,
		s.connections,
		func(ctx context.Context) error { return s.reload(ctx, b.reload) },
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) subject(name string, at addresses, pid int) *subject {
	fmt.Fprintln(c.progress, name)
	return &subject{name: name, pid: pid, base: c.base(at), clients: c.options.Clients, table: c.table}
}

// base returns the options that all runs have in common.
func (c *comparison) base(at addresses) run.Options {
	o := run.Defaults()
	o.Addresses[clients.TCP], o.Addresses[clients.HTTP] = at.lines, at.http
	o.Message, o.Size, o.Quiet, o.Monitor = clients.Echo, 120, true, 0
	o.Load, o.Sources = c.options.Load, 100
	return o
}

// awaitServing waits until a process answers an MCP client.
func awaitServing(ctx context.Context, p *proc.Process, o run.Options) error {
	o.Clients, o.Load, o.Monitor, o.Quiet = 1, 0, 0, true
	o.OpenTimeout = 200 * time.Millisecond
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; {
		r, err := run.Do(ctx, &o, io.Discard)
		if err != nil || r.Held == 1 {
			return err
		}
		if output, ended := p.Ended(); ended {
			return fmt.Errorf("%s has ended: %s", p.Path(), output)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New(p.Path() + " does not serve")
}

// charts returns the comparison's plots.
func (c *comparison) charts() []plot.Chart {
	return []plot.Chart{
		c.bars("Latency at 2,000 messages a second", "µs", "tcp p50 µs", "tcp p99 µs", "http p50 µs", "http p99 µs"),
		c.bars("Processor time for a message", "µs", "tcp CPU µs/message", "http CPU µs/message", "tcp CPU µs/message, full speed", "http CPU µs/message, full speed"),
		c.bars("Memory", "bytes", "bytes/held connection"),
		c.bars("Connections opened", "a second", "connections/s"),
	}
}

// bars compares figures of all balancers that have any of them.
func (c *comparison) bars(title, unit string, figures ...string) plot.Chart {
	chart := plot.Chart{Title: title, Y: unit, Labels: figures}
	for _, name := range c.table.Cases() {
		s, measured := plot.Series{Name: name}, false
		for _, what := range figures {
			value, ok := c.table.Value(name, what)
			s.Y, measured = append(s.Y, value), measured || ok
		}
		if measured {
			chart.Series = append(chart.Series, s)
		}
	}
	return chart
}
