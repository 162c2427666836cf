package backend

import "testing"

// tally counts, by member, what the members should count of the memory. It fails
// if the memory contradicts itself.
func tally(t testing.TB, p *Pool) (attributed, entries []int32) {
	t.Helper()
	k := &p.balancer.sticky
	attributed, entries = make([]int32, len(p.balancer.members.all)), make([]int32, len(p.balancer.members.all))
	used, sources, conns := 0, int32(0), int32(0)
	for source, first := range k.memory.first {
		if first == noEntry {
			t.Fatalf("%v has no entry", source)
		}
		servers, displaced := map[int32]bool{}, 0
		for r := first; r != noEntry; r = k.memory.at(r).sibling {
			e := k.memory.at(r)
			used++
			if e.Source != source || e.live < 0 || servers[e.Server] || e.live == 0 && !e.Displaced && !e.handedOver {
				t.Fatalf("entry %+v of %v", e, source)
			}
			servers[e.Server] = true
			if e.Displaced {
				displaced++
			}
			attributed[e.Server] += e.live
			entries[e.Server]++
			conns += e.live
		}
		if displaced > 1 {
			t.Fatalf("%v is displaced to %d servers", source, displaced)
		}
		if k.connected(first) {
			sources++
		}
	}
	if used != k.memory.used || sources != k.sources || conns != k.conns {
		t.Fatalf("%d entries by source, %d in use; %d sources have %d connections, counted are %d and %d",
			used, k.memory.used, sources, conns, k.sources, k.conns)
	}
	return attributed, entries
}

// checkCounts fails unless every count that the pool keeps is right.
func checkCounts(t testing.TB, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	attributed, entries := tally(t, p)
	for i := range p.balancer.members.all {
		m := &p.balancer.members.all[i]
		if m.attributed != attributed[i] || m.entries != entries[i] {
			t.Fatalf("member %d: attributed %d, entries %d, want %d, %d", i, m.attributed, m.entries, attributed[i], entries[i])
		}
		if m.server == nil {
			continue
		}
		if m.conns < 0 || int(m.conns) != m.server.Conns() {
			t.Fatalf("%s: the member has %d connections, the server %d", p.balancer.members.names[i], m.conns, m.server.Conns())
		}
	}
	idle := 0
	for r := p.balancer.sticky.memory.longestIdle(); r != noEntry; r = p.balancer.sticky.memory.at(r).next {
		if p.balancer.sticky.memory.at(r).live != 0 {
			t.Fatal("a live entry is in the list of idle ones")
		}
		idle++
	}
	for _, first := range p.balancer.sticky.memory.first {
		for r := first; r != noEntry; r = p.balancer.sticky.memory.at(r).sibling {
			if p.balancer.sticky.memory.at(r).live == 0 {
				idle--
			}
		}
	}
	if idle != 0 {
		t.Fatalf("%d more entries in the list of idle ones than there are", idle)
	}
}
