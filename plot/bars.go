package plot

// The measures of a row of bars, in the units of its viewBox.
const (
	BarsHeight = 60
	barStep    = 12 // from one bar to the next
	barGap     = 2
	headroom   = 0.9 // of BarsHeight, for the highest value
)

// Bar is one bar of a row, and the line that marks its expected height.
type Bar struct {
	X, Y, Width, Height int
	Expected            int // the y of the line; 0 = there is none
}

// Bars lays out a row of bars, one for each value, all on one scale. expected has a
// value for each bar, 0 for none. None of the numbers is negative.
func Bars(values, expected []float64) []Bar {
	peak := 0.0
	for i := range values {
		peak = max(peak, values[i], expected[i])
	}
	height := func(value float64) int {
		if peak == 0 {
			return 0
		}
		return int(value/peak*headroom*BarsHeight + 0.5)
	}
	bars := make([]Bar, len(values))
	for i, value := range values {
		bars[i] = Bar{X: i * barStep, Y: BarsHeight - height(value), Width: barStep - barGap, Height: height(value)}
		if expected[i] > 0 {
			bars[i].Expected = BarsHeight - height(expected[i])
		}
	}
	return bars
}

// BarsWidth returns the width of a row of n bars, at least 1.
func BarsWidth(n int) int { return max(n*barStep-barGap, 1) }
