package comparison

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/proc"
	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
)

// subject is what is measured: a balancer that runs, or an origin alone.
type subject struct {
	name    string
	pid     int         // 0 = its usage is not measured
	base    run.Options // of every run
	clients int         // that hold connections
	table   *report.Table
}

// The equal load: messages per second far below any balancer's limit, so that
// latencies are comparable.
const (
	equalClients  = 200
	equalInterval = 100 * time.Millisecond // 2,000 messages per second
)

// run does one run. It returns the processor time that the process and its children
// used for it, including the opening of the sessions, which is little beside the
// messages.
func (s *subject) run(ctx context.Context, o *run.Options) (*report.Report, time.Duration, error) {
	before := proc.UsageOfFamily(s.pid)
	r, err := run.Do(ctx, o, io.Discard)
	switch {
	case err != nil:
		return nil, 0, err
	case r.Failed() || r.Interrupted:
		return nil, 0, fmt.Errorf("not as expected: %+v, lost %v", r.Verdict, r.Lost)
	}
	return r, proc.UsageOfFamily(s.pid).CPU - before.CPU, nil
}

// messages measures messages of each kind, at the equal load and at full speed.
func (s *subject) messages(ctx context.Context) error {
	for _, k := range []clients.Kind{clients.TCP, clients.HTTP} {
		if err := s.equal(ctx, k); err != nil {
			return err
		}
		if err := s.full(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// equal measures latency at the equal load.
func (s *subject) equal(ctx context.Context, k clients.Kind) error {
	o := s.base
	o.Mix, o.Clients, o.Interval, o.Rate = clients.Only(k), equalClients, equalInterval, 1000
	r, cpu, err := s.run(ctx, &o)
	if err != nil {
		return err
	}
	s.table.Add(s.name, k.String()+" p50 µs", 1000*r.Load.Latency.P50)
	s.table.Add(s.name, k.String()+" p99 µs", 1000*r.Load.Latency.P99)
	if s.pid != 0 {
		s.table.Add(s.name, k.String()+" CPU µs/message", 1e6*cpu.Seconds()/float64(r.Load.Answered))
	}
	return nil
}

// full measures messages per second without a pause.
func (s *subject) full(ctx context.Context, k clients.Kind) error {
	o := s.base
	o.Mix, o.Clients, o.Interval, o.Rate = clients.Only(k), 64, 0, 1000
	r, cpu, err := s.run(ctx, &o)
	if err != nil {
		return err
	}
	s.table.Add(s.name, k.String()+" messages/s", r.Load.PerSec)
	if s.pid != 0 {
		s.table.Add(s.name, k.String()+" CPU µs/message, full speed", 1e6*cpu.Seconds()/float64(r.Load.Answered))
	}
	return nil
}

// connections measures how many sessions are opened per second, and the processor
// time for each.
func (s *subject) connections(ctx context.Context) error {
	o := s.base
	o.Clients, o.Rate, o.Opening, o.Load = s.clients, 1_000_000, 64, 0
	r, cpu, err := s.run(ctx, &o)
	if err != nil {
		return err
	}
	s.table.Add(s.name, "connections/s", r.Ramp.PerSec)
	s.table.Add(s.name, "CPU µs/connection", 1e6*cpu.Seconds()/float64(o.Clients))
	return nil
}

// memory measures what held connections have in use.
func (s *subject) memory(ctx context.Context) error {
	o := s.base
	before := proc.UsageOfFamily(s.pid)
	var held proc.Usage
	o.Clients, o.Opening, o.Interval = s.clients, 200, o.Load
	o.Holding = func() { held = proc.UsageOfFamily(s.pid) }
	if _, _, err := s.run(ctx, &o); err != nil {
		return err
	}
	s.table.Add(s.name, "bytes/held connection", float64(held.Resident-before.Resident)/float64(o.Clients))
	s.table.Add(s.name, "files/held connection", float64(held.Files-before.Files)/float64(o.Clients))
	return nil
}

// reload measures a reload during the load: sessions lost, the longest latency, and
// the processes that remain for the old connections.
func (s *subject) reload(ctx context.Context, signal syscall.Signal) error {
	o := s.base
	before, after := len(proc.Family(s.pid)), 0
	o.Clients, o.Interval, o.Load = equalClients, equalInterval, max(o.Load, 3*time.Second)
	o.Fault.Command, o.Fault.At, o.Fault.RepairAt = fmt.Sprintf("kill -%d %d", signal, s.pid), o.Load/3, o.Load/2
	o.Holding = func() { after = len(proc.Family(s.pid)) }
	r, err := run.Do(ctx, &o, io.Discard) // losses are a result here
	if err != nil {
		return err
	}
	s.table.Add(s.name, "reload: sessions lost", float64(r.LostTotal()))
	s.table.Add(s.name, "reload: longest ms", r.Load.Latency.Max)
	s.table.Add(s.name, "reload: processes more", float64(after-before))
	return nil
}
