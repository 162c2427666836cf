package proxy

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mcplb/proxy/accesslog"
)

// reasonTable returns the first column of each table of docs/reasons.md, by its
// heading.
func reasonTables(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("^\\| `([a-z0-9_]+)` \\| .+ \\|$")
	tables, heading := map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if title, is := strings.CutPrefix(line, "## "); is {
			heading = title
		}
		if found := row.FindStringSubmatch(line); found != nil {
			tables[heading] = append(tables[heading], found[1])
		}
	}
	return tables
}

// docs/reasons.md lists exactly the reasons that are counted, in the same tables.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	r := start(t, frontendText("tcp", anyPort, "tcp", "b")+frontendText("http", anyPort, "http", "b")+
		backendText("b", nil)+"[[backend.b.server]]\nname = \"s\"\ntcp = \"127.0.0.1:9\"\nhttp = \"127.0.0.1:10\"\n")
	shown := r.Snapshot().Frontends
	phases := map[string]uint64{}
	for p := accesslog.PhaseNone + 1; p.String() != ""; p++ {
		phases[p.String()] = 0
	}
	tables := reasonTables(t)
	for heading, want := range map[string]map[string]uint64{
		"":                    phases,
		"Refused":             shown[0].Refused,
		"Ended":               shown[0].SessionsEnded,
		"Generated responses": shown[1].HTTP.OwnResponses,
		"Malformed requests":  shown[1].HTTP.Malformed,
	} {
		got := slices.Sorted(slices.Values(tables[heading]))
		if words := slices.Sorted(maps.Keys(want)); !slices.Equal(got, words) {
			t.Errorf("under %q docs/reasons.md has\n%q, want\n%q", heading, got, words)
		}
	}
}
