package plot

import (
	"fmt"
	"html"
	"strings"
)

// Chart is a drawing with axes: lines, or groups of bars if there are labels.
// The zero value draws empty axes.
type Chart struct {
	Title  string
	X, Y   string // the axes' captions, with units
	Series []Series
	Labels []string // bars: one name per group; nil = lines
	Marks  []Mark   // lines only
	Log    bool     // lines only: both axes are logarithmic
}

// Series is one line, or one color of bars. Bars use only Y, one value per group.
// X and Y of a line have the same length.
type Series struct {
	Name string
	X, Y []float64
}

// Mark is a labelled vertical line.
type Mark struct {
	At    float64 // on the X axis
	Label string
}

// The chart's measures in pixels.
const (
	chartWidth, chartHeight = 760, 320
	marginLeft, marginRight = 70, 16
	marginTop, marginBottom = 34, 66
	innerWidth              = chartWidth - marginLeft - marginRight
	innerHeight             = chartHeight - marginTop - marginBottom
)

// mostDots is the number of points up to which a line shows each as a dot.
const mostDots = 20

// palette can be distinguished by most people with a color vision deficiency (Okabe
// and Ito).
var palette = [...]string{"#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000"}

func color(i int) string { return palette[i%len(palette)] }

// SVG returns the chart as a complete SVG document, ending with a newline.
func (c *Chart) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		chartWidth, chartHeight, chartWidth, chartHeight)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14" font-weight="bold">%s</text>`+"\n", marginLeft, html.EscapeString(c.Title))
	var xs, ys []float64
	for _, s := range c.Series {
		xs, ys = append(xs, s.X...), append(ys, s.Y...)
	}
	vertical := newAxis(ys, marginTop+innerHeight, marginTop, c.Log, true)
	c.drawVertical(&b, vertical)
	if c.Labels != nil {
		c.drawBars(&b, vertical)
	} else {
		horizontal := newAxis(xs, marginLeft, marginLeft+innerWidth, c.Log, false)
		c.drawHorizontal(&b, horizontal)
		c.drawLines(&b, horizontal, vertical)
	}
	c.drawLegend(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

func (c *Chart) drawVertical(b *strings.Builder, a *axis) {
	for _, tick := range a.ticks() {
		y := a.at(tick)
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>`, marginLeft, marginLeft+innerWidth, y, y)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", marginLeft-6, y+4, Number(tick))
	}
	fmt.Fprintf(b, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", marginTop+innerHeight/2, html.EscapeString(c.Y))
}

func (c *Chart) drawHorizontal(b *strings.Builder, a *axis) {
	for _, tick := range a.ticks() {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", a.at(tick), marginTop+innerHeight+16, Number(tick))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", marginLeft+innerWidth/2, marginTop+innerHeight+34, html.EscapeString(c.X))
	for i, m := range c.Marks {
		x := a.at(m.At)
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#888" stroke-dasharray="4 3"/>`, x, x, marginTop, marginTop+innerHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="#555">%s</text>`+"\n", x+3, marginTop+12+12*(i%2), html.EscapeString(m.Label))
	}
}

func (c *Chart) drawLines(b *strings.Builder, horizontal, vertical *axis) {
	for i, s := range c.Series {
		var points strings.Builder
		for j := range s.X {
			fmt.Fprintf(&points, "%.1f,%.1f ", horizontal.at(s.X[j]), vertical.at(s.Y[j]))
			if len(s.X) <= mostDots {
				fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, horizontal.at(s.X[j]), vertical.at(s.Y[j]), color(i))
			}
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.6" points="%s"/>`+"\n", color(i), strings.TrimSpace(points.String()))
	}
}

func (c *Chart) drawBars(b *strings.Builder, vertical *axis) {
	group := float64(innerWidth) / float64(max(len(c.Labels), 1))
	width := group * 0.8 / float64(max(len(c.Series), 1))
	for g, label := range c.Labels {
		left := marginLeft + group*(float64(g)+0.1)
		for i, s := range c.Series {
			if g >= len(s.Y) {
				continue
			}
			x, y := left+width*float64(i), vertical.at(s.Y[g])
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, width*0.94, vertical.begin-y, color(i))
			fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="10" text-anchor="middle">%s</text>`+"\n", x+width/2, y-3, Number(s.Y[g]))
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d" font-size="10" text-anchor="middle">%s</text>`+"\n", left+group*0.4, marginTop+innerHeight+16, html.EscapeString(label))
	}
}

func (c *Chart) drawLegend(b *strings.Builder) {
	x := marginLeft
	for i, s := range c.Series {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			x, chartHeight-20, color(i), x+16, chartHeight-10, html.EscapeString(s.Name))
		x += 30 + 7*len(s.Name)
	}
}
