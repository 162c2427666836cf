package endpoint

import (
	"testing"
	"time"
)

// Patience is how long a test waits for an event that must come. It is never
// needed unless a test hangs.
const Patience = 3 * time.Minute

// Await waits until done returns true, and reports whether it did within
// Patience. It calls done every millisecond, on the caller's goroutine.
func Await(done func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Eventually waits as Await does, and fails the test if done did not return
// true. what completes the sentence "timed out waiting until".
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !Await(done) {
		t.Fatalf("timed out waiting until %s", what)
	}
}

// Receive returns the next value of a channel, or its zero value once that is closed,
// and fails the test if neither comes within Patience.
func Receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatal("timed out waiting for a channel")
	}
	panic("unreachable")
}
