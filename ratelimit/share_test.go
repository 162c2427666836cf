package ratelimit

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"mcplb/conf"
)

// shared are limits of which everything is shared.
var shared = conf.RateLimit{ConnectionRate: 10, ConnectionBurst: 20, MessageRate: 10, MessageBurst: 20, GlobalMessageRate: 100, GlobalConnectionRate: 100, TableSize: 1000}

// pass takes up to n messages of a source and returns how many passed.
func pass(s *Source, n int, now int64) int {
	var turn Turn
	taken, _ := s.Take(&turn, n, now)
	s.Leave(&turn)
	return taken
}

// What a source uses at one balancer it cannot use at another one.
func TestUsageIsCharged(t *testing.T) {
	t.Parallel()
	a, b := New(shared), New(shared)
	a.Share(true)
	b.Share(true)
	s := admit(t, a, "192.0.2.1", second, Admitted)
	if n := pass(s, 15, second); n != 15 {
		t.Fatalf("%d messages pass", n)
	}
	s.Allow(second)
	u := a.Collect(10)
	if u.Messages != 16 || u.Connections != 1 || u.Lost != 0 || len(u.Sources) != 1 || u.Sources[0] != (SourceUsage{s.Key(), 16, 1}) {
		t.Fatalf("16 messages and a connection are counted as %+v", u)
	}
	if again := a.Collect(10); again.Messages+again.Connections+uint64(len(again.Sources)) != 0 {
		t.Errorf("counted twice: %+v", again)
	}
	b.Charge(u.Sources[0], second)
	other := admit(t, b, "192.0.2.1", second, Admitted)
	if n := pass(other, 20, second); n != 4 {
		t.Errorf("%d messages pass at the other balancer, want 4 of the burst of 20", n)
	}
	if n := b.Collect(10).Messages; n != 4 {
		t.Errorf("%d messages are shared by the other balancer: those of the first must not return to it", n)
	}
}

// A debt ends: no number that others report silences a source for long.
func TestChargeIsBounded(t *testing.T) {
	t.Parallel()
	l := New(shared)
	l.Share(true)
	s := admit(t, l, "192.0.2.1", second, Admitted)
	for range 100 {
		l.Charge(SourceUsage{Key: s.Key(), Messages: 1 << 31, Connections: 1 << 31}, second)
		l.Divide(Part{1, 1e18}, Part{1, 1e18}, second)
	}
	for _, key := range []uint64{0, uint64(everyone), ^uint64(0)} {
		l.Charge(SourceUsage{Key: key, Messages: 1}, second)
	}
	if n := pass(s, 1, 10*second); n != 0 {
		t.Errorf("%d messages pass at once", n)
	}
	if n := pass(s, 1, 15*second); n != 1 {
		t.Error("after 14 s the source is still silenced")
	}
	if _, verdict := l.Admit(netip.MustParseAddr("192.0.2.9"), 15*second); verdict != Admitted {
		t.Errorf("after 14 s a connection is %v", verdict)
	}
}

// Exempt sources are not charged, and no entry is made of them.
func TestExemptIsNotCharged(t *testing.T) {
	t.Parallel()
	limits := shared
	limits.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	l := New(limits)
	l.Charge(SourceUsage{Key: uint64(keyOf(addr("10.1.2.3"))), Messages: 5}, second)
	if n := l.Stats(second).Sources; n != 0 {
		t.Errorf("%d sources are remembered", n)
	}
}

// The table's bound holds for what others report, too.
func TestChargedSourcesAreBounded(t *testing.T) {
	t.Parallel()
	limits := shared
	limits.TableSize = 100
	l := New(limits)
	for i := range 10_000 {
		l.Charge(SourceUsage{Key: uint64(keyOf(numbered(i))), Messages: 20}, second)
	}
	if n := l.Stats(second).Sources; n > 102 {
		t.Errorf("%d sources are remembered, although the table has 100", n)
	}
}

// A part of the global rates is that part: half of it is half as much, and what is given
// back passes.
func TestDivide(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{GlobalMessageRate: 1000, GlobalConnectionRate: 1000, TableSize: 1000}
	l := New(limits)
	l.Share(true)
	s := admit(t, l, "192.0.2.1", second, Admitted)
	pass(s, 10_000, second)
	for range 2000 {
		l.underGlobalRate(l.limits.Load(), second)
	}
	l.Divide(Part{Fraction: 0.5}, Part{Fraction: 0.5}, second)
	connections := func(now int64) (n int) {
		for l.underGlobalRate(l.limits.Load(), now) {
			n++
		}
		return n
	}
	if n := pass(s, 10_000, second+second/10); n != 50 {
		t.Errorf("%d messages pass in 100 ms of half of the rate, want 50", n)
	}
	if n := connections(second + second/10); n < 49 || n > 51 {
		t.Errorf("%d connections are accepted in 100 ms of half of the rate, want 50", n)
	}
	l.Divide(Part{0.5, -30}, Part{0.5, -30}, second+second/10)
	if n := pass(s, 10_000, second+second/10); n != 30 {
		t.Errorf("%d messages pass of 30 that were given back", n)
	}
	if n := connections(second + second/10); n < 29 || n > 31 {
		t.Errorf("%d connections are accepted of 30 that were given back", n)
	}
	l.Divide(Part{1, 40}, Part{1, 40}, second+second/10)
	if n := pass(s, 10_000, second+second/5); n != 60 {
		t.Errorf("%d messages pass in 100 ms of the rate of which 40 are charged, want 60", n)
	}
	if n := connections(second + second/5); n < 59 || n > 61 {
		t.Errorf("%d connections are accepted in 100 ms of the rate of which 40 are charged, want 60", n)
	}
	l.Apply(limits, 0)
	if f := l.Fraction(); f != 1 {
		t.Errorf("after a reload the fraction is %f", f)
	}
	if l.Share(false); l.limits.Load().sharing != nil || l.Collect(1).Messages != 0 {
		t.Error("it goes on to share")
	}
}

