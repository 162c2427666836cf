package ratelimit

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

func TestBanAfterViolations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		limits  conf.RateLimit
		violate func(t *testing.T, l *Limiter, s *Source, now int64)
		reason  Reason
	}{
		{"connection rate", conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1},
			func(t *testing.T, l *Limiter, _ *Source, now int64) { admit(t, l, "192.0.2.1", now, RefusedRate) },
			ConnectionRate},
		{"concurrency", conf.RateLimit{MaxConnections: 1},
			func(t *testing.T, l *Limiter, _ *Source, now int64) { admit(t, l, "192.0.2.1", now, RefusedConcurrent) },
			SourceConnections},
		{"messages", conf.RateLimit{MessageRate: 1, MessageBurst: 1},
			func(t *testing.T, _ *Limiter, s *Source, now int64) {
				if ok, _ := s.Allow(now); ok {
					t.Fatal("a message passed")
				}
			}, MessageRate},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.limits.BanAfter, c.limits.BanTime = 3, time.Minute
			l := New(c.limits)
			s := admit(t, l, "192.0.2.1", 0, Admitted)
			if s.Metered() {
				s.Allow(0)
			}
			for now := range int64(3) {
				if bans := l.Bans(now); len(bans) != 0 {
					t.Fatalf("banned after %d violations", now)
				}
				c.violate(t, l, s, now)
			}
			want := []Ban{{netip.MustParsePrefix("192.0.2.1/32"), time.Minute, c.reason, 3}}
			if bans := l.Bans(2); !slices.Equal(bans, want) {
				t.Fatalf("bans %+v, want %+v", bans, want)
			}
			s.Release()
			end := 2 + 60*second
			admit(t, l, "192.0.2.1", end-1, RefusedBanned) // and does not prolong it
			admit(t, l, "192.0.2.2", end-1, Admitted)
			admit(t, l, "192.0.2.1", end, Admitted)
		})
	}
}

func TestViolationsOfOneMinute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		times []time.Duration
		want  int
	}{
		{"within a minute", []time.Duration{0, 30 * time.Second, 59 * time.Second}, 3},
		{"the minute is over", []time.Duration{0, 30 * time.Second, 61 * time.Second}, 1},
		{"a new minute", []time.Duration{0, 61 * time.Second, 62 * time.Second}, 2},
		{"a clock that lags", []time.Duration{5 * time.Second, 4 * time.Second}, 2},
	} {
		var v violations
		got := 0
		for _, at := range c.times {
			got = v.add(int64(time.Hour + at))
		}
		if got != c.want {
			t.Errorf("%s: %d violations, want %d", c.name, got, c.want)
		}
	}
}

func TestViolationsDoNotOverflow(t *testing.T) {
	t.Parallel()
	var v violations
	const now = 1<<62 + 12345
	for range 3 {
		v.word.Store(v.word.Load() | maxViolations - 1)
		v.add(now)
	}
	if got := v.add(now); got != maxViolations {
		t.Errorf("%d violations", got)
	}
	if v.lapsed(now) || !v.lapsed(now+int64(2*time.Minute)) {
		t.Error("the time was lost")
	}
}

func TestWaitingIsNoViolation(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MessageRate: 1, MessageBurst: 1, BanAfter: 1, BanTime: time.Minute})
	s := admit(t, l, "192.0.2.1", 0, Admitted)
	var turn Turn
	for range 10 {
		s.Take(&turn, 10, 0)
	}
	s.Leave(&turn)
	admit(t, l, "192.0.2.1", 0, Admitted)
}

func TestGlobalRefusalIsNoViolation(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{GlobalConnectionRate: 1, MaxConnections: 9, BanAfter: 1, BanTime: time.Minute})
	admit(t, l, "192.0.2.1", 0, Admitted)
	admit(t, l, "192.0.2.1", 0, RefusedGlobalRate)
	admit(t, l, "192.0.2.1", 0, RefusedGlobalRate)
}

// Messages of a connection that was held when its source was banned do not
// prolong the ban.
func TestAfterABan(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MessageRate: 1, MessageBurst: 1, BanAfter: 2, BanTime: time.Second})
	s := admit(t, l, "192.0.2.1", 0, Admitted)
	for range 20 {
		s.Allow(0)
		s.Allow(second / 2)
	}
	bans := l.Bans(second / 2)
	if len(bans) != 1 || bans[0].Remaining > time.Second/2 {
		t.Errorf("bans %+v", bans)
	}
	admit(t, l, "192.0.2.1", second, Admitted)
	if stats := l.Stats(second); stats.Bans != 0 || stats.BansImposed != 1 {
		t.Errorf("%+v", stats)
	}
}

func TestBanUsesUpItsViolations(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MaxConnections: 1, BanAfter: 2, BanTime: time.Second})
	admit(t, l, "192.0.2.1", 0, Admitted)
	for _, now := range []int64{0, 2 * second, 4 * second} { // all within a minute
		admit(t, l, "192.0.2.1", now, RefusedConcurrent)
		admit(t, l, "192.0.2.1", now, RefusedConcurrent)
		admit(t, l, "192.0.2.1", now, RefusedBanned)
	}
}

