package convert

import (
	"strings"
	"testing"

	"mcplb/conf"
)

// The two balancers that this project replaces must be replaceable in one step.
func TestReplaced(t *testing.T) {
	for _, c := range []struct {
		name      string
		frontends int
		says      []string
	}{
		{"testdata/haproxy/replaced.cfg", 3, []string{`listen = "0.0.0.0:8404"`, "maxconn = 25_000", "connection_rate = 100", "connection_burst = 100", `cookie = "SERVERID"`, `{ key = "source", rate = 100, burst = 100, over = "reject" }`, `timeout_stream = "24h"`}},
		{"testdata/nginx/replaced.conf", 2, []string{`health_listen = "0.0.0.0:8888"`, `balance = "leastconn"`, `balance = "source"`, `{ key = "source", rate = 100, burst = 201, over = "reject" }`, `timeout_stream = "24h"`, `"application/json"`}},
	} {
		result := convertFile(t, c.name)
		if result.Incomplete() {
			var report strings.Builder
			_ = result.Report(&report)
			t.Errorf("%s: not all of it is possible:\n%s", c.name, &report)
		}
		config, err := conf.Parse("lb.toml", []byte(withoutTLS(result.Text)))
		if err != nil || len(config.Frontends) != c.frontends {
			t.Errorf("%s: %v, %+v", c.name, err, config)
		}
		for _, text := range c.says {
			if !strings.Contains(result.Text, text) {
				t.Errorf("%s: the result does not have %s", c.name, text)
			}
		}
	}
}
