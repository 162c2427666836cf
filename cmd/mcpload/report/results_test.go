package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcplb/plot"
)

// The results of a benchmark are files, and are compared with earlier ones.
func TestResults(t *testing.T) {
	t.Parallel()
	table := &Table{Kind: "clients"}
	table.Add("1", "p50 ms", 1.5)
	earlier, later := t.TempDir(), filepath.Join(t.TempDir(), "new")
	first := Results{Name: "one", Table: table, Charts: []plot.Chart{{Title: "a"}}}
	var text strings.Builder
	if err := first.Write(&text, earlier, ""); err != nil || strings.Contains(text.String(), "earlier") {
		t.Fatalf("%v:\n%s", err, &text)
	}
	second := Results{Name: "one", Table: table, Charts: []plot.Chart{{Title: "a"}, {Title: "b"}}}
	if err := second.Write(&text, later, earlier); err != nil || !strings.Contains(text.String(), "1, p50 ms: 1.5, was 1.5 (+0%)") {
		t.Fatalf("%v:\n%s", err, &text)
	}
	for _, file := range []string{earlier + "/one.csv", earlier + "/one.md", earlier + "/one.svg", later + "/one-1.svg", later + "/one-2.svg"} {
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if err := second.Write(&text, later, t.TempDir()); err == nil {
		t.Error("results that do not exist are compared with")
	}
}
