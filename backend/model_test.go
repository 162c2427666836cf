package backend

import "testing"

// checkCounts fails unless every count that the pool keeps is the sum of what
// it counts.
func checkCounts(t testing.TB, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	want := make([]slot, len(p.slots))
	used := 0
	for source, first := range p.memory.first {
		if first == noEntry {
			t.Fatalf("%v has no entry", source)
		}
		for r := first; r != noEntry; r = p.memory.at(r).sibling {
			e := p.memory.at(r)
			used++
			if e.source != source || e.live < 0 || e.peak < e.live || e.peak < 1 {
				t.Fatalf("entry %+v of %v", e, source)
			}
			want[e.home].attributed += e.live
			want[e.home].sources++
			if e.refuge != none {
				want[e.refuge].refugees += e.peak
			}
		}
	}
	if used != p.memory.used {
		t.Fatalf("%d entries by source, %d in use", used, p.memory.used)
	}
	for i := range p.slots {
		sl, w := &p.slots[i], &want[i]
		if sl.attributed != w.attributed || sl.sources != w.sources || sl.refugees != w.refugees {
			t.Fatalf("slot %d: attributed %d, sources %d, refugees %d, want %d, %d, %d", i,
				sl.attributed, sl.sources, sl.refugees, w.attributed, w.sources, w.refugees)
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
