package admin

import (
	"fmt"
	"slices"
	"testing"

	"mcplb/plot"
)

func TestTimeline(t *testing.T) {
	t.Parallel()
	lines := make([]plot.Line, 20)
	for i := range lines {
		lines[i] = plot.Line{Name: fmt.Sprint("node", i), Values: []float32{float32(i)}}
	}
	shown := newTimeline("", "", "", plain, lines)
	named := slices.DeleteFunc(slices.Clone(shown.Lines), func(l timelineLine) bool { return l.Label == "" })
	if len(named) != colors || shown.Lines[19].Class == "" || shown.Lines[0].Class != "" {
		t.Errorf("%d lines have a label; the last is %+v", len(named), shown.Lines[19])
	}
	if last := named[colors-1]; last.Label != "node19 19" || last.Class != "s0" || shown.Top != "20" {
		t.Errorf("the highest is %+v, the upper edge %s", last, shown.Top)
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
