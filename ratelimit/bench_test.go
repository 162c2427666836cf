package ratelimit

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"mcplb/conf"
)

// everything is the default configuration plus the limits that are off by
// default.
var everything = conf.RateLimit{
	ConnectionRate: 1e9, ConnectionBurst: 1e9, MessageRate: 1e9, MessageBurst: 1e9, MaxConnections: 1e6,
	BanAfter: 100, BanTime: time.Minute, GlobalConnectionRate: 1e9, GlobalMessageRate: 1e9, TableSize: 1e6,
	Exempt: manyPrefixes(),
}

func manyPrefixes() []netip.Prefix {
	var list []netip.Prefix
	for i := range byte(100) {
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, i, 0, 0}), 16))
	}
	return list
}

func numbered(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x20000000+uint32(i))
	return netip.AddrFrom4(b)
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	l := New(everything)
	l.Ban(addr("192.0.2.2"), 0, 0)
	s := admit(t, l, "192.0.2.1", 0, Admitted)
	now, turn := int64(0), Turn{}
	for name, f := range map[string]func(){
		"admit and release": func() {
			s, _ := l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, 1}), now)
			s.Release()
		},
		"admit another": func() {
			now += second
			s, _ := l.Admit(numbered(int(now/second)), now)
			s.Release()
		},
		"refuse":  func() { l.Admit(netip.AddrFrom4([4]byte{192, 0, 2, 2}), now) },
		"exempt":  func() { l.Admit(netip.AddrFrom4([4]byte{10, 7, 2, 2}), now) },
		"take":    func() { s.Take(&turn, 3, now) },
		"allow":   func() { s.Allow(now) },
		"metered": func() { s.Metered() },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAdmitKnown(b *testing.B) {
	l := New(everything)
	address := numbered(1)
	b.ReportAllocs()
	for now := int64(0); b.Loop(); now += 1000 {
		s, _ := l.Admit(address, now)
		s.Release()
	}
}

// The sources of the loops are distinct, as usual; the limits are those that are
// on by default.
func BenchmarkAdmitKnownParallel(b *testing.B) {
	limits := everything
	limits.GlobalConnectionRate = 0
	l := New(limits)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s, _ := l.Admit(numbered(i&1023), int64(i)*1000)
			s.Release()
		}
	})
}

func BenchmarkAdmitExempt(b *testing.B) {
	l := New(everything)
	address := addr("10.50.1.1")
	b.ReportAllocs()
	for b.Loop() {
		l.Admit(address, 0)
	}
}

func BenchmarkAdmitBanned(b *testing.B) {
	l := New(everything)
	l.Ban(numbered(1), 0, 0)
	address := numbered(1)
	b.ReportAllocs()
	for b.Loop() {
		l.Admit(address, 0)
	}
}

// Each turn fills a table with a million sources, then admits each once more.
func BenchmarkAdmitMillion(b *testing.B) {
	const sources = 1_000_000
	b.ReportAllocs()
	for b.Loop() {
		l := New(everything)
		for range 2 {
			for i := range sources {
				s, _ := l.Admit(numbered(i), 0)
				s.Release()
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sources/2, "ns/admit")
}

func benchmarkTake(b *testing.B, limits conf.RateLimit, shared bool) {
	l := New(limits)
	one, _ := l.Admit(numbered(0), 0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		s := one
		if !shared {
			s, _ = l.Admit(numbered(int(time.Now().UnixNano()&0xffffff)), 0)
		}
		var turn Turn
		for now := int64(0); pb.Next(); now += 1000 {
			s.Take(&turn, 1, now)
		}
	})
}

func BenchmarkTake(b *testing.B) {
	source, global := everything, everything
	source.GlobalMessageRate, global.MessageRate = 0, 0
	b.Run("own source", func(b *testing.B) { benchmarkTake(b, source, false) })
	b.Run("shared source", func(b *testing.B) { benchmarkTake(b, source, true) })
	b.Run("global", func(b *testing.B) { benchmarkTake(b, global, false) })
}

func BenchmarkAllow(b *testing.B) {
	l := New(everything)
	s, _ := l.Admit(numbered(1), 0)
	b.ReportAllocs()
	for now := int64(0); b.Loop(); now += 1000 {
		s.Allow(now)
	}
}
