package http1

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestValidHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"a": true, "A-b.c_d~": true, "1.2.3.4": true, "a.": true, "a:0": true, "a:65535": true, "[::]": true, "[::1]:443": true,
		"a:": true, "a.:": true, "[::1]:": true, "1.2.3.4:": true,
		"": false, ":": false, ":1": false, "a::": false, ":: ": false, "a: ": false, "[::1]::": false, "a:65536": false, "a:123456": false, "a:1x": false, "a:-1": false, "a b": false,
		"[]": false, "[": false, "[::1": false, "[::1]x": false, "[1.2.3.4]": false, "a/b": false, "a@b": false, "a%20": false,
		"a\x80": false, "[v1.a]": false, "[::1%25lo]": false, "::1": false, "a:1:2": false, "a]": false,
	} {
		if validHost([]byte(host)) != want {
			t.Errorf("validHost(%q) is not %v", host, want)
		}
	}
}

// TestValidIPv6 compares validIPv6 with net/netip.
func TestValidIPv6(t *testing.T) {
	t.Parallel()
	parts := []string{":", ":", ":", "::", "0", "1", "abcd", "FFFF", "12345", "g", ".", "1.2.3.4", "255.255.255.255", "256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4.5"}
	r := rand.New(rand.NewPCG(9, 10))
	valid := 0
	for range 50_000 {
		var w strings.Builder
		for i := range 1 + r.IntN(9) {
			if i > 0 && r.IntN(5) > 0 {
				w.WriteByte(':')
			}
			w.WriteString(parts[r.IntN(len(parts))])
		}
		s := w.String()
		address, err := netip.ParseAddr(s)
		want := err == nil && address.Is6()
		if validIPv6([]byte(s)) != want {
			t.Errorf("validIPv6(%q) is not %v", s, want)
		}
		if want {
			valid++
		}
	}
	for _, s := range []string{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "::", ":::", "1::", "::1", "1::2::3", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7::8", "1:", ":1", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4", "1.2.3.4", ""} {
		address, err := netip.ParseAddr(s)
		if want := err == nil && address.Is6(); validIPv6([]byte(s)) != want {
			t.Errorf("validIPv6(%q) is not %v", s, want)
		}
	}
	if valid < 300 {
		t.Errorf("only %d were valid", valid)
	}
}
