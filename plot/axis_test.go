package plot

import (
	"math"
	"testing"
)

func TestAxis(t *testing.T) {
	t.Parallel()
	a := newAxis([]float64{3, 97}, 0, 100, false, true)
	if a.low != 0 || a.high < 97 || len(a.ticks()) < 4 || len(a.ticks()) > 8 {
		t.Errorf("%+v, ticks %v", a, a.ticks())
	}
	a = newAxis([]float64{0, 150, 90_000}, 0, 100, true, true)
	if a.low != 100 || a.high != 100_000 || len(a.ticks()) != 4 || math.Abs(a.at(1000)-100.0/3) > 0.01 {
		t.Errorf("%+v, ticks %v", a, a.ticks())
	}
	for _, values := range [][]float64{nil, {0}, {5, 5}} {
		if a := newAxis(values, 0, 100, false, true); a.at(5) != a.at(5) || len(a.ticks()) == 0 {
			t.Errorf("%v: %+v", values, a)
		}
	}
}

func TestRoundUp(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{-1: 1, 0: 1, 1: 1, 1.1: 2, 42: 50, 51: 100, 0.003: 0.005} {
		if got := roundUp(v); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v is rounded up to %v, want %v", v, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 0.256: "0.26", 1.5: "1.5", 99.99: "99.99", 100.4: "100", 9999: "9999", 12_345: "12.35k", 1_500_000: "1.5M", -20_000: "-20k"} {
		if got := Number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}
