//go:build linux

package reactor

import (
	"math"
	"math/bits"
)

// Timer is one deadline of something that a loop carries. It lies inside its
// owner and costs nothing while it waits: activity does not touch it. Whoever
// is active writes a timestamp, and when the timer fires early its owner arms
// it again (Loop.Arm). The zero Timer is not armed. Only the loop's own
// goroutine may touch it.
type Timer struct {
	next, prev *Timer
	owner      Expirer
	when       int64 // nanoseconds on the loop's clock
	level      uint8
	slot       uint8
	armed      bool
}

// Expirer is told when a timer of its own has run out.
type Expirer interface {
	// Expired runs on the loop's goroutine; the timer is no longer armed.
	Expired(t *Timer)
}

// When is the deadline the timer was last armed for, in nanoseconds on the
// loop's clock.
func (t *Timer) When() int64 { return t.when }

// Armed tells whether the timer waits to run out.
func (t *Timer) Armed() bool { return t.armed }

// A wheel holds timers in three levels of 64 slots (Varghese and Lauck's
// hashed hierarchical wheel): 8 ms a slot, then 0.5 s, then 34 s, 36 minutes
// in all; what lies further away waits in the last slot and is filed again.
// Arming and stopping take constant time, and so does a long time in which
// nothing is due. A timer never runs out early.
//
//	a timer of level   waits in the slot of      until the wheel comes to
//	0                  its own tick              that tick: it runs out
//	1, 2               64, 4096 ticks            the first of them: it is filed again (cascade)
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

// arm files t, which must not be armed, under its deadline; one in the past
// runs out with the next tick.
func (w *wheel) arm(t *Timer) {
	t.armed = true
	w.count++
	w.file(t, w.tick+1)
}

// file puts t into the slot of the tick that it is due at, or of the earliest
// that will still be run, or of the horizon.
func (w *wheel) file(t *Timer, earliest int64) {
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

// stop takes t out; it does nothing when t is not armed.
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

// advance runs every timer that is due by now, tick by tick; ticks without work
// are skipped.
func (w *wheel) advance(now int64) {
	for target := now >> tickShift; w.tick < target; {
		w.tick = min(w.upcoming(), target)
		w.cascade()
		w.run(&w.levels[0][w.tick&(slots-1)])
	}
}

// upcoming is the next tick at which there is a timer to run or a slot to
// cascade.
func (w *wheel) upcoming() int64 {
	first := int64(never)
	for level := range levels {
		if w.used[level] == 0 {
			continue
		}
		// The slots in the order of their turn; the present one's is last.
		following := w.tick>>(level*slotBits) + 1
		turned := bits.RotateLeft64(w.used[level], -int(following&(slots-1)))
		first = min(first, (following+int64(bits.TrailingZeros64(turned)))<<(level*slotBits))
	}
	return first
}

// cascade files the timers of the higher levels' slots that begin with this
// tick again, some of them for this very tick.
func (w *wheel) cascade() {
	for level := 1; level < levels && w.tick&(1<<(level*slotBits)-1) == 0; level++ {
		slot := w.tick >> (level * slotBits) & (slots - 1)
		t := w.levels[level][slot]
		w.levels[level][slot] = nil
		w.used[level] &^= 1 << slot
		for t != nil {
			next := t.next
			w.file(t, w.tick)
			t = next
		}
	}
}

// run expires the timers of a slot one by one: an owner may stop or arm
// others of the same slot meanwhile. None is filed into the slot meanwhile.
func (w *wheel) run(slot **Timer) {
	for *slot != nil {
		t := *slot
		w.stop(t)
		t.owner.Expired(t)
	}
}

// next tells in how many nanoseconds from now the wheel has work; -1 = never.
func (w *wheel) next(now int64) int64 {
	if w.count == 0 {
		return -1
	}
	return max(w.upcoming()<<tickShift-now, 0)
}
