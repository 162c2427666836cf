package plot

import (
	"math"
	"strconv"
	"strings"
)

// Number formats a value in few characters: "0.25", "42", "12.35k", "1.5M".
func Number(value float64) string {
	switch size := math.Abs(value); {
	case size >= 1e6:
		return short(value/1e6) + "M"
	case size >= 10e3:
		return short(value/1e3) + "k"
	default:
		return short(value)
	}
}

// short keeps two decimals of a value below 100, without trailing zeros.
func short(value float64) string {
	digits := 2
	if math.Abs(value) >= 100 {
		digits = 0
	}
	text := strconv.FormatFloat(value, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
