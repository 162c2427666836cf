package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mcplb/plot"
)

// peersOptions are the flags of "mcpload peers".
type peersOptions struct {
	bin, out, against string
	seconds           time.Duration
	clients, rounds   int
	instructions      string // a command that counts instructions; "" = none
}

// peersCommand is "mcpload peers".
func peersCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o peersOptions
	flags := flag.NewFlagSet("mcpload peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bin, "bin", "", "the `directory` of mcplb (default that of mcpload itself)")
	flags.StringVar(&o.out, "o", "bench", "the `directory` for peers.csv, peers.md and the plots")
	flags.StringVar(&o.against, "against", "", "compare with the results in this `directory`")
	flags.DurationVar(&o.seconds, "load", 5*time.Second, "how `long` each is put under each load")
	flags.IntVar(&o.clients, "n", 2000, "how many `connections` are held for memory and files")
	flags.IntVar(&o.rounds, "rounds", 3, "how `often` all is measured; the medians count")
	flags.StringVar(&o.instructions, "instructions", "", "a `command` that prints instructions per message as testdata/bench/instructions.py does; it is added to the table")
	flags.Usage = func() {
		fmt.Fprint(stderr, "mcpload peers puts the same work through mcplb and, where they are installed, HAProxy and nginx, one thread each,\none after the other, and shows what each takes for it.\n\nUsage: mcpload peers [flags]\n")
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
		fallthrough
	case err != nil:
		fmt.Fprintln(stderr, "mcpload peers:", err)
		return 2
	}
	if o.bin == "" {
		self, err := os.Executable()
		if err != nil {
			fmt.Fprintln(stderr, "mcpload peers:", err)
			return 1
		}
		o.bin = filepath.Dir(self)
	}
	if err := runPeers(ctx, &o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "mcpload peers:", err)
		return 1
	}
	return 0
}

// comparison is one run of "mcpload peers".
type comparison struct {
	ctx       context.Context
	options   *peersOptions
	addresses peerAddresses
	table     table
	progress  io.Writer
}

