package reactor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const tick = int64(1) << tickShift

// expirerFunc is a function used as an Expirer.
type expirerFunc func(t *Timer)

func (f expirerFunc) Expired(t *Timer) { f(t) }

// set arms t as Loop.Arm does.
func (w *wheel) set(t *Timer, owner Expirer, when int64) {
	w.stop(t)
	t.owner, t.when = owner, when
	w.arm(t)
}

// modelTimer is a timer and the naive model's state of it.
type modelTimer struct {
	Timer
	armedTo int64 // the tick at which it must expire; 0 = not armed
}

// model drives a wheel at random and predicts its behaviour by checking all
// timers every time.
type model struct {
	t      *testing.T
	random *rand.Rand
	wheel  wheel
	now    int64
	timers [150]modelTimer
	fired  int
	ran    int64 // the tick at which the last timer expired, in this advance
}

// distance returns how far away a deadline is: past, near, at a slot's edge, or
// beyond the horizon.
func (m *model) distance() int64 {
	switch m.random.IntN(8) {
	case 0:
		return -m.random.Int64N(int64(time.Minute))
	case 1:
		return m.random.Int64N(3 * tick)
	case 2, 3:
		return m.random.Int64N(int64(time.Second))
	case 4:
		return m.random.Int64N(int64(time.Minute))
	case 5:
		edge := int64(1) << (slotBits * (1 + m.random.IntN(levels)))
		return (edge+m.random.Int64N(5)-2)*tick - m.now%tick
	case 6:
		return m.random.Int64N(int64(time.Hour))
	}
	return m.random.Int64N(24 * int64(time.Hour))
}

func (m *model) arm() {
	t := &m.timers[m.random.IntN(len(m.timers))]
	when := m.now + m.distance()
	m.wheel.set(&t.Timer, m, when)
	t.armedTo = max(when>>tickShift, m.wheel.tick) + 1
}

func (m *model) stop() {
	t := &m.timers[m.random.IntN(len(m.timers))]
	m.wheel.stop(&t.Timer)
	t.armedTo = 0
}

// Expired checks that t is on time, and sometimes arms and stops others.
func (m *model) Expired(expired *Timer) {
	for i := range m.timers {
		t := &m.timers[i]
		if &t.Timer != expired {
			continue
		}
		if t.armedTo != m.wheel.tick || m.now < t.when || t.Armed() {
			m.t.Fatalf("expired at tick %d, %d ns after its deadline; want tick %d", m.wheel.tick, m.now-t.when, t.armedTo)
		}
		t.armedTo = 0
	}
	if m.wheel.tick < m.ran {
		m.t.Fatalf("tick %d ran after tick %d", m.wheel.tick, m.ran)
	}
	m.ran = m.wheel.tick
	m.fired++
	switch m.random.IntN(4) {
	case 0:
		m.stop()
	case 1, 2:
		m.arm()
	}
}

// advance lets time pass and checks that no due timer is left.
func (m *model) advance(by int64) {
	m.now += by
	m.ran = 0
	m.wheel.advance(m.now)
	earliest, count := m.earliest()
	if earliest <= m.now>>tickShift {
		m.t.Fatalf("after tick %d a timer still waits for tick %d", m.now>>tickShift, earliest)
	}
	if m.wheel.count != count {
		m.t.Fatalf("the wheel counts %d timers, want %d", m.wheel.count, count)
	}
	m.checkNext(earliest)
}

// earliest finds the first tick at which a timer is due, and counts the armed
// timers.
func (m *model) earliest() (first int64, count int) {
	first = never
	for i := range m.timers {
		if t := &m.timers[i]; t.armedTo != 0 {
			count++
			first = min(first, t.armedTo)
		}
	}
	return first, count
}

