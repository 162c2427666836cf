package reactor

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/internal/lateness"

	"golang.org/x/sys/unix"
)

// TestRhythm shows when a loop waits within its time slices. If it does so without
// need, an idle process does not sleep; if it does not, every message at rest costs a
// wake-up of Go's monitor thread.
func TestRhythm(t *testing.T) {
	t.Parallel()
	const ms = 1e6
	repeat := func(times int, gaps ...int64) (all []int64) { return slices.Repeat(gaps, times) }
	for name, c := range map[string]struct {
		gaps   []int64 // between events, in nanoseconds
		lively bool
	}{
		"no events":                 {nil, false},
		"500 requests per second":   {repeat(100, 50e3, 2*ms), true},
		"200 requests per second":   {repeat(100, 50e3, 5*ms), true},
		"a pause in steady traffic": {append(repeat(100, 50e3, 2*ms), 15*ms), true},
		"steady traffic that ended": {append(repeat(100, 50e3, 2*ms), 15*ms, 15*ms), false},

		"50 requests per second":    {repeat(100, 50e3, 20*ms), false},
		"a connection now and then": {repeat(100, 50e3, 50e3, 50e3, 50e3, 1e9), false},
	} {
		var r rhythm
		now := int64(1e12)
		for _, gap := range c.gaps {
			now += gap
			r.observe(now, 1)
		}
		if r.isLively() != c.lively {
			t.Errorf("%s: lively %v, want %v", name, r.isLively(), c.lively)
		}
	}
}

// alwaysLively is the kernel with a clock that stands still, so that its loops
// always seem to have events. They wait for millis.
func alwaysLively(millis int) *System {
	s := Kernel()
	s.Now = func() int64 { return 1e12 }
	s.EpollWait = func(epoll int, events []unix.EpollEvent, limit int) int {
		if limit != 0 {
			limit = millis
		}
		return kernelEpollWait(epoll, events, limit)
	}
	return s
}

// startLively runs loops that have had events.
func startLively(t testing.TB, loops int, system *System) *Engine {
	t.Helper()
	e, err := Start(loops, 0, system)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	for _, l := range e.Loops() {
		for range mostLively {
			done := make(chan struct{})
			l.Post(func() { close(done) })
			await(t, "the loop runs", done)
		}
	}
	return e
}

// TestStopTheWorldDespiteWaits collects garbage while more loops than there were
// processors wait, for a time that no collection may take. If a waiting loop kept
// its processor, or held the last one, each collection of the balancer would stop
// all traffic.
func TestStopTheWorldDespiteWaits(t *testing.T) {
	const collections, wait = 4, patience
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) }) // after the loops have stopped, which hold processors
	loops := before + 1
	startLively(t, loops, alwaysLively(int(wait.Milliseconds())))
	if got := runtime.GOMAXPROCS(0); got <= loops {
		t.Errorf("GOMAXPROCS is %d with %d loops, want more than loops", got, loops)
	}
	late := lateness.Measure(t)
	start := time.Now()
	for range collections {
		runtime.GC()
	}
	if took := time.Since(start); took > wait/2+late() {
		t.Errorf("%d collections took %v", collections, took)
	}
}

// TestLivelyWaitIsWokenByPost posts to a lively loop: if the post had to wait, so
// would a client that another loop has accepted.
func TestLivelyWaitIsWokenByPost(t *testing.T) {
	t.Parallel()
	l := startLively(t, 1, alwaysLively(int(2*patience.Milliseconds()))).Loops()[0]
	for range 100 {
		done := make(chan struct{})
		l.Post(func() { close(done) })
		await(t, "the post has run", done)
	}
}

// TestLivelyWaitEndsAtTimer has a lively loop with a timer: the wait ends when
// the timer is due. Otherwise timeouts come late while there is traffic.
func TestLivelyWaitEndsAtTimer(t *testing.T) {
	t.Parallel()
	system := Kernel()
	clock := fakeClock(system)
	l := newStepped(t, system)
	for in := int64(1); in < 50; in++ {
		var timer Timer
		late := int64(-1)
		when := clock.now + in*1e6
		l.Arm(&timer, expirerFunc(func(*Timer) { late = l.Now() - when }), when)
		for late < 0 {
			l.rhythm = rhythm{score: mostLively, since: clock.now}
			l.turn()
		}
		if late > tick+1e6 {
			t.Errorf("a timer of %d ms expired %d ns late, want at most a tick of the wheel and a millisecond", in, late)
		}
	}
}

