package ratelimit

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

// sender is one connection of a simulated client that always has messages to send.
type sender struct {
	source *Source
	turn   Turn
	next   int64 // when it asks again
	passed int
}

func senders(t *testing.T, l *Limiter, address string, n int) []sender {
	t.Helper()
	all := make([]sender, n)
	for i := range all {
		all[i].source = admit(t, l, address, 0, Admitted)
	}
	return all
}

// ask asks for up to n messages at the time now.
func (s *sender) ask(n int, now int64) int {
	taken, wait := s.source.Take(&s.turn, n, now)
	s.passed += taken
	s.next = now + int64(wait)
	return taken
}

// earliest is the sender that asks next.
func earliest(all []sender) *sender {
	first := &all[0]
	for i := range all {
		if all[i].next < first.next {
			first = &all[i]
		}
	}
	return first
}

// However many messages each of a source's connections has to send, and however they
// come and go, no window has more than burst + w/T, and together they get the rate. If
// this fails, one write of a client floods the servers (issue 12, B1).
func TestTakeKeepsTheRate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		perSecond, burst := 1+random.IntN(2000), 1+random.IntN(200)
		most, connections := 1+random.IntN(300), 1+random.IntN(8)
		r := newLimit(perSecond, burst)
		l := New(conf.RateLimit{MessageRate: perSecond, MessageBurst: burst})
		all := senders(t, l, "192.0.2.1", connections)
		var log []passed
		total, now := 0, int64(0)
		for range 1000 {
			s := earliest(all)
			now = s.next
			n := s.ask(1+random.IntN(most), now)
			log, total = append(log, passed{now, n}), total+n
			if random.IntN(20) == 0 { // hangs up and comes back at once
				s.source.Leave(&s.turn)
				s.source.Release()
				*s = sender{source: admit(t, l, "192.0.2.1", now, Admitted), next: now}
			}
		}
		checkWindows(t, log, r, burst)
		// Each connection that leaves leaves a gap, of which those behind it learn within
		// a second.
		if owed := float64(now)/float64(r.interval)*0.5 - float64(perSecond); float64(total) < owed {
			t.Fatalf("seed %d: %d messages passed in %v, want %.0f", seed, total, time.Duration(now), owed)
		}
		for i := range all {
			all[i].source.Leave(&all[i].turn)
		}
		if n := all[0].source.waiting.Load(); n != 0 {
			t.Fatalf("seed %d: %d connections wait that have left", seed, n)
		}
	}
}

// Without coming and going the rate is used in full, and each connection has its share.
func TestTakeIsFairAndFull(t *testing.T) {
	t.Parallel()
	const perSecond, burst, connections = 100, 50, 7
	l := New(conf.RateLimit{MessageRate: perSecond, MessageBurst: burst})
	all := senders(t, l, "192.0.2.1", connections)
	for s := earliest(all); s.next <= 10*second; s = earliest(all) {
		s.ask(1000, s.next)
	}
	total, least, most := 0, all[0].passed, 0
	for _, s := range all[1:] { // the first had the burst
		least, most = min(least, s.passed), max(most, s.passed)
	}
	for _, s := range all {
		total += s.passed
	}
	if want := burst + 10*perSecond; total != want {
		t.Errorf("%d messages passed in 10 s, want %d", total, want)
	}
	if most-least > 1 || all[0].passed-burst-least > 1 {
		t.Errorf("the connections' shares are %+v", all)
	}
}

// A message that comes later, on another connection, does not overtake those that wait.
func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]conf.RateLimit{
		"source": {MessageRate: 10, MessageBurst: 1},
		"global": {GlobalMessageRate: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(limits)
			drain := admit(t, l, "192.0.2.1", 0, Admitted)
			var turn Turn
			drain.Take(&turn, 10, 0)
			drain.Leave(&turn)
			all := senders(t, l, "192.0.2.1", 5)
			for i := range all {
				if all[i].ask(1, int64(i)) != 0 {
					t.Fatal("a message passed that is over the rate")
				}
			}
			var order []int
			for now := int64(0); now < second; now += second / 1000 {
				for i := range slices.Backward(all) { // the last asks first
					if all[i].passed == 0 && all[i].next <= now && all[i].ask(1, now) == 1 {
						order = append(order, i)
					}
				}
			}
			if want := []int{0, 1, 2, 3, 4}; !slices.Equal(order, want) {
				t.Errorf("they passed in the order %v, want %v", order, want)
			}
		})
	}
}

// Who leaves is not charged, and lets those behind it through within a second.
func TestLeaving(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MessageRate: 1, MessageBurst: 1})
	all := senders(t, l, "192.0.2.1", 10)
	for i := range all {
		all[i].ask(2, 0)
	}
	last := &all[9]
	for i := range all[:9] {
		all[i].source.Leave(&all[i].turn)
	}
	for last.passed == 0 {
		last.ask(1, last.next)
	}
	if last.next > 2*second {
		t.Errorf("the last waited for %v, want at most 2s", time.Duration(last.next))
	}
	if n := last.ask(1, last.next+2*second); n != 1 {
		t.Error("those who left were charged")
	}
}

// New limits hold for those who wait, too, within a second.
func TestApplyReachesThoseWhoWait(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]conf.RateLimit{
		"faster": {MessageRate: 1000, MessageBurst: 1000}, "none": {}, "other": {GlobalMessageRate: 1000},
	} {
		l := New(conf.RateLimit{MessageRate: 1, MessageBurst: 1, GlobalMessageRate: 2})
		all := senders(t, l, "192.0.2.1", 30)
		for i := range all {
			all[i].ask(2, 0)
		}
		l.Apply(limits, 0)
		for i := range all {
			if all[i].next > second {
				t.Fatalf("%s: a connection sleeps for %v", name, time.Duration(all[i].next))
			}
			all[i].passed = 0
		}
		for i := range all {
			if n := all[i].ask(2, 2*second); n != 2 {
				t.Errorf("%s: connection %d may pass %d messages, want 2", name, i, n)
			}
		}
		if n := all[0].source.waiting.Load() + l.waiting.Load(); n != 0 {
			t.Errorf("%s: %d wait", name, n)
		}
	}
}

// What the global rate refuses stays in the bucket of the source, for Take and Allow.
func TestGlobalRateCostsTheSourceNothing(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MessageRate: 1, MessageBurst: 100, GlobalMessageRate: 50})
	a := senders(t, l, "192.0.2.1", 1)
	if n := a[0].ask(80, 0); n != 50 {
		t.Fatalf("%d messages passed, want 50", n)
	}
	for range 100 {
		if ok, _ := a[0].source.Allow(0); ok {
			t.Fatal("a message passed that is over the global rate")
		}
	}
	l.Apply(conf.RateLimit{MessageRate: 1, MessageBurst: 100}, 0)
	if n := a[0].ask(80, 0); n != 50 {
		t.Errorf("%d messages of the source's own burst were left, want 50", n)
	}
}
