package reactor

import (
	"runtime"
	"slices"
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
	const collections, wait = 4, 5 * time.Second
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
			time.Sleep(500 * time.Millisecond)
			if after, _ := l.Turns(); after-before >= 10 {
				t.Errorf("%d turns in half a second without an event, want fewer than 20 per second", after-before)
			}
		})
	}
}

// waits are the two ways in which busy loops can wait, for the benchmarks: within
// their time slices, and until the monitor takes their processors away.
func waits() map[string]*System {
	within := Kernel()
	within.EpollWait = func(epoll int, events []unix.EpollEvent, millis int) int {
		n := kernelEpollWait(epoll, events, millis)
		if n == 0 { // an event keeps the loop lively
			events[0] = unix.EpollEvent{Fd: -1} // wakeIndex
			n = 1
		}
		return n
	}
	return map[string]*System{"within": within, "without": alwaysLively(int(timeSlice / 1e6))}
}

// besideWaitingLoops measures a call beside a loop that waits all the time, in
// both ways.
func besideWaitingLoops(b *testing.B, call func()) {
	for name, system := range waits() {
		b.Run(name, func(b *testing.B) {
			startLively(b, max(1, runtime.NumCPU()-1), system)
			var took []time.Duration
			for b.Loop() {
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

// BenchmarkStopTheWorld stops the world, which has to end the waits.
func BenchmarkStopTheWorld(b *testing.B) {
	var stats runtime.MemStats
	besideWaitingLoops(b, func() { runtime.ReadMemStats(&stats) })
}

// BenchmarkCollection collects garbage, which stops the world twice and needs a
// processor in between.
func BenchmarkCollection(b *testing.B) { besideWaitingLoops(b, runtime.GC) }

// BenchmarkSleepBeside sleeps for a millisecond: how punctual are the timers of
// other goroutines?
func BenchmarkSleepBeside(b *testing.B) {
	besideWaitingLoops(b, func() { time.Sleep(time.Millisecond) })
}
