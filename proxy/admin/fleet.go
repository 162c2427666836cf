package admin

import (
	"fmt"
	"time"
)

// missedAfter is how long a fleet may be without Redis before that is a finding, and
// slowTrip how long an exchange may take.
const (
	missedAfter = 2 * time.Second
	slowTrip    = 200 * time.Millisecond
)

// fleet adds findings about what is shared with other balancers.
func (sum *Summary) fleet(f *Fleet) {
	if f == nil {
		return
	}
	if lag := time.Duration(f.LagSeconds * float64(time.Second)); !f.Connected && lag > missedAfter {
		sum.add(Degraded, fmt.Sprintf("the fleet's Redis %s cannot be used for %s, and this balancer works alone: %s", f.Redis, forHowLong(lag), orElse(f.Error, "no answer yet")),
			orElse(f.Advice, "see whether Redis runs, and whether fleet.redis is its address"))
	} else if trip := time.Duration(f.RoundTripSeconds * float64(time.Second)); f.Connected && trip > slowTrip {
		sum.add(Notice, fmt.Sprintf("the fleet's Redis %s is slow: an exchange takes %s", f.Redis, inWords(f.RoundTripSeconds)), "bans and rates of other balancers arrive late: see what Redis does (SLOWLOG GET)")
	}
	if f.Conflict {
		sum.add(Degraded, fmt.Sprintf("another balancer of fleet %s calls itself %s, too", f.Name, f.Instance), "give each its own fleet.instance, and reload")
	}
	if n := f.Invalid["bans"] + f.Invalid["sticky"] + f.Invalid["rates"]; n > 0 {
		sum.add(Notice, fmt.Sprintf("%d entries of fleet %s in Redis are none of mcplb's and were skipped", n, f.Name), "see what else writes keys mcplb:{"+f.Name+"}:*")
	}
	if n := f.Lost["bans"] + f.Lost["sticky"]; n > 0 {
		sum.add(Notice, fmt.Sprintf("%d changes were not shared with fleet %s: there were too many at once", n, f.Name), "none: later changes are shared")
	}
}

// complete makes all lists and maps present.
func (f *Fleet) complete() {
	if f == nil {
		return
	}
	f.Shares, f.Balancers = present(f.Shares), present(f.Balancers)
	f.Sent, f.Received = presentMap(f.Sent), presentMap(f.Received)
	f.Lost, f.Invalid = presentMap(f.Lost), presentMap(f.Invalid)
}

// sub makes counters relative to those of before.
func (f *Fleet) sub(before *Fleet) {
	if f == nil || before == nil {
		return
	}
	sub(&f.Errors, before.Errors)
	subMap(f.Sent, before.Sent)
	subMap(f.Received, before.Received)
	subMap(f.Lost, before.Lost)
	subMap(f.Invalid, before.Invalid)
}

var fleetMetrics = []metric[Fleet]{
	gauge("fleet_connected", "1 while the fleet's Redis can be used; 0 = this balancer works alone.", nil,
		func(f *Fleet) float64 { return number(f.Connected) }),
	gauge("fleet_lag_seconds", "Time since the last exchange with Redis that succeeded; normally below 0.2.", nil,
		func(f *Fleet) float64 { return f.LagSeconds }),
	gauge("fleet_round_trip_seconds", "Duration of that exchange.", nil,
		func(f *Fleet) float64 { return f.RoundTripSeconds }),
	gauge("fleet_balancers", "Balancers of the fleet, this one included.", nil,
		func(f *Fleet) float64 { return float64(len(f.Balancers)) }),
	gauge("fleet_waiting", "Changes that the other balancers do not know yet.", nil,
		func(f *Fleet) float64 { return float64(f.Waiting) }),
	gauge("fleet_conflict", "1 while another balancer has the same instance.", nil,
		func(f *Fleet) float64 { return number(f.Conflict) }),
	counter("fleet_errors_total", "Exchanges with Redis that failed.", nil,
		func(f *Fleet) uint64 { return f.Errors }),
	counters("fleet_sent_total", "Entries written to Redis; rates: sources, batch by batch.", nil, "share",
		func(f *Fleet) map[string]uint64 { return f.Sent }),
	counters("fleet_received_total", "Entries of Redis that were carried out; rates: sources, batch by batch.", nil, "share",
		func(f *Fleet) map[string]uint64 { return f.Received }),
	counters("fleet_lost_total", "Entries that were not written because there were too many; rates: connections and messages.", nil, "share",
		func(f *Fleet) map[string]uint64 { return f.Lost }),
	counters("fleet_invalid_total", "Entries of Redis that were skipped because they are none of mcplb's.", nil, "share",
		func(f *Fleet) map[string]uint64 { return f.Invalid }),
}
