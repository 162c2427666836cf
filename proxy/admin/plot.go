package admin

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"mcplb/plot"
)

// timeline is a plot of the last 15 minutes, as the page's template shows it.
type timeline struct {
	Title, Unit string
	Top, Middle string // the values at the upper edge and half as high
	Now         string // the latest values, as the text alternative
	Lines       []timelineLine
	Rest        string // SVG path data of the area of all other lines; "" = none
	RestOf      int    // how many these are
	Ticks       []tick
	Bands       []band
	Marks       []mark
}

// timelineLine is one line of a timeline.
type timelineLine struct {
	Name  string
	Label string // in the legend
	Class string // CSS class of its color
	Path  string // SVG path data (plot.Strip)
}

// place is a position from left to right in percent.
type place float64

// String implements fmt.Stringer: two decimals, without zeros at the end.
func (p place) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*100)/100, 'f', -1, 64)
}

// tick is a time on the horizontal axis.
type tick struct {
	At     place
	Label  string
	Anchor string // CSS class: where the label stands
}

// band is a part of the horizontal axis that shows its values when the pointer is on it.
type band struct {
	At, Width place
	Text      string // time and values, a line each
}

// mark is a mark of events.
type mark struct {
	At    place
	Class string // CSS class: down, up or reload
	Sign  string
	Text  string
}

// colors is the number of colors that the style sheet has for lines.
const colors = 8

// bands is how many bands a full plot has: every 15 seconds.
const bands = 60

// axis is the horizontal axis of all plots: the times of the samples, in the zone in which
// the page shows times.
type axis struct {
	times []time.Time
	zone  *time.Location
}

// at returns the place of a sample.
func (a *axis) at(i int) place {
	if len(a.times) < 2 {
		return 100
	}
	return place(100 * float64(i) / float64(len(a.times)-1))
}

// after returns the place of the first sample that is not before t.
func (a *axis) after(t time.Time) (at place, i int) {
	i, _ = slices.BinarySearchFunc(a.times, t, time.Time.Compare)
	i = min(i, len(a.times)-1)
	return a.at(i), i
}

// ticks returns up to five round times.
func (a *axis) ticks() (list []tick) {
	if len(a.times) < 2 {
		return nil
	}
	first, last := a.times[0], a.times[len(a.times)-1]
	step, layout := 5*time.Minute, "15:04"
	for _, smaller := range []time.Duration{2 * time.Minute, time.Minute, 30 * time.Second, 10 * time.Second, 5 * time.Second} {
		if last.Sub(first) < 2*step {
			step = smaller
		}
	}
	if step < time.Minute {
		layout = "15:04:05"
	}
	for t := first.Truncate(step).Add(step); !t.After(last) && len(list) < 8; t = t.Add(step) {
		at, _ := a.after(t)
		anchor := "middle"
		if at < 5 {
			anchor = "start"
		} else if at > 95 {
			anchor = "end"
		}
		list = append(list, tick{at, t.In(a.zone).Format(layout), anchor})
	}
	return list
}

