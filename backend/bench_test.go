package backend

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"mcplb/conf"
)

// Acquire and Release allocate nothing once the pool has seen its sources and
// its longest queue, whatever the policy.
func TestNoAllocations(t *testing.T) {
	for _, policy := range allPolicies {
		for _, factor := range []float64{1.02, 0} {
			c := backendOf(4, balance(policy))
			c.BalanceFactor = factor
			p := newPool(t, c)
			held := load(t, p, 200, 2000)
			tried := []*Server{p.Servers()[1]}
			i := 0
			check := func(what string, f func()) {
				t.Helper()
				if n := testing.AllocsPerRun(500, f); n != 0 {
					t.Errorf("%s, factor %v, %s: %v allocations", policy, factor, what, n)
				}
			}
			check("come and go", func() {
				i++
				l := acquire(t, p, Request{Source: addr(i % 200), Endpoint: conf.EndpointTCP, Now: int64(i)})
				l.Release(Completed, int64(i))
			})
			check("reconnect", func() {
				i++
				h := &held[i%len(held)]
				h.slot.Release(Completed, int64(i))
				h.slot = acquire(t, p, Request{Source: h.source, Now: int64(i)})
			})
			check("redispatch", func() {
				l := acquire(t, p, Request{Source: addr(i % 200), Tried: tried, Now: int64(i)})
				l.Release(Completed, int64(i))
			})
		}
	}
}

// taker is a Waiter that keeps the slot granted.
type taker struct{ slot Slot }

func (w *taker) Granted(l Slot) { w.slot = l }

func TestNoAllocationsInQueue(t *testing.T) {
	for _, policy := range allPolicies {
		p := newPool(t, backendOf(4, balance(policy), maxConn(10)))
		held := fill(t, p)
		waiters := [2]taker{}
		i, r := 0, Request{Source: addr(1), Tried: p.Servers()[:1], Endpoint: conf.EndpointTCP}
		n := testing.AllocsPerRun(500, func() {
			i++
			w := &waiters[i%2]
			r.Now = int64(i)
			if _, result := p.Acquire(&r, w); result != Queued {
				t.Fatalf("Acquire = %v, want queued", result)
			}
			if i%3 == 0 {
				p.Cancel(w)
				return
			}
			k := 10 + i%30
			for held[k].Server() == p.Servers()[0] {
				k = (k + 1) % len(held)
			}
			held[k].Release(Completed, int64(i))
			held[k], w.slot = w.slot, Slot{}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for a turn in the queue", policy, n)
		}
	}
}

// load opens conns connections, of sources in turn.
func load(t testing.TB, p *Pool, sources, conns int) []conn {
	held := make([]conn, 0, conns)
	for i := range conns {
		a := addr(i % sources)
		held = append(held, conn{a, acquire(t, p, Request{Source: a, Now: int64(i)})})
	}
	return held
}

// A connection that comes and goes while others are held.
func BenchmarkAcquireRelease(b *testing.B) {
	for _, servers := range []int{4, 1000} {
		for _, policy := range allPolicies {
			b.Run(fmt.Sprint(policy, "/", servers), func(b *testing.B) {
				p := newPool(b, backendOf(servers, balance(policy)))
				held := load(b, p, 2000, 10000)
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					h := &held[i%len(held)]
					h.slot.Release(Completed, int64(i))
					l, _ := p.Acquire(&Request{Source: h.source, Endpoint: conf.EndpointTCP, Now: int64(i)}, nil)
					h.slot = l
				}
			})
		}
	}
}

// Plain rendezvous hashing, balance_factor 0.
func BenchmarkPlainHash(b *testing.B) {
	for _, servers := range []int{4, 1000} {
		b.Run(fmt.Sprint(servers), func(b *testing.B) {
			c := backendOf(servers)
			c.BalanceFactor = 0
			p := newPool(b, c)
			b.ReportAllocs()
			for i := range b.N {
				l, _ := p.Acquire(&Request{Source: addr(i & 0xffff), Now: int64(i)}, nil)
				l.Release(Completed, int64(i))
			}
		})
	}
}

// A source that is not remembered.
func BenchmarkNewSource(b *testing.B) {
	for _, servers := range []int{4, 1000} {
		b.Run(fmt.Sprint(servers), func(b *testing.B) {
			p := newPool(b, backendOf(servers))
			p.balancer.sticky.memory.init(100_000)
			b.ReportAllocs()
			for i := range b.N {
				l, _ := p.Acquire(&Request{Source: addr(i), Now: int64(i)}, nil)
				l.Release(Completed, int64(i))
			}
		})
	}
}

// Sources that open more connections than ever, among many held.
func BenchmarkGrowingSource(b *testing.B) {
	for _, servers := range []int{4, 1000} {
		b.Run(fmt.Sprint(servers), func(b *testing.B) {
			p := newPool(b, backendOf(servers))
			b.ReportAllocs()
			for i := range b.N {
				p.Acquire(&Request{Source: addr(i % 2000), Now: int64(i)}, nil)
			}
		})
	}
}

func BenchmarkParallel(b *testing.B) {
	p := newPool(b, backendOf(4))
	held := load(b, p, 2000, 10000)
	_ = held
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := rand.IntN(1000)
		for pb.Next() {
			i++
			l, _ := p.Acquire(&Request{Source: addr(i % 2000), Now: int64(i)}, nil)
			l.Release(Completed, int64(i))
		}
	})
}

// What a remembered source costs.
func BenchmarkMemoryPerSource(b *testing.B) {
	p := newPool(b, backendOf(4))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 1_000_000
	for i := range n {
		l, _ := p.Acquire(&Request{Source: addr(i), Now: int64(i)}, nil)
		l.Release(Completed, int64(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/source")
	runtime.KeepAlive(p)
}
