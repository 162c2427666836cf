package plot

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The strip's field, in the units of its path data.
const (
	StripWidth  = 600
	StripHeight = 120
)

// Strip is a small plot of recent values: lines on one scale, without axes. The
// page that shows it draws the paths in an SVG whose viewBox is StripWidth by
// StripHeight, and the rest around it.
type Strip struct {
	Top   float64 // the value at the upper edge, rounded up
	Lines []Line  // in drawing order: the highlighted ones last, on top
}

// Line is one line of a strip.
type Line struct {
	Name   string
	Values []float32 // at equal intervals, the latest last; NaN = a gap
	Rank   int       // below highlight: highlighted, and its place among the highlighted; else -1
	Path   string    // SVG path data
}

// NewStrip draws lines, of which Name and Values are given. Up to highlight lines
// keep their order as their rank; if there are more lines, those with the highest
// peaks are highlighted, the highest first. The latest value is at the right edge.
func NewStrip(lines []Line, highlight int) Strip {
	peak, points := 0.0, 2
	for i := range lines {
		peak, points = max(peak, peakOf(lines[i].Values)), max(points, len(lines[i].Values))
	}
	s := Strip{Top: roundUp(peak), Lines: slices.Clone(lines)}
	s.rank(highlight)
	for i := range s.Lines {
		s.Lines[i].Path = pathOf(s.Lines[i].Values, points, s.Top)
	}
	return s
}

// rank ranks the lines and moves the highlighted ones to the end.
func (s *Strip) rank(highlight int) {
	order := make([]int, len(s.Lines))
	for i := range order {
		order[i], s.Lines[i].Rank = i, -1
	}
	if len(order) > highlight {
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Compare(peakOf(s.Lines[b].Values), peakOf(s.Lines[a].Values))
		})
	}
	for rank, i := range order[:min(len(order), highlight)] {
		s.Lines[i].Rank = rank
	}
	slices.SortStableFunc(s.Lines, func(a, b Line) int { return cmp.Compare(min(a.Rank, 0), min(b.Rank, 0)) })
}

// Latest returns the last value; false if there is none or it is a gap.
func (l *Line) Latest() (float64, bool) {
	if len(l.Values) == 0 || isGap(l.Values[len(l.Values)-1]) {
		return 0, false
	}
	return float64(l.Values[len(l.Values)-1]), true
}

// HasValues reports whether any value is not a gap.
func (l *Line) HasValues() bool {
	return slices.ContainsFunc(l.Values, func(v float32) bool { return !isGap(v) })
}

func isGap(v float32) bool { return v != v }

// peakOf returns the greatest value, ignoring gaps; at least 0.
func peakOf(values []float32) float64 {
	peak := 0.0
	for _, v := range values {
		if !isGap(v) {
			peak = max(peak, float64(v))
		}
	}
	return peak
}

// pathOf returns SVG path data for values, of which points fill the width. Gaps
// stay open, and points between two at the same height are left out.
func pathOf(values []float32, points int, top float64) string {
	var out strings.Builder
	drawing, height := false, -1
	for i, v := range values {
		if isGap(v) {
			drawing = false
			continue
		}
		x := StripWidth - (len(values)-1-i)*StripWidth/max(points-1, 1)
		y := heightOf(v, top)
		continues := i+1 < len(values) && !isGap(values[i+1])
		switch {
		case !drawing:
			fmt.Fprintf(&out, "M%d %d", x, y)
			if !continues {
				out.WriteString("h1") // a single point
			}
		case y == height && continues && heightOf(values[i+1], top) == y:
			continue
		default:
			fmt.Fprintf(&out, "L%d %d", x, y)
		}
		drawing, height = true, y
	}
	return out.String()
}

// heightOf returns the y of a value; one above top stays inside the field.
func heightOf(v float32, top float64) int {
	return StripHeight - int(math.Round(min(float64(v)/top, 1)*(StripHeight-2))) - 1
}
