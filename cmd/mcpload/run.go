package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"mcplb/proxy/reactor"
)

// The phases of a run.
const (
	phaseRamp    = "ramp"
	phaseLoad    = "load"
	phaseMonitor = "monitor"
)

// run is one run of load: its workers and what is seen of them. It belongs to
// the goroutine that calls do; workers are spoken to by their loops' mailboxes.
type run struct {
	options *options
	out     io.Writer // progress
	engine  *reactor.Engine
	workers []*worker
	nodes   *nodes
	dialer  *secureDialer

	begin    time.Time
	clock    int64 // the loops' time at begin
	phase    string
	rampTook time.Duration
	started  int
	previous *tally
	shown    map[string]uint64 // losses that progress has told of
	sampled  time.Time

	report *report
	fault  faultWatch
}

// doRun is one run of load from the first client to the last. The report tells
// what happened, also when ctx ends it early; the error is what kept it from
// being done at all.
func doRun(ctx context.Context, o *options, out io.Writer) (*report, error) {
	r := &run{options: o, out: out, nodes: newNodes(), report: newReport(o)}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.close()
	r.begin, r.clock = time.Now(), r.engine.Now()
	r.report.Begin = r.begin
	r.sampled = r.begin
	r.previous = newTally()
	r.ramp(ctx)
	r.sendLoad(ctx)
	r.observe(ctx)
	r.finish(ctx)
	return r.report, nil
}

// open checks the limits and starts the loops.
func (r *run) open() error {
	o := r.options
	if err := checkLimit(o); err != nil {
		return err
	}
	targets, err := o.resolve()
	if err != nil {
		return err
	}
	if o.mix[kindTLS]+o.mix[kindHTTPS] > 0 {
		name := o.serverName
		if name == "" && !o.insecure {
			name = hostOf(o.targets[kindHTTPS])
			if o.mix[kindHTTPS] == 0 {
				name = hostOf(o.targets[kindTLS])
			}
		}
		if r.dialer, err = newSecureDialer(o.authority, name, o.insecure); err != nil {
			return err
		}
	}
	r.engine, err = reactor.Start(o.threads, 0, reactor.Kernel())
	if err != nil {
		return fmt.Errorf("start the event loops: %w", err)
	}
	for _, loop := range r.engine.Loops() {
		r.workers = append(r.workers, &worker{
			loop: loop, options: o, nodes: r.nodes, targets: targets, dialer: r.dialer,
			clock: r.engine.Now, tally: newTally(),
		})
	}
	return nil
}

// close takes every client down and stops the loops.
func (r *run) close() {
	r.onAll(func(w *worker) { w.end() })
	if r.dialer != nil {
		r.dialer.close()
	}
	r.engine.Stop()
}

// onAll runs f on every worker's loop and waits for it.
func (r *run) onAll(f func(w *worker)) {
	var done sync.WaitGroup
	for _, w := range r.workers {
		done.Add(1)
		if !w.loop.Post(func() { f(w); done.Done() }) {
			done.Done()
		}
	}
	done.Wait()
}

// counts are the clients' states and the messages' counts alone.
func (r *run) counts() *tally {
	parts := make([]tally, len(r.workers))
	r.onAll(func(w *worker) {
		parts[w.loop.ID()] = tally{states: w.tally.states, sent: w.tally.sent, right: w.tally.right}
	})
	sum := newTally()
	for i := range parts {
		sum.add(&parts[i])
	}
	return sum
}

// snapshot adds up what the workers count.
func (r *run) snapshot(whole bool) *tally {
	parts := make([]*tally, len(r.workers))
	r.onAll(func(w *worker) { parts[w.loop.ID()] = w.tally.copy(whole) })
	sum := newTally()
	for _, part := range parts {
		sum.add(part)
	}
	return sum
}

// rampTick is how often the ramp starts clients.
const rampTick = 10 * time.Millisecond

// ramp starts the clients at the set rate, and returns when all have a session
// or the last has had its time.
func (r *run) ramp(ctx context.Context) {
	r.phase = phaseRamp
	o := r.options
	pattern := o.mix.pattern()
	ticker := time.NewTicker(rampTick)
	defer ticker.Stop()
	credit, last := 0.0, time.Now()
	for r.started < o.clients && r.tick(ctx, ticker.C) {
		now := time.Now()
		credit += float64(o.rate) * now.Sub(last).Seconds()
		last = now
		n := min(int(credit), o.clients-r.started)
		if o.opening > 0 {
			n = min(n, o.opening-r.opening())
		}
		credit = min(credit-float64(max(n, 0)), float64(o.rate)) // what was held back is not made up for later
		r.start(n, pattern)
	}
	r.rampTook = time.Since(r.begin)
	r.await(ctx, o.openTimeout, func(t *tally) bool { return t.allHeld() == o.clients })
	r.endPhase()
}

// opening is how many clients are opening now.
func (r *run) opening() int {
	sum := 0
	for _, w := range r.workers {
		sum += int(w.opening.Load())
	}
	return sum
}

// start starts the next n clients, in turn on the loops.
func (r *run) start(n int, pattern []kind) {
	if n <= 0 {
		return
	}
	first := r.started
	r.started += n
	for i, w := range r.workers {
		w.loop.Post(func() {
			for number := first; number < first+n; number++ {
				if number%len(r.workers) == i {
					w.start(uint32(number), pattern[number%len(pattern)])
				}
			}
		})
	}
}

// tick waits for a tick, and takes a sample whenever it is time for one. false
// means that ctx is done.
func (r *run) tick(ctx context.Context, ticks <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-ticks:
	}
	if time.Since(r.sampled) >= r.options.every {
		r.sample()
	}
	return true
}

