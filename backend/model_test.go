package backend

import "testing"

// tally counts, by member, what the members should count of the memory. It fails
// if the memory contradicts itself.
func tally(t testing.TB, p *Pool) ([]int32, []placements) {
	t.Helper()
	attributed, want := make([]int32, len(p.balancer.members.all)), make([]placements, len(p.balancer.members.all))
	used := 0
	for source, first := range p.balancer.sticky.memory.first {
		if first == noEntry {
			t.Fatalf("%v has no entry", source)
		}
		for r := first; r != noEntry; r = p.balancer.sticky.memory.at(r).sibling {
			e := p.balancer.sticky.memory.at(r)
			used++
			if e.Source != source || e.live < 0 || e.Peak < e.live || e.Peak < 1 || e.Further != (r != first) {
				t.Fatalf("entry %+v of %v", e, source)
			}
			counts := &want[e.Primary]
			attributed[e.Primary] += e.live
			counts.entries++
			if e.live > 0 {
				counts.expected += max(e.live, e.Peers/3)
			}
			if r == first {
				counts.sources++
			}
			if r == first && e.live > 0 {
				counts.live++
			}
			if r == first && e.live > 0 && e.live >= e.Peers {
				counts.grown++
			}
			if e.Fallback != none {
				want[e.Fallback].fallbacks++
				want[e.Fallback].fallbackPeaks += e.Peak
			}
		}
	}
	if used != p.balancer.sticky.memory.used {
		t.Fatalf("%d entries by source, %d in use", used, p.balancer.sticky.memory.used)
	}
	return attributed, want
}

// checkCounts fails unless every count that the pool keeps is right.
func checkCounts(t testing.TB, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	attributed, want := tally(t, p)
	for i := range p.balancer.members.all {
		m := &p.balancer.members.all[i]
		if m.attributed != attributed[i] || *m.placements != want[i] {
			t.Fatalf("member %d: attributed %d, %+v, want %d, %+v", i, m.attributed, *m.placements, attributed[i], want[i])
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
