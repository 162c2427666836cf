package ratelimit

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"mcplb/conf"
)

// opened opens connections from a new address each, at rising times with the
// given mean between them, on loops whose clocks lag by up to lag. It returns
// the true times of those that were admitted.
func opened(l *Limiter, random *rand.Rand, tries int, between float64, lag int64) (times []int64) {
	now := second
	for i := range tries {
		now += int64(random.ExpFloat64() * between)
		if s, verdict := l.Admit(numbered(i), now-random.Int64N(lag+1)); verdict == Admitted {
			times = append(times, now)
			s.Release()
		}
	}
	return times
}

// Over any window of length w, measured by one clock, at most burst + rate*(w+lag)
// connections are admitted if other clocks lag behind it; a flood gets the rate in
// full.
func TestGlobalConnectionRate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 3))
		perSecond, lag := 1+random.IntN(2000), int64(random.IntN(3))*second/1000
		l := New(conf.RateLimit{GlobalConnectionRate: perSecond})
		times := opened(l, random, 5000, float64(second)/float64(perSecond)/2, lag)
		perNanosecond := float64(perSecond) / float64(second)
		least := 0.0
		for i, at := range times {
			from := float64(i) - float64(at)*perNanosecond
			if i == 0 {
				least = from
			}
			least = min(least, from)
			if most := float64(perSecond) + float64(lag)*perNanosecond + 1e-3; from+1-least > most {
				t.Fatalf("seed %d: %.3f connections above the rate in a window, want at most %.3f", seed, from+1-least, most)
			}
		}
		length := times[len(times)-1] - second
		if want := float64(length) * perNanosecond * 0.99; float64(len(times)) < want {
			t.Errorf("seed %d: %d connections admitted, want %.0f", seed, len(times), want)
		}
	}
}

// A reload keeps what has been used up, and a new process continues from there.
func TestGlobalConnectionRateStays(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{GlobalConnectionRate: 100}
	l := New(limits)
	now := 5 * second
	admitted := func(l *Limiter, now int64) (n int) {
		for {
			if _, v := l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, 1}), now); v != Admitted {
				return n
			}
			n++
		}
	}
	if n := admitted(l, now); n != 100 {
		t.Errorf("%d connections at first, want 100", n)
	}
	l.Apply(limits, 0)
	if n := admitted(l, now+second/4); n != 25 {
		t.Errorf("%d connections after 250 ms and a reload, want 25", n)
	}
	l.Apply(conf.RateLimit{GlobalConnectionRate: 200}, 0)
	if n := admitted(l, now+second/2); n != 50 {
		t.Errorf("%d connections after 250 ms at twice the rate, want 50", n)
	}
	l.Apply(conf.RateLimit{}, 0)
	if _, v := l.Admit(numbered(1), now+second/2); v != Admitted {
		t.Errorf("without a limit: %v", v)
	}
	l.Apply(limits, 0)
	other := handedOver(t, l, limits, now+second/2)
	for _, l := range []*Limiter{l, other} {
		if n := admitted(l, now+second); n != 50 {
			t.Errorf("%d connections 500 ms later, want 50", n)
		}
		if n := admitted(l, now+10*second); n != 100 {
			t.Errorf("%d connections when the bucket is full, want 100", n)
		}
	}
	if l := New(limits); l.Handover(now).Connections > now {
		t.Error("an unused bucket is not full")
	}
	if got := handedOver(t, New(conf.RateLimit{}), limits, now); admitted(got, now) != 100 {
		t.Error("a limit that the old process did not have starts with less than its burst")
	}
}
