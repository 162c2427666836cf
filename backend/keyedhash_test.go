package backend

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"mcplb/conf"
)

// balance_factor 0: the same server for the same source, always and without
// memory, in proportion to the weights; a death moves its own sources only.
func TestSourcePlainHash(t *testing.T) {
	t.Parallel()
	c := backendOf(4, weights(100, 100, 200, 50))
	c.BalanceFactor = 0
	p, other := newPool(t, c), newPool(t, c)
	where := map[netip.Addr]string{}
	count := map[string]int{}
	place := func(p *Pool, a netip.Addr) string {
		l := acquire(t, p, Request{Source: a})
		defer l.Release(Completed, 0)
		return l.Server().Name()
	}
	for i := range 45000 {
		where[addr(i)] = place(p, addr(i))
		count[where[addr(i)]]++
	}
	for name, want := range map[string]float64{"node1": 10000, "node2": 10000, "node3": 20000, "node4": 5000} {
		if off := math.Abs(float64(count[name])-want) / want; off > 0.05 {
			t.Errorf("%s has %d of 45000 sources, want about %v", name, count[name], want)
		}
	}
	serverNamed(t, p, "node3").SetHealth(Down, "x", time.Now())
	for a, was := range where {
		if place(other, a) != was {
			t.Fatal("two balancers with the same servers disagree")
		}
		if is := place(p, a); is != was && was != "node3" {
			t.Fatalf("%v moved from %s to %s when node3 died", a, was, is)
		}
	}
	if n := p.balancer.sticky.memory.used; n != 0 {
		t.Errorf("%d entries in the memory", n)
	}
}

// The hash is the same in every version: balancers of a fleet agree on it.
func TestSourceHashIsStable(t *testing.T) {
	t.Parallel()
	c := backendOf(4)
	c.BalanceFactor = 0
	p := newPool(t, c)
	got := ""
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.7", "203.0.113.99", "2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1"} {
		l := acquire(t, p, Request{Source: netip.MustParseAddr(a)})
		got += l.Server().Name()[4:]
		l.Release(Completed, 0)
	}
	if want := "11112221"; got != want { // both addresses of 2001:db8::/64 are one source
		t.Errorf("servers %s, want %s", got, want)
	}
}

// A key chooses the same server every time, in every pool of the same servers,
// whatever the policy; a server that is gone moves only its own keys; and nothing
// is remembered.
func TestKey(t *testing.T) {
	t.Parallel()
	const keys = 4000
	p := newPool(t, backendOf(4, balance(conf.BalanceSource)))
	other := newPool(t, backendOf(4, balance(conf.BalanceRoundRobin)))
	choose := func(p *Pool, key uint64) string {
		l := acquire(t, p, Request{Key: key})
		defer l.Release(Completed, 0)
		return l.Server().Name()
	}
	on := map[string]int{}
	first := make([]string, keys+1)
	for key := range uint64(keys) {
		key++
		first[key] = choose(p, key)
		on[first[key]]++
		if again, there := choose(p, key), choose(other, key); again != first[key] || there != first[key] {
			t.Fatalf("key %d is on %s, then on %s, and on %s in another pool", key, first[key], again, there)
		}
	}
	for name, n := range on {
		if n < keys/4*9/10 || n > keys/4*11/10 {
			t.Errorf("%s has %d of %d keys", name, n, keys)
		}
	}
	gone := p.Servers()[1]
	gone.SetHealth(Down, "x", time.Now())
	for key := range uint64(keys) {
		key++
		if now := choose(p, key); (first[key] == gone.Name()) != (now != first[key]) {
			t.Fatalf("key %d was on %s and is on %s when %s is gone", key, first[key], now, gone.Name())
		}
	}
	if n := p.Remembered(); n != 0 {
		t.Errorf("%d sources are remembered", n)
	}
}
