package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// stressTest is one thing that a cluster must bear. It has a lab of its own,
// whose cluster it starts when it wants to, and returns what it found, in
// words; an error is what the cluster did not bear.
type stressTest struct {
	group, name string
	run         func(s *stress) (string, error)
}

// stressTests are the suite, in its four groups.
func stressTests() []stressTest {
	tests := []stressTest{
		{"formation", "all nodes and the balancer start and answer", formationAll},
		{"formation", "a node that is missing is no obstacle", formationMissing},
		{"formation", "a taken port is named, and nothing starts", formationConflict},
	}
	for _, percent := range []int{1, 10, 25, 50, 100} {
		tests = append(tests, stressTest{"scaling", fmt.Sprintf("%d%% of the connections", percent), func(s *stress) (string, error) { return scaling(s, percent) }})
	}
	return append(tests,
		stressTest{"performance", "latency with all connections", performanceLatency},
		stressTest{"performance", "messages without a pause", performanceThroughput},
		stressTest{"performance", "memory after coming and going", performanceMemory},
		stressTest{"reliability", "a node dies: noticed, replaced, the rest undisturbed", reliabilityFailure},
		stressTest{"reliability", "a node comes back and serves again", reliabilityRecovery},
		stressTest{"reliability", "shutdown: every session ends, every process is gone", reliabilityShutdown},
	)
}

// stress is one test's surroundings.
type stress struct {
	ctx  context.Context
	lab  *lab
	size int
	load time.Duration
	p99  time.Duration
}

// stressCommand is "mcpload stress".
func stressCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mcpload stress", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bin := flags.String("bin", "", "the `directory` of mcpcluster, mcpnode and mcplb (default that of mcpload itself)")
	size := flags.Int("size", 1000, "how many `connections` are all of them")
	load := flags.Duration("load", 5*time.Second, "how `long` a load lasts")
	p99 := flags.Duration("p99", 100*time.Millisecond, "the latency that 99% of the answers must keep to")
	only := flags.String("only", "", "only tests of this `group`: formation, scaling, performance or reliability")
	err := flags.Parse(args)
	if err == nil && (*size < 4 || flags.NArg() > 0) {
		err = errors.New("-size must be at least 4, and there are no arguments")
	}
	tests := slices.DeleteFunc(stressTests(), func(t stressTest) bool { return *only != "" && t.group != *only })
	if err == nil && len(tests) == 0 {
		err = fmt.Errorf("there is no group %q", *only)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "mcpload stress:", err)
		return 2
	}
	return runStress(&stress{ctx: ctx, size: *size, load: *load, p99: *p99}, tests, *bin, stdout, stderr)
}

// runStress runs the tests one after the other and shows the table.
func runStress(s *stress, tests []stressTest, bin string, stdout, stderr io.Writer) int {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "GROUP\tTEST\tRESULT\tSECONDS\tFOUND")
	status := 0
	for _, test := range tests {
		fmt.Fprintf(stderr, "%s: %s\n", test.group, test.name)
		begin := time.Now()
		found, err := s.try(test, bin)
		result := "ok"
		if err != nil {
			result, found, status = "FAILED", strings.ReplaceAll(err.Error(), "\n", "; "), 1
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t%s\n", test.group, test.name, result, time.Since(begin).Seconds(), found)
		if s.ctx.Err() != nil {
			status = exitInterrupted
			break
		}
	}
	if err := table.Flush(); err != nil {
		fmt.Fprintln(stderr, "mcpload stress:", err)
		return 1
	}
	return status
}

// try gives a test a lab of its own.
func (s *stress) try(test stressTest, bin string) (string, error) {
	lab, err := newLab(bin, 4)
	if err != nil {
		return "", err
	}
	defer lab.close()
	one := *s
	one.lab = lab
	return test.run(&one)
}

// put runs a load on the lab's cluster; anything that is not as expected is an
// error.
func (s *stress) put(change func(o *options)) (*report, error) {
	o, err := s.lab.options(s.ctx)
	if err != nil {
		return nil, err
	}
	o.clients, o.load, o.monitor = s.size, s.load, 0
	o.interval = max(time.Second, time.Duration(s.size)*time.Second/500)
	change(&o)
	if err := o.validate(); err != nil {
		return nil, err
	}
	report, err := doRun(s.ctx, &o, io.Discard)
	if err != nil {
		return nil, err
	}
	for _, v := range report.Verdict {
		if !v.OK {
			err = errors.Join(err, fmt.Errorf("%s: %s", v.Expected, v.Found))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w (lost: %v)", err, report.Lost)
	}
	return report, nil
}

func formationAll(s *stress) (string, error) {
	begin := time.Now()
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	took := time.Since(begin)
	status, err := s.lab.status(s.ctx)
	if err != nil {
		return "", err
	}
	if status.Health != "healthy" || status.NodesUp != s.lab.nodes {
		return "", fmt.Errorf("%s, %d nodes up", status.Health, status.NodesUp)
	}
	return fmt.Sprintf("%d nodes up after %.1f s", status.NodesUp, took.Seconds()), nil
}

func formationMissing(s *stress) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	if _, err := s.lab.cluster(s.ctx, "stop", "node4"); err != nil {
		return "", err
	}
	if _, ok := s.awaitServer("node4", false, 15*time.Second); !ok {
		return "", errors.New("the balancer has not noticed that node4 is gone")
	}
	report, err := s.put(func(o *options) { o.clients = max(s.size/10, 4) })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d sessions on %d nodes", report.Held, len(report.Nodes)), nil
}

