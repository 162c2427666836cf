package report

import "mcplb/plot"

// Charts returns all plots of the report.
func (r *Report) Charts() []plot.Chart {
	charts := []plot.Chart{
		r.timeChart("Sessions", "sessions",
			r.line("held", func(s *Sample) float64 { return float64(s.Held) }),
			r.line("started", func(s *Sample) float64 { return float64(s.Started) }),
			r.line("away", func(s *Sample) float64 { return float64(s.Away) })),
		r.NodeChart(),
		r.timeChart("Answers", "answers a second", r.line("answers", func(s *Sample) float64 { return s.PerSec })),
		r.LatencyChart(),
	}
	if len(r.Watched) > 0 {
		charts = append(charts, r.MemoryChart())
	}
	return append(charts, r.nodeLatencyChart())
}

// NodeChart plots the sessions of each node over time.
func (r *Report) NodeChart() plot.Chart {
	var lines []plot.Series
	for _, n := range r.Nodes {
		lines = append(lines, r.line(n.Name, func(s *Sample) float64 {
			if n.Number <= len(s.Sessions) {
				return float64(s.Sessions[n.Number-1])
			}
			return 0
		}))
	}
	return r.timeChart("Sessions by node", "sessions", lines...)
}

// LatencyChart plots the percentiles of the latency over time.
func (r *Report) LatencyChart() plot.Chart {
	return r.timeChart("Latency of the answers in each second", "ms",
		r.line("p50", func(s *Sample) float64 { return s.Latency.P50 }),
		r.line("p95", func(s *Sample) float64 { return s.Latency.P95 }),
		r.line("p99", func(s *Sample) float64 { return s.Latency.P99 }))
}

// MemoryChart plots the memory of the watched processes over time.
func (r *Report) MemoryChart() plot.Chart {
	var lines []plot.Series
	for i, watched := range r.Watched {
		lines = append(lines, r.line(watched.Name, func(s *Sample) float64 { return MB(s.Watched[i].Resident) }))
	}
	return r.timeChart("Resident memory", "MB", lines...)
}

// timeChart returns a chart of values over the run's time, with its marks.
func (r *Report) timeChart(title, unit string, lines ...plot.Series) plot.Chart {
	c := plot.Chart{Title: title, X: "seconds", Y: unit, Series: lines}
	for _, m := range r.Marks {
		c.Marks = append(c.Marks, plot.Mark{At: m.Seconds, Label: m.What})
	}
	return c
}

// line returns a value of every sample over time.
func (r *Report) line(name string, value func(*Sample) float64) plot.Series {
	s := plot.Series{Name: name}
	for i := range r.Samples {
		s.X, s.Y = append(s.X, r.Samples[i].Seconds), append(s.Y, value(&r.Samples[i]))
	}
	return s
}

// nodeLatencyChart compares the nodes' latencies.
func (r *Report) nodeLatencyChart() plot.Chart {
	c := plot.Chart{Title: "Latency by node", Y: "ms", Series: []plot.Series{{Name: "p50"}, {Name: "p95"}, {Name: "p99"}}, Labels: []string{}}
	for _, n := range r.Nodes {
		c.Labels = append(c.Labels, n.Name)
		for i, value := range []float64{n.Messages.P50, n.Messages.P95, n.Messages.P99} {
			c.Series[i].Y = append(c.Series[i].Y, value)
		}
	}
	return c
}
