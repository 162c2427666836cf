package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcplb/plot"
)

// axisOf returns an axis of samples from begin on.
func axisOf(begin time.Time, samples int) *axis {
	a := &axis{zone: time.UTC}
	for i := range samples {
		a.times = append(a.times, begin.Add(time.Duration(i)*historyInterval))
	}
	return a
}

// The axis has round clock times: an operator compares a bend with a log line.
func TestPlotTicks(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 21, 13, 52, 0, 0, time.UTC)
	for _, test := range []struct {
		samples int
		labels  string
	}{
		{0, ""}, {1, ""},
		{5, "13:52:05 13:52:10"},
		{41, "13:53 13:54"},
		{historySamples, "13:55 14:00 14:05"},
	} {
		var labels []string
		last := place(-1)
		for _, tick := range axisOf(begin, test.samples).ticks() {
			labels = append(labels, tick.Label)
			if tick.At <= last || tick.At > 100 {
				t.Errorf("%d samples: %s is at %v%%", test.samples, tick.Label, tick.At)
			}
			last = tick.At
		}
		if got := strings.Join(labels, " "); got != test.labels {
			t.Errorf("%d samples: %s, want %s", test.samples, got, test.labels)
		}
	}
	if at, _ := axisOf(begin, historySamples).after(begin.Add(6 * historyInterval)); at.String() != "2.01" {
		t.Errorf("the seventh sample is at %v%%", at)
	}
}

// Each part of a plot has its values as text: what the pointer, the arrow keys and, without
// JavaScript, the browser's tooltip show.
func TestPlotBands(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 21, 13, 52, 0, 0, time.UTC)
	values := make([]float32, historySamples)
	for i := range values {
		values[i] = float32(i)
	}
	a := axisOf(begin, historySamples)
	list := a.bands([]plot.Line{{Name: "tcp", Values: values}, {Name: "new", Values: []float32{7}}, {Name: "gap", Values: []float32{gap}}}, plain)
	if len(list) != bands || list[0].At != 0 || list[bands-1].Text != "14:06:57\ntcp 299\nnew 7" {
		t.Errorf("%d bands, the last is %+v", len(list), list[len(list)-1])
	}
	sum := place(0)
	for _, one := range list {
		sum += one.Width
	}
	if sum < 99.99 || sum > 100.01 {
		t.Errorf("together they have %v%% of the width", sum)
	}
}

// Events are marked in the plots, those of one moment by one mark: 200 servers that go
// down at once are not 200 marks.
func TestPlotMarks(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 21, 13, 52, 0, 0, time.UTC)
	a := axisOf(begin, historySamples)
	all := []Event{{Time: begin.Add(time.Minute), Kind: EventReload}}
	for i := range 200 {
		all = append(all, Event{Time: begin.Add(5 * time.Minute), Kind: EventDown, Backend: "b", Server: fmt.Sprint("n", i), Text: "L4CON"})
	}
	all = append(all, Event{Time: begin.Add(6 * time.Minute), Kind: EventUp, Backend: "b", Server: "n0"})
	marks := a.marks(all)
	if len(marks) != 3 || marks[0].Class != "reload" || marks[1].Class != "down" || marks[2].Class != "up" {
		t.Fatalf("%+v", marks)
	}
	if text := marks[1].Text; !strings.HasPrefix(text, "13:57:00 b/n0 went down: L4CON\n") || strings.Count(text, "\n") != markNames || marks[1].At.String() != "33.44" {
		t.Errorf("%+v", marks[1])
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	lines := make([]plot.Line, 20)
	for i := range lines {
		lines[i] = plot.Line{Name: fmt.Sprint("node", i), Values: []float32{float32(i)}}
	}
	shown := newTimeline(&axis{}, "", "", plain, lines, nil)
	if len(shown.Lines) != colors || shown.RestOf != 12 || shown.Rest == "" {
		t.Errorf("%d lines, the others are %d, %q", len(shown.Lines), shown.RestOf, shown.Rest)
	}
	if first := shown.Lines[0]; first.Label != "node19 19" || first.Class != "s0" || shown.Top != "20" || shown.Middle != "10" {
		t.Errorf("the highest is %+v, the axis has %s and %s", first, shown.Top, shown.Middle)
	}
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	b := &Backend{Servers: []Server{
		{Name: "a", Share: 0.6, FairShare: 0.5, Connections: Connections{Current: 6}},
		{Name: "b", Share: 0.4, FairShare: 0.5, Connections: Connections{Current: 4}},
	}}
	shown := distributionOf(b)
	if shown.Width != 22 || shown.Shown != 160 || shown.Spread != "The furthest is 20.0% off." || len(shown.Bars) != 2 {
		t.Errorf("%+v", shown)
	}
	if one := shown.Bars[0]; one.Title != "a: 6 connections, 60.0% of a fair 50.0%" || one.Height != 54 || one.Expected != 15 {
		t.Errorf("%+v", one)
	}
	if idle := distributionOf(&Backend{}); idle.Width != 1 || idle.Spread != "" {
		t.Errorf("without servers: %+v", idle)
	}
}

// A server that is down is red in the distribution although it has no connections; what an
// operator has taken out is not.
func TestDistributionShowsDown(t *testing.T) {
	t.Parallel()
	shown := distributionOf(&Backend{Servers: []Server{
		{Name: "a", Admin: AdminReady, State: ServerDown}, {Name: "b", Admin: AdminMaint, State: ServerDown}, {Name: "c", Admin: AdminReady, State: ServerUp},
	}})
	for i, class := range []string{"down", "maint", "up"} {
		if shown.Bars[i].Class != class {
			t.Errorf("bar %d is %+v, want %s", i, shown.Bars[i], class)
		}
	}
	if title := shown.Bars[0].Title; !strings.HasPrefix(title, "a is down: 0 connections") {
		t.Error(title)
	}
	text := body(t, newDesk(edited(func(s *Snapshot) { s.Backends[0].Servers[2].State = ServerDown })).ask("GET", "/", ""))
	if !strings.Contains(text, `class="back down"`) {
		t.Error("the page's bar of a server that is down has no background of its own")
	}
}