// awaitServer waits until the laboratory's balancer shows a node in or out of
// rotation, and returns since when.
func (s *stress) awaitServer(name string, usable bool, patience time.Duration) (since time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	return awaitServer(ctx, s.lab.address(balancerHost, portAdmin), name, usable)
}

func formationConflict(s *stress) (string, error) {
	address := s.lab.address(balancerHost+2, portLines)
	holder, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("take a port: %w", err)
	}
	defer holder.Close()
	err = s.lab.start(s.ctx)
	pid := fmt.Sprintf("(pid %d)", os.Getpid())
	switch {
	case err == nil:
		return "", errors.New("the cluster started all the same")
	case !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), pid) || !strings.Contains(err.Error(), "nothing was started"):
		return "", fmt.Errorf("the message does not name the address, the holder and what was started: %w", err)
	}
	return "the message names " + address + " and " + pid, nil
}

// evenness is how far a node may be off its share: 2%, and where that is less
// than one session of each kind, since each is dealt out for itself, so many.
func evenness(clients, nodes int) float64 {
	const kinds = 4
	return max(2, 100*kinds*float64(nodes)/float64(max(clients, 1))+0.01)
}

func scaling(s *stress, percent int) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	report, err := s.put(func(o *options) {
		o.clients, o.monitor = max(s.size*percent/100, s.lab.nodes), time.Second
		o.expect.distribution, o.expect.sticky = evenness(o.clients, s.lab.nodes), true
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d sessions, %.0f a second, nodes within %.1f%%, mcplb %.0f MB",
		report.Held, report.Ramp.PerSec, report.Off, mega(report.watchedAs("mcplb").Peak)), nil
}

func performanceLatency(s *stress) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	report, err := s.put(func(o *options) { o.expect.p99 = s.p99 })
	if err != nil {
		return "", err
	}
	l := report.Load.Latency
	return fmt.Sprintf("p50 %.1f, p95 %.1f, p99 %.1f ms at %.0f messages a second", l.P50, l.P95, l.P99, report.Load.PerSec), nil
}

func performanceThroughput(s *stress) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	report, err := s.put(func(o *options) { o.clients, o.interval = min(s.size, 64), 0 })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.0f messages a second, %.0f µs of the balancer's processor time each", report.Load.PerSec, report.cost("mcplb")), nil
}

// performanceMemory has all clients come and go three times: the balancer may
// keep what the first time took, and some for the kernel's and Go's accounting.
func performanceMemory(s *stress) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	var peaks []float64
	for range 3 {
		report, err := s.put(func(o *options) { o.load = s.load / 2 })
		if err != nil {
			return "", err
		}
		peaks = append(peaks, mega(report.watchedAs("mcplb").Peak))
	}
	if allowed := 1.3*peaks[0] + 8; peaks[2] > allowed {
		return "", fmt.Errorf("mcplb had %.1f MB the first time and %.1f MB the third", peaks[0], peaks[2])
	}
	return fmt.Sprintf("mcplb had %.1f, %.1f, %.1f MB", peaks[0], peaks[1], peaks[2]), nil
}

func reliabilityFailure(s *stress) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	report, err := s.put(func(o *options) {
		s.lab.breakNode(o, "node2")
		o.repairCommand, o.monitor = "", time.Second
		o.faultAt, o.repairAt = s.load/4, s.load/2
	})
	if err != nil {
		return "", err
	}
	f := report.Fault
	return fmt.Sprintf("noticed after %s; %d sessions lost, none of other nodes; the longest was away for %s", seconds(f.Detected), f.Lost, seconds(f.Recovered)), nil
}

func reliabilityRecovery(s *stress) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	if _, err := s.lab.cluster(s.ctx, "stop", "-kill", "node2"); err != nil {
		return "", err
	}
	if _, ok := s.awaitServer("node2", false, 15*time.Second); !ok {
		return "", errors.New("the balancer has not noticed that node2 is gone")
	}
	if _, err := s.lab.cluster(s.ctx, "start", "node2"); err != nil {
		return "", err
	}
	begin := time.Now()
	back, ok := s.awaitServer("node2", true, 30*time.Second)
	if !ok {
		return "", errors.New("the balancer has not noticed that node2 is back")
	}
	took := back.Sub(begin)
	report, err := s.put(func(o *options) { o.expect.distribution = evenness(o.clients, s.lab.nodes) })
	if err != nil {
		return "", err
	}
	if len(report.Nodes) != s.lab.nodes {
		return "", fmt.Errorf("%d nodes serve", len(report.Nodes))
	}
	return fmt.Sprintf("seen after %.1f s, then its share within %.1f%%", took.Seconds(), report.Off), nil
}

func reliabilityShutdown(s *stress) (string, error) {
	if err := s.lab.start(s.ctx); err != nil {
		return "", err
	}
	status, err := s.lab.status(s.ctx)
	if err != nil {
		return "", err
	}
	begin := time.Now()
	var stopped error
	report, err := s.put(func(o *options) {
		o.reconnect, o.load = 0, 0
		o.holding = func() { stopped = s.lab.stop() }
	})
	if err := errors.Join(err, stopped); err != nil {
		return "", err
	}
	for _, m := range status.Members {
		if _, err := usageOf(m.PID, false); err == nil {
			return "", fmt.Errorf("%s (pid %d) still runs", m.Name, m.PID)
		}
	}
	return fmt.Sprintf("with %d sessions, %.1f s in all", report.Clients, time.Since(begin).Seconds()), nil
}
