package endpoint

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen. Nothing should need
// it: it only ends a test that hangs.
const Patience = 30 * time.Second

// Await waits until done holds, and tells whether it did within Patience. It
// calls done once in a millisecond, from the goroutine that calls Await.
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

// Eventually waits as Await does, and ends the test if that was in vain. what
// completes the sentence "in vain waited until".
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	if !Await(done) {
		t.Fatalf("in vain waited until %s", what)
	}
}
