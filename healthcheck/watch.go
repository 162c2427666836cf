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

// subject is the server under watch, and the way by which what is found out
// about it reaches the one that decides.
type subject interface {
	name() string // as the log has it: backend/server
	target() target
	inMaintenance() bool
	left() int // how many servers of its backend take new clients
	setHealth(health backend.Health, reason string, now time.Time)
	setSuspect(suspect bool, reason string)
}

// watch judges one server. It is level-triggered: whatever happens (a timer
// fires, a probe ends, somebody calls look), step looks at everything anew.
// Its schedule:
//
//	server            next probe starts                     probes in flight
//	in maintenance    never                                 0
//	unchecked         at its first, later as if down        1
//	up                interval after the last start         up to fall
//	up, failing       fast_interval after the last start    up to fall
//	up, suspect       fast_interval after the last start    up to fall
//	down              interval after the last start         1
//	down, passing     fast_interval after the last start    1
//
// What clients meet at a server that is not down brings its next probe forward
// to now, but at most once in prodInterval.
//
// A server is suspect from the moment at which a probe has waited for
// fast_interval, until a probe passes or the server is down.
type watch struct {
	// Set once.
	subject subject
	probe   probe
	log     *slog.Logger
	landed  chan *flight  // probes that have ended
	wake    chan struct{} // capacity 1: look again

	// Written by others, read by run.
	check atomic.Pointer[conf.Check]
	met   evidence

	// Written by run, read by others.
	status atomic.Pointer[Status]

	// Owned by run: the schedule.
	current   conf.Check // of check, as last adopted
	next      time.Time  // when the next probe starts, if nothing hurries it
	lastStart time.Time  // of the latest probe
	second    time.Time  // when the second probe starts: the server's place in the interval
	flights   []*flight  // in order of start; one that is done waits for an older one
	probes    sync.WaitGroup

	// Owned by run: the judgement.
	count    riseFall
	answered time.Time // when the latest probe that passed was started
	trusted  time.Time // since when the server is not suspect any more
	idle     bool      // in maintenance
	facts    Status    // what status is to say next
}

// flight is one probe under way. Its result is there once it has landed.
type flight struct {
	start  time.Time
	cancel context.CancelFunc
	done   bool // landed; owned by run
	result Result
}

// Of the schedule.
const (
	never  = time.Hour // a time so far off that something else comes first
	jitter = 0.05      // the share of an interval by which a probe may come early; it is never late
)

// newWatch prepares the watch of one server, whose state so far was from. Its
// first probe starts at first, its second at second, which sets the server
// apart from others within the interval. The caller sets probe and log.
func newWatch(s subject, check conf.Check, from backend.State, first, second time.Time) *watch {
	w := &watch{
		subject: s,
		landed:  make(chan *flight),
		wake:    make(chan struct{}, 1),
		current: check,
		next:    first,
		second:  second,
		count:   newRiseFall(check.Rise, check.Fall, from.Health),
		facts:   Status{Health: from.Health, Suspect: from.Degraded, Since: time.Now()},
	}
	w.check.Store(&check)
	w.publish()
	return w
}

// run watches until ctx ends, and returns when the last probe has too.
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

// look makes run look again at what others may have changed. It never blocks.
func (w *watch) look() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// step does all that is to be done at now. It leaves nothing to do before due.
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

// due is when step has something to do again, unless something happens.
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

// adopt takes over new settings. The verdict stays.
func (w *watch) adopt(now time.Time) {
	check := *w.check.Load()
	if check == w.current {
		return
	}
	if check.Interval != w.current.Interval { // by chance: all servers adopt in the same instant
		w.next = earlier(w.next, now.Add(share(check.Interval, rand.Float64())))
	}
	w.current = check
	w.count = w.count.reconfigured(check.Rise, check.Fall)
}

// maintain stops checking a server that is in maintenance, and forgets what
// was known of it: when it comes back, its first check decides.
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
	w.count = newRiseFall(w.current.Rise, w.current.Fall, backend.Unchecked)
	w.facts.Health, w.facts.Since = backend.Unchecked, now
}

// callOff ends the probes under way. What they find does not count.
func (w *watch) callOff() {
	for _, f := range w.flights {
		f.cancel()
	}
	w.flights = nil
}

// takeEvidence counts what clients met as one failed check, however many they
// were, and has a probe look into it at once. Soft evidence never decides. While
// there is no verdict yet the probe decides, and a server that is down is
// judged by its probes alone.
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
			w.callOff() // they were begun before, and know less
		}
	case added[soft]:
		w.count.weaken()
	}
}

// settle counts the results that are there, in order of their probes' start.
func (w *watch) settle(now time.Time) {
	for len(w.flights) > 0 && w.flights[0].done {
		result := w.flights[0].result
		w.flights = w.flights[1:]
		w.tally(result)
		w.judge(now, result)
	}
}

// tally counts one result.
func (w *watch) tally(result Result) {
	w.facts.Checks++
	switch result.finding() {
	case passed:
		w.count.pass()
	case failed:
		w.facts.Failures++
		w.count.fail()
	case nothing:
		w.logInconclusive(result)
	}
	w.facts.Last = result
}

// judge reports a verdict that has changed.
func (w *watch) judge(now time.Time, result Result) {
	health := w.count.health()
	if health == w.facts.Health {
		return
	}
	w.facts.Health, w.facts.Since = health, now
	w.subject.setHealth(health, result.String(), now)
	w.setSuspect(now, false, "the server is "+verdict(health))
	w.publish()
	w.logVerdict(result)
}

// doubt makes the server suspect when a probe is overdue.
func (w *watch) doubt(now time.Time) {
	f := w.unanswered()
	if f == nil || now.Sub(f.start) < w.current.FastInterval {
		return
	}
	w.setSuspect(now, true, "check overdue, no answer within "+w.current.FastInterval.String())
}

// unanswered is the oldest probe that still waits, of a server that may get
// clients, unless a later one has passed; nil if there is none.
func (w *watch) unanswered() *flight {
	if w.count.health() == backend.Down {
		return nil
	}
	for _, f := range w.flights {
		if !f.done && f.start.After(w.answered) {
			return f
		}
	}
	return nil
}

func (w *watch) setSuspect(now time.Time, suspect bool, reason string) {
	if suspect == w.facts.Suspect {
		return
	}
	w.facts.Suspect = suspect
	w.subject.setSuspect(suspect, reason)
	if suspect {
		w.logSuspect(now, reason)
		return
	}
	w.trusted = now
}

// startAt is when the next probe starts, as things stand.
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
	check, to := w.current, w.subject.target()
	w.probes.Go(func() {
		f.result = w.probe.timed(probing, check, to)
		cancel()
		w.deliver(ctx, f)
	})
}

// deliver hands a probe that has ended to run, unless that has ended.
func (w *watch) deliver(ctx context.Context, f *flight) {
	select {
	case w.landed <- f:
	case <-ctx.Done():
	}
}

// land takes in a probe that has ended. A pass counts against doubt at once,
// and for the verdict in its turn. One that was called off is not in flights.
func (w *watch) land(f *flight) {
	if !slices.Contains(w.flights, f) {
		return
	}
	f.done = true
	if f.result.finding() == passed && f.start.After(w.answered) {
		w.answered = f.start
		w.setSuspect(f.result.At, false, "check answered")
	}
}

// following is when the probe after the one of now starts if nothing hurries
// it: an interval later, or by chance a little less. The second probe goes to
// the server's own place in the interval; if that is too soon after the first,
// to the same place an interval on, with one more probe half-way.
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

func share(d time.Duration, part float64) time.Duration {
	return time.Duration(part * float64(d))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
