// Package metrics holds the counters that the event loops write and everything
// else reads: Counter, Max, Timing and Histogram, and the sums over loops that
// pages show, TimingTotal and Latency.
//
// A struct of counters belongs to one loop, is padded by its owner against
// sharing cache lines with another loop's, and implements Set by listing its
// fields once:
//
//	type Counters struct {
//		Sessions metrics.Counter
//		Ended    [reasons]metrics.Counter
//		Connect  metrics.Timing
//		_        [64]byte
//	}
//
//	func (c *Counters) Visit(v metrics.Visitor) {
//		v.Counter("Sessions", &c.Sessions)
//		v.Counters("Ended", c.Ended[:])
//		c.Connect.Visit("Connect", v)
//	}
//
// From that list Counts adds sets up, subtracts an earlier state, and restores
// them in the new process of an upgrade. internal/metricstest verifies that a
// list is complete.
//
// Adding costs one atomic addition and allocates nothing. The zero value of
// every type is ready for use; none may be copied while it is written, except
// the sums.
package metrics
