package admin

import (
	"strings"
	"testing"
)

// Responses with a status of 600 to 999 are shown as other: on the page, as a metric, in
// the status and in HAProxy's CSV. Somebody who looks for them would not find them
// otherwise.
func TestOtherResponses(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(func(s *Snapshot) { s.Backends[0].Servers[0].Responses["other"] = 12345 }))
	for path, want := range map[string]string{
		"/":              "600, 2, 30, 4, other\u00a0" + grouped(12345),
		"/metrics":       `mcplb_server_http_responses_total{backend="nodes",class="other",server="node1"} 12345`,
		"/api/v1/status": `"other":12345`,
		"/stats;csv":     ",12345,",
	} {
		text := body(t, d.ask("GET", path, ""))
		if path == "/api/v1/status" {
			text = strings.ReplaceAll(text, " ", "")
		}
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", path, want)
		}
	}
	if text := statuses(map[string]uint64{"2xx": 1, "other": 0}); text != "1, 0, 0, 0" {
		t.Errorf("no other responses are shown as %q", text)
	}
}
