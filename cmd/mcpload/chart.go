package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a plot: lines, or bars side by side where there are labels. It is
// drawn as SVG, which needs nothing to be shown but a browser.
type chart struct {
	title  string
	x, y   string // what the axes show, with its unit
	series []series
	labels []string // bars: the groups' names; nil = lines
	marks  []mark   // vertical lines
	log    bool     // lines: both axes are logarithmic
}

// series is one line, or one colour of bars (then only y counts).
type series struct {
	name string
	x, y []float64
}

// The drawing's measures in pixels.
const (
	chartWidth, chartHeight = 760, 320
	marginLeft, marginRight = 70, 16
	marginTop, marginBottom = 34, 66
	plotWidth               = chartWidth - marginLeft - marginRight
	plotHeight              = chartHeight - marginTop - marginBottom
)

// colours can be told apart by most people with a colour vision deficiency
// (Okabe and Ito's palette).
var colours = []string{"#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000"}

// axis maps values to pixels.
type axis struct {
	low, high  float64
	begin, end float64 // pixels
	log        bool
}

func (a *axis) at(value float64) float64 {
	low, high := a.low, a.high
	if a.log {
		low, high, value = math.Log10(low), math.Log10(high), math.Log10(max(value, a.low))
	}
	return a.begin + (value-low)/(high-low)*(a.end-a.begin)
}

// ticks are round values along the axis.
func (a *axis) ticks() []float64 {
	var list []float64
	if a.log {
		for decade := math.Pow(10, math.Floor(math.Log10(a.low))); decade <= a.high*1.001; decade *= 10 {
			if decade >= a.low*0.999 {
				list = append(list, decade)
			}
		}
		return list
	}
	step := roundStep((a.high - a.low) / 6)
	for value := math.Ceil(a.low/step) * step; value <= a.high+step/1000; value += step {
		list = append(list, value)
	}
	return list
}

// roundStep is the smallest of 1, 2 and 5 times a power of ten that is not
// below step.
func roundStep(step float64) float64 {
	if step <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= step*0.999 {
			return factor * power
		}
	}
	return 10 * power
}

// newAxis makes an axis for values; a linear one of heights begins at 0.
func newAxis(values []float64, begin, end float64, log, fromZero bool) *axis {
	a := &axis{low: math.Inf(1), high: math.Inf(-1), begin: begin, end: end, log: log}
	for _, value := range values {
		if log && value <= 0 {
			continue
		}
		a.low, a.high = min(a.low, value), max(a.high, value)
	}
	if math.IsInf(a.low, 1) {
		a.low, a.high = 1, 10
	}
	if log {
		a.low = math.Pow(10, math.Floor(math.Log10(a.low)))
		a.high = math.Pow(10, math.Ceil(math.Log10(a.high)))
	} else if fromZero {
		a.low, a.high = min(0, a.low), a.high*1.05
	}
	if a.high <= a.low {
		a.high = a.low + 1
		if log {
			a.high = a.low * 10
		}
	}
	return a
}

// svg draws the chart.
func (c *chart) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		chartWidth, chartHeight, chartWidth, chartHeight)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14" font-weight="bold">%s</text>`+"\n", marginLeft, html.EscapeString(c.title))
	var xs, ys []float64
	for _, s := range c.series {
		xs, ys = append(xs, s.x...), append(ys, s.y...)
	}
	vertical := newAxis(ys, marginTop+plotHeight, marginTop, c.log, true)
	c.drawVertical(&b, vertical)
	if c.labels != nil {
		c.drawBars(&b, vertical)
	} else {
		horizontal := newAxis(xs, marginLeft, marginLeft+plotWidth, c.log, false)
		c.drawHorizontal(&b, horizontal)
		c.drawLines(&b, horizontal, vertical)
	}
	c.drawLegend(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *chart) drawVertical(b *strings.Builder, a *axis) {
	for _, tick := range a.ticks() {
		y := a.at(tick)
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>`, marginLeft, marginLeft+plotWidth, y, y)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", marginLeft-6, y+4, number(tick))
	}
	fmt.Fprintf(b, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", marginTop+plotHeight/2, html.EscapeString(c.y))
}

func (c *chart) drawHorizontal(b *strings.Builder, a *axis) {
	for _, tick := range a.ticks() {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", a.at(tick), marginTop+plotHeight+16, number(tick))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", marginLeft+plotWidth/2, marginTop+plotHeight+34, html.EscapeString(c.x))
	for i, m := range c.marks {
		x := a.at(m.Seconds)
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#888" stroke-dasharray="4 3"/>`, x, x, marginTop, marginTop+plotHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="#555">%s</text>`+"\n", x+3, marginTop+12+12*(i%2), html.EscapeString(m.What))
	}
}

func (c *chart) drawLines(b *strings.Builder, horizontal, vertical *axis) {
	for i, s := range c.series {
		var points strings.Builder
		for j := range s.x {
			fmt.Fprintf(&points, "%.1f,%.1f ", horizontal.at(s.x[j]), vertical.at(s.y[j]))
			if len(s.x) <= 20 {
				fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, horizontal.at(s.x[j]), vertical.at(s.y[j]), colour(i))
			}
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.6" points="%s"/>`+"\n", colour(i), strings.TrimSpace(points.String()))
	}
}

func (c *chart) drawBars(b *strings.Builder, vertical *axis) {
	group := float64(plotWidth) / float64(max(len(c.labels), 1))
	width := group * 0.8 / float64(max(len(c.series), 1))
	for g, label := range c.labels {
		left := marginLeft + group*(float64(g)+0.1)
		for i, s := range c.series {
			if g >= len(s.y) {
				continue
			}
			x, y := left+width*float64(i), vertical.at(s.y[g])
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, width*0.94, vertical.begin-y, colour(i))
			fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="10" text-anchor="middle">%s</text>`+"\n", x+width/2, y-3, number(s.y[g]))
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d" font-size="10" text-anchor="middle">%s</text>`+"\n", left+group*0.4, marginTop+plotHeight+16, html.EscapeString(label))
	}
}

func (c *chart) drawLegend(b *strings.Builder) {
	x := marginLeft
	for i, s := range c.series {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			x, chartHeight-20, colour(i), x+16, chartHeight-10, html.EscapeString(s.name))
		x += 30 + 7*len(s.name)
	}
}

func colour(i int) string { return colours[i%len(colours)] }

// number writes a value shortly.
func number(value float64) string {
	switch size := abs(value); {
	case size >= 1e6:
		return trimZeros(value/1e6) + "M"
	case size >= 10e3:
		return trimZeros(value/1e3) + "k"
	default:
		return trimZeros(value)
	}
}

func trimZeros(value float64) string {
	digits := 2
	if abs(value) >= 100 {
		digits = 0
	}
	text := decimal(value, digits)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
