package plot

import (
	"fmt"
	"math"
	"testing"
)

func TestPath(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	for _, test := range []struct {
		values []float32
		want   string
	}{
		{nil, ""},
		{[]float32{0, 10}, "M0 119L600 1"},
		{[]float32{5, 5, 5, 5}, "M0 60L600 60"}, // no points along a level line
		{[]float32{0, nan, 10}, "M0 119h1M600 1h1"},
		{[]float32{nan, 20}, "M600 1h1"}, // a value above the scale stays inside
	} {
		if got := pathOf(test.values, max(len(test.values), 2), 10); got != test.want {
			t.Errorf("%v is drawn as %q, want %q", test.values, got, test.want)
		}
	}
}

func TestStrip(t *testing.T) {
	t.Parallel()
	lines := make([]Line, 20)
	for i := range lines {
		lines[i] = Line{Name: fmt.Sprint("node", i), Values: []float32{float32(i)}}
	}
	s := NewStrip(lines, 8)
	if s.Top != 20 {
		t.Errorf("the upper edge is %v, want 20", s.Top)
	}
	if len(s.Lines) != 8 || s.Rest != "M600 54L600 119Z" { // 11 to 0
		t.Errorf("%d lines, the others are %q", len(s.Lines), s.Rest)
	}
	for i, l := range s.Lines {
		if l.Rank != i || l.Name != fmt.Sprint("node", 19-i) || l.Path == "" {
			t.Errorf("line %d is %s of rank %d", i, l.Name, l.Rank)
		}
	}
	if few := NewStrip(lines[:3], 8); few.Lines[0].Rank != 0 || few.Lines[2].Rank != 2 || few.Lines[2].Name != "node2" || few.Rest != "" {
		t.Errorf("three lines of eight: %+v", few.Lines)
	}
	if lines[0].Path != "" {
		t.Error("the caller's lines have changed")
	}
}

// The lines that are not highlighted are one area, which has gaps where none has a value.
func TestStripArea(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	for _, test := range []struct {
		lines [][]float32
		want  string
	}{
		{[][]float32{{0, 0, 0, 0}, {10, 10, 10, 10}}, "M0 1L600 1L600 119L0 119Z"}, // no points along level edges
		{[][]float32{{0, 5, nan}, {10, nan, nan}}, "M0 1L300 60L300 60L0 119Z"},
		{[][]float32{{nan, nan, 5}, {5}}, "M600 60L600 60Z"}, // a shorter line ends at the right
		{[][]float32{{nan, nan}}, ""},
	} {
		var lines []Line
		points := 0
		for _, values := range test.lines {
			lines, points = append(lines, Line{Values: values}), max(points, len(values))
		}
		if got := areaOf(lines, points, 10); got != test.want {
			t.Errorf("%v is drawn as %q, want %q", test.lines, got, test.want)
		}
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	for _, test := range []struct {
		values             []float32
		latest             float64
		current, hasValues bool
	}{
		{nil, 0, false, false},
		{[]float32{nan}, 0, false, false},
		{[]float32{2, nan}, 0, false, true},
		{[]float32{nan, 2}, 2, true, true},
	} {
		l := Line{Values: test.values}
		if v, ok := l.Latest(); v != test.latest || ok != test.current || l.HasValues() != test.hasValues {
			t.Errorf("%v: latest %v %v, has values %v", test.values, v, ok, l.HasValues())
		}
	}
}

func TestBars(t *testing.T) {
	t.Parallel()
	bars := Bars([]float64{0.5, 0.25, 0}, []float64{0.25, 0, 0.25})
	want := []Bar{{X: 0, Y: 6, Width: 10, Height: 54, Expected: 33}, {X: 12, Y: 33, Width: 10, Height: 27}, {X: 24, Y: 60, Width: 10, Expected: 33}}
	for i := range want {
		if bars[i] != want[i] {
			t.Errorf("bar %d is %+v, want %+v", i, bars[i], want[i])
		}
	}
	if BarsWidth(0) != 1 || BarsWidth(3) != 34 || Bars([]float64{0}, []float64{0})[0].Height != 0 {
		t.Error("a row of no bars, or of bars without a height")
	}
}
