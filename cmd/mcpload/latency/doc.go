// Package latency keeps distributions of durations as HDR histograms: cheap to
// record, to merge and to ask for percentiles.
package latency
