package run

import (
	"context"
	"io"
	"time"

	"golang.org/x/time/rate"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/report"
)

// The phases of a run.
const (
	phaseRamp    = "ramp"
	phaseLoad    = "load"
	phaseMonitor = "monitor"
)

// tickTime is how often a phase looks at what there is to do.
const tickTime = 10 * time.Millisecond

// run takes a fleet through the phases. It belongs to the goroutine of Do.
type run struct {
	options  *Options
	fleet    *clients.Fleet
	fault    *faultRun
	recorder *recorder
	rampTook time.Duration
}

// Do does one run and writes progress to out. The report describes what happened,
// also if ctx ends the run early; an error means that the run was not possible.
func Do(ctx context.Context, o *Options, out io.Writer) (*report.Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := o.checkLimit(); err != nil {
		return nil, err
	}
	fleetOptions, err := o.forClients()
	if err != nil {
		return nil, err
	}
	fleet, err := clients.Start(fleetOptions)
	if err != nil {
		return nil, err
	}
	defer fleet.Close()
	begin := time.Now()
	r := &run{options: o, fleet: fleet, recorder: newRecorder(o, fleet, out, begin)}
	r.fault = &faultRun{fault: &o.Fault, out: out, begin: begin, patience: max(o.Load, minPatience)}
	r.ramp(ctx)
	r.load(ctx)
	r.monitor(ctx)
	finished := r.recorder.finish(r.fault, ctx.Err() != nil)
	if o.Holding != nil {
		o.Holding()
	}
	return finished, nil
}

// ramp starts the clients at the set rate. It returns when all have a session or
// the last one has had its time.
func (r *run) ramp(ctx context.Context) {
	r.recorder.phase = phaseRamp
	o := r.options
	limiter := rate.NewLimiter(rate.Limit(o.Rate), o.Rate) // a second's worth of what Opening has held back is made up for
	limiter.AllowN(time.Now(), o.Rate)                     // it starts empty
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	for r.fleet.Started() < o.Clients && r.tick(ctx, ticker.C) {
		now := time.Now()
		n := min(int(limiter.TokensAt(now)), o.Clients-r.fleet.Started())
		if o.Opening > 0 {
			n = min(n, o.Opening-r.fleet.Opening())
		}
		if n > 0 && limiter.AllowN(now, n) {
			r.fleet.Add(n)
		}
	}
	r.rampTook = time.Since(r.recorder.begin)
	r.await(ctx, o.OpenTimeout, func(t *clients.Tally) bool { return t.Held() == o.Clients })
	r.recorder.sample()
}

// tick waits for a tick and takes a sample when one is due. It returns false when
// ctx is done.
func (r *run) tick(ctx context.Context, ticks <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-ticks:
	}
	if time.Since(r.recorder.sampled) >= r.options.Every {
		r.recorder.sample()
	}
	return true
}

// await returns when done returns true for the current counts, after the timeout,
// or when ctx is done.
func (r *run) await(ctx context.Context, timeout time.Duration, done func(*clients.Tally) bool) {
	const step = 50 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if !r.tick(ctx, ticker.C) || done(r.fleet.Count()) {
			return
		}
	}
}

// load makes every client send messages, and meanwhile causes and repairs the
// fault.
func (r *run) load(ctx context.Context) {
	o := r.options
	if ctx.Err() != nil || o.Load == 0 {
		return
	}
	r.recorder.phase = phaseLoad
	r.recorder.rampDone()
	r.fleet.Ask(o.Interval, true)
	r.recorder.restart()
	begin := time.Now()
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	for r.tick(ctx, ticker.C) {
		elapsed := time.Since(begin)
		r.stepFault(elapsed)
		if elapsed >= o.Load && (r.fault.done() || elapsed >= o.Load+o.OpenTimeout) {
			break
		}
	}
	took := time.Since(begin)
	r.fleet.Hush()
	r.await(ctx, o.Timeout, func(t *clients.Tally) bool { return t.Asking() == 0 })
	r.fault.wait()
	r.recorder.loadDone(took)
	r.recorder.sample()
}

// stepFault causes the fault and repairs it at their times. The repair waits until
// the clients that the fault has cut off are back, except for one in a thousand: a
// client without a connection notices the fault only with its next message.
func (r *run) stepFault(elapsed time.Duration) {
	f := &r.options.Fault
	switch {
	case r.fault.stage == faultPending && f.Command != "" && elapsed >= f.At:
		r.fleet.ResetLosses(r.options.Fault.Node) // earlier losses have other causes
		r.fault.cause()
	case r.fault.stage == faultCaused && elapsed >= max(f.RepairAt, f.At+time.Second) && r.mostAreBack():
		r.recorder.recovered()
		r.fault.repair()
	}
}

func (r *run) mostAreBack() bool {
	started := r.fleet.Started()
	return r.fleet.Count().Held() >= started-started/1000
}

// monitor keeps the sessions silent, and then makes each client send one message.
func (r *run) monitor(ctx context.Context) {
	o := r.options
	if ctx.Err() != nil || o.Monitor == 0 {
		return
	}
	r.recorder.phase = phaseMonitor
	r.await(ctx, o.Monitor, func(*clients.Tally) bool { return false })
	held := r.fleet.Count().Held()
	spread := r.rampTook // enough for the messages, since it was enough for the sessions
	r.fleet.Ask(spread, false)
	r.recorder.restart()
	r.await(ctx, spread+o.Timeout, func(t *clients.Tally) bool { return int(t.Answering) >= held && t.Asking() == 0 })
	r.fleet.Hush()
	r.recorder.monitorDone(held)
	r.recorder.sample()
}
