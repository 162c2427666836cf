package stress

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"mcplb/cmd/mcpload/proc"
	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
)

// allTests returns the suite.
func allTests() []test {
	tests := []test{
		{"formation", "all nodes and the balancer start and answer", formationAll},
		{"formation", "a node that is missing is no obstacle", formationMissing},
		{"formation", "a taken port is named, and nothing starts", formationConflict},
	}
	for _, percent := range []int{1, 10, 25, 50, 100} {
		tests = append(tests, test{"scaling", fmt.Sprintf("%d%% of the connections", percent), func(s *suite) (string, error) { return scaling(s, percent) }})
	}
	return append(tests,
		test{"performance", "latency with all connections", performanceLatency},
		test{"performance", "messages without a pause", performanceThroughput},
		test{"performance", "memory after coming and going", performanceMemory},
		test{"reliability", "a node dies: noticed, replaced, the rest undisturbed", reliabilityFailure},
		test{"reliability", "a node comes back and serves again", reliabilityRecovery},
		test{"reliability", "shutdown: every session ends, every process is gone", reliabilityShutdown},
	)
}

func formationAll(s *suite) (string, error) {
	begin := time.Now()
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	took := time.Since(begin)
	status, err := s.lab.Status(s.ctx)
	if err != nil {
		return "", err
	}
	if status.Health != "healthy" || status.NodesUp != s.lab.Nodes {
		return "", fmt.Errorf("%s, %d nodes up", status.Health, status.NodesUp)
	}
	return fmt.Sprintf("%d nodes up after %.1f s", status.NodesUp, took.Seconds()), nil
}

func formationMissing(s *suite) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	if _, err := s.lab.Cluster(s.ctx, "stop", "node4"); err != nil {
		return "", err
	}
	if _, ok := s.awaitServer("node4", false, 15*time.Second); !ok {
		return "", errors.New("the balancer has not noticed that node4 is gone")
	}
	r, err := s.load(func(o *run.Options) { o.Clients = max(s.Size/10, 4) })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d sessions on %d nodes", r.Held, len(r.Nodes)), nil
}

func formationConflict(s *suite) (string, error) {
	address := s.lab.NodeLines(2)
	holder, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("take a port: %w", err)
	}
	defer holder.Close()
	err = s.lab.Start(s.ctx)
	pid := fmt.Sprintf("(pid %d)", os.Getpid())
	switch {
	case err == nil:
		return "", errors.New("the cluster has started nevertheless")
	case !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), pid) || !strings.Contains(err.Error(), "nothing was started"):
		return "", fmt.Errorf("the message does not name the address, the process that uses it and what was started: %w", err)
	}
	return "the message names " + address + " and " + pid, nil
}

// evenness returns by how many percent a node may be off its share: 2, or more if
// that is less than one session of each kind, since the kinds are distributed
// independently.
func evenness(clients, nodes int) float64 {
	const kinds = 4
	return max(2, 100*kinds*float64(nodes)/float64(max(clients, 1))+0.01)
}

func scaling(s *suite, percent int) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	r, err := s.load(func(o *run.Options) {
		o.Clients, o.Monitor = max(s.Size*percent/100, s.lab.Nodes), time.Second
		o.Expect.Distribution, o.Expect.Sticky = evenness(o.Clients, s.lab.Nodes), true
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d sessions, %.0f a second, nodes within %.1f%%, mcplb %.0f MB",
		r.Held, r.Ramp.PerSec, r.Off, report.MB(r.Process("mcplb").Peak)), nil
}

func performanceLatency(s *suite) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	r, err := s.load(func(o *run.Options) { o.Expect.P99 = s.P99 })
	if err != nil {
		return "", err
	}
	l := r.Load.Latency
	return fmt.Sprintf("p50 %.1f, p95 %.1f, p99 %.1f ms at %.0f messages a second", l.P50, l.P95, l.P99, r.Load.PerSec), nil
}

func performanceThroughput(s *suite) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	r, err := s.load(func(o *run.Options) { o.Clients, o.Interval = min(s.Size, 64), 0 })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.0f messages a second, %.0f µs of the balancer's processor time each", r.Load.PerSec, r.Cost("mcplb")), nil
}

// performanceMemory opens and closes all sessions three times: the balancer may
// keep the memory of the first time, and some more for the accounting of the kernel
// and of Go.
func performanceMemory(s *suite) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	var peaks []float64
	for range 3 {
		r, err := s.load(func(o *run.Options) { o.Load = s.Load / 2 })
		if err != nil {
			return "", err
		}
		peaks = append(peaks, report.MB(r.Process("mcplb").Peak))
	}
	if allowed := 1.3*peaks[0] + 8; peaks[2] > allowed {
		return "", fmt.Errorf("mcplb had %.1f MB the first time and %.1f MB the third", peaks[0], peaks[2])
	}
	return fmt.Sprintf("mcplb had %.1f, %.1f, %.1f MB", peaks[0], peaks[1], peaks[2]), nil
}

func reliabilityFailure(s *suite) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	r, err := s.load(func(o *run.Options) {
		s.lab.BreakNode(o, "node2")
		o.Fault.Repair, o.Monitor = "", time.Second
		o.Fault.At, o.Fault.RepairAt = s.Load/4, s.Load/2
	})
	if err != nil {
		return "", err
	}
	f := r.Fault
	return fmt.Sprintf("noticed after %s; %d sessions lost, none of other nodes; the longest was away for %s",
		report.Seconds(f.Detected), f.Lost, report.Seconds(f.Recovered)), nil
}

func reliabilityRecovery(s *suite) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	if _, err := s.lab.Cluster(s.ctx, "stop", "-kill", "node2"); err != nil {
		return "", err
	}
	if _, ok := s.awaitServer("node2", false, 15*time.Second); !ok {
		return "", errors.New("the balancer has not noticed that node2 is gone")
	}
	if _, err := s.lab.Cluster(s.ctx, "start", "node2"); err != nil {
		return "", err
	}
	begin := time.Now()
	back, ok := s.awaitServer("node2", true, 30*time.Second)
	if !ok {
		return "", errors.New("the balancer has not noticed that node2 is back")
	}
	took := back.Sub(begin)
	r, err := s.load(func(o *run.Options) { o.Expect.Distribution = evenness(o.Clients, s.lab.Nodes) })
	if err != nil {
		return "", err
	}
	if len(r.Nodes) != s.lab.Nodes {
		return "", fmt.Errorf("%d nodes serve", len(r.Nodes))
	}
	return fmt.Sprintf("seen after %.1f s, then its share within %.1f%%", took.Seconds(), r.Off), nil
}

func reliabilityShutdown(s *suite) (string, error) {
	if err := s.lab.Start(s.ctx); err != nil {
		return "", err
	}
	status, err := s.lab.Status(s.ctx)
	if err != nil {
		return "", err
	}
	begin := time.Now()
	var stopped error
	r, err := s.load(func(o *run.Options) {
		o.Reconnect, o.Load = 0, 0
		o.Holding = func() { stopped = s.lab.Stop() }
	})
	if err := errors.Join(err, stopped); err != nil {
		return "", err
	}
	for _, m := range status.Members {
		if _, err := proc.UsageOf(m.PID, false); err == nil {
			return "", fmt.Errorf("%s (pid %d) is still running", m.Name, m.PID)
		}
	}
	return fmt.Sprintf("with %d sessions, %.1f s in all", r.Clients, time.Since(begin).Seconds()), nil
}
