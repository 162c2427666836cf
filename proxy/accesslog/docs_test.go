package accesslog

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestKeysAreDocumented checks that docs/operations.md describes every key of a line,
// and that its examples have no others.
func TestKeysAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(text), "\n## Access log\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var written []byte
	for _, r := range records() {
		written = appendText(written, &r, someday())
	}
	known := map[string]bool{}
	key := regexp.MustCompile(`(?m)(?:^| )([a-z_]+)=`)
	for _, match := range key.FindAllStringSubmatch(string(written), -1) {
		if known[match[1]] = true; !regexp.MustCompile("(?m)^\\| .*`" + match[1] + "`").MatchString(chapter) {
			t.Errorf("docs/operations.md does not describe %s", match[1])
		}
	}
	for line := range strings.Lines(chapter) {
		if !strings.HasPrefix(line, "time=") {
			continue
		}
		checkLine(t, line)
		for _, match := range key.FindAllStringSubmatch(line, -1) {
			if !known[match[1]] {
				t.Errorf("an example has %s, which is not a key of a line", match[1])
			}
		}
	}
}
