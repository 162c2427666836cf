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

// docs/metrics.md lists every metric with its help text; go test -update rewrites
// it.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{edited(func(s *Snapshot) {
		s.Frontends[0].TLS = &TLS{
			Handshakes: map[string]uint64{"full": 1}, Versions: map[string]uint64{"1.3": 1}, Failed: map[string]uint64{"protocol": 1},
			Certificates:    []Certificate{{File: "lb.pem", NotAfter: exampleTime}},
			RevocationLists: []RevocationList{{File: "clients.crl", Issuer: "CN=clients", NextUpdate: exampleTime}},
		}
	})})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text := "# Metrics\n\nThe metrics of mcplb at `/metrics` on the admin address, which also has those of Go (`go_*`) and of the process (`process_*`).\n" +
		"Label values come from the configuration and from fixed sets: no client can create one, but for names of tools, up to 100 of a frontend that a server has accepted. Durations are in seconds.\n" +
		"\"In\" is from the client to the server. A test generates and verifies this list.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
	for _, family := range families {
		text += fmt.Sprintf("| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()), labelsOf(family), family.GetHelp())
	}
	golden.Compare(t, "../../../docs/metrics.md", text)
}

// labelsOf returns the names of the labels of a family.
func labelsOf(family *dto.MetricFamily) string {
	var names []string
	for _, pair := range family.Metric[0].Label {
		if name := "`" + pair.GetName() + "`"; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
