package fleet

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/lateness"
	"mcplb/internal/redistest"
	"mcplb/ratelimit"
)

// balancer is one balancer of a test's fleet.
type balancer struct {
	*Fleet
	t       testing.TB
	limiter *ratelimit.Limiter
	places  *memory
	log     *syncBuffer
}

var origin = time.Now()

func now() int64 { return int64(time.Since(origin)) + int64(time.Hour) }

// defaults are limits that nothing in a test exceeds.
var defaults = conf.RateLimit{MessageRate: 1e6, MessageBurst: 1e6, ConnectionRate: 1e6, ConnectionBurst: 1e6, BanAfter: 3, BanTime: time.Minute, TableSize: 10_000}

// join starts a balancer of the fleet "test".
func join(t testing.TB, url, instance string, limits conf.RateLimit, change ...func(*conf.Fleet)) *balancer {
	t.Helper()
	b := &balancer{t: t, limiter: ratelimit.New(limits), places: &memory{placed: map[string]Place{}}, log: &syncBuffer{}}
	b.Fleet = New(Options{
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: now, Limiter: b.limiter, Places: b.places,
		Report: func() Report {
			return Report{State: Serving, Connections: 7, Version: "test", Admin: instance + ":8404"}
		},
	})
	b.limiter.OnBan(b.Banned)
	b.apply(url, instance, change...)
	b.Resume()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		b.Close(ctx)
	})
	return b
}

func (b *balancer) apply(url, instance string, change ...func(*conf.Fleet)) {
	b.t.Helper()
	text := fmt.Sprintf("[fleet]\nredis = %q\nname = \"test\"\ninstance = %q\n", url, instance) +
		"[frontend.f]\nlisten = \":0\"\nmode = \"tcp\"\nbackend = \"b\"\n[[backend.b.server]]\nname = \"s\"\ntcp = \"127.0.0.1:1\"\n"
	c, err := conf.Parse("lb.toml", []byte(text))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range change {
		f(&c.Fleet)
	}
	b.Apply(c.Fleet, "127.0.0.1:8404")
}

// ban bans by command, as package proxy does.
func (b *balancer) ban(prefix string, d time.Duration) {
	p := netip.MustParsePrefix(prefix)
	b.limiter.BanRange(p, d, now())
	b.Banned(ratelimit.Ban{Source: p, Remaining: d, Reason: ratelimit.Manual})
}

func (b *balancer) unban(prefix string) {
	p := netip.MustParsePrefix(prefix)
	b.limiter.UnbanRange(p, now())
	b.Lifted(p)
}

// banned returns the bans in force.
func (b *balancer) banned() string {
	var list []string
	for _, ban := range b.limiter.Bans(now()) {
		list = append(list, ban.Source.String()+" "+ban.Reason.String())
	}
	return strings.Join(list, ", ")
}

// memory is a memory of places.
type memory struct {
	mu     sync.Mutex
	placed map[string]Place
	new    []Place
}

func (m *memory) Collect() (places []Place, lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	places, m.new = m.new, nil
	return places, 0
}

func (m *memory) Adopt(p Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.placed[p.Backend+" "+p.Source.String()] = p
}

func (m *memory) Holds(p Place) bool { return m.server(p.Backend+" "+p.Source.String()) == p.Server }

func (m *memory) server(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.placed[key].Server
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.placed)
}

// displace displaces a source, as policy source does.
func (b *balancer) displace(source, server string, lives time.Duration) {
	p := Place{"nodes", netip.MustParsePrefix(source), server, lives}
	b.places.Adopt(p)
	b.places.mu.Lock()
	defer b.places.mu.Unlock()
	b.places.new = append(b.places.new, p)
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after three minutes it does not hold that %s", what)
		}
	}
}

func connected(t testing.TB, all ...*balancer) {
	t.Helper()
	for _, b := range all {
		eventually(t, "a balancer is connected", func() bool { return b.Status().Connected && len(b.Status().Balancers) >= 1 })
	}
}

