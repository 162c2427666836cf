package admin

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"mcplb/plot"
)

// timeline is a plot of the last 15 minutes, as the page's template shows it.
type timeline struct {
	Title, Unit string
	Top         string // the value at the upper edge
	Now         string // the latest values, as the text alternative
	Span        string // the time that it covers
	Lines       []timelineLine
}

// timelineLine is one line of a timeline.
type timelineLine struct {
	Name  string
	Label string // in the legend; "" = none
	Class string // CSS class of its color; "" = gray
	Path  string // SVG path data (plot.Strip)
}

// colors is the number of colors that the style sheet has for lines.
const colors = 8

// timelinesOf plots what the history has recorded.
func timelinesOf(s *Snapshot, h *History) []timeline {
	first, last := h.span()
	span := forHowLong(last.Sub(first))
	timelines := []timeline{
		newTimeline("Connections", "of clients, by frontend", span, plain, frontendLines(s, h, connections)),
		newTimeline("Messages a second", "from clients, by frontend", span, plain, frontendLines(s, h, messageRate)),
	}
	for i := range s.Backends {
		b := &s.Backends[i]
		latencies := serverLines(b, h, responseLatency)
		title, unit := "Latency p95: "+b.Name, "of answers, by server"
		if !slices.ContainsFunc(latencies, func(l plot.Line) bool { return l.HasValues() }) {
			latencies, title, unit = serverLines(b, h, checkLatency), "Check latency: "+b.Name, "by server"
		}
		timelines = append(timelines, newTimeline(title, unit, span, inWords, latencies))
	}
	return timelines
}

// plain formats a number without a unit.
func plain(v float64) string { return strconv.FormatFloat(round3(v), 'f', -1, 64) }

func frontendLines(s *Snapshot, h *History, what measure) []plot.Line {
	var lines []plot.Line
	for _, f := range s.Frontends {
		lines = append(lines, plot.Line{Name: f.Name, Values: h.values(SeriesKey{Frontend: f.Name, Measure: what})})
	}
	return lines
}

func serverLines(b *Backend, h *History, what measure) []plot.Line {
	var lines []plot.Line
	for _, s := range b.Servers {
		lines = append(lines, plot.Line{Name: s.Name, Values: h.values(SeriesKey{Backend: b.Name, Server: s.Name, Measure: what})})
	}
	return lines
}

// newTimeline plots lines. The highlighted ones have a color and a label.
func newTimeline(title, unit, span string, format func(float64) string, lines []plot.Line) timeline {
	strip := plot.NewStrip(lines, colors)
	t := timeline{Title: title, Unit: unit, Span: span, Top: format(strip.Top)}
	var now []string
	for i := range strip.Lines {
		l := &strip.Lines[i]
		shown := timelineLine{Name: l.Name, Path: l.Path}
		if l.Rank >= 0 {
			shown.Class, shown.Label = fmt.Sprintf("s%d", l.Rank), l.Name
			if v, ok := l.Latest(); ok {
				shown.Label += " " + format(v)
			}
			now = append(now, shown.Label)
		}
		t.Lines = append(t.Lines, shown)
	}
	t.Now = strings.Join(now, ", ")
	return t
}

// bar is the bar of one server in a distribution.
type bar struct {
	plot.Bar
	Title, Class string
}

// distributionOf plots how a backend's connections are distributed to its servers.
func distributionOf(b *Backend) pageBackend {
	shown := pageBackend{B: b, Width: plot.BarsWidth(len(b.Servers)), Shown: max(80*len(b.Servers), 1)}
	var shares, fairShares []float64
	furthest, inUse := 0.0, false
	for i := range b.Servers {
		s := &b.Servers[i]
		shares, fairShares = append(shares, s.Share), append(fairShares, s.FairShare)
		if s.FairShare > 0 {
			furthest = max(furthest, math.Abs(s.Share/s.FairShare-1))
		}
		inUse = inUse || s.Share > 0
	}
	for i, one := range plot.Bars(shares, fairShares) {
		s := &b.Servers[i]
		title := fmt.Sprintf("%s: %d connections, %.1f%% of a fair %.1f%%", s.Name, s.Connections.Current, 100*s.Share, 100*s.FairShare)
		shown.Bars = append(shown.Bars, bar{Bar: one, Title: title, Class: classOf(*s)})
	}
	if inUse {
		shown.Spread = fmt.Sprintf("The furthest is %.1f%% off.", 100*furthest)
	}
	return shown
}