func TestNoBanWithoutBanAfter(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MaxConnections: 1, BanTime: time.Minute})
	admit(t, l, "192.0.2.1", 0, Admitted)
	for range 1000 {
		admit(t, l, "192.0.2.1", 0, RefusedConcurrent)
	}
}

func TestManualBan(t *testing.T) {
	t.Parallel()
	exempt := conf.RateLimit{Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, limits := range map[string]conf.RateLimit{"no limits": {}, "limits": {MaxConnections: 1}, "exempt": exempt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(limits)
			l.Ban(addr("10.0.0.1"), time.Second, 5)
			l.Ban(addr("2001:db8::1"), 0, 5)
			admit(t, l, "::ffff:10.0.0.1", 5, RefusedBanned)
			admit(t, l, "10.0.0.2", 5, Admitted)
			admit(t, l, "2001:db8::ffff", 5+int64(100*365*24*time.Hour), RefusedBanned)
			want := []Ban{
				{netip.MustParsePrefix("10.0.0.1/32"), time.Second, Manual, 0},
				{netip.MustParsePrefix("2001:db8::/64"), 0, Manual, 0},
			}
			if bans := l.Bans(5); !slices.Equal(bans, want) {
				t.Errorf("bans %+v, want %+v", bans, want)
			}
			admit(t, l, "10.0.0.1", 5+second, Admitted)
			if l.Unban(addr("10.0.0.1"), 5+second) {
				t.Error("Unban of an expired ban returned true")
			}
			if !l.Unban(addr("2001:db8::2"), 5) || l.Unban(addr("2001:db8::2"), 5) {
				t.Error("Unban did not return true exactly once")
			}
			admit(t, l, "2001:db8::1", 5, Admitted)
			if n := l.bans.Load(); n != 0 {
				t.Errorf("%d bans are counted", n)
			}
		})
	}
}

func TestManualBanReplacesAndIsNotReplaced(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MaxConnections: 1, MessageRate: 1, MessageBurst: 1, BanAfter: 1, BanTime: time.Hour})
	s := admit(t, l, "192.0.2.1", 0, Admitted)
	l.Ban(addr("192.0.2.1"), time.Second, 0)
	s.Allow(0)
	s.Allow(0) // a violation
	if bans := l.Bans(0); len(bans) != 1 || bans[0].Reason != Manual || bans[0].Remaining != time.Second {
		t.Errorf("bans %+v", bans)
	}
	s.Allow(2 * second)
	s.Allow(2 * second)
	if bans := l.Bans(2 * second); len(bans) != 1 || bans[0].Reason != MessageRate {
		t.Errorf("bans %+v", bans)
	}
	l.Ban(addr("192.0.2.1"), time.Minute, 2*second)
	if bans := l.Bans(2 * second); len(bans) != 1 || bans[0].Reason != Manual {
		t.Errorf("bans %+v", bans)
	}
}

// An operator who exempts a source does not have to lift its ban as well.
func TestExemptionEndsAutomaticBan(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{MaxConnections: 1, BanAfter: 1, BanTime: time.Hour}
	l := New(limits)
	admit(t, l, "10.0.0.1", 0, Admitted)
	admit(t, l, "10.0.0.1", 0, RefusedConcurrent)
	admit(t, l, "10.0.0.1", 0, RefusedBanned)
	limits.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	l.Apply(limits, 0)
	admit(t, l, "10.0.0.1", 0, Admitted)
}

// Automatic bans are bounded by the table's size, and expired ones make room.
func TestBansAreBounded(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, BanAfter: 1, BanTime: time.Minute, TableSize: 10})
	ban := func(i int, now int64) Verdict {
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		s, _ := l.Admit(address, now)
		s.Release()
		l.Admit(address, now) // the violation
		_, v := l.Admit(address, now)
		return v
	}
	for i := range 12 {
		want := RefusedBanned
		if i >= 10 {
			want = RefusedRate // still limited
		}
		if v := ban(i, 0); v != want {
			t.Errorf("source %d: %v, want %v", i, v, want)
		}
	}
	if stats := l.Stats(0); stats.Bans != 10 || stats.BansImposed != 10 || stats.BansDeclined != 4 {
		t.Errorf("%+v", stats)
	}
	if v := ban(20, 60*second); v != RefusedBanned {
		t.Errorf("no room after bans have expired: %v", v)
	}
	if len(l.shards[0].bans.byKey) != 1 {
		t.Error("expired bans were kept")
	}
}

// A ban outlives its source's entry in the table.
func TestBanOutlivesTheSource(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, BanAfter: 1, BanTime: time.Hour, TableSize: 1})
	admit(t, l, "192.0.2.1", 0, Admitted).Release()
	admit(t, l, "192.0.2.1", 0, RefusedRate)
	for i := range byte(20) {
		admit(t, l, netip.AddrFrom4([4]byte{192, 0, 3, i}).String(), 0, Admitted).Release()
	}
	if n := l.Stats(0).Sources; n != 1 {
		t.Errorf("%d sources", n)
	}
	admit(t, l, "192.0.2.1", 0, RefusedBanned)
}
