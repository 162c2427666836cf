package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcplb/internal/golden"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// docs/metrics.md lists every metric: its words are those of the scrape. go test
// -update rewrites it.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{edited(unedited)})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text := "# Metrics\n\nWhat `/metrics` on the admin address shows, besides Go's own (`go_*`) and the process's (`process_*`). " +
		"Label values come from\nthe configuration and from fixed sets: no client can invent one. Durations are seconds. " +
		"\"In\" is from the client towards the server.\nA test keeps this list what it is.\n\n| metric | type | labels | what |\n|---|---|---|---|\n"
	for _, family := range families {
		text += fmt.Sprintf("| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()), labelsOf(family), family.GetHelp())
	}
	golden.Compare(t, "../../../docs/metrics.md", text)
}

// labelsOf are the names of the labels of a family.
func labelsOf(family *dto.MetricFamily) string {
	var names []string
	for _, pair := range family.Metric[0].Label {
		if name := "`" + pair.GetName() + "`"; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
