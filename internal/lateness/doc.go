// Package lateness lets tests with time limits hold on a busy machine: it measures
// how late the timers of the test are, for a margin that is near zero on an idle one.
//
//	late := lateness.Measure(t)
//	start := time.Now()
//	work()
//	if took := time.Since(start); took > limit+late() {
package lateness
