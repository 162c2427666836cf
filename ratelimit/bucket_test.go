package ratelimit

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
)

func TestNewLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		perSecond, burst int
		want             limit
	}{
		{0, 5, limit{}},
		{-1, 5, limit{}},
		{100, 200, limit{1e7, 2e9}},
		{3, 1, limit{333333334, 333333334}},
		{1, 0, limit{1e9, 1e9}},
		{1, math.MaxInt, limit{1e9, maxTokens * 1e9}},
		{math.MaxInt, 1, limit{1, 1}},
	} {
		if got := newLimit(c.perSecond, c.burst); got != c.want {
			t.Errorf("newLimit(%d, %d) = %+v, want %+v", c.perSecond, c.burst, got, c.want)
		}
	}
}

// passed is how many messages passed at a time.
type passed struct {
	at    int64
	count int
}

// checkWindows fails if in any closed window more than most messages pass beyond
// the w/T that the rate allows.
func checkWindows(t *testing.T, log []passed, r limit, most int) {
	t.Helper()
	// For a window from event i to j: sum(i..j) <= most + (at[j]-at[i])/T. With
	// the sum up to an event, that is a difference of two per-event values, so
	// one pass suffices: the least value of a start seen so far against each end.
	sum, least := int64(0), int64(math.MaxInt64)
	for _, p := range log {
		least = min(least, sum*r.interval-p.at)
		sum += int64(p.count)
		if excess := sum*r.interval - p.at - least; excess > int64(most)*r.interval {
			t.Fatalf("at %v a window has %.2f messages above the rate, want at most %d",
				time.Duration(p.at), float64(excess)/float64(r.interval), most)
		}
	}
}

// Allow: no window has more than burst + w/T, a refused message may pass exactly
// after retryAfter, and a sender that never stops gets the rate in full.
func TestAllowKeepsTheRate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		perSecond, burst := 1+random.IntN(2000), 1+random.IntN(50)
		r := newLimit(perSecond, burst)
		s, _ := New(conf.RateLimit{MessageRate: perSecond, MessageBurst: burst}).Admit(addr("192.0.2.1"), 0)
		var log []passed
		now := random.Int64N(second)
		for range 500 {
			ok, wait := s.Allow(now)
			switch {
			case ok:
				log = append(log, passed{now, 1})
			case wait <= 0:
				t.Fatalf("refused with retryAfter %v", wait)
			case random.IntN(3) == 0:
				if ok, _ := s.Allow(now + int64(wait) - 1); ok {
					t.Fatal("passed before its time")
				}
				now += int64(wait)
				if ok, _ := s.Allow(now); !ok {
					t.Fatal("refused after retryAfter")
				}
				log = append(log, passed{now, 1})
			}
			now += int64(random.ExpFloat64() * float64(r.interval) * random.Float64())
		}
		checkWindows(t, log, r, burst)
	}
}

func TestAllowGivesTheFullRate(t *testing.T) {
	t.Parallel()
	const perSecond, burst = 250, 40
	s, _ := New(conf.RateLimit{MessageRate: perSecond, MessageBurst: burst}).Admit(addr("192.0.2.1"), 0)
	count := 0
	for now := int64(0); now <= 10*second; now += second / 1000 {
		if ok, _ := s.Allow(now); ok {
			count++
		}
	}
	if want := burst + 10*perSecond; count != want {
		t.Errorf("%d messages in 10 s, want %d", count, want)
	}
}

// Concurrent loops grant every token once. The test does not run
// in parallel with others, so that its loops do run at the same time.
func TestBucketIsExactOverLoops(t *testing.T) {
	const loops, each, burst = 4, 50_000, 123_456
	l := New(conf.RateLimit{MessageRate: 1000, MessageBurst: burst})
	taking, _ := l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 0)
	asked, _ := l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, 2}), 0)
	var taken, allowed, arrived atomic.Int64
	var loop sync.WaitGroup
	for range loops {
		loop.Go(func() {
			var turn Turn
			defer taking.Leave(&turn)
			for arrived.Add(1); arrived.Load() < loops; { // all start together
				runtime.Gosched()
			}
			for range each {
				n, _ := taking.Take(&turn, 3, 0)
				taken.Add(int64(n))
				if ok, _ := asked.Allow(0); ok {
					allowed.Add(1)
				}
			}
		})
	}
	loop.Wait()
	if taken.Load() != burst || allowed.Load() != burst {
		t.Errorf("%d and %d messages passed, want %d of each", taken.Load(), allowed.Load(), burst)
	}
	if n := taking.waiting.Load(); n != 0 {
		t.Errorf("%d connections wait that have left", n)
	}
}
