package admin

import (
	"bufio"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"mcplb/internal/golden"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// own returns the lines of a scrape that concern mcplb's metrics.
func own(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "mcplb_") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	source := edited(unedited)
	response := request(NewAdminHandler(Options{Source: source}), "GET", "/metrics")
	if response.StatusCode != 200 {
		t.Fatalf("status %d: %s", response.StatusCode, body(t, response))
	}
	text := body(t, response)
	golden.Compare(t, "metrics.txt", own(text))
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "process_open_fds"} {
		if !regexp.MustCompile(`(?m)^` + name + ` `).MatchString(text) {
			t.Errorf("%s is missing", name)
		}
	}
	if n := source.asked.Load(); n != 1 {
		t.Errorf("took %d snapshots for one scrape", n)
	}
}

func TestMetricsLint(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{edited(unedited)})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

// In the OpenMetrics format the name of a counter's family lacks _total: it must not
// collide with the name of a gauge.
func TestMetricsNamesAreDistinct(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{edited(unedited)})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, family := range families {
		name := strings.TrimSuffix(family.GetName(), "_total")
		if seen[name] {
			t.Errorf("two families are called %s", name)
		}
		seen[name] = true
	}
}

// A label may be any text. A value that is not finite is an error of the Source, but
// must not break the scrape.
func TestMetricsOddValues(t *testing.T) {
	t.Parallel()
	response := request(NewAdminHandler(Options{Source: edited(func(s *Snapshot) {
		s.Frontends[0].Name = "a \"quoted\"\nnäme\\"
		s.Backends[0].Servers[0].EffectiveWeight = math.NaN()
	})}), "GET", "/metrics")
	text := body(t, response)
	if want := `mcplb_frontend_current_connections{frontend="a \"quoted\"\nnäme\\"} 30`; !strings.Contains(text, want) {
		t.Errorf("status %d, no %s", response.StatusCode, want)
	}
}

func TestMetricsRefusesInvalidLabel(t *testing.T) {
	t.Parallel()
	response := request(NewAdminHandler(Options{Source: edited(func(s *Snapshot) { s.Frontends[0].Name = "\xff" })}), "GET", "/metrics")
	if text := body(t, response); response.StatusCode != http.StatusInternalServerError || !strings.Contains(text, "mcplb_frontend") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// manyServers returns a Snapshot with n servers and ten reasons per counter map.
func manyServers(n int) Snapshot {
	s := example()
	reasons := map[string]uint64{}
	for i := range 10 {
		reasons[fmt.Sprintf("reason_%d", i)] = uint64(i)
	}
	server := s.Backends[0].Servers[0]
	server.Errors = reasons
	s.Backends[0].Servers = nil
	for i := range n {
		server.Name = fmt.Sprintf("node%d", i)
		s.Backends[0].Servers = append(s.Backends[0].Servers, server)
	}
	s.Frontends[0].Refused, s.Frontends[0].SessionsEnded = reasons, reasons
	return s
}

func BenchmarkMetrics200Servers(b *testing.B) { benchmarkPage(b, "/metrics") }
func BenchmarkStatus200Servers(b *testing.B)  { benchmarkPage(b, "/api/v1/status") }
func BenchmarkHealth200Servers(b *testing.B)  { benchmarkPage(b, "/health") }

func benchmarkPage(b *testing.B, path string) {
	s := manyServers(200)
	handler := NewAdminHandler(Options{Source: &fixed{build: func() Snapshot { return s }}})
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
		lines := 0
		for scanner := bufio.NewScanner(w.Body); scanner.Scan(); {
			lines++
		}
		b.ReportMetric(float64(lines), "lines")
	}
}
