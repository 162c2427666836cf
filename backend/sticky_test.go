package backend

import (
	"testing"
	"time"
)

// An entry lives for sticky_time after its last connection.
func TestSourceMemoryExpires(t *testing.T) {
	t.Parallel()
	c := backendOf(4)
	c.StickyTime = time.Minute
	p := newPool(t, c)
	now := int64(1)
	for i := range 1000 {
		l := acquire(t, p, Request{Source: addr(i), Now: now})
		l.Release(Completed, now)
	}
	now += int64(time.Minute)
	l := acquire(t, p, Request{Source: addr(0), Now: now})
	if got := p.balancer.sticky.memory.used; got != 1000 {
		t.Fatalf("%d entries within sticky_time, want 1000", got)
	}
	now += 2
	for range 1000 {
		l := acquire(t, p, Request{Source: addr(1), Now: now})
		l.Release(Completed, now)
	}
	if got := p.balancer.sticky.memory.used; got != 2 {
		t.Fatalf("%d entries after sticky_time, want 2", got)
	}
	l.Release(Completed, now)
	checkCounts(t, p)
}

// The memory has a bound: the entries idle the longest make room for new ones.
func TestSourceMemoryIsBounded(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	p.balancer.sticky.memory.init(100)
	first := acquire(t, p, Request{Source: addr(0), Now: 1})
	for i := 1; i < 1000; i++ {
		l := acquire(t, p, Request{Source: addr(i), Now: 1})
		l.Release(Completed, 1)
	}
	if got := p.balancer.sticky.memory.used; got != 100 {
		t.Fatalf("%d entries, want 100", got)
	}
	for i := 1; i < 1000; i++ {
		if _, known := p.balancer.sticky.memory.first[addr(i).As16()]; known != (i > 900) {
			t.Fatalf("source %d known: %v; the ones idle the longest must go first", i, known)
		}
	}
	// All entries live: a new source is served without one.
	var held []Slot
	for i := range 200 {
		held = append(held, acquire(t, p, Request{Source: addr(5000 + i), Now: 2}))
	}
	checkCounts(t, p)
	for i := range held {
		held[i].Release(Completed, 3)
	}
	first.Release(Completed, 3)
	checkCounts(t, p)
	if got := p.balancer.sticky.memory.used; got != 100 {
		t.Fatalf("%d entries, want 100", got)
	}
}

// Places that were not used for sticky_time are forgotten even while other places
// of the source are in use.
func TestSourcePeakDecays(t *testing.T) {
	t.Parallel()
	c := backendOf(2)
	c.StickyTime = time.Minute
	p := newPool(t, c)
	var held []Slot
	for range 10 {
		held = append(held, acquire(t, p, Request{Source: addr(1), Now: 1}))
	}
	for i := range 9 {
		held[i].Release(Completed, 2)
	}
	early := acquire(t, p, Request{Source: addr(1), Now: 2 + int64(time.Minute)})
	if e := p.balancer.sticky.memory.at(p.balancer.sticky.memory.first[addr(1).As16()]); e.Peak != 10 {
		t.Fatalf("entry %+v within sticky_time, want a peak of 10", e)
	}
	early.Release(Completed, 2+int64(time.Minute))
	again := acquire(t, p, Request{Source: addr(1), Now: 3 + int64(time.Minute)})
	if e := p.balancer.sticky.memory.at(p.balancer.sticky.memory.first[addr(1).As16()]); e.Peak != 2 || e.live != 2 {
		t.Fatalf("entry %+v, want 2 connections and a peak of 2", e)
	}
	again.Release(Completed, 4+int64(time.Minute))
	held[9].Release(Completed, 4+int64(time.Minute))
}
