package ratelimit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"
)

func accountKey(n int) (k AccountKey) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

// bell counts how often it was rung.
type bell struct {
	mu   sync.Mutex
	rung int
}

func (b *bell) Wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung++
}

func begin(a *Accounts, now int64, claims ...Claim) (*Pass, *bell) {
	p, b := new(Pass), new(bell)
	p.Begin(a, claims, b, now)
	return p, b
}

func claimOf(l Limit, key int) Claim { return Claim{Limit: &l, Key: accountKey(key)} }

// TestPassRejects: a burst passes, the next is refused until a token is there; another
// key has a bucket of its own.
func TestPassRejects(t *testing.T) {
	t.Parallel()
	a := NewAccounts(0)
	limit := claimOf(NewLimit(2, 3, 0, true), 1)
	now := 10 * second
	for i := range 4 {
		p, _ := begin(a, now, limit)
		answer := p.Ask(now)
		if want := (Answer{Refused: true, Wait: 500 * time.Millisecond}); i == 3 && answer != want || i < 3 && answer != (Answer{}) {
			t.Fatalf("request %d: %+v", i, answer)
		}
		p.Leave()
	}
	other, _ := begin(a, now, claimOf(NewLimit(2, 3, 0, true), 2))
	if answer := other.Ask(now); answer.Refused {
		t.Error("another key is refused")
	}
	later, _ := begin(a, now+second/2, limit)
	if answer := later.Ask(now + second/2); answer.Refused {
		t.Error("refused although a token is there")
	}
}

// TestPassAllOrNone: what one limit refuses costs no other, and a limit that rejects is not
// waited for.
func TestPassAllOrNone(t *testing.T) {
	t.Parallel()
	a := NewAccounts(0)
	delays, rejects := claimOf(NewLimit(1, 5, 0, false), 1), claimOf(NewLimit(1, 1, 0, true), 2)
	now := second
	for i, refused := range []bool{false, true, true, true, true, true} {
		p, _ := begin(a, now, delays, rejects)
		if answer := p.Ask(now); answer.Refused != refused || answer.Waits || refused && answer.Claim != 1 {
			t.Fatalf("request %d: %+v", i, answer)
		}
		p.Leave()
	}
	for i := range 5 {
		p, _ := begin(a, now, delays)
		if answer := p.Ask(now); answer.Waits != (i == 4) {
			t.Fatalf("after the refusals, %d of 4 tokens: %+v", i, answer)
		}
		defer p.Leave()
	}
	p, _ := begin(a, now, delays, rejects)
	if answer := p.Ask(now); !answer.Refused || answer.Claim != 1 {
		t.Errorf("it waits for one limit, although another refuses it: %+v", answer)
	}
}

// TestPassFirstComeFirstServed: who waits passes in the order of arrival, at the rate; newcomers
// do not overtake, and who leaves is not charged.
func TestPassFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	a := NewAccounts(0)
	limit := claimOf(NewLimit(10, 1, 0, false), 1)
	start := 100 * second
	var passes []*Pass
	due := map[*Pass]int64{}
	for i := range 6 {
		p, _ := begin(a, start, limit)
		answer := p.Ask(start)
		if answer.Waits != (i > 0) {
			t.Fatalf("request %d: %+v", i, answer)
		}
		passes = append(passes, p)
		due[p] = start + int64(answer.Wait)
	}
	passes[2].Leave() // its token goes to those behind it
	var order []int
	for now := start; now < start+2*second; now += second / 1000 {
		newcomer, _ := begin(a, now, limit)
		if len(order) < 4 {
			if answer := newcomer.Ask(now); !answer.Waits {
				t.Fatalf("a newcomer overtakes %v", order)
			}
		}
		newcomer.Leave()
		for i, p := range passes {
			if i == 0 || i == 2 || p.passed || now < due[p] {
				continue
			}
			answer := p.Ask(now)
			due[p] = now + int64(answer.Wait)
			if !answer.Waits {
				order = append(order, i)
			}
		}
	}
	if want := []int{1, 3, 4, 5}; !reflect.DeepEqual(order, want) {
		t.Errorf("they pass in the order %v, want %v", order, want)
	}
}

// TestPassConcurrency: so many are under way at once, those behind pass in the order in which
// they came, each woken when one ends.
func TestPassConcurrency(t *testing.T) {
	t.Parallel()
	a := NewAccounts(0)
	limit := claimOf(NewLimit(0, 0, 2, false), 1)
	var passes []*Pass
	var bells []*bell
	for range 6 {
		p, b := begin(a, 1, limit)
		p.Ask(1)
		passes, bells = append(passes, p), append(bells, b)
	}
	if passes[0].Waits() || passes[1].Waits() || !passes[2].Waits() {
		t.Fatal("not two pass")
	}
	passes[2].Leave() // it gives up: the next is woken in its place
	passes[0].Leave()
	if bells[3].rung != 1 || bells[4].rung != 0 {
		t.Fatalf("woken: %d, %d, want 1, 0", bells[3].rung, bells[4].rung)
	}
	if answer := passes[4].Ask(2); !answer.Waits {
		t.Error("it overtakes")
	}
	if answer := passes[3].Ask(2); answer.Waits {
		t.Error("woken in vain")
	}
	passes[1].Leave()
	passes[3].Leave()
	if bells[4].rung != 1 || bells[5].rung != 1 {
		t.Errorf("woken: %d, %d, want both", bells[4].rung, bells[5].rung)
	}
	refused, _ := begin(a, 3, claimOf(NewLimit(0, 0, 1, true), 1))
	if answer := refused.Ask(3); !answer.Refused || answer.Wait != time.Second {
		t.Errorf("over the concurrency: %+v", answer)
	}
}

