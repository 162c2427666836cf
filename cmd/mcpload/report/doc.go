// Package report is what mcpload shows of its measurements: the report of one run
// as text, JSON, CSV and a page with plots, the verdict on what was expected of it,
// and the tables of benchmarks, which can be compared with earlier ones.
//
// It measures nothing: package run fills in a Report.
package report
