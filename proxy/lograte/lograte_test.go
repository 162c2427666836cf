package lograte

import (
	"testing"
	"testing/synctest"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A flood of failures must leave its first lines and their number in the log, or
// an operator does not see it.
func TestAllow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(time.Minute, 2)
		written := 0
		for range 1000 {
			if omitted, ok := l.Allow(); ok {
				written++
				if omitted != 0 {
					t.Errorf("line %d says that %d were omitted", written, omitted)
				}
			}
		}
		if written != 2 {
			t.Errorf("%d lines of a flood are written, want 2", written)
		}
		time.Sleep(time.Minute) // of the test's clock
		if omitted, ok := l.Allow(); !ok || omitted != 998 {
			t.Errorf("after the interval: %v, %d omitted, want 998", ok, omitted)
		}
	})
}