// However many sources are busy, what is shared is bounded, those that use most come
// first, and nothing is counted that was not used.
func TestCollectIsBounded(t *testing.T) {
	t.Parallel()
	l := New(everything)
	l.Share(true)
	const sources = 20_000
	heavy := admit(t, l, "198.51.100.1", second, Admitted)
	pass(heavy, 5000, second)
	for i := range sources {
		s, _ := l.Admit(numbered(i), second)
		pass(s, 1, second)
		s.Release()
	}
	u := l.Collect(100)
	if len(u.Sources) != 100 || u.Sources[0] != (SourceUsage{heavy.Key(), 5000, 1}) {
		t.Errorf("%d sources, the first is %+v", len(u.Sources), u.Sources[0])
	}
	shown := u.Lost
	for _, s := range u.Sources {
		shown += s.events()
	}
	if shown != 2*sources+5001 || u.Messages != sources+5000 {
		t.Errorf("%d events and %d messages are accounted for, want %d and %d", shown, u.Messages, 2*sources+5001, sources+5000)
	}
}

// Loops count while another goroutine collects and divides: nothing is lost or counted
// twice, apart from what happens in the moment of the change.
func TestSharingIsConcurrent(t *testing.T) {
	t.Parallel()
	l := New(everything)
	l.Share(true)
	const each = 50_000
	var loops sync.WaitGroup
	for range 4 {
		loops.Go(func() {
			s, _ := l.Admit(netip.MustParseAddr("192.0.2.1"), second)
			defer s.Release()
			for range each {
				pass(s, 1, second)
			}
		})
	}
	done := make(chan struct{})
	go func() { loops.Wait(); close(done) }()
	messages, bySource := uint64(0), uint64(0)
	collect := func() {
		u := l.Collect(10)
		messages += u.Messages
		for _, s := range u.Sources {
			bySource += uint64(s.Messages)
		}
		l.Divide(Part{0.5, 1}, Part{0.5, 1}, second)
	}
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-time.After(time.Millisecond):
		}
		collect()
	}
	collect()
	collect()
	if messages != 4*each || bySource < 4*each-100 || bySource > 4*each {
		t.Errorf("of %d messages %d are counted, %d by source", 4*each, messages, bySource)
	}
}

// Counting what is shared allocates nothing.
func TestSharingDoesNotAllocate(t *testing.T) {
	l := New(everything)
	l.Share(true)
	s := admit(t, l, "192.0.2.1", 0, Admitted)
	var turn Turn
	if n := testing.AllocsPerRun(1000, func() { s.Take(&turn, 1, 0); s.Allow(0) }); n != 0 {
		t.Errorf("%f allocations per message", n)
	}
}

// A ban of another balancer holds here as there, and is not announced again.
func TestAdopt(t *testing.T) {
	t.Parallel()
	limits := shared
	limits.TableSize = 2
	l := New(limits)
	l.OnBan(func(b Ban) { t.Errorf("announced: %+v", b) })
	for _, source := range []string{"192.0.2.1/32", "198.51.100.0/24", "2001:db8::/64"} {
		b := Ban{Source: netip.MustParsePrefix(source), Remaining: time.Minute, Reason: MessageRate, Violations: 7}
		if !l.Adopt(b, second) || l.Adopt(b, second) {
			t.Errorf("%s: not new once", source)
		}
		if _, verdict := l.Admit(b.Source.Addr(), 2*second); verdict != RefusedBanned {
			t.Errorf("%s is %v", source, verdict)
		}
		if _, verdict := l.Admit(b.Source.Addr(), 62*second); verdict != Admitted {
			t.Errorf("after the ban %s is %v", source, verdict)
		}
	}
	for i := range 10 {
		l.Adopt(Ban{Source: netip.PrefixFrom(numbered(i), 32)}, 100*second)
	}
	if stats := l.Stats(100 * second); stats.Bans != 2 || stats.BansImposed != 0 {
		t.Errorf("more bans than the table has room for: %+v", stats)
	}
}
