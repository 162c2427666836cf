package ratelimit

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const second = int64(time.Second)

var addr = netip.MustParseAddr

// admit asks for a connection and fails the test if the verdict is another.
func admit(t *testing.T, l *Limiter, address string, now int64, want Verdict) *Source {
	t.Helper()
	s, got := l.Admit(addr(address), now)
	if got != want {
		t.Fatalf("Admit(%s) at %v: %v, want %v", address, time.Duration(now), got, want)
	}
	return s
}

// attempt is one connection, never released, and the verdict expected for it.
type attempt struct {
	address string
	now     int64
	want    Verdict
}

var admissions = []struct {
	name   string
	limits conf.RateLimit
	tries  []attempt
}{
	{"nothing limited", conf.RateLimit{}, []attempt{
		{"192.0.2.1", 0, Admitted}, {"192.0.2.1", 0, Admitted},
	}},
	{"rate and burst", conf.RateLimit{ConnectionRate: 2, ConnectionBurst: 3}, []attempt{
		{"192.0.2.1", 0, Admitted}, {"192.0.2.1", 0, Admitted}, {"192.0.2.1", 0, Admitted},
		{"192.0.2.1", 0, RefusedRate},
		{"192.0.2.2", 0, Admitted},
		{"192.0.2.1", second/2 - 1, RefusedRate},
		{"192.0.2.1", second / 2, Admitted},
		{"192.0.2.1", second / 2, RefusedRate},
	}},
	{"a burst of 0 is one of 1", conf.RateLimit{ConnectionRate: 1}, []attempt{
		{"192.0.2.1", 0, Admitted}, {"192.0.2.1", 0, RefusedRate}, {"192.0.2.1", second, Admitted},
	}},
	{"concurrency", conf.RateLimit{MaxConnections: 2}, []attempt{
		{"192.0.2.1", 0, Admitted}, {"192.0.2.1", 0, Admitted},
		{"192.0.2.1", 0, RefusedConcurrent}, {"192.0.2.2", 0, Admitted},
	}},
	{"global rate", conf.RateLimit{GlobalConnectionRate: 2}, []attempt{
		{"192.0.2.1", 0, Admitted}, {"192.0.2.2", 0, Admitted},
		{"192.0.2.3", 0, RefusedGlobalRate}, {"192.0.2.3", second / 2, Admitted},
	}},
	{"global rate beside a source's", conf.RateLimit{GlobalConnectionRate: 2, ConnectionRate: 1, ConnectionBurst: 1}, []attempt{
		{"192.0.2.1", 0, Admitted}, {"192.0.2.1", 0, RefusedRate}, {"192.0.2.2", 0, Admitted},
		{"192.0.2.3", 0, RefusedGlobalRate},
	}},
	{"an IPv6 /64 is one source", conf.RateLimit{MaxConnections: 1}, []attempt{
		{"2001:db8:0:1::1", 0, Admitted}, {"2001:db8:0:1:ffff::2", 0, RefusedConcurrent},
		{"2001:db8:0:2::1", 0, Admitted},
	}},
	{"link-local addresses of any zone are one source", conf.RateLimit{MaxConnections: 1}, []attempt{
		{"fe80::1%eth0", 0, Admitted}, {"fe80::2%eth1", 0, RefusedConcurrent},
	}},
	{"a mapped IPv4 address is that IPv4 address", conf.RateLimit{MaxConnections: 1}, []attempt{
		{"192.0.2.1", 0, Admitted}, {"::ffff:192.0.2.1", 0, RefusedConcurrent},
		{"::ffff:192.0.2.2", 0, Admitted}, {"192.0.2.2", 0, RefusedConcurrent},
		{"::1", 0, Admitted},
	}},
	{"exempt addresses", conf.RateLimit{MaxConnections: 1, GlobalConnectionRate: 2, Exempt: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::7/128"),
	}}, []attempt{
		{"10.1.2.3", 0, Admitted}, {"10.1.2.3", 0, Admitted}, {"::ffff:10.1.2.3", 0, Admitted},
		{"2001:db8::7", 0, Admitted}, {"2001:db8::7", 0, Admitted},
		{"2001:db8::8", 0, Admitted}, {"2001:db8::8", 0, RefusedConcurrent},
		{"11.0.0.1", 0, Admitted}, {"12.0.0.1", 0, RefusedGlobalRate}, {"10.1.2.3", 0, Admitted},
	}},
}

func TestAdmitVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range admissions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := New(c.limits)
			for _, try := range c.tries {
				s := admit(t, l, try.address, try.now, try.want)
				if s != nil && try.want != Admitted {
					t.Fatalf("a source came with %v", try.want)
				}
			}
		})
	}
}

func TestNilSourceHasNoLimits(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MessageRate: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	s := admit(t, l, "10.0.0.1", 0, Admitted)
	if s != nil {
		t.Fatal("an exempt address has a source")
	}
	var turn Turn
	if n, wait := s.Take(&turn, 1000, 0); s.Metered() || n != 1000 || wait != 0 {
		t.Error("nil source is metered")
	}
	s.Leave(&turn)
	if ok, wait := s.Allow(0); !ok || wait != 0 {
		t.Error("nil source is limited")
	}
	s.Release()
}

func TestInvalidAddressIsASource(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MaxConnections: 1})
	if _, v := l.Admit(netip.Addr{}, 0); v != Admitted {
		t.Fatal(v)
	}
	if _, v := l.Admit(netip.Addr{}, 0); v != RefusedConcurrent {
		t.Fatal(v)
	}
}

func TestReleaseMakesRoom(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MaxConnections: 2})
	a := admit(t, l, "192.0.2.1", 0, Admitted)
	b := admit(t, l, "192.0.2.1", 0, Admitted)
	if a != b {
		t.Fatal("two sources for one address")
	}
	admit(t, l, "192.0.2.1", 0, RefusedConcurrent)
	a.Release()
	admit(t, l, "192.0.2.1", 0, Admitted)
	admit(t, l, "192.0.2.1", 0, RefusedConcurrent)
}

// Bans, buckets and connections outlive a change of the limits, and the change
// applies to connected sources at once.
// A source owes no more than the new limits allow. Otherwise, one that has used a large
// burst at a low rate is silent for minutes after the rate was raised for it, and with
// reject it is banned for trying.
func TestApplyForgivesTheOldBurst(t *testing.T) {
	t.Parallel()
	slow := conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 100, MessageRate: 1, MessageBurst: 1000}
	fast := conf.RateLimit{ConnectionRate: 10, ConnectionBurst: 20, MessageRate: 100, MessageBurst: 200}
	used := func(l *Limiter) *Source {
		s := admit(t, l, "192.0.2.1", 0, Admitted)
		for range 99 {
			admit(t, l, "192.0.2.1", 0, Admitted)
		}
		s.Take(new(Turn), 1000, 0)
		return s
	}
	expect := func(l *Limiter, s *Source, after int64) {
		t.Helper()
		var turn Turn
		if n, _ := s.Take(&turn, 1000, after); n != 0 {
			t.Errorf("%d messages pass at once", n)
		}
		s.Leave(&turn)
		if n, _ := s.Take(&turn, 1000, after+second); n != 100 {
			t.Errorf("%d messages pass within the next second, want 100", n)
		}
		admit(t, l, "192.0.2.1", after, RefusedRate)
		for range 9 { // one was charged for the attempt
			admit(t, l, "192.0.2.1", after+second, Admitted)
		}
	}
	l := New(slow)
	s := used(l)
	l.Apply(fast, 0)
	expect(l, s, 0)

	l = New(slow)
	s = used(l)
	l.Apply(conf.RateLimit{}, 0)
	l.Apply(fast, 0)
	if n, _ := s.Take(new(Turn), 1000, 0); n != 200 {
		t.Errorf("%d messages pass after a time without limits, want the burst of 200", n)
	}

	// An upgrade does not know the old limits.
	l = New(slow)
	s = used(l)
	h := l.Handover(0)
	l = New(fast)
	l.Restore(h, 0)
	moved := l.Reinstate(s.Key(), 0)
	moved.Charge(s.Spent(), 0)
	expect(l, moved, longestDebt)
}

