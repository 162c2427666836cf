package healthcheck

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/backend"
	"mcplb/conf"
)

// standard has the default settings.
var standard = conf.Check{
	Type: conf.CheckMCP, Interval: 3 * time.Second, FastInterval: time.Second, Timeout: 3 * time.Second,
	Rise: 2, Fall: 2, Observe: true,
}

// behavior is how a server reacts to a probe.
type behavior func(ctx context.Context) Result

func answers(context.Context) Result { return Result{Code: L7OK} }
func refuses(context.Context) Result { return Result{Code: L4CON, Detail: "connection refused"} }
func starved(context.Context) Result { return Result{Code: SOCKERR, Detail: "too many open files"} }

func hangs(ctx context.Context) Result {
	<-ctx.Done()
	return Result{Code: L7TOUT}
}

func slowly(d time.Duration) behavior {
	return func(ctx context.Context) Result {
		select {
		case <-time.After(d):
			return Result{Code: L7OK}
		case <-ctx.Done():
			return Result{Code: L7TOUT}
		}
	}
}

// fixture is a watched server whose behavior the test controls, and a record of the
// results. It runs in a synctest bubble: time is fake and exact.
type fixture struct {
	t     *testing.T
	watch *watch
	begin time.Time
	stop  func()
	maint atomic.Bool

	mu        sync.Mutex // guards what follows
	behave    behavior
	starts    []time.Time // of probes
	inFlight  int
	most      int // maximum of inFlight
	health    backend.Health
	suspect   bool
	changedAt time.Time // when health or suspect last changed
	changes   []string  // of health and suspicion
	log       strings.Builder
}

// start watches a server with the verdict from and this behavior. The first probe
// starts immediately, the second one an interval later.
func start(t *testing.T, check conf.Check, from backend.Health, behave behavior) *fixture {
	s := &fixture{t: t, begin: time.Now(), behave: behave, health: from}
	s.watch = newWatch(s, check, backend.State{Health: from}, s.begin, s.begin.Add(check.Interval))
	s.watch.probe = s.probe
	s.watch.log = slog.New(slog.NewTextHandler(lockedWriter{s}, nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.watch.run(ctx)
	}()
	s.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(s.stop)
	synctest.Wait()
	return s
}

type lockedWriter struct{ *fixture }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (s *fixture) name() string        { return "nodes/node1" }
func (s *fixture) target() target      { return target{} }
func (s *fixture) inMaintenance() bool { return s.maint.Load() }
func (s *fixture) left() int           { return 3 }

func (s *fixture) setDrainRequest(reason string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changedAt = now
	s.changes = append(s.changes, "drain request: "+reason)
}

func (s *fixture) setHealth(health backend.Health, reason string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Equal(time.Now()) {
		s.t.Errorf("%v reported at %v, but as of %v", health, time.Now(), now)
	}
	s.health, s.changedAt = health, now
	s.changes = append(s.changes, fmt.Sprintf("%v: %s", health, reason))
}

func (s *fixture) setSuspect(suspect bool, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspect, s.changedAt = suspect, time.Now()
	s.changes = append(s.changes, fmt.Sprintf("suspect %v: %s", suspect, reason))
}

func (s *fixture) probe(ctx context.Context, _ conf.Check, _ target) Result {
	s.mu.Lock()
	s.starts = append(s.starts, time.Now())
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	behave := s.behave
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inFlight--
		s.mu.Unlock()
	}()
	return behave(ctx)
}

// now sets the behavior that later probes see.
func (s *fixture) now(b behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave = b
}

// pass lets d pass.
func (s *fixture) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until lets time pass until happens returns true, checking every millisecond, and
// returns how long that took.
func (s *fixture) until(what string, happens func() bool) time.Duration {
	s.t.Helper()
	start := time.Now()
	for !happens() {
		if time.Since(start) > time.Minute {
			s.t.Fatalf("not %s within a minute; changes: %q", what, s.recorded())
		}
		s.pass(time.Millisecond)
	}
	return time.Since(start)
}

func (s *fixture) isHealth(want backend.Health) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.health == want
	}
}

func (s *fixture) isSuspect() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspect
}

// probes returns the number of started probes.
func (s *fixture) probes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.starts)
}

// flying returns the number of probes in flight and its maximum.
func (s *fixture) flying() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight, s.most
}

// gaps returns the times between the starts of probes, from the given one on.
func (s *fixture) gaps(from int) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gaps []time.Duration
	for i := from + 1; i < len(s.starts); i++ {
		gaps = append(gaps, s.starts[i].Sub(s.starts[i-1]))
	}
	return gaps
}

