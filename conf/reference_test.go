package conf

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tablePattern finds a table of keys in the reference, between two comments that
// name its section.
var tablePattern = regexp.MustCompile(`(?s)<!-- keys of (\S+) -->\n.*?<!-- end of keys -->\n`)

// Operators look a key up in docs/configuration.md: its tables have every key with
// its default, as the code has them. go test -update rewrites the tables.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "docs", "configuration.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, key := range Keys() {
		missing[key.Section] = true
	}
	got := tablePattern.ReplaceAllStringFunc(string(text), func(table string) string {
		section := tablePattern.FindStringSubmatch(table)[1]
		if !missing[section] {
			t.Errorf("there is no section %s, or two tables are for it", section)
		}
		delete(missing, section)
		return "<!-- keys of " + section + " -->\n" + keyTable(section) + "<!-- end of keys -->\n"
	})
	for section := range missing {
		t.Errorf("%s has no table for %s: add <!-- keys of %s --> and <!-- end of keys -->", path, section, section)
	}
	if *update {
		err = os.WriteFile(path, []byte(got), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got != string(text) {
		t.Errorf("the tables of %s are not those of the code: go test ./conf -run TestReference -update, and review the difference", path)
	}
}

// keyTable is the table of a section's keys in Markdown.
func keyTable(section string) string {
	var b strings.Builder
	b.WriteString("\n| key | default | meaning |\n|---|---|---|\n")
	for _, key := range Keys() {
		if key.Section != section {
			continue
		}
		preset := "`" + key.Default + "`"
		if key.Default == "" {
			preset = "required, such as `" + key.Example + "`"
		}
		var words, notes string
		if key.Values != nil {
			words = "`" + strings.Join(strings.Fields(strings.Trim(fmt.Sprintf("%q", key.Values), "[]")), "`, `") + "`: "
		}
		if key.Modes != nil {
			notes = fmt.Sprintf(" (mode %s)", strings.Trim(fmt.Sprint(key.Modes), "[]"))
		}
		if key.AtStart {
			notes += " (an upgrade changes it, a reload does not)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s%s%s |\n", key.Name, preset, words, strings.ReplaceAll(key.Description, "|", `\|`), notes)
	}
	b.WriteString("\n")
	return b.String()
}
