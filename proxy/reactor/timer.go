//go:build linux

package reactor

import (
	"math"
	"math/bits"
)

// Timer is a deadline on a loop. It is embedded in its owner and costs nothing
// while it waits: activity does not move it. An active owner only records the
// time, and when the timer expires too early, arms it again (Loop.Arm). The
// zero Timer is not armed. Only the loop's goroutine may use it.
type Timer struct {
	next, prev *Timer
	owner      Expirer
	when       int64 // nanoseconds on the loop's clock
	level      uint8
	slot       uint8
	armed      bool
}

// Expirer owns timers and is called when one of them expires.
type Expirer interface {
	// Expired runs on the loop's goroutine; the timer is no longer armed.
	Expired(t *Timer)
}

// When returns the deadline for which the timer was last armed, in nanoseconds
// on the loop's clock.
func (t *Timer) When() int64 { return t.when }

// Armed reports whether the timer is waiting to expire.
func (t *Timer) Armed() bool { return t.armed }

// A wheel holds timers in three levels of 64 slots (Varghese and Lauck's
// hierarchical timing wheel): slots of 8 ms, then 0.5 s, then 34 s, 36 minutes
// in all; a later timer waits in the last slot and is then inserted again.
// Arming and stopping take constant time, and so does skipping a period in
// which nothing is due. A timer never expires early.
//
//	a timer at level   waits in a slot of   until the wheel reaches
//	0                  one tick             that tick: it expires
//	1, 2               64, 4096 ticks       the first of them: it is inserted again (cascade)
type wheel struct {
	levels [levels][slots]*Timer
	used   [levels]uint64 // a bit for every slot that is not empty
	tick   int64          // the last tick that was run
	count  int
}

const (
	levels    = 3
	slotBits  = 6
	slots     = 1 << slotBits
	tickShift = 23 // 8.4 ms
	horizon   = 1<<(levels*slotBits) - 1
	never     = math.MaxInt64
)

// due is the first tick that begins after the deadline.
func (t *Timer) due() int64 { return t.when>>tickShift + 1 }

// arm inserts t, which must not be armed, at its deadline; a deadline in the
// past expires at the next tick.
func (w *wheel) arm(t *Timer) {
	t.armed = true
	w.count++
	w.insert(t, w.tick+1)
}

// insert puts t into the slot of the tick at which it is due, but no earlier
// than earliest, the first tick still to be run, and no later than the horizon.
func (w *wheel) insert(t *Timer, earliest int64) {
	tick := min(max(t.due(), earliest), w.tick+horizon)
	level := bits.Len64(uint64(tick-w.tick)>>1) / slotBits
	slot := tick >> (level * slotBits) & (slots - 1)
	t.level, t.slot = uint8(level), uint8(slot)
	head := &w.levels[level][slot]
	t.prev, t.next = nil, *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
	w.used[level] |= 1 << slot
}

// stop removes t; it does nothing if t is not armed.
func (w *wheel) stop(t *Timer) {
	if !t.armed {
		return
	}
	t.armed = false
	w.count--
	w.unlink(t)
}

func (w *wheel) unlink(t *Timer) {
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.levels[t.level][t.slot] = t.next
		if t.next == nil {
			w.used[t.level] &^= 1 << t.slot
		}
	}
	t.next, t.prev = nil, nil
}

// advance expires every timer due by now, tick by tick; it skips ticks without
// work.
func (w *wheel) advance(now int64) {
	for target := now >> tickShift; w.tick < target; {
		w.tick = min(w.upcoming(), target)
		w.cascade()
		w.run(&w.levels[0][w.tick&(slots-1)])
	}
}

// upcoming returns the next tick with a timer to expire or a slot to cascade.
func (w *wheel) upcoming() int64 {
	first := int64(never)
	for level := range levels {
		if w.used[level] == 0 {
			continue
		}
		// The slots in the order in which they come up; the current one is
		// last.
		following := w.tick>>(level*slotBits) + 1
		turned := bits.RotateLeft64(w.used[level], -int(following&(slots-1)))
		first = min(first, (following+int64(bits.TrailingZeros64(turned)))<<(level*slotBits))
	}
	return first
}

// cascade inserts the timers of the higher levels' slots that begin at this
// tick again, some of them for this very tick.
func (w *wheel) cascade() {
	for level := 1; level < levels && w.tick&(1<<(level*slotBits)-1) == 0; level++ {
		slot := w.tick >> (level * slotBits) & (slots - 1)
		t := w.levels[level][slot]
		w.levels[level][slot] = nil
		w.used[level] &^= 1 << slot
		for t != nil {
			next := t.next
			w.insert(t, w.tick)
			t = next
		}
	}
}

// run expires the timers of a slot one by one: an owner may stop or arm other
// timers of the same slot meanwhile. No timer is inserted into the slot
// meanwhile.
func (w *wheel) run(slot **Timer) {
	for *slot != nil {
		t := *slot
		w.stop(t)
		t.owner.Expired(t)
	}
}

// next returns in how many nanoseconds the wheel has work; -1 = never.
func (w *wheel) next(now int64) int64 {
	if w.count == 0 {
		return -1
	}
	return max(w.upcoming()<<tickShift-now, 0)
}
