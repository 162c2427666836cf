package backend

import "testing"

// tally counts anew, by slot, what the slots count of the memory. It fails if
// the memory contradicts itself.
func tally(t testing.TB, p *Pool) ([]int32, []residents) {
	t.Helper()
	attributed, want := make([]int32, len(p.slots)), make([]residents, len(p.slots))
	used := 0
	for source, first := range p.memory.first {
		if first == noEntry {
			t.Fatalf("%v has no entry", source)
		}
		for r := first; r != noEntry; r = p.memory.at(r).sibling {
			e := p.memory.at(r)
			used++
			if e.source != source || e.live < 0 || e.peak < e.live || e.peak < 1 || e.further != (r != first) {
				t.Fatalf("entry %+v of %v", e, source)
			}
			home := &want[e.home]
			attributed[e.home] += e.live
			home.entries++
			if e.live > 0 {
				home.expected += max(e.live, e.peers/3)
			}
			if r == first {
				home.sources++
			}
			if r == first && e.live > 0 {
				home.live++
			}
			if r == first && e.live > 0 && e.live >= e.peers {
				home.grown++
			}
			if e.refuge != none {
				want[e.refuge].guests++
				want[e.refuge].refugees += e.peak
			}
		}
	}
	if used != p.memory.used {
		t.Fatalf("%d entries by source, %d in use", used, p.memory.used)
	}
	return attributed, want
}

// checkCounts fails unless every count that the pool keeps is the sum of what
// it counts.
func checkCounts(t testing.TB, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	attributed, want := tally(t, p)
	for i := range p.slots {
		sl := &p.slots[i]
		if sl.attributed != attributed[i] || *sl.residents != want[i] {
			t.Fatalf("slot %d: attributed %d, %+v, want %d, %+v", i, sl.attributed, *sl.residents, attributed[i], want[i])
		}
		if sl.server == nil {
			continue
		}
		if sl.conns < 0 || int(sl.conns) != sl.server.Conns() {
			t.Fatalf("%s: %d connections in the slot, %d shown", p.names[i], sl.conns, sl.server.Conns())
		}
	}
	idle := 0
	for r := p.memory.longestIdle(); r != noEntry; r = p.memory.at(r).next {
		if p.memory.at(r).live != 0 {
			t.Fatal("a live entry is in the list of idle ones")
		}
		idle++
	}
	for _, first := range p.memory.first {
		for r := first; r != noEntry; r = p.memory.at(r).sibling {
			if p.memory.at(r).live == 0 {
				idle--
			}
		}
	}
	if idle != 0 {
		t.Fatalf("%d more entries in the list of idle ones than there are", idle)
	}
}
