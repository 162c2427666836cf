package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcplb/internal/redistest"
	"mcplb/ratelimit"
)

const secret = "do-not-show-this"

// Redis may refuse: the balancer works on, says what is wrong and what to do, never shows
// the password, and shares as soon as it can.
func TestRedisRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args          []string
		user          string
		error, advice string
		cure          string
		auth          string
	}{
		"no password":    {[]string{"--requirepass", secret}, "", "NOAUTH", "write the password", "CONFIG SET requirepass ", secret},
		"wrong password": {[]string{"--requirepass", secret}, ":" + secret + "x@", "WRONGPASS", "check user and password", "", ""},
		"full":           {[]string{"--maxmemory", "1"}, "", "OOM", "Redis is full", "CONFIG SET maxmemory 0", ""},
		"a replica":      {[]string{"--replicaof", "127.0.0.1 1"}, "", "READONLY", "replica", "REPLICAOF NO ONE", ""},
		"no scripts":     {[]string{"--rename-command", "EVALSHA", "NOEVAL"}, "", "unknown command", "EVALSHA", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t, test.args...)
			a := join(t, strings.Replace(redis.URL(), "//", "//"+test.user, 1), "a", defaults)
			eventually(t, "the status has the error", func() bool { return strings.Contains(a.Status().Error, test.error) })
			s := a.Status()
			if s.Connected || !strings.Contains(s.Advice, test.advice) {
				t.Errorf("the status is %+v", s)
			}
			a.ban("192.0.2.1/32", time.Hour)
			if a.banned() != "192.0.2.1/32 manual" || len(s.Balancers) != 1 || !s.Balancers[0].Self {
				t.Errorf("alone it has the bans %q and shows %+v", a.banned(), s.Balancers)
			}
			if shown := fmt.Sprintf("%+v %#v %s", s, a.settings, a.log); strings.Contains(shown, secret) {
				t.Errorf("the password shows: %s", shown)
			}
			if test.cure == "" || test.auth != "" {
				return
			}
			redis.Do(test.cure)
			eventually(t, "it shares", func() bool { return a.Status().Connected })
		})
	}
}

// A password works, with a user and in a URL's escapes.
func TestPassword(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "--requirepass", "s/e@c:r%t")
	a := join(t, strings.Replace(redis.URL(), "//", "//default:s%2Fe%40c%3Ar%25t@", 1), "a", defaults)
	connected(t, a)
	if s := a.Status(); s.Redis != "redis://default:***@"+redis.Address()+"/0" {
		t.Errorf("the status shows %s", s.Redis)
	}
}

// Redis vanishes without a word: no packet is answered. Nothing waits for it, the global
// rate is the balancer's in full, and afterwards it shares again.
func TestRedisVanishes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	wire := redistest.NewProxy(t, redis.Address())
	limits := defaults
	limits.GlobalMessageRate = 1000
	a, b := join(t, wire.URL(), "a", limits), join(t, redis.URL(), "b", limits)
	connected(t, a, b)
	wire.Lose(true)
	start := time.Now()
	for i := range 10_000 {
		a.displace(fmt.Sprintf("10.1.%d.%d/32", i>>8, i&255), "node1", time.Hour)
		a.Banned(parsed(t, fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255)))
		a.Status()
	}
	if took := time.Since(start); took > 5*time.Minute { // each would wait for a second
		t.Errorf("10,000 changes took %v", took)
	}
	eventually(t, "the loss shows", func() bool { s := a.Status(); return !s.Connected && s.Error != "" && s.Lag > time.Second })
	eventually(t, "the rate is its own", func() bool { return a.limiter.Fraction() == 1 })
	a.ban("192.0.2.1/32", time.Hour)
	wire.Lose(false)
	eventually(t, "it shares again", func() bool { return a.Status().Connected && strings.Contains(b.banned(), "192.0.2.1/32") })

	wire.Lose(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	start = time.Now()
	a.Close(ctx)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the stop waited for %v", took)
	}
}

