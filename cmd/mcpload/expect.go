package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// expectations decide the exit status. The zero value of each but errors means
// that nothing is expected.
type expectations struct {
	distribution  float64 // percent that a node may be off its share
	p50, p95, p99 time.Duration
	spread        float64 // percent between the nodes' p50
	sticky        bool
	failover      time.Duration // until the balancer has noticed
	recovery      time.Duration // until the last lost client has a session
	undisturbed   bool          // nobody but the broken node's clients lost a session
	memory        memoryList
	errors        uint64 // losses that are forgiven; those that a fault explains are
}

func (e *expectations) define(flags *flag.FlagSet) {
	flags.Func("expect-distribution", "no node is further off its share of sessions than this, such as `2%`", percentOf(&e.distribution))
	flags.DurationVar(&e.p50, "expect-p50", 0, "the median latency is at most this `long`")
	flags.DurationVar(&e.p95, "expect-p95", 0, "95% of the answers take at most this `long`")
	flags.DurationVar(&e.p99, "expect-p99", 0, "99% of the answers take at most this `long`")
	flags.Func("expect-spread", "the nodes' median latencies are within this, such as `5%`", percentOf(&e.spread))
	flags.BoolVar(&e.sticky, "expect-sticky", false, "no answer comes from another node, and without a fault no client changes its node")
	flags.DurationVar(&e.failover, "expect-failover", 0, "the balancer notices the fault within this `long` (needs -admin and -fault-node)")
	flags.DurationVar(&e.recovery, "expect-recovery", 0, "every client that the fault threw out has a session again within this `long`")
	flags.BoolVar(&e.undisturbed, "expect-undisturbed", false, "only clients of -fault-node lose their session")
	flags.Var(&e.memory, "expect-memory", "a watched process stays below a `name=MB`; may be repeated")
	flags.Uint64Var(&e.errors, "expect-errors", 0, "at most so `many` sessions or attempts are lost (with a fault: besides those of -fault-node)")
}

func percentOf(to *float64) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil || n <= 0 {
			return fmt.Errorf("%q is no percentage above zero, such as 2%%", text)
		}
		*to = n
		return nil
	}
}

// verdict is one expectation and what was found.
type verdict struct {
	Expected string `json:"expected"`
	Found    string `json:"found"`
	OK       bool   `json:"ok"`
}

func (v *verdict) word() string {
	if v.OK {
		return "ok"
	}
	return "FAILED"
}

// judge compares a report with what is expected: in any case that all clients
// have sessions and that all messages are answered rightly.
func (e *expectations) judge(p *report, o *options) []verdict {
	var list []verdict
	add := func(ok bool, expected, found string, args ...any) {
		list = append(list, verdict{Expected: expected, Found: fmt.Sprintf(found, args...), OK: ok})
	}
	add(p.Held == o.clients, fmt.Sprintf("%d sessions at the end", o.clients), "%d", p.Held)
	if o.monitor > 0 {
		add(p.Monitor.Answered >= uint64(o.clients), "every client answers at the end", "%d of %d", p.Monitor.Answered, o.clients)
	}
	e.judgeLosses(p, add)
	if e.distribution > 0 {
		add(p.Off <= e.distribution, fmt.Sprintf("nodes within %g%% of their share", e.distribution), "%.2f%%", p.Off)
	}
	for _, q := range []struct {
		name string
		most time.Duration
		got  float64
	}{{"p50", e.p50, p.Load.Latency.P50}, {"p95", e.p95, p.Load.Latency.P95}, {"p99", e.p99, p.Load.Latency.P99}} {
		if q.most > 0 {
			add(p.Load.Latency.Count > 0 && q.got <= milliseconds(q.most), fmt.Sprintf("%s at most %v", q.name, q.most), "%.2f ms", q.got)
		}
	}
	if e.spread > 0 {
		add(p.Load.Spread <= e.spread, fmt.Sprintf("nodes' p50 within %g%%", e.spread), "%.2f%%", p.Load.Spread)
	}
	if e.sticky {
		add(p.Sticky.WrongNode == 0 && (p.Fault != nil || p.Sticky.Moved == 0), "sticky", "%d wrong nodes, %d moved", p.Sticky.WrongNode, p.Sticky.Moved)
	}
	for _, m := range e.memory {
		peak := p.peak(m.name)
		add(peak > 0 && mega(peak) <= m.most, fmt.Sprintf("%s at most %g MB", m.name, m.most), "%.1f MB", mega(peak))
	}
	e.judgeFault(p, add)
	return list
}

// judgeLosses forgives, where there is a fault, what the sessions of the broken
// node and their attempts to come back met with.
func (e *expectations) judgeLosses(p *report, add func(bool, string, string, ...any)) {
	if p.Fault == nil {
		lost := p.lostAll()
		add(lost <= e.errors, fmt.Sprintf("at most %d losses", e.errors), "%d", lost)
		return
	}
	add(p.Fault.Disturbed <= e.errors || !e.undisturbed, fmt.Sprintf("at most %d losses on other nodes", e.errors), "%d", p.Fault.Disturbed)
}

func (e *expectations) judgeFault(p *report, add func(bool, string, string, ...any)) {
	f := p.Fault
	if f == nil {
		return
	}
	within := func(what string, found *float64, most time.Duration) {
		if most > 0 {
			add(found != nil && *found <= most.Seconds(), fmt.Sprintf("%s within %v", what, most), "%s", seconds(found))
		}
	}
	within("fault noticed", f.Detected, e.failover)
	within("lost clients back", f.Recovered, e.recovery)
}

// failed tells whether any expectation was not met.
func (p *report) failed() bool {
	for _, v := range p.Verdict {
		if !v.OK {
			return true
		}
	}
	return false
}

// peak is the most memory that a watched process had.
func (p *report) peak(name string) int64 {
	for _, w := range p.Watched {
		if w.Name == name {
			return w.Peak
		}
	}
	return 0
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// memoryList are bounds of processes' memory.
type memoryList []struct {
	name string
	most float64 // MB
}

// String implements flag.Value.
func (l *memoryList) String() string {
	if l == nil {
		return ""
	}
	var parts []string
	for _, m := range *l {
		parts = append(parts, fmt.Sprintf("%s=%g", m.name, m.most))
	}
	return strings.Join(parts, ",")
}

// Set implements flag.Value.
func (l *memoryList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(part, "=")
		most, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || most <= 0 {
			return fmt.Errorf("%q is not name=MB", part)
		}
		*l = append(*l, struct {
			name string
			most float64
		}{name, most})
	}
	return nil
}
