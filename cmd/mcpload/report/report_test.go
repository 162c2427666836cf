package report

import (
	"strings"
	"testing"
	"time"

	"mcplb/cmd/mcpload/latency"
	"mcplb/cmd/mcpload/proc"
	"mcplb/internal/golden"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// example is a report with everything in it.
func example() *Report {
	detected, recovered := 0.75, 1.1
	l := latency.Quantiles{Count: 16802, P50: 0.9, P95: 3.2, P99: 6.2, Max: 25.1}
	usage := func(mb int64) proc.Usage {
		return proc.Usage{Resident: mb * 1e6, CPU: time.Duration(mb) * time.Millisecond, Files: 42}
	}
	return &Report{
		Begin: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Clients: 8400, Mix: "tcp=70,http=30", Message: "whoami", Interval: 20, Rate: 2000,
		Ramp:    Ramp{Seconds: 4.3, Started: 8400, Held: 8400, PerSec: 1975, Opening: latency.Quantiles{Count: 8400, P50: 4.7, P99: 45.9, Max: 111.9}},
		Load:    Load{Seconds: 40, Sent: 16802, Answered: 16802, PerSec: 420, Latency: l, Kinds: map[string]latency.Quantiles{"tcp": l}, Spread: 4.1},
		Monitor: Monitor{Held: 8400, Answered: 8400}, Held: 8400, Off: 0.43, Lost: map[string]uint64{"closed by the server": 2, "status 503": 1},
		Nodes:   []Node{{Name: "node1", Number: 2, Sessions: 5000, Before: 4200, Messages: l}, {Name: "node2", Number: 1, Sessions: 3400, Before: 4200, Lost: 800, Messages: l}},
		Fault:   &Fault{Node: "node2", At: 5, Before: 4200, Lost: 800, Detected: &detected, Recovered: &recovered, SessionsAfter: []int{3400, 5000}},
		Watched: []Watched{{Name: "mcplb", PID: 7, Start: usage(10), Held: usage(30), Peak: 34e6, CPU: 1.5}},
		Marks:   []Mark{{Seconds: 5, What: "fault", Detail: "kill"}, {Seconds: 5.75, What: "down"}},
		Verdict: []Verdict{{"8400 sessions at the end", "8400", true}, {"p99 at most 5ms", "6.20 ms", false}},
		Samples: []Sample{
			{Seconds: 1, Phase: "ramp", Started: 1990, Held: 1980, Sessions: []int{1980}, Watched: []proc.Usage{usage(20)}},
			{Seconds: 6, Phase: "load", Started: 8400, Held: 8300, Away: 100, PerSec: 420, Lost: 3, Latency: l, Sessions: []int{4200, 4100}, Watched: []proc.Usage{usage(34)}},
		},
	}
}

// Users and programs read these formats: they do not change unnoticed.
func TestFormats(t *testing.T) {
	t.Parallel()
	r := example()
	var text, json, csv, html strings.Builder
	for _, err := range []error{r.Print(&text), r.WriteJSON(&json), r.WriteCSV(&csv), r.WriteHTML(&html)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	golden.Compare(t, "report.txt", text.String())
	golden.Compare(t, "report.json", json.String())
	golden.Compare(t, "report.csv", csv.String())
	if page := html.String(); strings.Count(page, "<svg") != 6 || strings.Contains(page, "NaN") || !strings.Contains(page, "node1") {
		t.Errorf("the page:\n%s", page)
	}
}

func TestCompareNames(t *testing.T) {
	t.Parallel()
	if CompareNames("node2", "node10") >= 0 || CompareNames("node2", "node1") <= 0 || CompareNames("a", "a") != 0 {
		t.Error("node2 does not stand between node1 and node10")
	}
}

func TestFurthestOff(t *testing.T) {
	t.Parallel()
	if got := FurthestOff([]int{90, 100, 110}); got < 9.99 || got > 10.01 {
		t.Errorf("10%%: %v", got)
	}
	if got := FurthestOff([]int{0, 0}); got != 0 {
		t.Errorf("no sessions: %v", got)
	}
}

// Without -fault-node nobody's sessions are expected to end: the report gives one number, not
// those of a node without a name.
func TestPrintFaultOfNoNode(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]*Fault{
		"fault\t5 sessions lost; balancer":                                 {Disturbed: 5},
		"fault\t4 of 9 sessions of node1 lost, 1 of other nodes; balancer": {Node: "node1", Lost: 4, Before: 9, Disturbed: 1},
	} {
		var text strings.Builder
		if fault.print(&text); !strings.HasPrefix(text.String(), want) {
			t.Errorf("%q, want %q", text.String(), want)
		}
	}
}
