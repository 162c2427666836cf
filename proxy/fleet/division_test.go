package fleet

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/ratelimit"
)

// simulated is a balancer whose exchanges are simulated.
type simulated struct {
	limiter *ratelimit.Limiter
	source  *ratelimit.Source
	turn    ratelimit.Turn
	division
	next   int64 // when it exchanges
	last   int64
	passed []int64 // when messages passed
	debt   float64
}

// simulation runs balancers that share a global rate of 1,000, with demands in messages per
// second by time, and returns when messages passed.
func simulation(t *testing.T, seed uint64, lag, length time.Duration, demands ...func(seconds float64) float64) (passed [][]int64) {
	return simulationWith(t, seed, lag, length, 0, demands...)
}

// simulationWith is a simulation in which the last balancer owes messages at the start.
func simulationWith(t *testing.T, seed uint64, lag, length time.Duration, owed float64, demands ...func(seconds float64) float64) (passed [][]int64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	var all []*simulated
	const start = int64(time.Hour)
	for range demands {
		l := ratelimit.New(conf.RateLimit{GlobalMessageRate: 1000, TableSize: 100})
		l.Share(true)
		s, _ := l.Admit(netip.MustParseAddr("192.0.2.1"), start)
		all = append(all, &simulated{limiter: l, source: s, next: start + random.Int64N(int64(exchangeEvery))})
	}
	all[len(all)-1].limiter.Divide(ratelimit.Part{Fraction: 1, Charge: owed}, ratelimit.Part{Fraction: 1}, start)
	type report struct {
		at int64
		to *simulated
		n  uint64
	}
	var reports []report
	const step = int64(time.Millisecond)
	for now := start; now < start+int64(length); now += step {
		for i, s := range all {
			s.debt += demands[i](time.Duration(now-start).Seconds()) / 1000
			n := int(s.debt)
			taken, _ := s.source.Take(&s.turn, n, now)
			s.source.Leave(&s.turn)
			s.debt = math.Min(s.debt-float64(taken), 2000) // what waits
			for range taken {
				s.passed = append(s.passed, now-start)
			}
			if now < s.next {
				continue
			}
			s.next = now + int64(exchangeEvery) + random.Int64N(int64(10*time.Millisecond))
			used := s.limiter.Collect(10)
			for _, other := range all {
				if other != s && used.Messages > 0 {
					reports = append(reports, report{now + random.Int64N(int64(lag)), other, used.Messages})
				}
			}
			balancers, sum := map[int]bool{}, uint64(0)
			kept := reports[:0]
			for _, r := range reports {
				if r.to == s && r.at <= now {
					sum += r.n
					continue
				}
				kept = append(kept, r)
			}
			reports = kept
			for j, other := range all {
				if other != s && len(other.passed) > 0 && now-start-other.passed[len(other.passed)-1] < int64(activeFor) {
					balancers[j] = true
				}
			}
			if s.last != 0 {
				tokens, _ := s.limiter.GlobalTokens(now)
				part := s.advance(1000, float64(used.Messages), float64(sum), tokens, len(balancers)+1, time.Duration(now-s.last).Seconds())
				s.limiter.Divide(part, ratelimit.Part{Fraction: 1}, now)
			}
			s.last = now
		}
	}
	for _, s := range all {
		passed = append(passed, s.passed)
	}
	return passed
}

// within counts the messages that passed in [from, to).
func within(passed [][]int64, from, to time.Duration) (n int) {
	for _, one := range passed {
		for _, at := range one {
			if at >= int64(from) && at < int64(to) {
				n++
			}
		}
	}
	return n
}

func constant(perSecond float64) func(float64) float64 {
	return func(float64) float64 { return perSecond }
}

// A global rate holds over all balancers together, whoever gets the load, and none of it
// is left unused while there is demand.
func TestDivision(t *testing.T) {
	t.Parallel()
	const second = time.Second
	alternating := func(phase float64) func(float64) float64 {
		return func(s float64) float64 {
			if math.Mod(s/3+phase, 2) < 1 {
				return 3000
			}
			return 0
		}
	}
	wave := func(phase float64) func(float64) float64 {
		return func(s float64) float64 { return 1000 * (1 + math.Sin(s+phase)) }
	}
	tests := map[string][]func(float64) float64{
		"even":              {constant(2000), constant(2000)},
		"three":             {constant(2000), constant(2000), constant(2000)},
		"one idle":          {constant(2000), constant(0)},
		"uneven":            {constant(2000), constant(300)},
		"barely over":       {constant(900), constant(200)},
		"changing":          {alternating(0), alternating(1)},
		"changing, overlap": {alternating(0), alternating(0.5)},
		"waves":             {wave(0), wave(math.Pi / 2)},
		"one comes later":   {constant(2000), func(s float64) float64 { return 2000 * min(1, math.Floor(s/10)) }},
		"ten":               {constant(200), constant(200), constant(200), constant(200), constant(200), constant(200), constant(200), constant(200), constant(200), constant(200)},
	}
	for name, demands := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				passed := simulation(t, seed, 50*time.Millisecond, 20*second, demands...)
				// The burst is spent after some seconds.
				if n := within(passed, 5*second, 20*second); n > 15_000*105/100 || n < 15_000*90/100 && name != "waves" {
					t.Errorf("seed %d: %d messages pass in 15 s, not 15,000", seed, n)
				}
				const window = 5 * second
				for from := 5 * second; from <= 15*second; from += second / 2 {
					if n := within(passed, from, from+window); n > 5*1100 {
						t.Errorf("seed %d: %d messages pass in the 5 s from %v", seed, n, from)
					}
				}
			}
		})
	}
}

// A balancer whose bucket is empty gets its part while another takes the rate in full:
// otherwise, after Redis was away, one of two balancers serves nobody for as long as the
// other has load.
func TestDivisionStarvesNobody(t *testing.T) {
	t.Parallel()
	for name, demands := range map[string][]func(float64) float64{
		"two":   {constant(2000), constant(2000)},
		"three": {constant(2000), constant(2000), constant(2000)},
		"later": {constant(2000), func(s float64) float64 { return 2000 * min(1, math.Floor(s/3)) }},
		"less":  {constant(2000), constant(600)},
	} {
		for _, owed := range []float64{0, 1000, 1500, 3000} {
			passed := simulationWith(t, 1, 50*time.Millisecond, 20*time.Second, owed, demands...)
			last, fair := passed[len(passed)-1:], 10_000/len(passed)
			if n := within(last, 10*time.Second, 20*time.Second); float64(n) < float64(fair)*0.8 {
				t.Errorf("%s, %v owed: %d messages pass in 10 s, a fair part is %d", name, owed, n, fair)
			}
			if n := within(passed, 10*time.Second, 20*time.Second); n < 9000 || n > 11_000 {
				t.Errorf("%s, %v owed: %d messages pass in 10 s everywhere", name, owed, n)
			}
		}
	}
}

// The wrong reports of one do not silence the others for good.
func TestDivisionIsBounded(t *testing.T) {
	t.Parallel()
	var d division
	d.step(1000, 0, 1e18, 2, 0.1)
	sum := 0.0
	for range 100 {
		part := d.step(1000, 500, 0, 1, 0.1)
		sum += part.Charge
		if part.Fraction <= 0 || part.Fraction > 1 {
			t.Fatalf("the part is %+v", part)
		}
	}
	if sum > 3000 {
		t.Errorf("%f messages are charged", sum)
	}
	if d.used != 0 {
		t.Errorf("after ten seconds alone, the part is %f", 1-d.used)
	}
}
