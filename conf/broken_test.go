package conf

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata/broken and the tables of docs/configuration.md")

// TestBroken checks the messages for the gallery in testdata/broken: NAME.err
// has those of NAME.toml.
func TestBroken(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/broken/*.toml")
	if err != nil || len(files) < 50 {
		t.Fatalf("the gallery has %d files (%v), want at least 50", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".toml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := mistakes(t, name, text)
			if *update {
				if err := os.WriteFile(golden(path), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden(path))
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
			if lines := strings.Count(got, "\n"); lines > 1 && !strings.HasPrefix(name, "many-") {
				t.Errorf("%d mistakes, but only files called many-* may have more than one:\n%s", lines, got)
			}
		})
	}
}

func golden(path string) string { return strings.TrimSuffix(path, ".toml") + ".err" }

// mistakes returns the mistakes in text, one per line.
func mistakes(t *testing.T, name string, text []byte) string {
	t.Helper()
	_, err := Parse(name+".toml", text)
	var all Errors
	if !errors.As(err, &all) || len(all) == 0 {
		t.Fatalf("no mistake was found: %v", err)
	}
	return all.Error() + "\n"
}
