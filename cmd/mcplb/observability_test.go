package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// packaging is the directory of dashboard and rules, relative to this package.
const packaging = "../../packaging"

// scrape is the scrape of a balancer that has values for every metric.
func scrape(t *testing.T) string {
	t.Helper()
	s := newSetup(t, startEcho(t))
	web, secure := freeAddress(t), freeAddress(t)
	pair := func(name string) string {
		path, err := filepath.Abs("../../conf/testdata/tls/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	s.tables = strings.NewReplacer("WEB", web, "SECURE", secure, "CERT", pair("lb.pem"), "KEY", pair("lb.key"), "AUTHORITY", pair("clients-ca.pem"), "REVOKED", pair("clients.crl"), "ADDRESS", freeAddress(t)).Replace(`
[frontend.web]
listen = 'WEB'
mode = 'http'
backend = 'pages'
[frontend.secure]
listen = 'SECURE'
mode = 'http'
backend = 'pages'
tls = { certificates = [{ cert = 'CERT', key = 'KEY' }], client_verify = 'optional', client_ca = 'AUTHORITY', client_crl = 'REVOKED' }
[[backend.pages.server]]
name = 'page1'
http = 'ADDRESS'
`)
	b := startBalancer(t, s)
	connect(t, b.frontend).expectEcho(t)
	_, text := get(t, b.admin, "/metrics")
	return text
}

// queries are the PromQL expressions of dashboard and rules, by their places.
func queries(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	text, err := os.ReadFile(packaging + "/grafana/mcplb.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			found["panel "+panel.Title+": "+target.Expr] = target.Expr
		}
	}
	for _, variable := range dashboard.Templating.List {
		found["variable "+variable.Name] = variable.Definition
	}
	rules, err := os.ReadFile(packaging + "/prometheus/mcplb.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range strings.Split(string(rules), "- alert: ")[1:] {
		name, rest, _ := strings.Cut(rule, "\n")
		_, rest, _ = strings.Cut(rest, "expr: ")
		expression := regexp.MustCompile(`\n +(for|labels):`).Split(rest, 2)[0]
		found["alert "+name] = strings.TrimPrefix(expression, "|\n")
	}
	if len(found) < 60 {
		t.Fatalf("found only %d queries", len(found))
	}
	return found
}

// Every metric and label value in the queries of dashboard and rules is in a real
// scrape.
func TestQueriesAreAnswered(t *testing.T) {
	t.Parallel()
	text := scrape(t)
	metric := regexp.MustCompile(`\b((?:mcplb|process|go)_[a-z0-9_]+)\b`)
	selector := regexp.MustCompile(`(mcplb_[a-z0-9_]+)\{([^}]*)\}`)
	matcher := regexp.MustCompile(`\b(class|state|reason|era)=~?"([a-z0-9_|]+)"`)
	for where, query := range queries(t) {
		for _, name := range metric.FindAllString(query, -1) {
			if !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
				t.Errorf("%s: the scrape has no %s", where, name)
			}
		}
		for _, selected := range selector.FindAllStringSubmatch(query, -1) {
			for _, label := range matcher.FindAllStringSubmatch(selected[2], -1) {
				for value := range strings.SplitSeq(label[2], "|") {
					if !regexp.MustCompile(`(?m)^` + selected[1] + `\{.*` + label[1] + `="` + value + `"`).MatchString(text) {
						t.Errorf("%s: %s has no %s=%q", where, selected[1], label[1], value)
					}
				}
			}
		}
	}
}

// promtool finds no mistake in metrics and rules.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (apt-get install prometheus)")
	}
	metrics := exec.Command(promtool, "check", "metrics")
	metrics.Stdin = strings.NewReader(scrape(t))
	if out, err := metrics.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("check metrics: %v: %s", err, out)
	}
	if out, err := exec.Command(promtool, "check", "rules", packaging+"/prometheus/mcplb.rules.yml").CombinedOutput(); err != nil {
		t.Errorf("check rules: %v: %s", err, out)
	}
	if out, err := exec.Command(promtool, "test", "rules", packaging+"/prometheus/mcplb.test.yml").CombinedOutput(); err != nil {
		t.Errorf("test rules: %v: %s", err, out)
	}
}

// Prometheus answers every query from a real scrape without an error.
func TestPrometheusAnswers(t *testing.T) {
	t.Parallel()
	notInShort(t)
	prometheus, err := exec.LookPath("prometheus")
	promtool, err2 := exec.LookPath("promtool")
	if err != nil || err2 != nil {
		t.Skip("prometheus is not installed (apt-get install prometheus)")
	}
	s := newSetup(t, startEcho(t))
	b := startBalancer(t, s)
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {scrape_interval: 200ms}\nscrape_configs: [{job_name: mcplb, static_configs: [{targets: ['"+b.admin+"']}]}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	startProcess(t, exec.Command(prometheus, "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+address))
	ask := func(query string) (string, error) {
		out, err := exec.Command(promtool, "query", "instant", "http://"+address, query).CombinedOutput()
		return string(out), err
	}
	eventually(t, func() error {
		if out, err := ask(`rate(mcplb_connections_total[1m])`); err != nil || !strings.Contains(out, "instance") {
			return fmt.Errorf("it answers %q, %v", out, err)
		}
		return nil
	})
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$backend", ".*")
	for where, query := range queries(t) {
		if strings.HasPrefix(where, "variable") {
			continue
		}
		if out, err := ask(fill.Replace(query)); err != nil {
			t.Errorf("%s: %v: %s", where, err, out)
		}
	}
}
