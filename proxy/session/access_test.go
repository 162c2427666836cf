package session

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"mcplb/conf"
	"mcplb/internal/endpoint"
)

func networks(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// deny goes before allow, an empty allow is everybody, and an IPv4 address is the same
// in either form. Were it otherwise, a list would let in whom it names, or lock out all.
func TestAccess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		allow, deny []netip.Prefix
		in, out     []string
	}{
		{nil, nil, []string{"192.0.2.1", "::1"}, nil},
		{networks("10.0.0.0/8", "2001:db8::/32"), nil, []string{"10.255.0.1", "::ffff:10.0.0.1", "2001:db8:1::1"}, []string{"11.0.0.1", "::1", "2001:db9::1", "::ffff:11.0.0.1"}},
		{nil, networks("192.0.2.7/32", "fe80::/10"), []string{"192.0.2.8", "::1"}, []string{"192.0.2.7", "::ffff:192.0.2.7", "fe80::1%eth0"}},
		{networks("10.0.0.0/8"), networks("10.1.0.0/16", "10.2.3.4/32"), []string{"10.0.0.1", "10.2.3.5"}, []string{"10.1.2.3", "10.2.3.4", "192.0.2.1"}},
		{networks("10.1.0.0/16"), networks("10.0.0.0/8"), nil, []string{"10.1.2.3"}},
		{networks("0.0.0.0/0"), nil, []string{"192.0.2.1"}, []string{"::1"}},
	} {
		access := NewAccess(&conf.Frontend{Allow: test.allow, Deny: test.deny})
		for _, address := range test.in {
			if !access.Admits(netip.MustParseAddr(address)) {
				t.Errorf("allow %v, deny %v: %s is refused", test.allow, test.deny, address)
			}
		}
		for _, address := range test.out {
			if access.Admits(netip.MustParseAddr(address)) {
				t.Errorf("allow %v, deny %v: %s may come in", test.allow, test.deny, address)
			}
		}
	}
}

// Long lists of nested and neighbouring networks decide as looking at each would.
func TestAccessLists(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(rng.IntN(4)), byte(rng.IntN(4)), byte(rng.IntN(256))})
	}
	list := func(n int) (all []netip.Prefix) {
		for range n {
			all = append(all, netip.PrefixFrom(address(), 8+rng.IntN(25)).Masked())
		}
		return all
	}
	contains := func(list []netip.Prefix, a netip.Addr) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	for range 100 {
		f := conf.Frontend{Allow: list(rng.IntN(30)), Deny: list(rng.IntN(10))}
		access := NewAccess(&f)
		for range 100 {
			a := address()
			want := !contains(f.Deny, a) && (len(f.Allow) == 0 || contains(f.Allow, a))
			if access.Admits(a) != want {
				t.Fatalf("allow %v, deny %v: %v is admitted: %v", f.Allow, f.Deny, a, !want)
			}
		}
	}
}

// The lists see the client that the PROXY header names, not the proxy; who is refused
// is reset, whatever the mode but http, which answers.
func TestAccessOfClients(t *testing.T) {
	t.Parallel()
	for _, mode := range []conf.Mode{conf.ModeTCP, conf.ModeMCP, conf.ModeHTTP} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			e := open(t, conf.RateLimit{}, behindProxy, func(s *Settings) {
				s.Frontend.Mode = mode
				s.Frontend.Allow, s.Frontend.Deny = networks("192.0.2.0/24", "2001:db8::/64"), networks("192.0.2.66/32")
				s.Access = NewAccess(&s.Frontend)
			})
			for header, in := range map[string]bool{
				"PROXY TCP4 192.0.2.1 192.0.2.2 1 80":                true,
				"PROXY TCP4 192.0.2.66 192.0.2.2 1 80":               false,
				"PROXY TCP4 127.0.0.1 192.0.2.2 1 80":                false,
				"PROXY TCP6 2001:db8::9 2001:db8::1 1 80":            true,
				"PROXY TCP6 ::ffff:192.0.2.66 ::ffff:192.0.2.1 1 80": false,
				"PROXY UNKNOWN": false, // the proxy's own
			} {
				conn := endpoint.Dial(t, e.Address)
				c := endpoint.Receive(t, e.clients)
				conn.Say(header + "\r\n")
				want := Reason(0)
				if !in && mode != conf.ModeHTTP {
					want = AccessDenied
				}
				c.check(want)
				if want != 0 {
					conn.HearReset()
				}
			}
		})
	}
	if AccessDenied.String() != "access_denied" || !AccessDenied.Refusal() || AccessDenied.Limited() {
		t.Error(fmt.Sprint("access_denied is ", AccessDenied, ", no refusal, or one of the limits"))
	}
}
