package main

import (
	"fmt"
	"html"
	"io"
	"strings"

	"mcplb/plot"
)

// writeHTML writes the report as one page that loads nothing: the text of print
// and the plots.
func (p *report) writeHTML(w io.Writer) error {
	var text strings.Builder
	if err := p.print(&text); err != nil {
		return err
	}
	title := p.Title
	if title == "" {
		title = fmt.Sprintf("mcpload: %d clients (%s)", p.Clients, p.Mix)
	}
	return writePage(w, title, text.String(), p.charts())
}

// writePage writes a page of a text and charts.
func writePage(w io.Writer, title, text string, charts []plot.Chart) error {
	var page strings.Builder
	fmt.Fprintf(&page, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%s</title>\n<h1>%s</h1>\n", html.EscapeString(title), html.EscapeString(title))
	for i := range charts {
		page.WriteString("<figure>\n" + charts[i].SVG() + "</figure>\n")
	}
	fmt.Fprintf(&page, "<pre>%s</pre>\n</html>\n", html.EscapeString(text))
	_, err := io.WriteString(w, page.String())
	return err
}

// charts are the plots of a run over its time.
func (p *report) charts() []plot.Chart {
	seconds := make([]float64, len(p.Samples))
	for i, s := range p.Samples {
		seconds[i] = s.Seconds
	}
	line := func(name string, value func(*sample) float64) plot.Series {
		y := make([]float64, len(p.Samples))
		for i := range p.Samples {
			y[i] = value(&p.Samples[i])
		}
		return plot.Series{Name: name, X: seconds, Y: y}
	}
	charts := []plot.Chart{
		{Title: "Sessions", Y: "sessions", Series: []plot.Series{
			line("held", func(s *sample) float64 { return float64(s.Held) }),
			line("started", func(s *sample) float64 { return float64(s.Started) }),
			line("away", func(s *sample) float64 { return float64(s.Away) })}},
		{Title: "Sessions by node", Y: "sessions", Series: p.nodeLines(line)},
		{Title: "Answers", Y: "answers a second", Series: []plot.Series{line("answers", func(s *sample) float64 { return s.PerSec })}},
		{Title: "Latency of the answers in each second", Y: "ms", Series: []plot.Series{
			line("p50", func(s *sample) float64 { return s.Latency.P50 }),
			line("p95", func(s *sample) float64 { return s.Latency.P95 }),
			line("p99", func(s *sample) float64 { return s.Latency.P99 })}},
	}
	if len(p.Watched) > 0 {
		memory := plot.Chart{Title: "Resident memory", Y: "MB"}
		for i, watched := range p.Watched {
			memory.Series = append(memory.Series, line(watched.Name, func(s *sample) float64 { return mega(s.Watched[i].Resident) }))
		}
		charts = append(charts, memory)
	}
	for i := range charts {
		charts[i].X, charts[i].Marks = "seconds", p.plotMarks()
	}
	return append(charts, p.nodeBars())
}

// nodeLines are the nodes' sessions, in the order of their names.
func (p *report) nodeLines(line func(string, func(*sample) float64) plot.Series) []plot.Series {
	var lines []plot.Series
	for _, n := range p.Nodes {
		lines = append(lines, line(n.Name, func(s *sample) float64 {
			if n.Number <= len(s.Sessions) {
				return float64(s.Sessions[n.Number-1])
			}
			return 0
		}))
	}
	return lines
}

// numbered is the name of the node that has a number in the samples.
func (p *report) numbered(number int) string {
	for _, n := range p.Nodes {
		if n.Number == number {
			return n.Name
		}
	}
	return fmt.Sprintf("node number %d", number)
}

// plotMarks returns the marks as a chart shows them.
func (p *report) plotMarks() []plot.Mark {
	var marks []plot.Mark
	for _, m := range p.Marks {
		marks = append(marks, plot.Mark{At: m.Seconds, Label: m.What})
	}
	return marks
}

// nodeBars shows the nodes' latencies side by side.
func (p *report) nodeBars() plot.Chart {
	c := plot.Chart{Title: "Latency by node", Y: "ms", Series: []plot.Series{{Name: "p50"}, {Name: "p95"}, {Name: "p99"}}, Labels: []string{}}
	for _, n := range p.Nodes {
		c.Labels = append(c.Labels, n.Name)
		for i, value := range []float64{n.Messages.P50, n.Messages.P95, n.Messages.P99} {
			c.Series[i].Y = append(c.Series[i].Y, value)
		}
	}
	return c
}
