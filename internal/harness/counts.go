package harness

import (
	"testing"

	"mcplb/internal/endpoint"
)

// Counts are how often something happened, by its name.
type Counts = map[string]uint64

// Sum is how often it happened in all.
func Sum(counts Counts) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// Nonzero is what happened at all, for messages.
func Nonzero(counts Counts) Counts {
	found := Counts{}
	for name, n := range counts {
		if n > 0 {
			found[name] = n
		}
	}
	return found
}

// Expect waits until as many sessions have ended for a reason, or were refused for
// it, and wants them to be no more. counts shows how many there are by now.
func Expect(t testing.TB, counts func() (ended, refused Counts), reason string, want uint64) {
	t.Helper()
	count := func() uint64 {
		ended, refused := counts()
		return ended[reason] + refused[reason]
	}
	if !endpoint.Await(func() bool { return count() >= want }) || count() != want {
		ended, refused := counts()
		t.Fatalf("%d sessions ended by %s, want %d (all: %v, %v)", count(), reason, want, Nonzero(ended), Nonzero(refused))
	}
}

// CheckSum checks that of the sessions that began every one has ended or was
// refused, for one reason.
func CheckSum(t testing.TB, begun uint64, ended, refused Counts) {
	t.Helper()
	if n := Sum(ended) + Sum(refused); n != begun {
		t.Errorf("%d sessions have begun, %d have ended (%v, %v)", begun, n, Nonzero(ended), Nonzero(refused))
	}
}
