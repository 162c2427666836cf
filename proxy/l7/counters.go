//go:build linux

package l7

import (
	"sync/atomic"

	"mcplb/proxy/l4"
)

// Counters are what one loop has counted for one frontend. Only that loop
// adds; anybody may read.
type Counters struct {
	Taken    l4.Counters        // of clients' connections and their bytes; messages are requests
	Requests atomic.Uint64      // whose head was read whole
	Status   [6]atomic.Uint64   // answers by class: [2] is 2xx; those of the balancer's own among them
	Own      [own]atomic.Uint64 // answers of the balancer's own, by why
	Modern   atomic.Uint64      // requests of the stateless era (MCP 2026-07-28)
	Sessions atomic.Uint64      // requests that bore an MCP session
	Opened   atomic.Uint64      // MCP sessions that servers opened
	Tunnels  atomic.Uint64      // connections that became WebSockets
}

// Totals are a frontend's counters, summed over the loops.
type Totals struct {
	l4.Totals
	Requests uint64
	Status   map[string]uint64 // by class: "2xx"
	Own      map[string]uint64 // by Why
	Modern   uint64
	Sessions uint64
	Opened   uint64
	Tunnels  uint64
}

// Totals sums the frontend's counters.
func (f *Frontend) Totals() Totals {
	t := Totals{Totals: l4.NewTotals(), Status: map[string]uint64{}, Own: map[string]uint64{}}
	for i := range f.counters {
		c := &f.counters[i]
		t.Totals.Add(&c.Taken)
		t.Requests += c.Requests.Load()
		t.Modern += c.Modern.Load()
		t.Sessions += c.Sessions.Load()
		t.Opened += c.Opened.Load()
		t.Tunnels += c.Tunnels.Load()
		for class := 1; class < len(c.Status); class++ {
			t.Status[string(rune('0'+class))+"xx"] += c.Status[class].Load()
		}
		for why := range own {
			t.Own[why.String()] += c.Own[why].Load()
		}
	}
	return t
}
