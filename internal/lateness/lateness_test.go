package lateness

import (
	"testing"
	"testing/synctest"
	"time"
)

// In a bubble of synctest, timers are never late.
func TestMeasure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := Measure(t)
		time.Sleep(time.Minute)
		if sum := late(); sum != 0 {
			t.Errorf("timers are %v late, want 0", sum)
		}
	})
}

// A delay counts while it lasts, and once.
func TestUnfinishedDelay(t *testing.T) {
	t.Parallel()
	m := &meter{began: time.Now().Add(-time.Hour), due: tick}
	if sum := m.sum(); sum < time.Hour-tick {
		t.Errorf("timers are %v late, want an hour", sum)
	}
	m.expired()
	if sum := m.sum(); sum < time.Hour-tick || sum > 90*time.Minute {
		t.Errorf("afterwards, timers are %v late, want an hour", sum)
	}
}

// The sum never exceeds the time that has passed, and never decreases.
func TestSum(t *testing.T) {
	t.Parallel()
	start, late := time.Now(), Measure(t)
	for last := time.Duration(0); time.Since(start) < 20*tick; time.Sleep(tick) {
		sum := late()
		if sum < last || sum > time.Since(start) {
			t.Fatalf("timers are %v late, after %v, of %v", sum, last, time.Since(start))
		}
		last = sum
	}
}