// checkNext checks that sleeping as long as next says misses no timer, and that
// next is exact for near deadlines.
func (m *model) checkNext(earliest int64) {
	next := m.wheel.next(m.now)
	if earliest == never {
		if next != -1 {
			m.t.Fatalf("next is %d with nothing armed", next)
		}
		return
	}
	wait := max(earliest*tick-m.now, 0)
	if next < 0 || next > wait {
		m.t.Fatalf("next is %d, but a timer is due in %d", next, wait)
	}
	near := earliest-m.wheel.tick < slots && earliest>>slotBits == m.wheel.tick>>slotBits
	if near && next != wait {
		m.t.Fatalf("next is %d, want %d exactly", next, wait)
	}
}

func TestWheelAgainstModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := &model{t: t, random: rand.New(rand.NewPCG(seed, 7))}
			m.now = m.random.Int64N(math.MaxInt64 / 2)
			m.wheel.tick = m.now >> tickShift
			for range 500_000 {
				switch m.random.IntN(16) {
				case 0:
					m.advance(m.random.Int64N(3 * tick))
				case 1:
					m.advance(max(m.wheel.next(m.now), 0))
				case 2:
					if m.random.IntN(20) == 0 {
						m.advance(m.random.Int64N(int64(2 * time.Hour)))
					}
				case 3, 4, 5:
					m.stop()
				default:
					m.arm()
				}
			}
			if m.fired < 10_000 {
				t.Errorf("only %d timers expired: the test proves little", m.fired)
			}
		})
	}
}

// TestWheelEdges arms one timer at, before and after every boundary between
// slots and levels, from various positions of the wheel.
func TestWheelEdges(t *testing.T) {
	t.Parallel()
	edges := []int64{1, slots, slots * slots, slots * slots * slots, 3 * slots * slots * slots}
	for _, start := range []int64{0, 1, slots - 1, slots, slots*slots - 1, slots * slots, horizon, 1 << 39} {
		for _, edge := range edges {
			for distance := edge - 2; distance <= edge+2; distance++ {
				for _, within := range []int64{0, 1, tick - 1} {
					if distance < 0 {
						continue
					}
					checkOnTime(t, start, (start+distance)*tick+within)
				}
			}
		}
	}
}

// checkOnTime arms a timer for a deadline with the wheel at a tick, and then
// advances as a loop does: from one next to the following.
func checkOnTime(t *testing.T, start, when int64) {
	t.Helper()
	w := wheel{tick: start}
	now, firedAt, wakes := start*tick, int64(-1), 0
	var timer Timer
	w.set(&timer, expirerFunc(func(*Timer) { firedAt = now }), when)
	for firedAt < 0 {
		wait := w.next(now)
		w.advance(now + wait - 1)
		if firedAt >= 0 {
			t.Errorf("from tick %d: expired before next said", start)
		}
		now += wait
		wakes++
		w.advance(now)
	}
	if late := firedAt - when; late < 0 || late > tick {
		t.Errorf("from tick %d, %d ns away: late by %d ns, want 0 to %d", start, when-start*tick, late, tick)
	}
	if most := levels + int((when>>tickShift-start)/horizon)*2; wakes > most {
		t.Errorf("from tick %d, %d ns away: %d wakes, want at most %d", start, when-start*tick, wakes, most)
	}
}

// TestExpiredMayDoAnything stops and arms timers of the slot that is being run.
func TestExpiredMayDoAnything(t *testing.T) {
	t.Parallel()
	var w wheel
	var timers [3]Timer
	var ran []int64
	owner := expirerFunc(func(expired *Timer) {
		ran = append(ran, w.tick)
		if len(ran) > 5 {
			return
		}
		for i := range timers {
			w.stop(&timers[i])
		}
		w.set(expired, expired.owner, -1) // in the past, again and again
	})
	for i := range timers {
		w.set(&timers[i], owner, 5)
	}
	w.advance(20 * tick)
	if got := fmt.Sprint(ran); got != "[1 2 3 4 5 6]" {
		t.Errorf("expired at ticks %s: want one of the three, and again at every tick", got)
	}
	if w.count != 0 || w.used != [levels]uint64{} {
		t.Errorf("%d timers left, slots %b", w.count, w.used)
	}
}

