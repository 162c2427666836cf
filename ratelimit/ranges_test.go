package ratelimit

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

// An operator who bans a network must keep all of it out, by every form of its
// addresses, and nobody beside it.
func TestBanOfRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		prefix       string
		banned, free []string
	}{
		{"10.0.0.0/8", []string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"}, []string{"9.255.255.255", "11.0.0.0", "::a01:203"}},
		{"::ffff:10.0.0.0/104", []string{"10.1.2.3"}, []string{"11.0.0.0"}},
		{"192.0.2.128/25", []string{"192.0.2.128", "192.0.2.255"}, []string{"192.0.2.127", "192.0.3.128"}},
		{"192.0.2.7/32", []string{"192.0.2.7"}, []string{"192.0.2.6"}},
		{"2001:db8::/32", []string{"2001:db8::1", "2001:db8:ffff::1%eth0"}, []string{"2001:db9::1", "32.1.13.184"}},
		{"2001:db8::/61", []string{"2001:db8:0:7::1"}, []string{"2001:db8:0:8::1"}},
		{"2001:db8::/64", []string{"2001:db8::ffff:0:0:1"}, []string{"2001:db8:0:1::"}},
		{"2001:db8::8/125", []string{"2001:db8::f"}, []string{"2001:db8::7", "2001:db8::10"}},
		{"2001:db8::8/128", []string{"2001:db8::8"}, []string{"2001:db8::9"}},
	} {
		for name, limits := range map[string]conf.RateLimit{
			"no limits": {}, "limits": {MaxConnections: 9}, "exempt": {MaxConnections: 9, Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		} {
			l := New(limits)
			prefix := netip.MustParsePrefix(c.prefix)
			l.BanRange(prefix, time.Minute, 5)
			for _, address := range c.banned {
				admit(t, l, address, 5+60*second-1, RefusedBanned)
				if _, remaining, banned := l.Enter(netip.MustParseAddr(address), false, 5); !banned || remaining != time.Minute {
					t.Errorf("%s, %s: a request of %s: banned %v for %v", name, c.prefix, address, banned, remaining)
				}
			}
			for _, address := range c.free {
				admit(t, l, address, 5, Admitted)
			}
			if stats := l.Stats(5); stats.Bans != 1 || stats.BansImposed != 1 {
				t.Errorf("%s, %s: %+v", name, c.prefix, stats)
			}
			admit(t, l, c.banned[0], 5+60*second, Admitted)
			l.BanRange(prefix, 0, 60*second)
			if !l.UnbanRange(prefix, 61*second) || l.UnbanRange(prefix, 61*second) {
				t.Errorf("%s, %s: lifting it twice", name, c.prefix)
			}
			admit(t, l, c.banned[0], 61*second, Admitted)
		}
	}
}

// A narrow ban that ends must not end a wider one, nor the other way around.
func TestNestedRanges(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{})
	wide, narrow := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16")
	l.BanRange(wide, time.Hour, 0)
	l.BanRange(narrow, time.Minute, 0)
	l.Ban(netip.MustParseAddr("10.1.2.3"), 0, 0)
	want := []Ban{{wide, time.Hour, Manual, 0}, {narrow, time.Minute, Manual, 0}, {netip.MustParsePrefix("10.1.2.3/32"), 0, Manual, 0}}
	if bans := l.Bans(0); !slices.Equal(bans, want) {
		t.Errorf("bans %+v, want %+v", bans, want)
	}
	admit(t, l, "10.1.0.1", 60*second, RefusedBanned)
	if by, ok := l.CoveringBan(netip.MustParsePrefix("10.1.0.0/17"), 60*second); !ok || by != wide {
		t.Errorf("10.1.0.0/17 is covered by %v (%v), want %v", by, ok, wide)
	}
	l.UnbanRange(wide, 61*second)
	admit(t, l, "10.1.0.1", 61*second, Admitted)
	admit(t, l, "10.1.2.3", 61*second, RefusedBanned)
}

// Whatever is banned and lifted, in whatever order: an address is refused exactly
// while some ban that contains it is in force.
func TestRangesAgainstList(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	l := New(conf.RateLimit{})
	until := map[netip.Prefix]int64{}
	address := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(random.IntN(4)), byte(random.IntN(4)), byte(random.IntN(4))})
	}
	for now := range int64(20_000) {
		prefix, _ := address().Prefix(8 + random.IntN(25))
		if random.IntN(4) == 0 {
			if got, want := l.UnbanRange(prefix, now), until[prefix] > now; got != want {
				t.Fatalf("at %d unban %v: %v, want %v", now, prefix, got, want)
			}
			delete(until, prefix)
		} else if random.IntN(8) == 0 {
			d := time.Duration(1 + random.IntN(50))
			l.BanRange(prefix, d, now)
			until[prefix] = now + int64(d)
		}
		client, want := address(), Admitted
		for p, end := range until {
			if p.Contains(client) && end > now {
				want = RefusedBanned
			}
		}
		if _, got := l.Admit(client, now); got != want {
			t.Fatalf("at %d %v: %v, want %v; %v", now, client, got, want, until)
		}
	}
}

// A client refused for a range's ban may cost no more than any other: the path runs
// for each connection and each request.
func TestRangesCostNothing(t *testing.T) {
	l := New(conf.RateLimit{})
	for i := range 200 {
		l.BanRange(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16), 0, 0)
	}
	inside, outside := netip.MustParseAddr("10.7.1.1"), netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { l.Admit(inside, 1); l.Admit(outside, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An upgrade must not let a banned network in.
func TestHandoverOfRanges(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{})
	l.BanRange(netip.MustParsePrefix("10.0.0.0/8"), time.Minute, 0)
	l.BanRange(netip.MustParsePrefix("2001:db8::/48"), 0, 0)
	l.BanRange(netip.MustParsePrefix("192.0.2.0/24"), time.Second, 0)
	other := handedOver(t, l, conf.RateLimit{}, 2*second)
	admit(t, other, "10.1.1.1", 59*second, RefusedBanned)
	admit(t, other, "2001:db8::1", 3600*second, RefusedBanned)
	admit(t, other, "192.0.2.1", 2*second, Admitted)
	if stats := other.Stats(2 * second); stats.Bans != 2 || stats.BansImposed != 3 {
		t.Errorf("%+v, want 2 bans in force of 3", stats)
	}
}