// TestYieldLetsOthersRun has a goroutine that waits for the only processor. If it did
// not run in a new time slice, checks and the page would wait for the traffic.
func TestYieldLetsOthersRun(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ran atomic.Bool
	go ran.Store(true)
	yield()
	if !ran.Load() {
		t.Error("the other goroutine has not run")
	}
}

// TestYieldSwitchesNoThread counts how often the kernel had to switch between threads
// for new time slices: if for each, messages at rest cost a tenth more.
func TestYieldSwitchesNoThread(t *testing.T) {
	const slices, rounds = 200, 50 // of the rounds the best one counts: other goroutines run, too
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fewest := int64(slices)
	for range rounds {
		thread, before := unix.Gettid(), voluntarySwitches(t)
		for range slices {
			yield()
		}
		if unix.Gettid() == thread {
			fewest = min(fewest, voluntarySwitches(t)-before)
		}
	}
	if fewest > slices/20 {
		t.Errorf("%d time slices took %d switches", slices, fewest)
	}
}

// voluntarySwitches is how often this thread has waited for something (getrusage(2)).
func voluntarySwitches(t *testing.T) int64 {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		t.Fatal(err)
	}
	return usage.Nvcsw
}

// TestIdleLoopSleeps counts the turns of loops that never had an event, and of
// loops that had many until now. If they woke up often, an idle balancer would
// use the processor and the battery.
func TestIdleLoopSleeps(t *testing.T) {
	t.Parallel()
	for name, posts := range map[string]int{"never used": 0, "after traffic": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLoops(t, 1, Kernel()).Loops()[0]
			for range posts {
				done := make(chan struct{})
				l.Post(func() { close(done) })
				await(t, "the post has run", done)
			}
			before, _ := l.Turns()
			begun := time.Now()
			time.Sleep(500 * time.Millisecond)
			after, _ := l.Turns()
			if took := time.Since(begun); after-before >= uint64(20*took.Seconds()) {
				t.Errorf("%d turns in %v without an event, want fewer than 20 per second", after-before, took)
			}
		})
	}
}

// neverLively is the kernel with a clock that runs a hundred times as fast, so that
// its loops always seem to have been without events for long.
func neverLively() *System {
	s := Kernel()
	real, start := s.Now, s.Now()
	s.Now = func() int64 { return start + 100*(real()-start) }
	return s
}

// startTraffic gives a loop that many events a second, which come from the kernel,
// and so take no goroutine's time.
func startTraffic(b *testing.B, l *Loop, rate int) {
	b.Helper()
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(timer) })
	interval := unix.NsecToTimespec(1e9 / int64(rate))
	if err := unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Interval: interval, Value: interval}, nil); err != nil {
		b.Fatal(err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | epollET, Fd: int32(-1)} // wakeIndex: the loop looks at its mailbox
	if errno := kernelEpollAdd(l.epoll, timer, event); errno != 0 {
		b.Fatal(errno)
	}
}

// besideBusyLoops measures a call beside loops with traffic at several rates, which
// wait within their time slices or, as ordinary Go programs do, until the monitor
// takes their processors away.
func besideBusyLoops(b *testing.B, call func()) {
	for _, rate := range []int{500, 2000, 8000} {
		for name, system := range map[string]*System{"within": Kernel(), "without": neverLively()} {
			b.Run(fmt.Sprintf("%d/%s", rate, name), func(b *testing.B) {
				e, err := Start(max(1, runtime.NumCPU()-1), 0, system)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(e.Stop)
				for _, l := range e.Loops() {
					startTraffic(b, l, rate)
				}
				var took []time.Duration
				for b.Loop() {
					time.Sleep(time.Millisecond) // the loops wait undisturbed again
					start := time.Now()
					call()
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-us")
				b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-us")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkStopTheWorld stops the world, which has to end the waits.
func BenchmarkStopTheWorld(b *testing.B) {
	var stats runtime.MemStats
	besideBusyLoops(b, func() { runtime.ReadMemStats(&stats) })
}

// BenchmarkCollection collects garbage, which stops the world twice and needs a
// processor in between.
func BenchmarkCollection(b *testing.B) { besideBusyLoops(b, runtime.GC) }

// BenchmarkSleepBeside sleeps for a millisecond: how punctual are the timers of
// other goroutines?
func BenchmarkSleepBeside(b *testing.B) {
	besideBusyLoops(b, func() { time.Sleep(time.Millisecond) })
}