func TestFarDeadlines(t *testing.T) {
	t.Parallel()
	var w wheel
	var far, forever Timer
	ran := 0
	count := expirerFunc(func(*Timer) { ran++ })
	const days10 = 10 * 24 * int64(time.Hour)
	w.set(&far, count, days10)
	w.set(&forever, count, math.MaxInt64)
	w.advance(days10 - 1)
	if ran != 0 {
		t.Fatal("expired early")
	}
	w.advance(days10 + 2*tick)
	if ran != 1 || far.Armed() {
		t.Errorf("%d timers expired, want the one of ten days", ran)
	}
	// Advancing tick by tick would take hours.
	w.stop(&forever)
	w.set(&far, count, math.MaxInt64/2)
	w.advance(math.MaxInt64 / 4)
	if next := w.next(math.MaxInt64 / 4); ran != 1 || next <= 0 {
		t.Errorf("%d expired, next in %d", ran, next)
	}
}

func TestZeroTimer(t *testing.T) {
	t.Parallel()
	var w wheel
	var timer Timer
	w.stop(&timer)
	if timer.Armed() || w.count != 0 || w.next(5) != -1 {
		t.Errorf("stopping a zero timer: armed %v, count %d, next %d", timer.Armed(), w.count, w.next(5))
	}
	w.set(&timer, expirerFunc(func(*Timer) {}), 0)
	if late := w.next(100 * tick); late != 0 {
		t.Errorf("next for an overdue timer: %d, want 0", late)
	}
}

// TestLoopSleepsUntilTimer has a loop without events, which only its timers
// wake.
func TestLoopSleepsUntilTimer(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	clock := fakeClock(system)
	l := newStepped(t, system)
	l.turn()
	if len(clock.sleeps) != 1 || clock.sleeps[0] != -1 {
		t.Fatalf("without timers it slept %v ms, want until an event (-1)", clock.sleeps)
	}
	for _, wait := range []int64{0, 1, 1e6, 7e6, 50e6, 1e9, 100e9} {
		var timer Timer
		firedAt, when := int64(0), l.Now()+wait
		l.Arm(&timer, expirerFunc(func(*Timer) { firedAt = l.Now() }), when)
		clock.sleeps = nil
		for firedAt == 0 {
			l.turn()
		}
		if late := firedAt - when; late < 0 || late > tick+1e6 {
			t.Errorf("a timer of %d ns expired %d ns late, want 0 to %d", wait, late, tick+1e6)
		}
		if len(clock.sleeps) > levels {
			t.Errorf("a timer of %d ns took %d sleeps: %v", wait, len(clock.sleeps), clock.sleeps)
		}
	}
}

func TestArmMovesAndDisarmStops(t *testing.T) {
	t.Parallel()
	system := steppedSystem()
	fakeClock(system)
	l := newStepped(t, system)
	var moved, stopped, last Timer
	var firedAt int64
	end := false
	l.Arm(&moved, expirerFunc(func(*Timer) { t.Error("the first owner was called") }), l.Now()+1e6)
	l.Arm(&moved, expirerFunc(func(*Timer) { firedAt = l.Now() }), l.Now()+3e9)
	l.Arm(&stopped, expirerFunc(func(*Timer) { t.Error("a stopped timer expired") }), l.Now()+2e9)
	l.Arm(&last, expirerFunc(func(*Timer) { end = true }), l.Now()+4e9)
	if !stopped.Armed() || stopped.When() != l.Now()+2e9 {
		t.Errorf("armed %v for %d", stopped.Armed(), stopped.When()-l.Now())
	}
	l.Disarm(&stopped)
	for !end {
		l.turn()
	}
	if firedAt < moved.When() || moved.Armed() || stopped.Armed() {
		t.Errorf("expired at %d, want from %d on", firedAt, moved.When())
	}
}
