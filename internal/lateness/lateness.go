package lateness

import (
	"sync/atomic"
	"testing"
	"time"
)

// tick is the nominal time between two measurements.
const tick = 10 * time.Millisecond

// Measure measures until the test ends. The returned function is the sum of the delays
// of a timer so far: time in which the machine did something else. It may be called at
// any time and concurrently.
func Measure(t testing.TB) (sum func() time.Duration) {
	var delays atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go measure(&delays, stop, stopped)
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return func() time.Duration { return time.Duration(delays.Load()) }
}

func measure(delays *atomic.Int64, stop, stopped chan struct{}) {
	defer close(stopped)
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for start := time.Now(); ; start = time.Now() {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		delays.Add(int64(max(0, time.Since(start)-tick)))
		timer.Reset(tick)
	}
}
