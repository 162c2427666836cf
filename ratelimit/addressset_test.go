package ratelimit

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestExemptions(t *testing.T) {
	t.Parallel()
	set := NewAddressSet([]netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("10.200.3.4/32"),
		netip.MustParsePrefix("192.0.2.77/24"), // host bits set
		netip.MustParsePrefix("::ffff:198.51.100.0/120"),
		netip.MustParsePrefix("2001:db8::/32"),
		{},
	})
	if len(set) != 4 {
		t.Errorf("nested prefixes are kept: %v", set)
	}
	for address, want := range map[string]bool{
		"9.255.255.255": false, "10.0.0.0": true, "10.1.2.3": true, "10.255.255.255": true, "11.0.0.0": false,
		"192.0.2.1": true, "192.0.3.1": false, "198.51.100.9": true, "198.51.101.1": false,
		"2001:db8::1": true, "2001:db9::1": false, "::1": false, "0.0.0.0": false,
		"::ffff:10.0.0.1": true, "2001:db8::1%eth0": true,
	} {
		if got := set.Contains(normal(addr(address))); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	if NewAddressSet(nil).Contains(addr("10.0.0.1")) {
		t.Error("the empty set contains an address")
	}
}

// randomPrefixes are so dense that many are nested, neighbours or equal.
func randomPrefixes(random *rand.Rand, count int) []netip.Prefix {
	var list []netip.Prefix
	for range count {
		if random.IntN(2) == 0 {
			list = append(list, netip.PrefixFrom(randomAddress(random, true), random.IntN(33)|8))
		} else {
			list = append(list, netip.PrefixFrom(randomAddress(random, false), random.IntN(129)|8))
		}
	}
	return list
}

func randomAddress(random *rand.Rand, v4 bool) netip.Addr {
	if v4 {
		return netip.AddrFrom4([4]byte{10, byte(random.IntN(4)), byte(random.IntN(4)), byte(random.IntN(4))})
	}
	return netip.AddrFrom16([16]byte{0: 0x20, 2: byte(random.IntN(3)), 6: byte(random.IntN(3)), 15: byte(random.IntN(3))})
}

// The set contains an address exactly if one of the prefixes does.
func TestExemptionsProperty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 3))
		prefixes := randomPrefixes(random, random.IntN(100))
		set := NewAddressSet(prefixes)
		for range 500 {
			address, want := randomAddress(random, random.IntN(2) == 0), false
			for _, p := range prefixes {
				want = want || p.Contains(address)
			}
			if got := set.Contains(address); got != want {
				t.Fatalf("seed %d: %v is exempt: %v, want %v; prefixes %v", seed, address, got, want, prefixes)
			}
		}
	}
}
