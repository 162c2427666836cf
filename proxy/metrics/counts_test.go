package metrics

import (
	"reflect"
	"testing"
	"time"
)

type someCounters struct {
	one    Counter
	list   [3]Counter
	timing Timing
	_      [64]byte
}

func (c *someCounters) Visit(v Visitor) {
	v.Counter("one", &c.one)
	v.Counters("list", c.list[:])
	c.timing.Visit("timing", v)
}

func TestCounts(t *testing.T) {
	t.Parallel()
	var a, b someCounters
	a.one.Add(5)
	a.list[1].Add(7)
	a.timing.Add(9)
	b.one.Add(1)
	b.list[2].Add(2)
	b.timing.Add(11)
	var sum Counts
	if !sum.Empty() {
		t.Error("the zero Counts are not empty")
	}
	sum.Add(&a)
	sum.Add(&b)
	want := Counts{
		Sums:   map[string][]uint64{"one": {6}, "list": {0, 7, 2}, "timing.count": {2}, "timing.sum": {20}},
		Maxima: map[string]uint64{"timing.max": 11},
	}
	if !reflect.DeepEqual(sum, want) {
		t.Fatalf("sum %v, want %v", sum, want)
	}
	a.one.Add(2)
	a.timing.Add(12)
	var later Counts
	later.Add(&a)
	later.Add(&b)
	grown := later.Sub(&sum)
	want = Counts{
		Sums:   map[string][]uint64{"one": {2}, "timing.count": {1}, "timing.sum": {12}},
		Maxima: map[string]uint64{"timing.max": 12},
	}
	if !reflect.DeepEqual(grown, want) {
		t.Errorf("grown by %v, want %v", grown, want)
	}
	if again := later.Sub(&later); !again.Empty() {
		t.Errorf("nothing was counted, but Sub returns %v", again)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	var c someCounters
	c.one.Add(100)
	c.timing.Add(10)
	counts := Counts{
		Sums:   map[string][]uint64{"one": {6}, "list": {0, 7, 2, 9}, "timing.count": {2}, "timing.sum": {20}, "unknown": {1}},
		Maxima: map[string]uint64{"timing.max": 11, "unknown": 1},
	}
	counts.Restore(&c)
	if c.one.Load() != 106 || c.list[0].Load() != 0 || c.list[1].Load() != 7 || c.list[2].Load() != 2 {
		t.Errorf("restored: %+v", &c)
	}
	var total TimingTotal
	total.Add(&c.timing)
	if want := (TimingTotal{Count: 3, Sum: 30, Max: 11}); total != want {
		t.Errorf("restored timing: %+v, want %+v", total, want)
	}
	none := Counts{}
	none.Restore(&c)
	if c.one.Load() != 106 || c.timing.longest.Load() != 11 {
		t.Errorf("restoring nothing changed something: %+v", &c)
	}
}

func TestTiming(t *testing.T) {
	t.Parallel()
	var timing, other Timing
	timing.Add(int64(time.Second))
	timing.Add(int64(time.Millisecond))
	other.Add(int64(time.Minute))
	timing.ResetMax()
	timing.Add(int64(time.Microsecond))
	var total TimingTotal
	total.Add(&timing)
	if want := (TimingTotal{3, 1001001 * time.Microsecond, time.Microsecond}); total != want {
		t.Errorf("%+v, want %+v", total, want)
	}
	total.Add(&other)
	if want := (TimingTotal{4, 61001001 * time.Microsecond, time.Minute}); total != want {
		t.Errorf("%+v, want %+v", total, want)
	}
}

func BenchmarkCountsAdd(b *testing.B) {
	var c struct {
		someCounters
		h Histogram
	}
	c.h.Add(1e6)
	for b.Loop() {
		var sum Counts
		sum.Add(&c)
		c.h.Visit("h", (*adder)(&sum))
	}
}
