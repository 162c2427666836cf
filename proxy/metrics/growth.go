package metrics

// Growth is by how much a Latency grew between two moments. It is small: it has only the
// buckets that grew. The zero Growth is that of a Latency that did not grow.
type Growth struct {
	buckets []uint16
	counts  []uint64 // by how much each of buckets grew
	total   uint64
}

// Growth returns by how much l grew since before. A count that is lower than before has
// restarted at 0.
func (l *Latency) Growth(before *Latency) Growth {
	var g Growth
	if l.total == before.total {
		return g
	}
	for i, n := range l.counts {
		if n >= before.counts[i] {
			n -= before.counts[i]
		}
		if n > 0 {
			g.buckets, g.counts = append(g.buckets, uint16(i)), append(g.counts, n)
			g.total += n
		}
	}
	return g
}

// Count returns the number of events.
func (g *Growth) Count() uint64 { return g.total }

// AddGrowth adds the events of g, without the sum of their durations.
func (l *Latency) AddGrowth(g *Growth) {
	for i, bucket := range g.buckets {
		l.counts[bucket] += g.counts[i]
	}
	l.total += g.total
}
