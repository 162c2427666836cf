package harness

import (
	"testing"

	"mcplb/internal/endpoint"
)

// Counts are numbers of events by name.
type Counts = map[string]uint64

// Sum returns the number of all events.
func Sum(counts Counts) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// Nonzero returns the counts above zero, for messages.
func Nonzero(counts Counts) Counts {
	found := Counts{}
	for name, n := range counts {
		if n > 0 {
			found[name] = n
		}
	}
	return found
}

// Expect waits until want sessions have ended or were refused for a reason, and
// fails if there are more. counts returns the current numbers.
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

// CheckSum checks that every session that began has ended or was refused, once.
func CheckSum(t testing.TB, begun uint64, ended, refused Counts) {
	t.Helper()
	if n := Sum(ended) + Sum(refused); n != begun {
		t.Errorf("%d sessions have begun, %d have ended (%v, %v)", begun, n, Nonzero(ended), Nonzero(refused))
	}
}