// runPeers starts the origins, measures every balancer, and writes the results.
func runPeers(ctx context.Context, o *peersOptions, stdout, stderr io.Writer) error {
	directory, err := os.MkdirTemp("", "mcpload-*")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(directory)
	c := &comparison{ctx: ctx, options: o, table: table{kind: "balancer"}, progress: stderr}
	l := lab{host: [2]byte{byte(64 + os.Getpid()%64), byte(os.Getpid() >> 6)}}
	c.addresses = peerAddresses{directory: directory, threads: 1, tcp: l.address(balancerHost, portLines), http: l.address(balancerHost, portWeb)}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	for i := range c.addresses.origins {
		origin := &c.addresses.origins[i]
		origin.tcp, origin.http = l.address(balancerHost+1+i, portLines), l.address(balancerHost+1+i, portWeb)
		server, err := startProcess([]string{self, "origin", "-name", fmt.Sprint("origin", i+1), "-tcp", origin.tcp, "-http", origin.http})
		if err != nil {
			return err
		}
		defer server.stop()
		if err := server.awaitServing(ctx, c.base(origin.tcp, origin.http)); err != nil {
			return err
		}
	}
	for range max(o.rounds, 1) {
		if err := c.measureDirect(); err != nil {
			return err
		}
		for _, p := range installedPeers(o.bin) {
			if err := c.measurePeer(&p); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	c.table.medians()
	if err := c.addInstructions(); err != nil {
		return err
	}
	return writeResults(stdout, &c.table, c.charts(), o.out, "peers", o.against)
}

// base are the options of every run of the comparison.
func (c *comparison) base(tcp, http string) options {
	o := defaultOptions()
	o.targets[kindTCP], o.targets[kindHTTP] = tcp, http
	o.message, o.size, o.quiet, o.monitor = messageEcho, 120, true, 0
	o.load, o.sources = c.options.seconds, 100
	return o
}

// The loads that all get: messages a second that are far from any balancer's
// limit, so that latencies can be compared.
const (
	equalClients  = 200
	equalInterval = 100 * time.Millisecond // 2,000 messages a second
)

// equal measures latency at equal load, for one kind of client.
func (c *comparison) equal(name string, k kind, o options, pid int) error {
	o.mix = mix{}
	o.mix[k] = 1
	o.clients, o.interval, o.rate = equalClients, equalInterval, 1000
	report, cpu, err := c.run(o, pid)
	if err != nil {
		return err
	}
	c.table.add(name, k.String()+" p50 µs", 1000*report.Load.Latency.P50)
	c.table.add(name, k.String()+" p99 µs", 1000*report.Load.Latency.P99)
	if pid != 0 {
		c.table.add(name, k.String()+" CPU µs/message", 1e6*cpu.Seconds()/float64(report.Load.Answered))
	}
	return nil
}

// full measures messages a second without a pause, for one kind of client.
func (c *comparison) full(name string, k kind, o options, pid int) error {
	o.mix = mix{}
	o.mix[k] = 1
	o.clients, o.interval, o.rate = 64, 0, 1000
	report, cpu, err := c.run(o, pid)
	if err != nil {
		return err
	}
	c.table.add(name, k.String()+" messages/s", report.Load.PerSec)
	if pid != 0 {
		c.table.add(name, k.String()+" CPU µs/message, full speed", 1e6*cpu.Seconds()/float64(report.Load.Answered))
	}
	return nil
}

// run is one load; it returns what the process and its children took for it,
// with the opening of the sessions, which is little beside the messages.
func (c *comparison) run(o options, pid int) (*report, time.Duration, error) {
	if err := o.validate(); err != nil {
		return nil, 0, err
	}
	before := usageOfFamily(pid)
	report, err := doRun(c.ctx, &o, io.Discard)
	switch {
	case err != nil:
		return nil, 0, err
	case report.failed() || report.Interrupted:
		return nil, 0, fmt.Errorf("not as expected: %+v, lost %v", report.Verdict, report.Lost)
	}
	return report, usageOfFamily(pid).CPU - before.CPU, nil
}

// measureDirect puts the load on an origin, without a balancer: what is left
// when the balancers' own share is taken off.
func (c *comparison) measureDirect() error {
	const name = "none (direct)"
	fmt.Fprintln(c.progress, name)
	o := c.base(c.addresses.origins[0].tcp, c.addresses.origins[0].http)
	for _, k := range []kind{kindTCP, kindHTTP} {
		if err := errors.Join(c.equal(name, k, o, 0), c.full(name, k, o, 0)); err != nil {
			return err
		}
	}
	return nil
}

// measurePeer starts a balancer, measures it and ends it.
func (c *comparison) measurePeer(p *peer) error {
	fmt.Fprintln(c.progress, p.name)
	config := filepath.Join(c.addresses.directory, strings.ToLower(p.name)+".conf")
	if err := os.WriteFile(config, []byte(p.config(&c.addresses)), 0o644); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	process, err := startProcess(p.command(p.binary, config))
	if err != nil {
		return err
	}
	defer process.stop()
	o := c.base(c.addresses.tcp, c.addresses.http)
	if err := process.awaitServing(c.ctx, o); err != nil {
		return err
	}
	if err := c.hold(p.name, o, process.pid()); err != nil { // first: nothing of it has been used yet
		return err
	}
	for _, k := range []kind{kindTCP, kindHTTP} {
		if err := cmpErr(c.equal(p.name, k, o, process.pid()), c.full(p.name, k, o, process.pid())); err != nil {
			return err
		}
	}
	if err := c.open(p.name, o, process.pid()); err != nil {
		return err
	}
	return c.reload(p, o, process)
}

// open measures how many sessions a second are opened, and what each takes.
func (c *comparison) open(name string, o options, pid int) error {
	o.clients, o.rate, o.opening, o.load = c.options.clients, 1_000_000, 64, 0
	report, cpu, err := c.run(o, pid)
	if err != nil {
		return err
	}
	c.table.add(name, "connections/s", report.Ramp.PerSec)
	c.table.add(name, "CPU µs/connection", 1e6*cpu.Seconds()/float64(o.clients))
	return nil
}

// hold measures what held connections take.
func (c *comparison) hold(name string, o options, pid int) error {
	before := usageOfFamily(pid)
	var held usage
	o.clients, o.opening, o.interval = c.options.clients, 200, c.options.seconds
	o.holding = func() { held = usageOfFamily(pid) }
	if _, _, err := c.run(o, pid); err != nil {
		return err
	}
	c.table.add(name, "bytes/held connection", float64(held.Resident-before.Resident)/float64(o.clients))
	c.table.add(name, "files/held connection", float64(held.Files-before.Files)/float64(o.clients))
	return nil
}

// reload measures what a reload in the midst of the load does: sessions lost,
// the longest that a message took, and the processes that stay behind for the
// connections that live on.
func (c *comparison) reload(p *peer, o options, process *process) error {
	before := len(family(process.pid()))
	o.clients, o.interval, o.load = equalClients, equalInterval, max(c.options.seconds, 3*time.Second)
	o.faultCommand, o.faultAt = fmt.Sprintf("kill -%d %d", p.reload, process.pid()), o.load/3
	o.repairAt = o.load / 2
	processes := 0
	o.holding = func() { processes = len(family(process.pid())) }
	if err := o.validate(); err != nil {
		return err
	}
	report, err := doRun(c.ctx, &o, io.Discard)
	if err != nil {
		return err
	}
	c.table.add(p.name, "reload: sessions lost", float64(report.lostAll()))
	c.table.add(p.name, "reload: longest ms", report.Load.Latency.Max)
	c.table.add(p.name, "reload: processes more", float64(processes-before))
	return nil
}

// instructionLine is one result of testdata/bench/instructions.py, behind a
// line with the work's name.
var (
	workLine        = regexp.MustCompile(`^(\w+)  \(instructions per message\)`)
	instructionLine = regexp.MustCompile(`^  (\w+)\s+([\d,]+)\s+of`)
)

// addInstructions runs the command that counts instructions, if there is one.
func (c *comparison) addInstructions() error {
	if c.options.instructions == "" {
		return nil
	}
	fmt.Fprintln(c.progress, "counting instructions")
	command := exec.CommandContext(c.ctx, "sh", "-c", c.options.instructions)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("count instructions: %w: %s", err, output)
	}
	names := map[string]string{"mcplb": "mcplb", "haproxy": "HAProxy", "nginx": "nginx"}
	work := ""
	for line := range strings.Lines(string(output)) {
		if found := workLine.FindStringSubmatch(line); found != nil {
			work = found[1]
		}
		if found := instructionLine.FindStringSubmatch(line); found != nil && names[found[1]] != "" {
			n, err := strconv.ParseFloat(strings.ReplaceAll(found[2], ",", ""), 64)
			if err != nil {
				return fmt.Errorf("count instructions: %q: %w", line, err)
			}
			c.table.add(names[found[1]], work+" instructions/message", n)
		}
	}
	return nil
}

// charts are the comparison's plots.
func (c *comparison) charts() []plot.Chart {
	bars := func(title, unit string, figures ...string) plot.Chart {
		b := plot.Chart{Title: title, Y: unit, Labels: figures}
		for _, name := range c.table.cases() {
			s, measured := plot.Series{Name: name}, false
			for _, what := range figures {
				value, ok := c.table.value(name, what)
				s.Y, measured = append(s.Y, value), measured || ok
			}
			if measured {
				b.Series = append(b.Series, s)
			}
		}
		return b
	}
	return []plot.Chart{
		bars("Latency at 2,000 messages a second", "µs", "tcp p50 µs", "tcp p99 µs", "http p50 µs", "http p99 µs"),
		bars("Processor time for a message", "µs", "tcp CPU µs/message", "http CPU µs/message", "tcp CPU µs/message, full speed", "http CPU µs/message, full speed"),
		bars("Memory", "bytes", "bytes/held connection"),
		bars("Connections opened", "a second", "connections/s"),
	}
}
