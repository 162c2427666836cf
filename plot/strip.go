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
	Lines []Line  // the highlighted ones, by rank
	Rest  string  // SVG path data of an area: from the lowest to the highest of the others; "" = there are none
}

// Line is one line of a strip.
type Line struct {
	Name   string
	Values []float32 // at equal intervals, the latest last; NaN = a gap
	Rank   int       // its place among the highlighted
	Path   string    // SVG path data
}

// NewStrip draws lines, of which Name and Values are given. Up to highlight lines
// keep their order as their rank; if there are more lines, those with the highest
// peaks are highlighted, the highest first, and the others are drawn as one area: a
// line for each of hundreds would be unreadable, and large. The latest value is at the
// right edge.
func NewStrip(lines []Line, highlight int) Strip {
	peak, points := 0.0, 2
	for i := range lines {
		peak, points = max(peak, peakOf(lines[i].Values)), max(points, len(lines[i].Values))
	}
	s := Strip{Top: roundUp(peak), Lines: slices.Clone(lines)}
	if len(lines) > highlight {
		slices.SortStableFunc(s.Lines, func(a, b Line) int { return cmp.Compare(peakOf(b.Values), peakOf(a.Values)) })
		s.Rest = areaOf(s.Lines[highlight:], points, s.Top)
		s.Lines = s.Lines[:highlight]
	}
	for i := range s.Lines {
		s.Lines[i].Rank = i
		s.Lines[i].Path = pathOf(s.Lines[i].Values, points, s.Top)
	}
	return s
}

// areaOf returns SVG path data of the area between the lowest and the highest of the lines
// at each point. It is open where all have a gap.
func areaOf(lines []Line, points int, top float64) string {
	low, high := slices.Repeat([]float32{float32(math.NaN())}, points), slices.Repeat([]float32{float32(math.NaN())}, points)
	for i := range lines {
		for j, v := range lines[i].Values {
			at := points - len(lines[i].Values) + j
			if isGap(v) {
				continue
			}
			if isGap(low[at]) || v < low[at] {
				low[at] = v
			}
			if isGap(high[at]) || v > high[at] {
				high[at] = v
			}
		}
	}
	var out strings.Builder
	for i := 0; i < points; i++ {
		first := i
		for i < points && !isGap(low[i]) {
			i++
		}
		if i > first {
			writeArea(&out, low, high, first, i, top)
		}
	}
	return out.String()
}

// writeArea writes the area of the points from first to before last: along the top from left
// to right, and back along the bottom.
func writeArea(out *strings.Builder, low, high []float32, first, last int, top float64) {
	command := "M"
	point := func(values []float32, i int) {
		y := heightOf(values[i], top)
		if level := i > first && i+1 < last && heightOf(values[i-1], top) == y && heightOf(values[i+1], top) == y; level {
			return
		}
		fmt.Fprintf(out, "%s%d %d", command, xOf(i, len(values)), y)
		command = "L"
	}
	for i := first; i < last; i++ {
		point(high, i)
	}
	for i := last - 1; i >= first; i-- {
		point(low, i)
	}
	out.WriteString("Z")
}

// xOf returns the x of point i of points.
func xOf(i, points int) int { return StripWidth - (points-1-i)*StripWidth/max(points-1, 1) }

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
		x := xOf(points-len(values)+i, points)
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
