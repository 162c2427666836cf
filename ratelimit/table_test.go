package ratelimit

import (
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mcplb/conf"
)

// checkTables checks the invariants of all tables: every source is found under
// its key, and is in the idle list exactly if it is not connected.
func checkTables(t *testing.T, l *Limiter) {
	t.Helper()
	for i := range l.shards {
		checkTable(t, &l.shards[i].table)
	}
}

func checkTable(t *testing.T, table *table) {
	t.Helper()
	count, idle := 0, 0
	for _, head := range table.heads {
		for i := head; i != 0; i = table.at(i).chain {
			s := table.at(i)
			if s.self != i || s.limiter != table.limiter {
				t.Fatalf("slot %d has another number", i)
			}
			if table.find(s.key, maphash.Comparable(table.limiter.seed, s.key)) != s {
				t.Fatalf("slot %d is not found under its key", i)
			}
			count++
			if s.held == 0 {
				idle++
			}
		}
	}
	list := idleKeys(table)
	if count != table.count || idle != table.idle || idle != len(list) {
		t.Fatalf("%d sources, %d idle; counted %d, %d; %d in the idle list", count, idle, table.count, table.idle, len(list))
	}
	free := 0
	for i := table.free; i != 0; i = table.at(i).chain {
		free++
	}
	if free+count != int(table.last) {
		t.Fatalf("%d slots used and %d free of %d", count, free, table.last)
	}
}

// idleKeys lists the idle sources, the oldest first.
func idleKeys(table *table) []key {
	var list []key
	older := slot(0)
	for i := table.oldest; i != 0; i = table.at(i).newer {
		if s := table.at(i); s.older == older && s.held == 0 {
			list = append(list, s.key)
		}
		older = i
	}
	return list
}

// Sources come, go and are refused at random on a table that is too small for
// them. The sources forgotten are always those that were idle longest.
func TestTableProperty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 4))
		limits := conf.RateLimit{TableSize: 1 + random.IntN(40), MaxConnections: 2}
		if seed%2 == 0 { // refused sources fall idle without ever being connected
			limits.ConnectionRate, limits.ConnectionBurst = 1, 2
		}
		l := New(limits)
		table := &l.shards[0].table
		var held []*Source
		var order []key // idle sources, the oldest first
		for step := range 1000 {
			now := int64(step) * second / 50
			var touched key
			if n := len(held); n > 0 && random.IntN(2) == 0 {
				i := random.IntN(n)
				touched = held[i].key
				held[i].Release()
				held = slices.Delete(held, i, i+1)
			} else {
				address := netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(60))})
				touched = keyOf(address)
				if s, v := l.Admit(address, now); v == Admitted {
					held = append(held, s)
				}
			}
			order = slices.DeleteFunc(order, func(k key) bool { return k == touched })
			if !slices.ContainsFunc(held, func(s *Source) bool { return s.key == touched }) {
				order = append(order, touched)
			}
			checkTable(t, table)
			list := idleKeys(table)
			if len(list) > len(order) || !slices.Equal(list, order[len(order)-len(list):]) {
				t.Fatalf("seed %d: idle are %v, want the last of %v", seed, list, order)
			}
			order = slices.Clone(list)
			if table.count > limits.TableSize && table.idle > 0 {
				t.Fatalf("seed %d: %d sources, %d of them idle, with room for %d", seed, table.count, table.idle, limits.TableSize)
			}
		}
	}
}

// A full table forgets the source that is idle longest, never a connected one.
func TestEviction(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, TableSize: 2})
	connected := admit(t, l, "192.0.2.1", 0, Admitted)
	admit(t, l, "192.0.2.2", 0, Admitted).Release()
	admit(t, l, "192.0.2.3", 0, Admitted).Release() // 2 is forgotten
	if stats := l.Stats(0); stats.Sources != 2 || stats.Connected != 1 || stats.Evictions != 1 {
		t.Errorf("%+v", stats)
	}
	admit(t, l, "192.0.2.3", 0, RefusedRate)        // remembered
	admit(t, l, "192.0.2.1", 0, RefusedRate)        // remembered
	admit(t, l, "192.0.2.2", 0, Admitted).Release() // as if new
	connected.Release()
}

