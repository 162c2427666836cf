package handover

import (
	"maps"
	"sync/atomic"
	"testing"
)

type someCounters struct {
	A      atomic.Uint64
	hidden [3]atomic.Uint64
	Timing struct{ sum, max atomic.Uint64 }
	_      [64]byte
	other  int
}

func TestCounts(t *testing.T) {
	t.Parallel()
	var a, b someCounters
	a.A.Add(5)
	a.hidden[2].Add(7)
	a.Timing.max.Store(9)
	b.A.Add(1)
	b.Timing.sum.Add(3)
	b.Timing.max.Store(11)
	var l Layouts
	c := Counts{}
	l.Add(c, &a)
	l.Add(c, &b)
	want := Counts{".A": 6, ".hidden.2": 7, ".Timing.sum": 3, ".Timing.max": 11}
	if !maps.Equal(c, want) {
		t.Fatalf("counts %v, want %v", c, want)
	}
	var d someCounters
	d.A.Add(100)
	d.Timing.max.Store(10)
	c[".gone"] = 1 // there is no such thing any more
	l.Restore(c, &d)
	delete(c, ".gone")
	if d.A.Load() != 106 || d.hidden[2].Load() != 7 || d.Timing.sum.Load() != 3 || d.Timing.max.Load() != 11 || d.hidden[0].Load() != 0 {
		t.Errorf("restored: %+v", &d)
	}
	a.A.Add(2)
	a.Timing.max.Store(12)
	later := Counts{}
	l.Add(later, &a)
	l.Add(later, &b)
	if grown := later.Since(c); !maps.Equal(grown, Counts{".A": 2, ".Timing.max": 12}) {
		t.Errorf("grown by %v", grown)
	}
	_ = d.other
}
