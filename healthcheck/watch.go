package healthcheck

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/backend"
	"mcplb/conf"
)

// subject is the server under watch. It receives the verdicts.
type subject interface {
	name() string // backend/server, for the log
	target() target
	inMaintenance() bool
	left() int // number of servers of its backend that get new clients
	setHealth(health backend.Health, reason string, now time.Time)
	setSuspect(suspect bool, reason string)
	setDrainRequest(reason string, now time.Time) // "" = none
}

// watch checks one server and reaches the verdicts. It is level-triggered: whatever
// happens (a timer fires, a probe ends, look is called), step examines everything
// again. Its schedule:
//
//	server            next probe starts                     max. probes in flight
//	in maintenance    never                                 0
//	unchecked         at first, later as if down            1
//	up                interval after the last start         up to fall
//	up, failing       fast_interval after the last start    up to fall
//	up, suspect       fast_interval after the last start    up to fall
//	down              interval after the last start         1
//	down, passing     fast_interval after the last start    1
//
// Failures of client connections to a server that is not down make its next probe
// start immediately, but at most once per prodInterval.
//
// A server that answers with a status of drain_on has passed, and asks to be drained until
// a check passes without that, whatever the checks between find. One answer is enough.
//
// A server becomes suspect when a probe has waited for fast_interval, until a probe
// passes or the server is down.
type watch struct {
	// Set once.
	subject subject
	probe   probe
	log     *slog.Logger
	landed  chan *flight  // probes that have ended
	wake    chan struct{} // capacity 1: requests a step

	// Written by other goroutines, read by run.
	check atomic.Pointer[conf.Check]
	met   evidence

	// Written by run, read by other goroutines.
	status atomic.Pointer[Status]

	// Owned by run: the schedule.
	current   *conf.Check // the settings in use
	next      time.Time   // start of the next probe, unless something requests it earlier
	lastStart time.Time   // start of the latest probe
	second    time.Time   // start of the second probe, which is the server's place in the interval
	flights   []*flight   // in order of start; a result waits until all older ones are there
	probes    sync.WaitGroup

	// Owned by run: the verdict.
	count    riseFall
	answered time.Time // start of the latest probe that passed
	trusted  time.Time // when the server stopped being suspect
	idle     bool      // in maintenance
	drains   bool      // the server asks to be drained
	facts    Status    // the next value of status
}

// flight is one probe in flight. Its result is valid once it is done.
type flight struct {
	start  time.Time
	cancel context.CancelFunc
	done   bool // owned by run
	result Result
}

// Parameters of the schedule.
const (
	never  = time.Hour // far enough in the future for another event to come first
	jitter = 0.05      // part of the interval by which a probe may start early; none starts late
)

// newWatch returns a watch of one server, whose present state is from. The first
// probe starts at first, the second one at second, which is the server's place
// within the interval. The caller sets probe and log.
func newWatch(s subject, check conf.Check, from backend.State, first, second time.Time) *watch {
	w := &watch{
		subject: s,
		landed:  make(chan *flight),
		wake:    make(chan struct{}, 1),
		current: &check,
		next:    first,
		second:  second,
		count:   newRiseFall(check.Rise, check.Fall, from.Health),
		drains:  from.DrainRequest != "",
		facts:   Status{Health: from.Health, Suspect: from.Degraded, Since: time.Now()},
	}
	w.check.Store(w.current)
	w.publish()
	return w
}