// await returns when done says so of a snapshot, after the timeout, or when ctx
// is done.
func (r *run) await(ctx context.Context, timeout time.Duration, done func(*tally) bool) bool {
	const step = 50 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if !r.tick(ctx, ticker.C) {
			return false
		}
		if done(r.counts()) {
			return true
		}
	}
	return false
}

// sendLoad has every client send messages, and meanwhile the fault and the
// repair done.
func (r *run) sendLoad(ctx context.Context) {
	if ctx.Err() != nil || r.options.load == 0 {
		return
	}
	r.phase = phaseLoad
	o := r.options
	r.report.loadBegan(r)
	r.onAll(func(w *worker) {
		w.tally.resetMessages()
		w.ask(o.interval, true)
	})
	r.previous = newTally()
	begin := time.Now()
	ticker := time.NewTicker(rampTick)
	defer ticker.Stop()
	for r.tick(ctx, ticker.C) {
		elapsed := time.Since(begin)
		r.stepFault(elapsed)
		if elapsed >= o.load && (r.fault.over(o) || elapsed >= o.load+o.openTimeout) {
			break
		}
	}
	took := time.Since(begin)
	r.onAll(func(w *worker) { w.hush() })
	r.await(ctx, o.timeout, func(t *tally) bool { return t.states[stateAsking] == 0 })
	r.fault.wait()
	r.report.loadEnded(r, r.snapshot(true), took)
	r.endPhase()
}

// stepFault has the fault and the repair done when it is time: the repair not
// before the clients that the fault has thrown out are back, but for one in a
// thousand: those without a connection find it out one by one, with what they
// send next.
func (r *run) stepFault(elapsed time.Duration) {
	o := r.options
	switch {
	case r.fault.step == 0 && o.faultCommand != "" && elapsed >= o.faultAt:
		r.fault.step = 1
		r.onAll(func(w *worker) { clear(w.tally.losing[:]) }) // what was lost before is not the fault's
		r.fault.begin(r, "fault", o.faultCommand)
	case r.fault.step == 1 && elapsed >= max(o.repairAt, o.faultAt+time.Second) && r.counts().allHeld() >= r.started-r.started/1000:
		r.fault.step = 2
		r.report.refuge(r, r.snapshot(false))
		if o.repairCommand != "" {
			r.fault.begin(r, "repair", o.repairCommand)
		}
	}
}

// observe holds the sessions silent, and then has each answer once more.
func (r *run) observe(ctx context.Context) {
	if ctx.Err() != nil || r.options.monitor == 0 {
		return
	}
	r.phase = phaseMonitor
	o := r.options
	r.await(ctx, o.monitor, func(*tally) bool { return false })
	spread := r.rampTook // a machine that opened them in this time answers them in less
	r.onAll(func(w *worker) { w.tally.resetMessages() })
	r.previous = newTally()
	held := r.counts().allHeld()
	r.onAll(func(w *worker) { w.ask(spread, false) })
	r.await(ctx, spread+o.timeout, func(t *tally) bool { return int(t.right) >= held && t.states[stateAsking] == 0 })
	r.onAll(func(w *worker) { w.hush() })
	r.report.observed(held, r.snapshot(true))
	r.endPhase()
}

// endPhase takes a last sample of a phase.
func (r *run) endPhase() { r.sample() }

// finish takes the last look, with everything still held.
func (r *run) finish(ctx context.Context) {
	r.report.Interrupted = ctx.Err() != nil
	r.report.finish(r, r.snapshot(true))
	if r.options.holding != nil {
		r.options.holding()
	}
}

// faultWatch runs the commands that break and mend something, and notes when
// the balancer has seen it. Its goroutines are waited for.
type faultWatch struct {
	working sync.WaitGroup
	step    int // 1: the fault was done, 2: the repair, too; the run's goroutine's
	mu      sync.Mutex
	marks   []mark // guarded by mu
}

// mark is something that happened at a time of the run.
type mark struct {
	Seconds float64 `json:"seconds"` // since the run's beginning
	What    string  `json:"what"`    // fault, down, repair or up
	Detail  string  `json:"detail,omitempty"`
}

// minPatience is how long the balancer is asked, at least, whether it has seen
// what was done.
const minPatience = 10 * time.Second

// begin runs a command and, where the admin pages are known, waits until they
// show what it did.
func (f *faultWatch) begin(r *run, what, command string) {
	f.note(r, what, command)
	fmt.Fprintf(r.out, "%s: %s\n", what, command)
	f.working.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if output, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput(); err != nil {
			f.note(r, what+" failed", fmt.Sprintf("%v: %s", err, output))
			return
		}
	})
	if r.options.admin == "" || r.options.faultNode == "" {
		return
	}
	f.working.Go(func() {
		seen := "down"
		if what == "repair" {
			seen = "up"
		}
		ctx, cancel := context.WithTimeout(context.Background(), max(r.options.load, minPatience))
		defer cancel()
		if since, ok := awaitServer(ctx, r.options.admin, r.options.faultNode, seen == "up"); ok {
			f.noteAt(r, seen, "", since)
		}
	})
}

func (f *faultWatch) note(r *run, what, detail string) { f.noteAt(r, what, detail, time.Now()) }

func (f *faultWatch) noteAt(r *run, what, detail string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks = append(f.marks, mark{Seconds: at.Sub(r.begin).Seconds(), What: what, Detail: detail})
}

// over tells that nothing more is to be done.
func (f *faultWatch) over(o *options) bool { return o.faultCommand == "" || f.step == 2 }

func (f *faultWatch) wait() { f.working.Wait() }

// at is when something was noted; false when it was not.
func (f *faultWatch) at(what string) (float64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.marks {
		if m.What == what {
			return m.Seconds, true
		}
	}
	return 0, false
}