// A client that one balancer bans does not get in by another one, and one whose ban is
// lifted there gets in everywhere.
func TestBansAreShared(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "b", defaults)
	connected(t, a, b)
	a.ban("192.0.2.1/32", time.Minute)
	b.ban("198.51.100.0/24", 0)
	eventually(t, "both have both bans", func() bool {
		const want = "192.0.2.1/32 manual, 198.51.100.0/24 manual"
		return a.banned() == want && b.banned() == want
	})
	for _, ban := range b.limiter.Bans(now()) {
		if ban.Source.Bits() == 32 && (ban.Remaining > time.Minute || ban.Remaining < 30*time.Second) || ban.Source.Bits() == 24 && ban.Remaining != 0 {
			t.Errorf("the ban %+v ends at another time than where it was imposed", ban)
		}
	}
	b.unban("192.0.2.1/32")
	a.unban("198.51.100.0/24")
	eventually(t, "neither has a ban", func() bool { return a.banned()+b.banned() == "" })

	violator := netip.MustParseAddr("2001:db8:1:2::3")
	limits := defaults
	limits.ConnectionRate, limits.ConnectionBurst = 1, 1
	a.limiter.Apply(limits, now())
	for range 5 {
		if s, v := a.limiter.Admit(violator, now()); v == ratelimit.Admitted {
			s.Release()
		}
	}
	eventually(t, "the automatic ban is shared with its reason", func() bool { return b.banned() == "2001:db8:1:2::/64 connection_rate" })
	late := join(t, redis.URL(), "late", defaults)
	eventually(t, "one that joins later learns of the ban", func() bool { return late.banned() == b.banned() })
}

// Bans hold on the other balancer within 300 ms.
func TestBansArriveInTime(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "b", defaults)
	connected(t, a, b)
	late := lateness.Measure(t)
	var times, turns []time.Duration // of the bans, and of one question to Redis in the same moment
	for i := range 21 {
		prefix := fmt.Sprintf("192.0.2.%d/32", i)
		start := time.Now()
		a.ban(prefix, time.Minute)
		eventually(t, "the ban holds", func() bool { return strings.Contains(b.banned(), prefix) })
		times = append(times, time.Since(start))
		asked := time.Now()
		redis.Do("PING")
		turns = append(turns, time.Since(asked))
	}
	slices.Sort(times)
	slices.Sort(turns)
	margin := 10*turns[10] + 3*late()/time.Duration(len(times)) // a ban waits for turns of three processes
	t.Logf("a ban holds on the other balancer after %v (median), %v (longest), and %v for a busy machine", times[10], times[20], margin)
	if times[10] > 300*time.Millisecond+margin { // single ones may take longer
		t.Errorf("half of the bans needed more than %v", times[10])
	}
}

// Redis may lose its data, and bans stay: balancers that joined later have them, too.
func TestRedisLosesItsData(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := join(t, redis.URL(), "a", defaults)
	connected(t, a)
	a.ban("192.0.2.1/32", time.Hour)
	a.displace("192.0.2.9/32", "node2", time.Hour)
	for name, lose := range map[string]func(){
		"flushed": func() { redis.Do("FLUSHALL") },
		"restarted": func() {
			redis.Stop()
			redis.Start()
		},
	} {
		lose()
		late := join(t, redis.URL(), "late-"+name, defaults)
		eventually(t, name+": another balancer learns of the ban", func() bool { return late.banned() == "192.0.2.1/32 manual" })
		eventually(t, name+": another balancer learns of the place", func() bool { return late.places.server("nodes 192.0.2.9/32") == "node2" })
	}
}

// What changes while Redis is away is shared afterwards, in the order in which it
// changed: a ban that was lifted meanwhile does not come back.
func TestChangesWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "b", defaults)
	a.ban("192.0.2.1/32", time.Hour)
	eventually(t, "the ban is shared", func() bool { return b.banned() != "" })
	redis.Hang()
	eventually(t, "Redis is missed", func() bool { return !a.Status().Connected && !b.Status().Connected })
	a.unban("192.0.2.1/32")
	a.ban("192.0.2.2/32", time.Hour)
	b.ban("192.0.2.3/32", time.Hour)
	if s := a.Status(); s.Error == "" || s.Advice == "" || s.Lag <= 0 || s.Waiting != 2 {
		t.Errorf("the status does not show what is wrong: %+v", s)
	}
	redis.Continue()
	const want = "192.0.2.2/32 manual, 192.0.2.3/32 manual"
	eventually(t, "all changes are shared", func() bool { return a.banned() == want && b.banned() == want })
	for _, line := range []string{"cannot be used: this balancer works alone", "shares through Redis"} {
		eventually(t, "the log has a line with "+line, func() bool { return strings.Contains(a.log.String(), line) })
	}
}

// A change that nobody knows yet survives an upgrade.
func TestPendingChangesAreHandedOver(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "b", defaults)
	a.ban("192.0.2.1/32", time.Hour)
	eventually(t, "the ban is shared", func() bool { return b.banned() != "" })
	a.Suspend()
	a.unban("192.0.2.1/32")
	upgraded := join(t, redis.URL(), "other", defaults)
	upgraded.Suspend()
	upgraded.Restore(a.Pending())
	upgraded.Apply(a.settings, "")
	upgraded.Resume()
	eventually(t, "the ban is lifted", func() bool { return b.banned() == "" && upgraded.banned() == "" })
	if s := b.Status(); len(s.Balancers) != 2 {
		t.Errorf("an upgrade is one balancer, not %+v", s.Balancers)
	}
}