// run watches until ctx ends. It returns when the last probe has ended.
func (w *watch) run(ctx context.Context) {
	defer w.probes.Wait()
	timer := time.NewTimer(never)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		w.step(ctx, now)
		timer.Reset(w.due(now).Sub(now))
		select {
		case <-ctx.Done():
		case f := <-w.landed:
			w.land(f)
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// look makes run take a step, after something has changed. It never blocks.
func (w *watch) look() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// step does everything that is due at now.
func (w *watch) step(ctx context.Context, now time.Time) {
	w.adopt(now)
	w.maintain(now)
	w.takeEvidence(now)
	w.settle(now)
	w.doubt(now)
	if !w.startAt(now).After(now) {
		w.launch(ctx, now)
	}
	w.publish()
}

// due returns when the next step is necessary if nothing happens before.
func (w *watch) due(now time.Time) time.Time {
	at := w.startAt(now)
	if f := w.unanswered(); f != nil && !w.facts.Suspect {
		at = earlier(at, f.start.Add(w.current.FastInterval))
	}
	if w.met.fresh.Load() {
		at = earlier(at, w.met.takenAt.Add(prodInterval))
	}
	return at
}

// adopt applies new settings. The verdict stays.
func (w *watch) adopt(now time.Time) {
	check := w.check.Load()
	if check == w.current {
		return
	}
	if check.Interval != w.current.Interval { // random, as all servers adopt at the same time
		w.next = earlier(w.next, now.Add(share(check.Interval, rand.Float64())))
		w.second = earlier(w.second, w.next) // its place was one in the former interval
	}
	w.current = check
	w.count = w.count.reconfigured(check.Rise, check.Fall)
}

// maintain stops the checks of a server in maintenance and clears its verdict: after
// maintenance the first check decides.
func (w *watch) maintain(now time.Time) {
	idle := w.subject.inMaintenance()
	if idle == w.idle {
		return
	}
	w.idle = idle
	w.next = now
	if !idle {
		return
	}
	w.callOff()
	w.setSuspect(now, false, "in maintenance")
	w.setDrainRequest(now, Result{})
	w.count = newRiseFall(w.current.Rise, w.current.Fall, backend.Unchecked)
	w.facts.Health, w.facts.Since = backend.Unchecked, now
}

// callOff cancels the probes in flight. Their results do not count.
func (w *watch) callOff() {
	for _, f := range w.flights {
		f.cancel()
	}
	w.flights = nil
}

// takeEvidence counts new failures of client connections as one failed check,
// whatever their number, and starts a probe immediately. Soft evidence never decides.
// If there is no verdict yet, only the probe counts; for a server that is down only
// its probes count.
func (w *watch) takeEvidence(now time.Time) {
	if !w.met.fresh.Load() || now.Sub(w.met.takenAt) < prodInterval {
		return
	}
	added := w.met.take(now)
	health := w.count.health()
	if added == [kinds]bool{} || !w.current.Observe || w.idle || health == backend.Down {
		return
	}
	w.next = now
	switch {
	case health == backend.Unchecked:
	case added[hard]:
		w.count.fail()
		w.judge(now, w.met.result(now))
		if w.count.health() == backend.Down {
			w.callOff() // they started earlier, so their results are outdated
		}
	case added[soft]:
		w.count.weaken()
	}
}

// startAt returns when the next probe starts.
func (w *watch) startAt(now time.Time) time.Time {
	limit := 1
	if w.count.health() == backend.Up {
		limit = w.current.Fall
	}
	if w.idle || w.inFlight() >= limit {
		return now.Add(never)
	}
	if w.facts.Suspect || w.count.moving() {
		return earlier(w.next, w.lastStart.Add(w.current.FastInterval))
	}
	return w.next
}

func (w *watch) inFlight() int {
	n := 0
	for _, f := range w.flights {
		if !f.done {
			n++
		}
	}
	return n
}

// launch starts a probe.
func (w *watch) launch(ctx context.Context, now time.Time) {
	probing, cancel := context.WithTimeout(ctx, w.current.Timeout)
	f := &flight{start: now, cancel: cancel}
	w.flights = append(w.flights, f)
	w.lastStart = now
	w.next = w.following(now)
	check, to := *w.current, w.subject.target()
	w.probes.Go(func() {
		f.result = w.probe.timed(probing, check, to)
		cancel()
		w.deliver(ctx, f)
	})
}

// deliver passes a probe that has ended to run, unless run has ended.
func (w *watch) deliver(ctx context.Context, f *flight) {
	select {
	case w.landed <- f:
	case <-ctx.Done():
	}
}

// land receives a probe that has ended. A pass ends suspicion immediately, but counts
// for the verdict in order. A canceled probe is not in flights any more.
func (w *watch) land(f *flight) {
	if !slices.Contains(w.flights, f) {
		return
	}
	f.done = true
	if f.result.finding().alive() && f.start.After(w.answered) {
		w.answered = f.start
		w.setSuspect(f.result.At, false, "check answered")
	}
}

// following returns when the probe after the one at now starts, unless something
// requests it earlier: an interval later, minus some jitter. The second probe starts
// at the server's place in the interval. If that is too soon after the first, it
// starts there one interval later, with an additional probe half-way.
func (w *watch) following(now time.Time) time.Time {
	interval := w.current.Interval
	wait := w.second.Sub(now)
	switch {
	case wait <= 0:
		return now.Add(share(interval, 1-jitter*rand.Float64()))
	case wait < min(w.current.FastInterval, interval/2):
		w.second = w.second.Add(interval)
		return now.Add((wait + interval) / 2)
	}
	return w.second
}

// share returns a part of d.
func share(d time.Duration, part float64) time.Duration {
	return time.Duration(part * float64(d))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