func TestApply(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 3, MessageRate: 10, MessageBurst: 10, OverMessage: conf.Delay})
	s := admit(t, l, "192.0.2.1", 0, Admitted)
	l.Ban(addr("192.0.2.9"), time.Hour, 0)
	if !s.Metered() || l.OverMessage() != conf.Delay {
		t.Error("messages are not metered")
	}
	var turn Turn
	if n, wait := s.Take(&turn, 11, 0); n != 10 || wait != time.Second/10 {
		t.Error(n, "messages pass, the next after", wait)
	}
	s.Leave(&turn)

	l.Apply(conf.RateLimit{MessageRate: 1, MessageBurst: 1, MaxConnections: 2, OverMessage: conf.Reject}, 0)
	if l.OverMessage() != conf.Reject {
		t.Error("over_message was not applied")
	}
	// The bucket is full again at the same time as before, after one second.
	if ok, wait := s.Allow(0); ok || wait != time.Second {
		t.Error("the new rate does not hold for a connected source:", ok, wait)
	}
	admit(t, l, "192.0.2.9", 0, RefusedBanned)
	admit(t, l, "192.0.2.1", 0, Admitted)
	admit(t, l, "192.0.2.1", 0, RefusedConcurrent) // the first was counted before Apply

	l.Apply(conf.RateLimit{}, 0)
	if s.Metered() {
		t.Error("still metered")
	}
	admit(t, l, "192.0.2.9", 0, RefusedBanned)
	if s := admit(t, l, "192.0.2.1", 0, Admitted); s != nil {
		t.Error("a source without limits")
	}
	s.Release()
}

func TestMetered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limits conf.RateLimit
		want   bool
	}{
		{conf.RateLimit{MaxConnections: 1}, false},
		{conf.RateLimit{MessageRate: 1}, true},
		{conf.RateLimit{GlobalMessageRate: 1}, true},
	} {
		s, _ := New(c.limits).Admit(addr("192.0.2.1"), 0)
		if s == nil || s.Metered() != c.want {
			t.Errorf("%+v: source %v, want metered %v", c.limits, s, c.want)
		}
	}
}

func TestGlobalMessageRate(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{GlobalMessageRate: 10, MessageRate: 100, MessageBurst: 100, BanAfter: 1})
	a, b := admit(t, l, "192.0.2.1", 0, Admitted), admit(t, l, "192.0.2.2", 0, Admitted)
	var turn Turn
	if n, wait := a.Take(&turn, 9, 0); n != 9 || wait != 0 {
		t.Error(n, "messages pass, the next after", wait)
	}
	if ok, _ := b.Allow(0); !ok {
		t.Error("the tenth message was refused")
	}
	if ok, wait := b.Allow(0); ok || wait != time.Second/10 {
		t.Error("the eleventh message:", ok, wait)
	}
	if n, wait := a.Take(&turn, 5, 0); n != 0 || wait != time.Second/10 {
		t.Error(n, "messages pass, the next after", wait)
	}
	a.Leave(&turn)
	for _, s := range []*Source{a, b} { // what the global rate refused cost neither anything
		if left := s.messages.until(newLimit(100, 100), 90, 0); left > 0 {
			t.Error("a source has paid for a message that did not pass")
		}
	}
	if bans := l.Bans(0); len(bans) != 0 {
		t.Error("a global limit banned a source:", bans)
	}
}

