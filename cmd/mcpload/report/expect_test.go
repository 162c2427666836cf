package report

import (
	"testing"
	"time"

	"mcplb/cmd/mcpload/latency"
)

// Each expectation fails alone.
func TestJudge(t *testing.T) {
	t.Parallel()
	good := func() (*Report, *Expectations) {
		detected, recovered := 1.0, 2.0
		e := &Expectations{Distribution: 2, P50: time.Second, P95: time.Second, P99: time.Second, Spread: 5, Sticky: true,
			Failover: 5 * time.Second, Recovery: 5 * time.Second, Undisturbed: true, Memory: []MemoryLimit{{"lb", 100}}}
		return &Report{Clients: 20, Held: 20, Monitor: Monitor{20, 20}, Off: 1, Load: Load{Spread: 1, Latency: latency.Quantiles{Count: 10, P50: 1, P95: 1, P99: 1, Max: 1}},
			Fault: &Fault{Detected: &detected, Recovered: &recovered}, Watched: []Watched{{Name: "lb", Peak: 50e6}}}, e
	}
	p, e := good()
	p.Verdict = e.Judge(p, true)
	if p.Failed() || len(p.Verdict) != 12 {
		t.Fatalf("%d: %+v", len(p.Verdict), p.Verdict)
	}
	late := 6.0
	for name, spoil := range map[string]func(*Report){
		"held":        func(p *Report) { p.Held = 19 },
		"answered":    func(p *Report) { p.Monitor.Answered = 19 },
		"off":         func(p *Report) { p.Off = 2.1 },
		"p50":         func(p *Report) { p.Load.Latency.P50 = 1001 },
		"p95":         func(p *Report) { p.Load.Latency.P95 = 1001 },
		"p99":         func(p *Report) { p.Load.Latency.P99 = 1001 },
		"no answers":  func(p *Report) { p.Load.Latency.Count = 0 },
		"spread":      func(p *Report) { p.Load.Spread = 6 },
		"wrong node":  func(p *Report) { p.Sticky.WrongNode = 1 },
		"late":        func(p *Report) { p.Fault.Detected = &late },
		"not back":    func(p *Report) { p.Fault.Recovered = nil },
		"disturbed":   func(p *Report) { p.Fault.Disturbed = 1 },
		"memory":      func(p *Report) { p.Watched[0].Peak = 101e6 },
		"not watched": func(p *Report) { p.Watched = nil },
		"lost":        func(p *Report) { p.Fault, p.Lost = nil, map[string]uint64{"x": 1} },
		"moved":       func(p *Report) { p.Fault, p.Sticky.Moved = nil, 1 },
	} {
		p, e := good()
		spoil(p)
		p.Verdict = e.Judge(p, true)
		if !p.Failed() {
			t.Errorf("%s: %+v", name, p.Verdict)
		}
	}
}
