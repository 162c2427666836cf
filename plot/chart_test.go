package plot

import (
	"testing"

	"mcplb/internal/golden"
)

func TestChart(t *testing.T) {
	t.Parallel()
	samples := Series{Name: "p99"} // too many points for dots
	for i := range 60 {
		samples.X, samples.Y = append(samples.X, float64(i)), append(samples.Y, float64(i*i%37)/10)
	}
	seconds, clients := []float64{0, 1, 2, 3, 4, 5}, []float64{100, 1000, 9750}
	for name, chart := range map[string]Chart{
		"empty": {Title: "Nothing", X: "seconds", Y: "ms"},
		"lines": {Title: "Sessions by node", X: "seconds", Y: "sessions",
			Series: []Series{{"node1", seconds, []float64{0, 120, 250, 250, 333, 333}}, {"node2 & <more>", seconds, []float64{0, 118, 250, 0, 0, 167}}},
			Marks:  []Mark{{2.5, "fault"}, {2.9, "down"}, {4.2, "repair"}}},
		"samples": {Title: "Latency", X: "seconds", Y: "ms", Series: []Series{samples}},
		"log": {Title: "Latency at 500 messages a second", X: "connections", Y: "ms", Log: true,
			Series: []Series{{"p50 ms", clients, []float64{0.8, 1, 0.7}}, {"p99 ms", clients, []float64{3.4, 6.1, 60}}}},
		"bars": {Title: "Processor time for a message", Y: "µs", Labels: []string{"tcp", "http", "tcp, full speed"},
			Series: []Series{{Name: "mcplb", Y: []float64{42, 39.4, 7.6}}, {Name: "HAProxy", Y: []float64{24.25, 26, 12900}}, {Name: "nginx", Y: []float64{1, 2}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden.Compare(t, name+".svg", chart.SVG())
		})
	}
}
