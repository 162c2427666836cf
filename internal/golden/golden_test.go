package golden

import (
	"os"
	"strings"
	"testing"

	"mcplb/internal/expectfail"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestCompare checks that a difference and a missing file are reported. It is
// not parallel: it changes the directory.
func TestCompare(t *testing.T) {
	if Updating() {
		t.Skip("it would rewrite what it compares")
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("testdata", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/file", []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, got, failure string }{
		{"file", "text", ""}, {"file", "other text", "differs from testdata/file"}, {"none", "text", "no such file"},
	} {
		failure := expectfail.Failure(t, func(t testing.TB) { Compare(t, c.name, c.got) })
		if (failure == "") != (c.failure == "") || !strings.Contains(failure, c.failure) {
			t.Errorf("%s: %q, want %q", c.name, failure, c.failure)
		}
	}
}
