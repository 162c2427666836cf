package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// faultReport is what the fault of a run did. Times are in seconds.
type faultReport struct {
	Node      string    `json:"node"`
	At        float64   `json:"at"`
	Before    int       `json:"before"`    // sessions that the node had
	Lost      uint64    `json:"lost"`      // of these
	Disturbed uint64    `json:"disturbed"` // sessions that other nodes lost from then on
	FirstLoss *float64  `json:"first_loss,omitempty"`
	LastLoss  *float64  `json:"last_loss,omitempty"`
	Detected  *float64  `json:"detected,omitempty"`  // until the balancer said that the node is down
	Recovered *float64  `json:"recovered,omitempty"` // the longest that a client was without a session; absent when one still is
	Away      quantiles `json:"away"`                // how long they were, in milliseconds
	Refuge    []int     `json:"refuge"`              // sessions of each node, by its number, when all were back
	Repaired  *float64  `json:"repaired,omitempty"`  // from the repair until the balancer said that the node is up
}

// newFaultReport draws a fault's consequences from the marks and the losses.
func newFaultReport(r *run, t *tally) *faultReport {
	f := &faultReport{Node: r.options.faultNode, Away: quantilesOf(&t.away)}
	f.At, _ = r.fault.at("fault")
	at := r.clock + int64(f.At*1e9) // on the loops' clock
	since := func(clock int64) *float64 {
		if clock == 0 {
			return nil
		}
		s := float64(clock-at) / 1e9
		return &s
	}
	if down, ok := r.fault.at("down"); ok {
		down -= f.At
		f.Detected = &down
	}
	if up, ok := r.fault.at("up"); ok {
		repair, _ := r.fault.at("repair")
		up -= repair
		f.Repaired = &up
	}
	for _, n := range r.report.Nodes {
		losing := t.losing[r.nodes.number([]byte(n.Name))]
		if n.Name != f.Node {
			f.Disturbed += losing.count
			continue
		}
		f.Before, f.Lost = n.Before, losing.count
		f.FirstLoss, f.LastLoss = since(losing.first), since(losing.last)
	}
	if t.clients(stateWaiting, stateGone, stateOpening, stateAnnouncing) == 0 {
		longest := f.Away.Max / 1000
		f.Recovered = &longest
	}
	if p := r.report.Fault; p != nil {
		f.Refuge = p.Refuge
	}
	return f
}

// refuge notes where the clients are that the fault threw out.
func (p *report) refuge(r *run, t *tally) {
	p.Fault = &faultReport{}
	for i := 1; i < len(r.nodes.all()); i++ {
		p.Fault.Refuge = append(p.Fault.Refuge, t.sessions(i))
	}
}

// awaitServer waits until the balancer's status shows that a server is usable,
// or is not, whichever is wanted, and returns since when that is so; false when
// it takes too long. The balancer's clock is believed where that is possible:
// on a machine that is overwhelmed the answer is much later than what it tells.
func awaitServer(ctx context.Context, admin, name string, usable bool) (time.Time, bool) {
	const step = 50 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for begin := time.Now(); ; {
		is, since, err := serverUsable(ctx, admin, name)
		now := time.Now()
		switch {
		case err != nil || is != usable:
		case since.Before(begin) || since.After(now):
			return now, true
		default:
			return since, true
		}
		select {
		case <-ctx.Done():
			return time.Time{}, false
		case <-ticker.C:
		}
	}
}

// serverUsable asks the balancer whether a server takes clients, and since when
// it is up or down.
func serverUsable(ctx context.Context, admin, name string) (usable bool, since time.Time, err error) {
	const timeout = 15 * time.Second // a SYN that is lost is sent again after 1, 3 and 7 seconds
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/api/v1/status", nil)
	if err != nil {
		return false, since, fmt.Errorf("ask the balancer's status: %w", err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, since, fmt.Errorf("ask the balancer's status: %w", err)
	}
	defer response.Body.Close()
	var status struct {
		Backends []struct {
			Servers []struct {
				Name   string
				Usable bool
				Since  time.Time
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return false, since, fmt.Errorf("read the balancer's status: %w", err)
	}
	for _, backend := range status.Backends {
		for _, server := range backend.Servers {
			if server.Name == name {
				return server.Usable, server.Since, nil
			}
		}
	}
	return false, since, fmt.Errorf("the balancer has no server %s", name)
}

// hostOf is an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
