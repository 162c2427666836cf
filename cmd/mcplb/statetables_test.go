package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mcplb/internal/golden"
)

// stateTable finds a table in docs/architecture.md, with the file that it is from.
var stateTable = regexp.MustCompile("(?s)<!-- state table of (\\S+) -->\n.*?<!-- end of table -->\n")

// Readers of docs/architecture.md see the state tables that stand in the code; go test
// -update copies them again.
func TestStateTables(t *testing.T) {
	t.Parallel()
	path := filepath.Join(docsDirectory, "architecture.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := stateTable.ReplaceAllStringFunc(string(text), func(block string) string {
		file := stateTable.FindStringSubmatch(block)[1]
		return "<!-- state table of " + file + " -->\n```\n" + tableOf(t, file) + "```\n<!-- end of table -->\n"
	})
	if golden.Updating() {
		if err := os.WriteFile(path, []byte(copied), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if copied != string(text) {
		t.Errorf("%s differs from the comments in the code: go test ./cmd/mcplb -run StateTables -update", path)
	}
}

// tableOf returns the state table in the comments of a file: the lines from its
// heading to the end of the indented comment.
func tableOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for line := range strings.Lines(string(text)) {
		line, indented := strings.CutPrefix(line, "//\t")
		switch {
		case !indented && table.Len() > 0:
			return table.String()
		case !indented:
		case table.Len() > 0, stateHeading.MatchString(line):
			table.WriteString(line)
		}
	}
	t.Fatalf("%s has no state table", file)
	return ""
}

// stateHeading is the first line of a state table.
var stateHeading = regexp.MustCompile(`^(state|stage|phase|progress) +.*(next|USR2)|^ +unchecked, up `)