// A source that one balancer displaced belongs to the same server at the others.
func TestPlacesAreShared(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "b", defaults)
	for i := range 2000 {
		a.displace(fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255), fmt.Sprintf("node%d", i%4), time.Minute)
	}
	eventually(t, "all places are shared", func() bool { return b.places.count() == 2000 })
	if got := b.places.server("nodes 10.0.0.7/32"); got != "node3" {
		t.Errorf("10.0.0.7 belongs to %q, want node3", got)
	}
	a.displace("10.0.0.7/32", "node1", 0)
	eventually(t, "the later place counts", func() bool { return b.places.server("nodes 10.0.0.7/32") == "node1" })
}

// Every key has a time to live, also where everything is in use.
func TestEveryKeyExpires(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	limits := defaults
	limits.GlobalMessageRate = 1e6
	a := join(t, redis.URL(), "a", limits)
	connected(t, a)
	a.ban("192.0.2.1/32", 0)
	a.displace("10.0.0.7/32", "node1", 0)
	s, _ := a.limiter.Admit(netip.MustParseAddr("192.0.2.7"), now())
	defer s.Release()
	s.Allow(now())
	eventually(t, "there are all keys", func() bool { return len(redis.Keys()) == 10 })
	for _, key := range redis.Keys() {
		if ttl := redis.Do("PTTL " + key)[0]; !strings.HasPrefix(ttl, ":") || len(ttl) < 5 || strings.HasPrefix(ttl, ":-") {
			t.Errorf("the time to live of %s is %q", key, ttl)
		}
		if !strings.HasPrefix(key, "mcplb:{test}:") {
			t.Errorf("the key %s is not of this fleet", key)
		}
	}
}

// Every balancer shows all of them: one that stops is gone at once, and one whose part
// is removed from Redis appears again.
func TestRoster(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "b", defaults)
	names := func(b *balancer) (all string) {
		for _, one := range b.Status().Balancers {
			all += fmt.Sprintf("%s %s %d %s %v, ", one.Instance, one.State, one.Connections, one.Admin, one.Self)
		}
		return all
	}
	eventually(t, "a shows both", func() bool { return names(a) == "a serving 7 a:8404 true, b serving 7 b:8404 false, " })
	eventually(t, "b shows both", func() bool { return names(b) == "a serving 7 a:8404 false, b serving 7 b:8404 true, " })
	redis.Do("HSET mcplb:{test}:balancers:reports x rubbish", "HSET mcplb:{test}:balancers:reports y {}", "ZADD mcplb:{test}:balancers:times 99999999999999 y", "FLUSHALL")
	eventually(t, "both appear again", func() bool { return len(redis.Keys()) > 1 && strings.Count(names(a), ",") == 2 })
	b.Close(t.Context())
	eventually(t, "b is gone", func() bool { return names(a) == "a serving 7 a:8404 true, " })
}

// Two balancers that call themselves the same are found out.
func TestTwoOfTheSameInstance(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a, b := join(t, redis.URL(), "a", defaults), join(t, redis.URL(), "a", defaults)
	eventually(t, "the conflict shows", func() bool { return a.Status().Conflict || b.Status().Conflict })
	b.apply(redis.URL(), "b")
	eventually(t, "and ends", func() bool { return !a.Status().Conflict && !b.Status().Conflict && len(a.Status().Balancers) == 2 })
}

// A reload changes everything live.
func TestApply(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	a, b, c := join(t, one.URL(), "a", defaults), join(t, one.URL(), "b", defaults), join(t, two.URL(), "c", defaults)
	connected(t, a, b, c)
	a.apply(one.URL(), "a", func(f *conf.Fleet) { f.Shares = []conf.Share{conf.ShareRates} })
	a.ban("192.0.2.1/32", 0)
	b.ban("192.0.2.2/32", 0)
	a.apply(two.URL(), "a")
	eventually(t, "the ban is shared in the other fleet", func() bool { return c.banned() == "192.0.2.1/32 manual" })
	eventually(t, "it left the first", func() bool { return len(b.Status().Balancers) == 1 })
	if got := b.banned() + a.banned(); got != "192.0.2.2/32 manual192.0.2.1/32 manual" {
		t.Errorf("the bans are %s, although bans were not shared", got)
	}
	a.apply("", "a")
	eventually(t, "it left the second", func() bool { return len(c.Status().Balancers) == 1 })
	if s := a.Status(); s.Configured || len(s.Balancers) != 0 {
		t.Errorf("without a Redis the status is %+v", s)
	}
}
