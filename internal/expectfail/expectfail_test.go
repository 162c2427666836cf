package expectfail

import (
	"testing"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestFailure checks that failures are returned, and that a fatal one is the
// last.
func TestFailure(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]func(testing.TB){
		"":             func(testing.TB) {},
		"one":          func(t testing.TB) { t.Error("one") },
		"one\ntwo":     func(t testing.TB) { t.Error("one"); t.Fatalf("t%s", "wo"); t.Error("three") },
		"one\ntwo 2 3": func(t testing.TB) { t.Errorf("one"); t.Fatal("two ", 2, " ", 3) },
	} {
		if got := Failure(t, f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