// TestPassBatch: a batch counts for its messages, so that it cannot carry many past a limit.
func TestPassBatch(t *testing.T) {
	t.Parallel()
	a := NewAccounts(0)
	limit := NewLimit(1, 10, 0, true)
	ask := func(cost int, now int64) Answer {
		p := new(Pass)
		defer p.Leave()
		p.Begin(a, []Claim{{&limit, accountKey(1), cost}}, new(bell), now)
		return p.Ask(now)
	}
	now := 1000 * second
	if answer := ask(4, now); answer.Refused {
		t.Errorf("4 of 10: %+v", answer)
	}
	if answer := ask(7, now); !answer.Refused || answer.Wait != time.Second {
		t.Errorf("7 of 6: %+v", answer)
	}
	if answer := ask(6, now); answer.Refused {
		t.Errorf("6 of 6: %+v", answer)
	}
	now += 100 * second
	if answer := ask(50, now); answer.Refused {
		t.Errorf("more than the burst, from a full bucket: %+v", answer)
	}
	if answer := ask(1, now+40*second); !answer.Refused {
		t.Errorf("it was not charged in full: %+v", answer)
	}
	if answer := ask(1, now+41*second); answer.Refused {
		t.Errorf("when it is paid: %+v", answer)
	}
}

// TestPassModel: whatever requests do on several limits, no window has more than the burst and
// the rate, and no moment more than the concurrency; in the end all can pass.
func TestPassModel(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(15, 4))
	a := NewAccounts(0)
	limits := []Limit{NewLimit(20, 5, 3, false), NewLimit(50, 2, 0, false), NewLimit(0, 0, 4, false)}
	var passes []*Pass
	var taken [3][]int64
	active := [3]int{}
	now := second
	for range 20_000 {
		now += int64(random.IntN(20)) * int64(time.Millisecond)
		switch pick := random.IntN(10); {
		case pick < 4 && len(passes) < 20:
			p := new(Pass)
			var claims []Claim
			for i := range limits {
				if random.IntN(2) == 0 {
					claims = append(claims, Claim{&limits[i], accountKey(i), 1})
				}
			}
			p.Begin(a, claims, new(bell), now)
			passes = append(passes, p)
		case pick < 6 && len(passes) > 0:
			i := random.IntN(len(passes))
			p := passes[i]
			for j := range p.claims {
				if p.passed {
					active[p.claims[j].Key[7]]--
				}
			}
			p.Leave()
			passes = append(passes[:i], passes[i+1:]...)
		case len(passes) > 0:
			p := passes[random.IntN(len(passes))]
			if p.passed {
				continue
			}
			if answer := p.Ask(now); answer.Waits {
				continue
			}
			for j := range p.claims {
				n := p.claims[j].Key[7]
				taken[n] = append(taken[n], now)
				if active[n]++; limits[n].concurrency > 0 && active[n] > limits[n].concurrency {
					t.Fatalf("%d under way at limit %d", active[n], n)
				}
			}
		}
	}
	for n, limit := range limits[:2] {
		times, burst := taken[n], limit.rate.burst()
		if len(times) < 200 {
			t.Errorf("only %d pass limit %d", len(times), n)
		}
		for i := range times {
			for j := i + burst; j < len(times) && j < i+200; j++ {
				if least := int64(j-i-burst+1) * limit.rate.interval; times[j]-times[i] < least {
					t.Fatalf("%d pass limit %d in %v", j-i+1, n, time.Duration(times[j]-times[i]))
				}
			}
		}
	}
	for _, p := range passes {
		p.Leave()
	}
	for _, c := range a.byKey {
		if c.active+c.holders+len(c.line)+int(c.turns.Load()) != 0 {
			t.Errorf("left behind: %+v", c)
		}
	}
}