// A slot that is reused does not inherit what its last source had used up.
func TestForgottenSourceLeavesNothing(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{
		ConnectionRate: 1, ConnectionBurst: 1, MessageRate: 1, MessageBurst: 1,
		BanAfter: 2, BanTime: time.Hour, TableSize: 1,
	})
	for i := range byte(10) {
		address := netip.AddrFrom4([4]byte{192, 0, 2, i}).String()
		s := admit(t, l, address, 0, Admitted)
		var turn Turn
		if n, _ := s.Take(&turn, 100, 0); n != 1 {
			t.Fatalf("source %d begins with %d messages, want 1", i, n)
		}
		s.Leave(&turn)
		s.Release()
		admit(t, l, address, 0, RefusedRate) // the first violation of two
	}
	if bans := l.Bans(0); len(bans) != 0 {
		t.Errorf("bans %+v", bans)
	}
	if slots := l.shards[0].table.last; slots > 3 {
		t.Errorf("%d slots were used for one source at a time", slots)
	}
}

// If all are connected, the table holds more than its size; the excess is removed
// as they disconnect.
func TestTableOfConnectedSourcesGrows(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{MaxConnections: 1, TableSize: 2})
	var held []*Source
	for i := range byte(10) {
		s, v := l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, i}), 0)
		if v != Admitted {
			t.Fatal(v)
		}
		held = append(held, s)
	}
	for i := range byte(10) {
		if _, v := l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, i}), 0); v != RefusedConcurrent {
			t.Fatalf("source %d: %v", i, v)
		}
	}
	for _, s := range held {
		s.Release()
	}
	if stats := l.Stats(0); stats.Sources != 2 {
		t.Errorf("%+v", stats)
	}
	checkTables(t, l)
}

// A source whose buckets are full again is forgotten before the table is full; one
// that has violations is not.
func TestForgettableSourcesMakeRoom(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{ConnectionRate: 10, ConnectionBurst: 1, BanAfter: 10, TableSize: 1000})
	for i := range 100 {
		admit(t, l, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String(), int64(i)*second, Admitted).Release()
	}
	if stats := l.Stats(0); stats.Sources != 1 || stats.Evictions != 0 {
		t.Errorf("%+v", stats)
	}
	now := 100 * second
	admit(t, l, "192.0.2.99", now, Admitted).Release()
	admit(t, l, "192.0.2.99", now, RefusedRate)
	admit(t, l, "192.0.2.200", now+second, Admitted).Release()
	if stats := l.Stats(0); stats.Sources != 2 {
		t.Errorf("a source with a violation was forgotten: %+v", stats)
	}
	admit(t, l, "192.0.2.201", now+62*second, Admitted).Release()
	admit(t, l, "192.0.2.202", now+63*second, Admitted).Release()
	if stats := l.Stats(0); stats.Sources != 1 {
		t.Errorf("a source with an old violation was remembered: %+v", stats)
	}
}

func TestApplyShrinksGradually(t *testing.T) {
	t.Parallel()
	limits := conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, TableSize: 1000}
	l := New(limits)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}) }
	for i := range 1000 {
		s, _ := l.Admit(address(i), 0)
		s.Release()
	}
	limits.TableSize = 10
	l.Apply(limits, 0)
	before := l.Stats(0).Sources
	for i := 1000; before > 10; i++ {
		s, _ := l.Admit(address(i), 0)
		s.Release()
		after := l.Stats(0).Sources
		if after >= before || after < before-3 && after != 10 {
			t.Fatalf("from %d sources to %d", before, after)
		}
		before = after
	}
	checkTables(t, l)
}

// Sources are spread over the shards of a large table, and each is found again.
func TestShards(t *testing.T) {
	t.Parallel()
	l := New(conf.RateLimit{ConnectionRate: 1, ConnectionBurst: 1, TableSize: 100_000})
	if len(l.shards) != 16 {
		t.Fatalf("%d shards", len(l.shards))
	}
	for i := range 20_000 {
		s, v := l.Admit(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 0)
		if v != Admitted {
			t.Fatal(v)
		}
		if i%2 == 0 {
			s.Release()
		}
	}
	for i := range 20_000 {
		if _, v := l.Admit(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 0); v != RefusedRate {
			t.Fatalf("source %d: %v", i, v)
		}
	}
	checkTables(t, l)
	for i := range l.shards {
		if n := l.shards[i].table.count; n < 1000 || n > 1500 {
			t.Errorf("shard %d has %d of 20,000 sources", i, n)
		}
	}
}

func TestShardCount(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{0: 128, 1: 1, 8191: 1, 8192: 2, 100_000: 16, 1_000_000: 128, 100_000_000: 128} {
		if got := shardCount(size); got != want {
			t.Errorf("table_size %d: %d shards, want %d", size, got, want)
		}
	}
}
