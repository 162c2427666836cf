package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	t.Parallel()
	measured := Table{Kind: "clients"}
	measured.Add("1", "p50 ms", 1.5)
	measured.Add("1", "p99 ms", 2)
	measured.Add("10", "p99 ms", 12_345)
	var text bytes.Buffer
	if err := measured.Markdown(&text); err != nil || text.String() != "| clients | p50 ms | p99 ms |\n|---|---|---|\n| 1 | 1.5 | 2 |\n| 10 | - | 12.35k |\n" {
		t.Errorf("%v:\n%s", err, &text)
	}
	measured.Add("1", "p50 ms", 0.5)
	measured.Add("1", "p50 ms", 7.5)
	if measured.Medians(); len(measured.entries) != 3 || measured.entries[0].value != 1.5 {
		t.Errorf("with medians: %+v", measured.entries)
	}
	measured.Add("1", "max ms", 9)
	text.Reset()
	if err := measured.Markdown(&text); err != nil || !strings.HasPrefix(text.String(), "|  | 1 | 10 |\n|---|---|---|\n| p50 ms | 1.5 | - |\n") {
		t.Errorf("%v:\n%s", err, &text)
	}
	path := filepath.Join(t.TempDir(), "t.csv")
	if err := writeFile(path, measured.WriteCSV); err != nil {
		t.Fatal(err)
	}
	earlier, err := ReadTable(path)
	if err != nil || len(earlier.entries) != 4 || earlier.entries[3] != measured.entries[3] {
		t.Fatalf("%v: %+v", err, earlier)
	}
	measured.entries[0].value = 3
	text.Reset()
	if err := measured.Compare(&text, earlier); err != nil || !strings.Contains(text.String(), "1, p50 ms: 3, was 1.5 (+100%)") {
		t.Errorf("%v:\n%s", err, &text)
	}
}