// TestAccountsAreBounded: made-up keys do not fill the memory, and accounts in use stay.
func TestAccountsAreBounded(t *testing.T) {
	t.Parallel()
	a := NewAccounts(100)
	limit := NewLimit(0.001, 1, 0, true)
	held, _ := begin(a, 1, Claim{Limit: &limit, Key: accountKey(0)})
	held.Ask(1)
	for i := range 10_000 {
		p, _ := begin(a, 1, Claim{Limit: &limit, Key: accountKey(i + 1)})
		p.Ask(1)
		p.Leave()
	}
	if n := a.Len(); n > 101 {
		t.Errorf("%d accounts", n)
	}
	again, _ := begin(a, 1, Claim{Limit: &limit, Key: accountKey(0)})
	if !again.Ask(1).Refused {
		t.Error("an account in use was forgotten")
	}
	if last, _ := begin(a, 1, Claim{Limit: &limit, Key: accountKey(10_000)}); !last.Ask(1).Refused {
		t.Error("the newest account was forgotten")
	}
	full := NewAccounts(0)
	fast := NewLimit(1000, 1, 0, true)
	for i := range 10_000 {
		now := int64(i) * second
		p, _ := begin(full, now, Claim{Limit: &fast, Key: accountKey(i)})
		p.Ask(now)
		p.Leave()
	}
	if n := full.Len(); n > 10 {
		t.Errorf("%d accounts that new ones would equal", n)
	}
}

// TestAccountsHandover: an upgrade neither forgives nor forgets who is under way.
func TestAccountsHandover(t *testing.T) {
	t.Parallel()
	old, now := NewAccounts(0), 50*second
	claims := []Claim{claimOf(NewLimit(1, 2, 0, true), 1), claimOf(NewLimit(0, 0, 1, true), 2)}
	running, _ := begin(old, now, claims...)
	running.Ask(now)
	if keys := new(Pass).Keys(); keys != nil {
		t.Error("a request without limits has keys")
	}
	fresh := NewAccounts(0)
	fresh.Restore(old.Handover(now), now)
	var moved Pass
	moved.Reinstate(fresh, running.Keys(), now)
	p, _ := begin(fresh, now, claims...)
	if answer := p.Ask(now); !answer.Refused || answer.Claim != 1 {
		t.Errorf("while one is under way: %+v", answer)
	}
	p.Leave()
	moved.Leave()
	for i := range 2 {
		p, _ := begin(fresh, now, claims...)
		if answer := p.Ask(now); answer.Refused != (i == 1) {
			t.Errorf("request %d, one token was left: %+v", i, answer)
		}
		p.Leave()
	}
}

// TestPassZero: a request without limits passes, and may leave.
func TestPassZero(t *testing.T) {
	t.Parallel()
	var p Pass
	if answer := p.Ask(1); answer != (Answer{}) || p.Waits() || p.Begun() {
		t.Errorf("%+v", answer)
	}
	p.Leave()
	a := NewAccounts(0)
	p.Begin(a, []Claim{claimOf(Limit{}, 1)}, nil, 1)
	if answer := p.Ask(1); answer != (Answer{}) {
		t.Errorf("no limit: %+v", answer)
	}
	p.Leave()
}

// TestLimitRates: rates below 1, huge ones and bursts keep within their arithmetic.
func TestLimitRates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rate  float64
		burst int
		want  string
	}{
		{0, 5, "0s 0s"}, {10, 0, "100ms 1s"}, {0.5, 0, "2s 2s"}, {0.5, 3, "2s 6s"}, {3, 1, "333.333334ms 333.333334ms"}, {2.5, 0, "400ms 1.2s"},
		{1e12, 5, "1ns 5ns"},
	} {
		got := newRate(test.rate, test.burst)
		if text := fmt.Sprint(time.Duration(got.interval), time.Duration(got.capacity)); text != test.want {
			t.Errorf("%v, %d: %s, want %s", test.rate, test.burst, text, test.want)
		}
	}
	if tiny := newRate(1e-30, 1<<40); tiny.capacity <= 0 || tiny.capacity < tiny.interval {
		t.Errorf("a tiny rate overflows: %+v", tiny)
	}
}

// TestPassesTogether has many goroutines use a few accounts: run it with -race.
func TestPassesTogether(t *testing.T) {
	t.Parallel()
	a := NewAccounts(50)
	limits := []Limit{NewLimit(1e6, 10, 2, false), NewLimit(0, 0, 3, false)}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 500 {
				var p Pass
				wake := make(ringing, 1)
				p.Begin(a, []Claim{{&limits[0], accountKey(random.IntN(3)), 1}, {&limits[1], accountKey(100), 1}}, wake, int64(i))
				for p.Ask(second + int64(i)*second).Waits {
					if random.IntN(3) == 0 {
						break
					}
					select {
					case <-wake:
					case <-time.After(time.Millisecond):
					}
				}
				p.Leave()
			}
		})
	}
	group.Wait()
	for _, c := range a.byKey {
		if c.active+c.holders+len(c.line) != 0 {
			t.Errorf("left behind: %+v", c)
		}
	}
}

type ringing chan struct{}

func (r ringing) Wake() {
	select {
	case r <- struct{}{}:
	default:
	}
}

func TestPassAllocatesLittle(t *testing.T) {
	a := NewAccounts(0)
	limit := NewLimit(1e9, 1000, 5, false)
	claims := []Claim{{&limit, accountKey(1), 1}}
	var p Pass
	now := second
	p.Begin(a, claims, nil, now) // makes the account, and room for claims
	p.Leave()
	if n := testing.AllocsPerRun(100, func() {
		p.Begin(a, claims, nil, now)
		p.Ask(now)
		p.Leave()
		now += second
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
