package backend

import (
	"net/netip"
	"testing"
	"time"

	"mcplb/conf"
)

// displacedTo makes a source one that was displaced to a server by name.
func displacedTo(t testing.TB, p *Pool, source netip.Addr, server string, now int64) {
	t.Helper()
	if !p.Displace(Displacement{netip.PrefixFrom(source, 32), server}, now) {
		t.Fatalf("%v is not displaced to %s", source, server)
	}
}

// elsewhere returns the name of a server that is not the first of the source by hash.
func elsewhere(t testing.TB, p *Pool, source netip.Addr) string {
	l := acquire(t, p, Request{Source: source, Now: 1})
	defer l.Release(Completed, 1)
	if l.Server().Name() == "node1" {
		return "node2"
	}
	return "node1"
}

// An entry lives for sticky_time after the source's last connection.
func TestSourceMemoryExpires(t *testing.T) {
	t.Parallel()
	c := backendOf(4)
	c.StickyTime = time.Minute
	p := newPool(t, c)
	now, server := int64(1), map[int]string{}
	for i := range 1000 {
		server[i] = elsewhere(t, p, addr(i))
		displacedTo(t, p, addr(i), server[i], now)
	}
	now += int64(time.Minute)
	l := acquire(t, p, Request{Source: addr(0), Now: now})
	if got := p.balancer.sticky.memory.used; got != 1000 || l.Server().Name() != server[0] {
		t.Fatalf("%d entries within sticky_time, want 1000; the source is on %s, want %s", got, l.Server().Name(), server[0])
	}
	now += 2
	for range 1000 {
		l := acquire(t, p, Request{Source: addr(1), Now: now})
		if l.Server().Name() == server[1] {
			t.Fatal("a displacement counts after sticky_time")
		}
		l.Release(Completed, now)
	}
	if got := p.balancer.sticky.memory.used; got != 1 {
		t.Fatalf("%d entries after sticky_time, want that of the source that is connected", got)
	}
	l.Release(Completed, now)
	checkCounts(t, p)
}

// The memory has a bound: the entries idle the longest make room for new ones.
func TestSourceMemoryIsBounded(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	p.balancer.sticky.memory.init(100)
	first := acquire(t, p, Request{Source: addr(0), Now: 1})
	for i := 1; i < 1000; i++ {
		displacedTo(t, p, addr(i), "node1", 1)
	}
	if got := p.balancer.sticky.memory.used; got != 100 {
		t.Fatalf("%d entries, want 100", got)
	}
	for i := 1; i < 1000; i++ {
		if _, known := p.balancer.sticky.memory.first[addr(i).As16()]; known != (i > 900) {
			t.Fatalf("source %d known: %v; the ones idle the longest must go first", i, known)
		}
	}
	// All entries live: a new source is served without one.
	var held []Slot
	for i := range 200 {
		held = append(held, acquire(t, p, Request{Source: addr(5000 + i), Now: 2}))
	}
	checkCounts(t, p)
	if p.Displace(Displacement{netip.PrefixFrom(addr(7000), 32), "node1"}, 2) {
		t.Error("a displacement was taken over though the memory is full")
	}
	for i := range held {
		held[i].Release(Completed, 3)
	}
	first.Release(Completed, 3)
	checkCounts(t, p)
	if got := p.balancer.sticky.memory.used; got != 0 {
		t.Fatalf("%d entries of sources on their first server without connections", got)
	}
}

// What one balancer displaces, another takes over: a client that reaches that one next
// is at its server there, too.
func TestDisplacementsAreShared(t *testing.T) {
	t.Parallel()
	a, base := seeded(t, 4, backendOf(4))
	b := newPool(t, reversed(backendOf(4)))
	if list, lost := a.p.Displaced(nil); len(list) > 0 || lost > 0 {
		t.Fatalf("%v at first, %d lost", list, lost)
	}
	b.Displaced(nil)
	for i := range 4000 {
		a.open(addr(base + i))
	}
	list, _ := a.p.Displaced(nil)
	if len(list) == 0 || len(list) > 200 {
		t.Fatalf("%d of 4000 sources were displaced", len(list))
	}
	for _, d := range list {
		if !b.Displace(d, 1) || only(a.where[d.Source.Addr()]) != d.Server {
			t.Fatalf("%+v was refused, or is not so", d)
		}
	}
	if again, _ := b.Displaced(nil); len(again) > 0 {
		t.Errorf("%d displacements come back to where they are from", len(again))
	}
	for _, d := range list {
		if l := acquire(t, b, Request{Source: d.Source.Addr(), Now: 2}); l.Server().Name() != d.Server {
			t.Errorf("%v is on %s there, on %s here", d.Source, l.Server().Name(), d.Server)
		}
	}
	a.closeIf(func(conn) bool { return true })
	if ended, _ := a.p.Displaced(nil); len(ended) != len(list) {
		t.Errorf("%d displacements are reported when their connections end, want %d", len(ended), len(list))
	}
	checkCounts(t, b)
}

// A displacement from elsewhere does not move a source that is connected here, names a
// server that is here, and is no more than one for a source.
func TestDisplaceRefuses(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(4))
	held := acquire(t, p, Request{Source: addr(1), Now: 1})
	for _, d := range []Displacement{
		{netip.PrefixFrom(addr(1), 32), "node1"},
		{netip.PrefixFrom(addr(2), 32), "node9"},
		{netip.PrefixFrom(addr(2), 32), ""},
	} {
		if p.Displace(d, 1) {
			t.Errorf("%+v was taken over", d)
		}
	}
	held.Release(Completed, 1)
	for _, server := range []string{"node1", "node2", "node3", "node2"} {
		displacedTo(t, p, addr(1), server, 2)
	}
	checkCounts(t, p)
	if l := acquire(t, p, Request{Source: addr(1), Now: 2}); l.Server().Name() != "node2" {
		t.Errorf("the source is on %s, want the last one named", l.Server().Name())
	}
	six := netip.MustParsePrefix("2001:db8::/64")
	if !p.Displace(Displacement{six, "node3"}, 3) {
		t.Error("an IPv6 network was refused")
	}
	if l := acquire(t, p, Request{Source: netip.MustParseAddr("2001:db8::7"), Now: 3}); l.Server().Name() != "node3" {
		t.Errorf("its host is on %s", l.Server().Name())
	}
}

// More displacements than anybody fetches cost no memory without end.
func TestDisplacedIsBounded(t *testing.T) {
	t.Parallel()
	p := newPool(t, backendOf(2, func(c *conf.Backend) { c.StickyTime = 0 }))
	p.Displaced(nil)
	d := &p.balancer.sticky.shared
	e := entry{Placement: Placement{Source: addr(1).As16(), Server: 0}}
	for range mostDisplacements + 7 {
		d.add(&e)
	}
	if list, lost := p.Displaced(nil); len(list) != mostDisplacements || lost != 7 {
		t.Errorf("%d displacements, %d lost", len(list), lost)
	}
}
