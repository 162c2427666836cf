package clients

import (
	"net/netip"
	"testing"
)

// Clients are spread evenly over the source addresses.
func TestSource(t *testing.T) {
	t.Parallel()
	o := Options{From: netip.MustParsePrefix("127.200.0.0/16"), Sources: 300}
	count := map[netip.Addr]int{}
	for n := range 3000 {
		count[o.source(n)]++
	}
	if len(count) != 300 || count[netip.MustParseAddr("127.200.0.1")] != 10 || count[netip.MustParseAddr("127.200.1.44")] != 10 {
		t.Errorf("%d sources: %v", len(count), count)
	}
	if kernel := (&Options{}); kernel.source(5).IsValid() {
		t.Errorf("the kernel's choice is %v", kernel.source(5))
	}
}
