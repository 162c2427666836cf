package ratelimit

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"mcplb/conf"
)

// Who is slowed down must be visible with their number and since when, or an
// operator looks for the delay in the servers.
func TestThrottled(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MessageRate: 1, MessageBurst: 1, MaxConnections: 2, ConnectionRate: 100, ConnectionBurst: 100})
	busy := admit(t, l, "192.0.2.1", 0, Admitted)
	other := admit(t, l, "2001:db8::1", 0, Admitted)
	if list := l.Throttled(0); len(list) != 0 {
		t.Fatalf("nothing was throttled: %+v", list)
	}
	for range 5 { // one message at a time, each on a connection of its own, at once
		var turn Turn
		busy.Take(&turn, 1, second)
		busy.Take(&turn, 1, second) // asking again is no further delay
		defer busy.Leave(&turn)
	}
	admit(t, l, "2001:db8::2", second, Admitted)
	admit(t, l, "2001:db8::3", second, RefusedConcurrent)
	other.Allow(second)
	other.Allow(second)
	list := l.Throttled(10 * second)
	want := []Throttled{
		{Source: netip.MustParsePrefix("192.0.2.1/32"), For: 9 * time.Second, Delayed: 5},
		{Source: netip.MustParsePrefix("2001:db8::/64"), For: 9 * time.Second, Rejected: 1, Refused: 1},
	}
	if len(list) != 2 || list[0] != want[0] || list[1] != want[1] {
		t.Errorf("throttled %+v, want %+v", list, want)
	}
	if list := l.Throttled(60 * second); len(list) != 2 {
		t.Errorf("within a minute: %+v", list)
	}
	if list := l.Throttled(62 * second); len(list) != 0 {
		t.Errorf("a minute after the last event: %+v", list)
	}
	var turn Turn
	busy.Take(&turn, 100, 100*second)
	if list := l.Throttled(100 * second); len(list) != 1 || list[0].Delayed != 1 || list[0].For != 0 {
		t.Errorf("a new spell: %+v", list)
	}
}

// A global rate delays everybody: no source may be blamed for it.
func TestThrottledByGlobalRate(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{GlobalMessageRate: 1, GlobalConnectionRate: 1})
	s := admit(t, l, "192.0.2.1", 0, Admitted)
	admit(t, l, "192.0.2.1", 0, RefusedGlobalRate)
	var turn Turn
	s.Take(&turn, 5, 0)
	s.Leave(&turn)
	if list := l.Throttled(0); len(list) != 1 || list[0] != (Throttled{Delayed: 1, Refused: 1}) {
		t.Errorf("throttled %+v, want all sources together", list)
	}
}

// However many sources there are, the memory is bounded, and one that is throttled
// far more than the others is among those shown.
func TestThrottledIsBounded(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(throttle{}); size > 2048 {
		t.Errorf("a throttle takes %d bytes", size)
	}
	var tr throttle
	heavy := keyOf(netip.MustParseAddr("192.0.2.1"))
	for i := range 100_000 {
		tr.note(key(markIPv4|uint64(i)), rejected, int64(i))
		if i%4 == 0 {
			tr.note(heavy, rejected, int64(i))
		}
	}
	list := tr.list(100_000)
	if len(list) > mostThrottled {
		t.Fatalf("%d sources are shown", len(list))
	}
	if list[0].Source != heavy.prefix() || list[0].Rejected < 20_000 {
		t.Errorf("the first is %+v, want %v with about 25,000", list[0], heavy.prefix())
	}
}
