package handover

import "mcplb/proxy/reactor"

// CounterGrowth is by how much the counters of one owner have grown.
type CounterGrowth struct {
	Owner  string
	Names  []string // of counters, as Counts has them
	Values []uint64 // as many
}

// oldCounts compares the counters with what was reported of them. The zero value
// has reported nothing.
type oldCounts struct {
	layouts  Layouts
	reported map[string]Counts // by owner
}

// growth returns what was counted since its last call.
func (c *oldCounts) growth(b Balancer) (all []CounterGrowth) {
	now := map[string]Counts{}
	b.EachCounters(func(owner string, _ int, counters any) {
		if now[owner] == nil {
			now[owner] = Counts{}
		}
		c.layouts.Add(now[owner], counters)
	})
	for owner, counts := range now {
		since := counts.Since(c.reported[owner])
		if len(since) == 0 {
			continue
		}
		grown := CounterGrowth{Owner: owner}
		for name, value := range since {
			grown.Names = append(grown.Names, name)
			grown.Values = append(grown.Values, value)
		}
		all = append(all, grown)
	}
	c.reported = now
	return all
}

// newCounts adds to the counters what the old process has counted. The zero
// value is ready for use.
type newCounts struct{ layouts Layouts } // used on the first loop

// add adds the growth to what the first loop counts, on that loop.
func (c *newCounts) add(b Balancer, growth []CounterGrowth) {
	if len(growth) == 0 {
		return
	}
	counts := map[string]Counts{}
	for _, grown := range growth {
		counts[grown.Owner] = grown.counts()
	}
	first := b.Engine().Loops()[0]
	b.EachCounters(func(owner string, loop int, counters any) {
		if more := counts[owner]; more != nil && loop == 0 {
			c.post(first, more, counters)
		}
	})
}

func (c *newCounts) post(loop *reactor.Loop, more Counts, counters any) {
	loop.Post(func() { c.layouts.Restore(more, counters) })
}

func (g *CounterGrowth) counts() Counts {
	counts := Counts{}
	for i, name := range g.Names[:min(len(g.Names), len(g.Values))] {
		counts[name] = g.Values[i]
	}
	return counts
}
