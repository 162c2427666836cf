package backend

import (
	"fmt"
	"net/netip"
	"testing"

	"mcplb/conf"
)

// The devices and privacy addresses of one customer have one IPv6 /64. If each was a
// source, a client would lose its server with every new address, and one customer
// could fill the memory. An IPv4 address is the same source in either form.
func TestSourceIsNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		addresses func(i int) string
		sources   int
		shown     string
	}{
		{"one /64", func(i int) string { return fmt.Sprintf("2001:db8::%x:%x", i*0x101, i) }, 1, "2001:db8::/64"},
		{"two /64", func(i int) string { return fmt.Sprintf("2001:db8:0:%x::%x", i%2, i) }, 2, ""},
		{"IPv4", func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, 200, ""},
		{"IPv4 in both forms", func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] }, 1, "192.0.2.1/32"},
		{"6to4", func(i int) string { return fmt.Sprintf("2002:c000:201::%x", i) }, 1, "2002:c000:201::/64"},
	} {
		for _, factor := range []float64{0, 1.02} {
			config := backendOf(4)
			config.Balance, config.BalanceFactor = conf.BalanceSource, factor
			p := newPool(t, config)
			servers := map[string]bool{}
			for i := range 200 {
				address := netip.MustParseAddr(c.addresses(i))
				slot := acquire(t, p, Request{Source: address, Now: int64(i)})
				servers[slot.Server().Name()] = true
				if lines := p.StickyOf(address, int64(i)); factor > 0 && (len(lines) != 1 || !lines[0].Source.Contains(address.Unmap())) {
					t.Fatalf("%s: of %v %+v is remembered", c.name, address, lines)
				}
				if i >= c.sources {
					slot.Release(Completed, int64(i))
				}
			}
			if c.sources == 1 && len(servers) != 1 {
				t.Errorf("%s, factor %v: one source went to %d servers", c.name, factor, len(servers))
			}
			if factor == 0 {
				continue
			}
			if n := p.Remembered(); n != c.sources {
				t.Errorf("%s: %d sources are remembered, want %d", c.name, n, c.sources)
			}
			if line := p.Sticky(1, 200)[0]; c.shown != "" && line.Source.String() != c.shown {
				t.Errorf("%s: shown as %v, want %s", c.name, line.Source, c.shown)
			}
			checkCounts(t, p)
		}
	}
}