func (s *fixture) recorded() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.changes...)
}

func (s *fixture) logged(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.log.String(), text)
}

// met reports n client connections with an outcome.
func (s *fixture) met(outcome backend.Outcome, n int) {
	k, isEvidence := kindOf(outcome)
	if !isEvidence {
		return
	}
	for range n {
		if s.watch.met.add(k, outcome) {
			s.watch.look()
		}
	}
	synctest.Wait()
}

// within fails unless least <= got <= most; a most of 0 means least.
func within(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > max(most, least) {
		t.Errorf("%s: %v, want %v to %v", what, got, least, max(most, least))
	}
}

func TestColdStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		behave  behavior
		want    backend.Health
		after   time.Duration
		changes string
	}{
		"answers": {answers, backend.Up, 0, `["up: L7OK answered"]`},
		"refuses": {refuses, backend.Down, 0, `["down: L4CON connection refused"]`},
		"hangs": {hangs, backend.Down, 3 * time.Second,
			`["suspect true: check overdue, no answer within 1s" "down: L7TOUT no response in time" "suspect false: the server is DOWN"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				check := standard
				check.Rise, check.Fall = 5, 5 // the first check decides regardless of these
				s := start(t, check, backend.Unchecked, test.behave)
				within(t, "verdict", s.until("judged", s.isHealth(test.want)), test.after, 0)
				if changes := fmt.Sprintf("%q", s.recorded()); changes != test.changes {
					t.Errorf("%s, want %s", changes, test.changes)
				}
				if n := s.watch.snapshot().Checks; n != 1 {
					t.Errorf("%d checks before the first verdict", n)
				}
			})
		})
	}
}

// A hung server is out of rotation within interval + fast_interval, whenever it
// starts to hang, and down after fall failed checks.
func TestHung(t *testing.T) {
	t.Parallel()
	for _, moment := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond, 2900 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, standard, backend.Unchecked, answers)
			s.pass(moment)
			s.now(hangs)
			out := s.until("suspect", s.isSuspect)
			if out > 4*time.Second {
				t.Errorf("hung after %v, out of rotation after %v", moment, out)
			}
			down := out + s.until("down", s.isHealth(backend.Down))
			within(t, "down after suspect", down-out, 3*time.Second, 0) // the second probe started then and timed out
			if s.isSuspect() {
				t.Error("down and still suspect")
			}
			if _, most := s.flying(); most > standard.Fall {
				t.Errorf("%d probes in flight, want at most %d", most, standard.Fall)
			}
		})
	}
}

// The same with a larger fall: probes start at fast_interval, with at most fall of
// them in flight.
func TestHungWithLargeFall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check := standard
		check.Fall = 5
		s := start(t, check, backend.Up, hangs)
		within(t, "suspect", s.until("suspect", s.isSuspect), time.Second, 0)
		// Started at 0, 1, 2, 3, 4 seconds; the fifth fails at 7.
		within(t, "down", time.Second+s.until("down", s.isHealth(backend.Down)), 7*time.Second, 0)
		if _, most := s.flying(); most < 3 || most > 5 {
			t.Errorf("%d in flight", most)
		}
		s.pass(30 * time.Second)
		for _, gap := range s.gaps(8) { // while down: one per interval
			within(t, "gap while down", gap, 2850*time.Millisecond, 3*time.Second)
		}
	})
}

// With a fall of 1 there is no second probe in flight.
func TestHungWithFallOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check := standard
		check.Fall = 1
		s := start(t, check, backend.Up, hangs)
		within(t, "suspect", s.until("suspect", s.isSuspect), time.Second, 0)
		within(t, "down", s.until("down", s.isHealth(backend.Down)), 2*time.Second, 0)
		if _, most := s.flying(); most != 1 {
			t.Errorf("%d in flight", most)
		}
	})
}

// Suspicion ends with a passed probe. An older probe that still waits cannot cause
// suspicion again; its failure counts in order.
func TestSuspicionEndsWithPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, hangs)
		s.pass(999 * time.Millisecond)
		s.now(slowly(200 * time.Millisecond))
		within(t, "suspect", s.until("suspect", s.isSuspect), time.Millisecond, 0)
		within(t, "trusted", s.until("trusted", func() bool { return !s.isSuspect() }), 200*time.Millisecond, 0)
		s.pass(1700 * time.Millisecond) // at 2.9 s the first probe still hangs
		if s.isSuspect() || s.watch.snapshot().Checks != 0 {
			t.Errorf("suspect %v, status %+v", s.isSuspect(), s.watch.snapshot())
		}
		s.pass(200 * time.Millisecond) // at 3.1 s it has timed out; the pass counts after it
		if status := s.watch.snapshot(); status.Checks != 2 || status.Failures != 1 || status.Progress != "" || status.Last.Code != L7OK {
			t.Errorf("status %+v", status)
		}
		s.pass(time.Minute)
		if want := 2; len(s.recorded()) != want {
			t.Errorf("changes %q", s.recorded())
		}
	})
}

// A server slower than fast_interval is suspect repeatedly, but logged only once.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, slowly(1500*time.Millisecond))
		s.pass(time.Minute)
		if n := s.logged("SUSPECT"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if status := s.watch.snapshot(); status.Health != backend.Up || status.Failures != 0 {
			t.Errorf("status %+v", status)
		}
	})
}

// Between the first contradicting result and the verdict, checks start at
// fast_interval; otherwise at interval, at most a twentieth early.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check := standard
		check.Rise, check.Fall = 3, 4
		s := start(t, check, backend.Up, answers)
		s.pass(31 * time.Second)
		steady := s.gaps(1)
		if len(steady) < 9 {
			t.Errorf("%d probes in 31 seconds", len(steady))
		}
		various := map[time.Duration]bool{}
		for _, gap := range steady {
			within(t, "steady", gap, 2850*time.Millisecond, 3*time.Second)
			various[gap] = true
		}
		if len(various) < 2 {
			t.Error("no jitter")
		}

		s.now(refuses)
		from := s.probes()
		s.until("down", s.isHealth(backend.Down))
		if gaps := s.gaps(from); fmt.Sprint(gaps) != "[1s 1s 1s]" {
			t.Errorf("going down: %v", gaps)
		}
		s.pass(20 * time.Second)
		for _, gap := range s.gaps(from + 3) {
			within(t, "down", gap, 2850*time.Millisecond, 3*time.Second)
		}

		s.now(answers)
		from = s.probes()
		s.until("up", s.isHealth(backend.Up))
		if gaps := s.gaps(from); fmt.Sprint(gaps) != "[1s 1s]" {
			t.Errorf("coming up: %v", gaps)
		}
	})
}

func TestFlapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		everyOther := func(context.Context) Result {
			if n.Add(1)%2 == 0 {
				return Result{Code: L7STS, Detail: "HTTP status 503, expected 200"}
			}
			return Result{Code: L7OK}
		}
		s := start(t, standard, backend.Up, everyOther)
		s.pass(time.Minute)
		if changes := s.recorded(); len(changes) != 0 {
			t.Errorf("changes %q", changes)
		}
		for i, gap := range s.gaps(1) {
			if i%2 == 0 {
				within(t, "after a failure", gap, time.Second, 0)
			} else {
				within(t, "after a pass", gap, 2850*time.Millisecond, 3*time.Second)
			}
		}
	})
}

// A refused client and the probe that it causes take a server down immediately.
func TestObserveRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, answers)
		s.pass(1500 * time.Millisecond)
		s.now(refuses)
		s.met(backend.Refused, 1)
		if !s.isHealth(backend.Down)() || time.Since(s.begin) != 1500*time.Millisecond {
			t.Errorf("not down immediately: %q", s.recorded())
		}
		if got, want := fmt.Sprintf("%q", s.recorded()), `["down: L4CON connection refused"]`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// Failures of clients have no effect if the probes pass.
func TestObserveRefusedAgainstPassingProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, answers)
		for range 1000 {
			s.met(backend.Refused, 3)
			s.met(backend.ServerReset, 3)
			s.pass(10 * time.Millisecond)
		}
		if changes := s.recorded(); len(changes) != 0 {
			t.Errorf("changes %q", changes)
		}
		if n := s.probes(); n < 90 || n > 102 { // the first, and ten per second
			t.Errorf("%d probes in 10 seconds", n)
		}
		if status := s.watch.snapshot(); status.Observed != 6000 || status.Failures != 0 {
			t.Errorf("status %+v", status)
		}
	})
}

// A probe that started before client failures took the server down does not count:
// its result is outdated.
func TestObserveRefusedDuringProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check := standard
		check.Rise, check.Fall = 1, 1
		s := start(t, check, backend.Up, slowly(2*time.Second))
		s.now(refuses)
		s.pass(500 * time.Millisecond)
		s.met(backend.Refused, 1)
		synctest.Wait()
		if !s.isHealth(backend.Down)() {
			t.Fatal("the server is up")
		}
		s.pass(time.Minute)
		if got := s.recorded(); len(got) != 1 {
			t.Errorf("changes %q", got)
		}
		if now, _ := s.flying(); now > 1 {
			t.Errorf("%d probes in flight", now)
		}
	})
}

// Any number of clients that lose their server at once count as one failed check and
// cause one probe.
func TestObserveCoalesces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check := standard
		check.Fall = 10
		s := start(t, check, backend.Up, answers)
		s.pass(time.Second)
		s.now(slowly(50 * time.Millisecond))
		s.met(backend.Refused, 25000)
		if progress := s.watch.snapshot().Progress; progress != "1/10 down" {
			t.Errorf("progress %q", progress)
		}
		s.met(backend.ServerReset, 25000)
		s.pass(90 * time.Millisecond)
		if n := s.probes(); n != 2 {
			t.Errorf("%d probes within 100 ms, want the first and one more", n)
		}
		s.pass(10 * time.Millisecond)
		if n := s.probes(); n != 3 {
			t.Errorf("%d probes after 100 ms, want one more", n)
		}
		if observed := s.watch.snapshot().Observed; observed != 50000 {
			t.Errorf("%d observed", observed)
		}
	})
}

// Soft evidence never takes a server down, even if probes cannot be made.
func TestObserveSoftNeverDecides(t *testing.T) {
	t.Parallel()
	for _, outcome := range []backend.Outcome{backend.ServerReset, backend.Unreachable} {
		for _, fall := range []int{1, 2, 5} {
			synctest.Test(t, func(t *testing.T) {
				check := standard
				check.Fall = fall
				s := start(t, check, backend.Up, starved)
				for range 100 {
					s.met(outcome, 10)
					s.pass(50 * time.Millisecond)
				}
				if changes := s.recorded(); len(changes) != 0 {
					t.Errorf("%v, fall %d: changes %q", outcome, fall, changes)
				}
				s.now(refuses) // the probe decides
				s.met(outcome, 1)
				s.pass(prodInterval)
				if !s.isHealth(backend.Down)() {
					t.Errorf("%v, fall %d: not down, progress %q", outcome, fall, s.watch.snapshot().Progress)
				}
			})
		}
	}
}

// Outcomes that are not evidence, or not observed, change nothing.
func TestObserveIgnores(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, answers)
		for _, outcome := range []backend.Outcome{backend.Completed, backend.ServerTimeout, backend.ClientAbort, backend.Aborted} {
			s.met(outcome, 100)
		}
		if n := s.probes(); n != 1 {
			t.Errorf("%d probes", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		check := standard
		check.Observe = false
		check.Fall = 1
		s := start(t, check, backend.Up, answers)
		s.met(backend.Refused, 100)
		if n, status := s.probes(), s.watch.snapshot(); n != 1 || status.Health != backend.Up || status.Observed != 100 {
			t.Errorf("not observing: %d probes, status %+v", n, status)
		}
	})
	synctest.Test(t, func(t *testing.T) { // down: only probes count
		s := start(t, standard, backend.Down, answers)
		s.met(backend.Refused, 100)
		if n, progress := s.probes(), s.watch.snapshot().Progress; n != 1 || progress != "1/2 up" {
			t.Errorf("down: %d probes, progress %q", n, progress)
		}
	})
}

// Before the first verdict, failures of clients start a check immediately.
func TestObserveBeforeTheFirstCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Unchecked, starved) // the first check gives no verdict
		s.now(refuses)
		s.met(backend.Refused, 1)
		if !s.isHealth(backend.Down)() || s.probes() != 2 {
			t.Errorf("%d probes, changes %q", s.probes(), s.recorded())
		}
	})
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, hangs)
		s.pass(1500 * time.Millisecond) // two probes in flight, suspect
		s.maint.Store(true)
		s.watch.look()
		synctest.Wait()
		if n, _ := s.flying(); n != 0 || s.isSuspect() {
			t.Errorf("in maintenance: %d in flight, suspect %v", n, s.isSuspect())
		}
		n := s.probes()
		s.met(backend.Refused, 100)
		s.pass(time.Minute)
		if s.probes() != n {
			t.Errorf("%d probes in maintenance", s.probes()-n)
		}
		if status := s.watch.snapshot(); !status.Maintenance || status.Checks != 0 {
			t.Errorf("status %+v", status)
		}
		s.now(refuses)
		s.maint.Store(false)
		s.watch.look()
		synctest.Wait()
		if !s.isHealth(backend.Down)() || s.probes() != n+1 {
			t.Errorf("back: %d probes, changes %q", s.probes()-n, s.recorded())
		}
	})
}

// A balancer without free resources takes no server down, logs that once, and
// continues.
func TestInconclusive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, starved)
		s.pass(time.Minute)
		if changes := s.recorded(); len(changes) != 0 {
			t.Errorf("changes %q", changes)
		}
		if n := s.logged("server nodes/node1 cannot be checked and stays UP, reason: SOCKERR too many open files"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if status := s.watch.snapshot(); status.Checks < 20 || status.Failures != 0 || status.Last.Code != SOCKERR {
			t.Errorf("status %+v", status)
		}
	})
}

func asksToDrain(context.Context) Result {
	return Result{Code: L7OKC, Detail: "HTTP status 503 asks to be drained"}
}

// A server that asks to be drained is up, asks from its first such answer to the first good
// one, and may go down between. Clients would be lost that it gets while it shuts down.
func TestDrainRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Unchecked, asksToDrain)
		s.pass(standard.Interval)
		s.now(answers)
		s.pass(standard.Interval)
		s.now(asksToDrain)
		s.pass(standard.Interval)
		s.now(refuses)
		s.until("down", s.isHealth(backend.Down))
		s.now(answers)
		s.until("up", s.isHealth(backend.Up))
		want := []string{
			"drain request: HTTP status 503 asks to be drained", "up: L7OKC HTTP status 503 asks to be drained", "drain request: HTTP status 503 asks to be drained", "drain request: ",
			"drain request: HTTP status 503 asks to be drained", "down: L4CON connection refused", "drain request: ", "up: L7OK answered",
		}
		if got := s.recorded(); !slices.Equal(slices.Compact(got), slices.Compact(want)) {
			t.Errorf("changes %q", got)
		}
		for line, n := range map[string]int{
			"server nodes/node1 asks to be drained: it gets no new clients, reason: L7OKC HTTP status 503 asks to be drained. 3 servers left": 2,
			"server nodes/node1 takes new clients again, reason: L7OK answered. 3 servers left":                                               2,
		} {
			if got := s.logged(line); got != n {
				t.Errorf("%d lines %q, want %d", got, line, n)
			}
		}
		if status := s.watch.snapshot(); status.Failures != 2 {
			t.Errorf("status %+v", status)
		}
	})
}

// A request to be drained that the old process knew of, or that was there before
// maintenance, ends with the first good check, and with maintenance.
func TestDrainRequestEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(nil, standard, backend.State{Health: backend.Up, DrainRequest: "HTTP status 503"}, time.Now(), time.Now())
		if !w.drains {
			t.Error("the request of the old process is forgotten")
		}
		s := start(t, standard, backend.Up, asksToDrain)
		s.maint.Store(true)
		s.watch.look()
		s.pass(time.Second)
		if got := s.recorded(); len(got) == 0 || got[len(got)-1] != "drain request: " {
			t.Errorf("changes %q", got)
		}
	})
}

func TestLogLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Unchecked, slowly(1234*time.Microsecond))
		s.pass(time.Second)
		s.now(refuses)
		s.until("down", s.isHealth(backend.Down))
		for _, want := range []string{
			`level=INFO msg="server nodes/node1 is UP, reason: L7OK answered, check duration 1ms. 3 servers up"`,
			`level=WARN msg="server nodes/node1 is DOWN, reason: L4CON connection refused. 3 servers left"`,
		} {
			if s.logged(want) != 1 {
				t.Errorf("no line %s", want)
			}
		}
		if n := s.logged("\n"); n != 2 {
			t.Errorf("%d lines, want only those of the transitions", n)
		}
	})
}

// New settings take effect immediately; verdict and progress stay.
func TestAdopt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		check := standard
		check.Interval, check.Fall = time.Hour, 5
		s := start(t, check, backend.Up, refuses)
		if progress := s.watch.snapshot().Progress; progress != "1/5 down" {
			t.Fatalf("progress %q", progress)
		}
		s.now(answers)
		s.pass(time.Second) // at fast_interval; passes
		s.watch.check.Store(&standard)
		s.watch.look()
		n := s.probes()
		s.pass(3 * time.Second)
		if s.probes() == n || s.watch.snapshot().Health != backend.Up {
			t.Errorf("%d probes in the new interval, status %+v", s.probes()-n, s.watch.snapshot())
		}
	})
}

// Ending a watch ends its probes, and nothing is reported after it.
func TestEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, standard, backend.Up, hangs)
		s.pass(1500 * time.Millisecond)
		s.stop()
		said := len(s.recorded())
		if n, _ := s.flying(); n != 0 {
			t.Errorf("%d probes in flight", n)
		}
		s.met(backend.Refused, 1)
		s.pass(time.Minute)
		if len(s.recorded()) != said {
			t.Errorf("changes %q", s.recorded())
		}
	})
}
