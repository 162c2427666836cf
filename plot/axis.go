package plot

import "math"

// axis maps values to pixels.
type axis struct {
	low, high  float64 // values at the ends
	begin, end float64 // pixels at the ends
	log        bool    // logarithmic; low is above 0
}

// newAxis returns an axis for values. A linear axis starts at 0 with fromZero; a
// logarithmic one ignores values that are not above 0.
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

// at returns the pixel of a value.
func (a *axis) at(value float64) float64 {
	low, high := a.low, a.high
	if a.log {
		low, high, value = math.Log10(low), math.Log10(high), math.Log10(max(value, a.low))
	}
	return a.begin + (value-low)/(high-low)*(a.end-a.begin)
}

// ticks returns round values along the axis.
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
	step := roundUp((a.high - a.low) / 6)
	for value := math.Ceil(a.low/step) * step; value <= a.high+step/1000; value += step {
		list = append(list, value)
	}
	return list
}

// roundUp returns the smallest of 1, 2 and 5 times a power of ten that is not
// below value; 1 if value is not above 0.
func roundUp(value float64) float64 {
	if !(value > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= value*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}
