// Package plot draws measurements as SVG: charts with axes and a legend for
// reports (Chart), and the small drawings of the stats page (Strip, Bars), which the
// page completes with its markup and style sheet.
//
//	chart := plot.Chart{Title: "Latency", X: "seconds", Y: "ms", Series: []plot.Series{{Name: "p99", X: x, Y: y}}}
//	io.WriteString(w, chart.SVG())
//
// Everything here is a pure function of its arguments. The output needs no
// script, style sheet or font that a browser does not have, and all text in it is
// escaped.
package plot
