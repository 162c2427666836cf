package admin

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// plot is one drawing of the last 15 minutes.
type plot struct {
	Title, Unit string
	Top         string // the value at the upper edge
	Now         string // the last values, for who cannot see it
	Span        string // how long it spans
	Lines       []line
}

// line is one line of a plot.
type line struct {
	Name  string
	Label string // in the legend; "" = none
	Class string // its colour; "" = grey
	Path  string // SVG path data, in a field of 600 by 120

	values []float32
}

// The field that lines are drawn in.
const (
	plotWidth  = 600
	plotHeight = 120
	mostLines  = 8 // that have a colour of their own; the others are grey
)

// plotsOf draws what the history remembers.
func plotsOf(s *Snapshot, h *History) []plot {
	first, last := h.span()
	span := forHowLong(last.Sub(first))
	plots := []plot{
		draw("Connections", "of clients, by frontend", span, plain0, frontendLines(s, h, connections)),
		draw("Messages a second", "from clients, by frontend", span, plain0, frontendLines(s, h, messageRate)),
	}
	for i := range s.Backends {
		b := &s.Backends[i]
		latencies := serverLines(b, h, responseLatency)
		title, unit := "Latency p95: "+b.Name, "of answers, by server"
		if !anyValue(latencies) {
			latencies, title, unit = serverLines(b, h, checkLatency), "Check latency: "+b.Name, "by server"
		}
		plots = append(plots, draw(title, unit, span, inWords, latencies))
	}
	return plots
}

func plain0(v float64) string { return strconv.FormatFloat(round3(v), 'f', -1, 64) }

func frontendLines(s *Snapshot, h *History, what measure) []line {
	var lines []line
	for _, f := range s.Frontends {
		lines = append(lines, line{Name: f.Name, values: h.values(SeriesKey{Frontend: f.Name, Measure: what})})
	}
	return lines
}

func serverLines(b *Backend, h *History, what measure) []line {
	var lines []line
	for _, s := range b.Servers {
		lines = append(lines, line{Name: s.Name, values: h.values(SeriesKey{Backend: b.Name, Server: s.Name, Measure: what})})
	}
	return lines
}

func anyValue(lines []line) bool {
	return slices.ContainsFunc(lines, func(l line) bool {
		return slices.ContainsFunc(l.values, func(v float32) bool { return v == v })
	})
}

// draw draws lines to one scale. Where they are many, those that reach highest
// have a colour and stand in the legend.
func draw(title, unit, span string, show func(float64) string, lines []line) plot {
	most, points := 0.0, 2
	for i := range lines {
		most, points = max(most, peakOf(lines[i].values)), max(points, len(lines[i].values))
	}
	top := niceAbove(most)
	colour(lines, show)
	p := plot{Title: title, Unit: unit, Span: span, Top: show(top), Lines: lines}
	var now []string
	for i := range lines {
		lines[i].Path = pathOf(lines[i].values, points, top)
		if lines[i].Label != "" {
			now = append(now, lines[i].Label)
		}
	}
	p.Now = strings.Join(now, ", ")
	return p
}

// colour gives the highest lines a colour and a label, drawn last so that
// nothing hides them.
func colour(lines []line, show func(float64) string) {
	order := make([]int, len(lines))
	for i := range order {
		order[i] = i
	}
	if len(lines) > mostLines {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(peakOf(lines[b].values), peakOf(lines[a].values)) })
	}
	for rank, i := range order[:min(len(order), mostLines)] {
		lines[i].Class = fmt.Sprintf("s%d", rank)
		lines[i].Label = lines[i].Name
		if n := len(lines[i].values); n > 0 && lines[i].values[n-1] == lines[i].values[n-1] {
			lines[i].Label += " " + show(float64(lines[i].values[n-1]))
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(len(a.Class), len(b.Class)) })
}

// peakOf is the greatest value, gaps left aside.
func peakOf(values []float32) float64 {
	most := 0.0
	for _, v := range values {
		if v == v {
			most = max(most, float64(v))
		}
	}
	return most
}

// niceAbove is the next 1, 2 or 5 times a power of ten that is at least v.
func niceAbove(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if step*power >= v*(1-1e-9) {
			return step * power
		}
	}
	return 10 * power
}

// pathOf is SVG path data: the last value at the right edge, gaps left open,
// points that lie on a level left out.
func pathOf(values []float32, points int, top float64) string {
	var out strings.Builder
	pen, level := false, -1
	for i, v := range values {
		if v != v {
			pen = false
			continue
		}
		x := plotWidth - (len(values)-1-i)*plotWidth/max(points-1, 1)
		y := plotHeight - int(math.Round(min(float64(v)/top, 1)*(plotHeight-2))) - 1
		inside := i+1 < len(values) && values[i+1] == values[i+1]
		switch {
		case !pen:
			fmt.Fprintf(&out, "M%d %d", x, y)
			if !inside {
				fmt.Fprintf(&out, "h1") // a point of its own
			}
		case y == level && inside && levelOf(values[i+1], top) == y:
			continue // the line goes on
		default:
			fmt.Fprintf(&out, "L%d %d", x, y)
		}
		pen, level = true, y
	}
	return out.String()
}

func levelOf(v float32, top float64) int {
	return plotHeight - int(math.Round(min(float64(v)/top, 1)*(plotHeight-2))) - 1
}

// bar is one server of a distribution.
type bar struct {
	Title, Class string
	X, Y, W, H   int
	Fair         int // where the fair share stands; 0 = it has none
}

// distributionOf draws how a backend's connections are spread.
func distributionOf(b *Backend) pageBackend {
	const step, gapWidth, height = 12, 2, 60
	shown := pageBackend{B: b, Width: max(len(b.Servers)*step-gapWidth, 1), Shown: max(80*len(b.Servers), 1)}
	most := 0.0
	for i := range b.Servers {
		most = max(most, b.Servers[i].Share, b.Servers[i].FairShare)
	}
	furthest := 0.0
	for i := range b.Servers {
		s := &b.Servers[i]
		tall := int(part(s.Share, most)*0.9*height + 0.5)
		one := bar{
			Title: fmt.Sprintf("%s: %d connections, %.1f%% of a fair %.1f%%", s.Name, s.Connections.Current, 100*s.Share, 100*s.FairShare),
			Class: classOf(*s), X: i * step, W: step - gapWidth, Y: height - tall, H: tall,
		}
		if s.FairShare > 0 {
			one.Fair = height - int(part(s.FairShare, most)*0.9*height+0.5)
			furthest = max(furthest, math.Abs(s.Share/s.FairShare-1))
		}
		shown.Bars = append(shown.Bars, one)
	}
	if slices.ContainsFunc(b.Servers, func(s Server) bool { return s.Share > 0 }) {
		shown.Spread = fmt.Sprintf("The furthest is %.1f%% off.", 100*furthest)
	}
	return shown
}