// timelinesOf plots what the history has recorded.
func timelinesOf(s *Snapshot, h *History) []timeline {
	a := &axis{h.clock(), s.Time.Location()}
	timelines := []timeline{
		newTimeline(a, "Connections", "of clients, by frontend", plain, frontendLines(s, h, connections), s.Events),
		newTimeline(a, "Messages/s", "from clients, by frontend", plain, frontendLines(s, h, messageRate), s.Events),
	}
	for i := range s.Backends {
		b := &s.Backends[i]
		latencies := serverLines(b, h, responseLatency)
		title, unit := "Latency of "+b.Name, "95th percentile of responses, by server"
		if !slices.ContainsFunc(latencies, func(l plot.Line) bool { return l.HasValues() }) {
			latencies, title, unit = serverLines(b, h, checkLatency), "Check latency of "+b.Name, "by server"
		}
		own := slices.DeleteFunc(slices.Clone(s.Events), func(e Event) bool { return e.Backend != "" && e.Backend != b.Name })
		timelines = append(timelines, newTimeline(a, title, unit, inWords, latencies, own))
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
func newTimeline(a *axis, title, unit string, format func(float64) string, lines []plot.Line, events []Event) timeline {
	strip := plot.NewStrip(lines, colors)
	t := timeline{
		Title: title, Unit: unit, Top: format(strip.Top), Middle: format(strip.Top / 2),
		Rest: strip.Rest, RestOf: len(lines) - len(strip.Lines), Ticks: a.ticks(), Marks: a.marks(events),
	}
	var now []string
	for i := range strip.Lines {
		l := &strip.Lines[i]
		shown := timelineLine{Name: l.Name, Label: l.Name, Class: fmt.Sprintf("s%d", l.Rank), Path: l.Path}
		if v, ok := l.Latest(); ok {
			shown.Label += " " + format(v)
		}
		now = append(now, shown.Label)
		t.Lines = append(t.Lines, shown)
	}
	t.Now = strings.Join(now, ", ")
	t.Bands = a.bands(strip.Lines, format)
	return t
}

// bands divides the axis and describes the last values of each part.
func (a *axis) bands(lines []plot.Line, format func(float64) string) (list []band) {
	each := max(historySamples/bands, 1)
	for end := len(a.times) - 1; end > 0; end -= each {
		begin := max(end-each, 0)
		text := a.times[end].In(a.zone).Format("15:04:05")
		for i := range lines {
			if at := len(lines[i].Values) - len(a.times) + end; at >= 0 && at < len(lines[i].Values) {
				if v := lines[i].Values[at]; v == v { // not NaN
					text += "\n" + lines[i].Name + " " + format(float64(v))
				}
			}
		}
		list = append(list, band{a.at(begin), a.at(end) - a.at(begin), text})
	}
	slices.Reverse(list)
	return list
}

// signs are the signs and CSS classes of events.
var signs = map[EventKind]struct{ class, sign string }{
	EventDown: {"down", "▼"}, EventUp: {"up", "▲"}, EventEmpty: {"up", "○"}, EventReload: {"reload", "●"}, EventReloadFailed: {"down", "✕"}, EventUpgrade: {"reload", "◆"},
}

// markNames is how many events the text of a mark describes.
const markNames = 5

// marks marks the events. Those of one kind in the same band share a mark.
func (a *axis) marks(events []Event) (list []mark) {
	if len(a.times) < 2 {
		return nil
	}
	type spot struct {
		band int
		kind EventKind
	}
	known, counts := map[spot]int{}, map[spot]int{}
	for i := range events {
		e := &events[i]
		at, sample := a.after(e.Time)
		here := spot{sample * bands / historySamples, e.Kind}
		text := e.Time.In(a.zone).Format("15:04:05") + " " + e.words()
		counts[here]++
		place, there := known[here]
		switch {
		case !there:
			known[here] = len(list)
			list = append(list, mark{at, signs[e.Kind].class, signs[e.Kind].sign, text})
		case counts[here] <= markNames:
			list[place].Text += "\n" + text
		case counts[here] == markNames+1:
			list[place].Text += "\n..."
		}
	}
	return list
}

// bar is the bar of one server in a distribution.
type bar struct {
	plot.Bar
	Title, Class string
}

// distribution is a drawing of how connections are distributed to servers.
type distribution struct {
	Bars   []bar
	Width  int    // of the drawing
	Shown  int    // its width in pixels, if there is room
	Spread string // how even the distribution is, in words
}

// distributionOf plots how a backend's connections are distributed to its servers.
func distributionOf(b *Backend) distribution {
	shown := distribution{Width: plot.BarsWidth(len(b.Servers)), Shown: max(80*len(b.Servers), 1)}
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
		if s.State == ServerDown || s.Admin == AdminDrain || s.Admin == AdminMaint || s.asksToDrain() {
			title = s.Name + " is " + wordsOf(s) + title[len(s.Name):]
		}
		shown.Bars = append(shown.Bars, bar{Bar: one, Title: title, Class: classOf(s)})
	}
	if inUse {
		shown.Spread = fmt.Sprintf("The furthest is %.1f%% off.", 100*furthest)
	}
	return shown
}
