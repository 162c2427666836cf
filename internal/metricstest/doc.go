// Package metricstest verifies that a metrics.Set lists every counter it has.
package metricstest