func TestKeyIsReversible(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1/32",
		"0.0.0.0":              "0.0.0.0/32",
		"255.255.255.255":      "255.255.255.255/32",
		"::ffff:192.0.2.1":     "192.0.2.1/32",
		"::1":                  "::/64",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := keyOf(normal(addr(address))).prefix().String(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func TestVerdictNames(t *testing.T) {
	t.Parallel()
	want := []string{"admitted", "banned", "connection_rate", "source_connections", "global_connection_rate", "unknown"}
	for i, name := range want {
		if got := Verdict(i).String(); got != name {
			t.Errorf("verdict %d: %q, want %q", i, got, name)
		}
	}
	for i, name := range []string{"manual", "connection_rate", "source_connections", "message_rate", "unknown"} {
		if got := Reason(i).String(); got != name {
			t.Errorf("reason %d: %q, want %q", i, got, name)
		}
	}
}

// However many loops call Admit at once, exactly max_connections enter.
func TestMaxConnectionsIsExact(t *testing.T) {
	t.Parallel()
	const most, loops, tries = 7, 8, 50
	l := New(conf.RateLimit{MaxConnections: most, TableSize: 100})
	var admitted atomic.Int64
	var loop sync.WaitGroup
	for range loops {
		loop.Go(func() {
			for range tries {
				if _, v := l.Admit(addr("192.0.2.1"), 0); v == Admitted {
					admitted.Add(1)
				}
			}
		})
	}
	loop.Wait()
	if admitted.Load() != most {
		t.Errorf("%d were admitted, want %d", admitted.Load(), most)
	}
}

// Loops come and go on few sources and a tiny table, limits change meanwhile,
// and the number held at once never passes the limit.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const most, loops, sources, rounds = 3, 4, 20, 3000
	limits := conf.RateLimit{
		MaxConnections: most, MessageRate: 1e6, MessageBurst: 10, TableSize: 5, BanAfter: 50,
		BanTime: time.Millisecond, GlobalMessageRate: 1e6, GlobalConnectionRate: 1e8,
	}
	l := New(limits)
	var held [sources]atomic.Int64
	var clock atomic.Int64
	var loop sync.WaitGroup
	for number := range loops {
		loop.Go(func() {
			var turn Turn
			for i := range rounds {
				which := (i*7 + number) % sources
				now := clock.Add(1000)
				s, verdict := l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, byte(which)}), now)
				if verdict != Admitted {
					continue
				}
				if n := held[which].Add(1); n > most {
					t.Errorf("%d connections of one source", n)
				}
				s.Take(&turn, 2, now)
				s.Allow(now)
				s.Leave(&turn)
				held[which].Add(-1)
				s.Release()
			}
		})
	}
	loop.Go(func() {
		for i := range 200 {
			limits.TableSize = 1 + i%10
			l.Apply(limits, 0)
			l.Ban(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % sources)}), time.Microsecond, clock.Load())
			l.Bans(clock.Load())
			l.Stats(clock.Load())
		}
	})
	loop.Wait()
	checkTables(t, l)
	if stats := l.Stats(clock.Load()); stats.Connected != 0 || stats.Sources > 10 {
		t.Errorf("at the end: %+v", stats)
	}
}

func ExampleLimiter() {
	limiter := New(conf.RateLimit{ConnectionRate: 10, ConnectionBurst: 2, MessageRate: 100, MessageBurst: 200})
	address, now := netip.MustParseAddr("192.0.2.1"), int64(0)
	for range 3 {
		var turn Turn
		source, verdict := limiter.Admit(address, now)
		if verdict == Admitted {
			passing, wait := source.Take(&turn, 150, now)
			fmt.Println(verdict, "and of 150 messages pass", passing, "and the next after", wait)
		} else {
			fmt.Println(verdict)
		}
		source.Leave(&turn)
		source.Release()
	}
	// Output:
	// admitted and of 150 messages pass 150 and the next after 0s
	// admitted and of 150 messages pass 50 and the next after 10ms
	// connection_rate
}
