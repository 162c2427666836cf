package lateness

import (
	"sync"
	"testing"
	"time"
)

// tick is the nominal time between two measurements.
const tick = 10 * time.Millisecond

// Measure measures until the test ends. The returned function is the sum of the delays
// of a timer so far: time in which the machine did something else. A delay that is not
// over counts as well, as the caller may run first when the machine is free again. It may
// be called at any time and concurrently.
func Measure(t testing.TB) (sum func() time.Duration) {
	m := &meter{began: time.Now(), due: tick}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go m.run(stop, stopped)
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return m.sum
}

// meter is a timer that runs again and again. Times are nanoseconds since it began.
type meter struct {
	began time.Time
	mu    sync.Mutex // guards what follows
	due   time.Duration
	late  time.Duration // all delays that are over
}

func (m *meter) run(stop, stopped chan struct{}) {
	defer close(stopped)
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		m.expired()
		timer.Reset(tick)
	}
}

// expired ends a delay and sets when the timer is due next.
func (m *meter) expired() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Since(m.began)
	m.late += max(0, now-m.due)
	m.due = now + tick
}

func (m *meter) sum() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.late + max(0, time.Since(m.began)-m.due)
}
