package handover

import (
	"mcplb/proxy/metrics"
)

// Growth is by how much the counters of one owner have grown: metrics.Counts
// without its maps.
type Growth struct {
	Owner  string
	Sums   []GrownSum
	Maxima []GrownMaximum
}

// GrownSum is an element of metrics.Counts.Sums.
type GrownSum struct {
	Name   string
	Values []uint64
}

// GrownMaximum is an element of metrics.Counts.Maxima.
type GrownMaximum struct {
	Name  string
	Value uint64
}

// oldCounts compares the counters with what was reported of them. The zero value
// has reported nothing.
type oldCounts struct {
	reported map[string]metrics.Counts // by owner
}

// growth returns what was counted since its last call.
func (c *oldCounts) growth(b Balancer) (all []Growth) {
	counted := map[string]metrics.Counts{}
	b.EachCounters(func(owner string, _ int, counters metrics.Set) {
		sum := counted[owner]
		sum.Add(counters)
		counted[owner] = sum
	})
	for owner, now := range counted {
		before := c.reported[owner]
		if more := now.Sub(&before); !more.Empty() {
			all = append(all, growthOf(owner, &more))
		}
	}
	c.reported = counted
	return all
}

func growthOf(owner string, counts *metrics.Counts) Growth {
	g := Growth{Owner: owner}
	for name, values := range counts.Sums {
		g.Sums = append(g.Sums, GrownSum{name, values})
	}
	for name, value := range counts.Maxima {
		g.Maxima = append(g.Maxima, GrownMaximum{name, value})
	}
	return g
}

func (g *Growth) counts() *metrics.Counts {
	counts := &metrics.Counts{Sums: map[string][]uint64{}, Maxima: map[string]uint64{}}
	for _, sum := range g.Sums {
		counts.Sums[sum.Name] = sum.Values
	}
	for _, maximum := range g.Maxima {
		counts.Maxima[maximum.Name] = maximum.Value
	}
	return counts
}

// addGrowth adds what the old process has counted to the first loop's counters, on
// that loop.
func addGrowth(b Balancer, all []Growth) {
	if len(all) == 0 {
		return
	}
	counts := map[string]*metrics.Counts{}
	for i := range all {
		counts[all[i].Owner] = all[i].counts()
	}
	first := b.Engine().Loops()[0]
	b.EachCounters(func(owner string, loop int, counters metrics.Set) {
		if more := counts[owner]; more != nil && loop == 0 {
			first.Post(func() { more.Restore(counters) })
		}
	})
}