// Rubbish in Redis harms nobody: it is skipped, or deleted where it is in the way.
func TestRubbish(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	limits := defaults
	limits.GlobalMessageRate = 1000
	a, b := join(t, redis.URL(), "a", limits), join(t, redis.URL(), "b", limits)
	connected(t, a, b)
	const p = "mcplb:{test}:"
	long := strings.Repeat("x", 1<<20)
	rubbish := []string{
		"HSET " + p + "bans:values 1.2.3.4/32 rubbish 5.6.7.8/32 1 " + long + " x", "ZADD " + p + "bans:versions 99999999999999999 1.2.3.4/32", "ZADD " + p + "bans:versions inf 5.6.7.8/32",
		"HSET " + p + "sticky:values nodes 1", "ZADD " + p + "sticky:versions 9007199254740993 nodes",
		"XADD " + p + "rates 18446744073709551615-18446744073709551614 p x d y", "XADD " + p + "rates * p x d " + long, "XADD " + p + "rates * q",
		"XADD " + p + "rates * p x d \x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", "SET " + p + "epoch " + long,
		"HSET " + p + "balancers:reports evil " + long, "HSET " + p + "balancers:reports \x1b[31m {}", "ZADD " + p + "balancers:times 1e300 evil",
	}
	var wrong []string
	for _, key := range []string{"bans:values", "bans:versions", "bans:expiries", "sticky:values", "sticky:versions", "sticky:expiries", "rates", "epoch", "balancers:reports", "balancers:times"} {
		wrong = append(wrong, "DEL "+p+key, "LPUSH "+p+key+" x")
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round, commands := range [][]string{rubbish, wrong, rubbish} {
		redis.Do(commands...)
		prefix := fmt.Sprintf("192.0.2.%d/32", round)
		a.ban(prefix, time.Hour)
		eventually(t, fmt.Sprintf("round %d: a ban is shared all the same", round), func() bool { return strings.Contains(b.banned(), prefix) })
		eventually(t, fmt.Sprintf("round %d: both are well", round), func() bool {
			s := b.Status()
			return a.Status().Connected && s.Connected && len(s.Balancers) == 2
		})
	}
	for i := range 300 { // random entries
		text := make([]byte, random.IntN(40))
		for j := range text {
			text[j] = byte('!' + random.IntN(90))
		}
		redis.Do(fmt.Sprintf("HSET %sbans:values k%d %s", p, i, "1"+string(text)), fmt.Sprintf("ZADD %sbans:versions %d k%d", p, time.Now().UnixMicro(), i))
	}
	a.ban("192.0.2.77/32", time.Hour)
	eventually(t, "a ban is shared all the same", func() bool { return strings.Contains(b.banned(), "192.0.2.77/32") })
}

// However many changes there are at once, memory and batches stay bounded, and what is
// shared arrives.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "b", defaults)
	connected(t, a, b)
	redis.Hang()
	for i := range registerPending + 5000 {
		a.Banned(ratelimit.Ban{Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), Remaining: time.Hour})
	}
	if s := a.Status(); s.Waiting != registerPending || s.Lost.Bans != 5000 {
		t.Errorf("%d changes wait, %d are lost", s.Waiting, s.Lost.Bans)
	}
	redis.Continue()
	for left := registerPending; left > 0; { // 200 exchanges, which a busy machine may need minutes for
		before := left
		eventually(t, "fewer wait", func() bool { left = a.Status().Waiting; return left < before })
	}
	eventually(t, "all arrive, as far as the table has room", func() bool { return b.limiter.Stats(now()).Bans == defaults.TableSize })
}

// parsed returns a ban for ten minutes.
func parsed(t *testing.T, prefix string) ratelimit.Ban {
	t.Helper()
	return ratelimit.Ban{Source: netip.MustParsePrefix(prefix), Remaining: 10 * time.Minute}
}

// The rights that docs/fleet.md gives a user are enough, and no more than that.
func TestRights(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(string(text))
	if rule == "" {
		t.Fatal("docs/fleet.md has no rule")
	}
	redis := redistest.Start(t)
	redis.Do(strings.Replace(rule, ">PASSWORD", ">"+secret, 1))
	limits := defaults
	limits.GlobalMessageRate = 1000
	url := strings.Replace(redis.URL(), "//", "//mcplb:"+secret+"@", 1)
	a, b := join(t, url, "a", limits), join(t, url, "b", limits)
	connected(t, a, b)
	redis.Do("SET mcplb:{test}:bans:values x")
	s, _ := a.limiter.Admit(netip.MustParseAddr("192.0.2.7"), now())
	defer s.Release()
	s.Allow(now())
	a.displace("10.0.0.7/32", "node1", time.Minute)
	a.ban("192.0.2.1/32", time.Hour)
	eventually(t, "all is shared", func() bool { return b.banned() != "" && b.places.count() == 1 && b.Status().Received.Rates > 0 })
	if s := a.Status(); strings.Contains(s.Error, "NOPERM") || !s.Connected {
		t.Errorf("the status is %+v", s)
	}
}
