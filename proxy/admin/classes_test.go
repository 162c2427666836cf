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
		"/":              `data-label="other" title="12` + "\u202f" + `345">12.3k</td>`,
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
}

// Every class of responses has its own column, also 1xx, which was not shown.
func TestResponseColumns(t *testing.T) {
	t.Parallel()
	text := body(t, newDesk(edited(unedited)).ask("GET", "/", ""))
	for _, class := range statusClasses {
		if strings.Count(text, `class="class" title="responses with a status of this class">`+class+"</th>") != 2 {
			t.Errorf("class %s has no column in the tables of servers and frontends", class)
		}
	}
	row := rowOf(t, text, "nodes/node1")
	for _, cell := range []string{`data-label="1xx">1</td>`, `data-label="2xx">600</td>`, `data-label="3xx">2</td>`, `data-label="4xx">30</td>`, `class="bad" data-label="5xx">4</td>`, `class="zero" data-label="other">0</td>`} {
		if !strings.Contains(row, cell) {
			t.Errorf("node1 lacks %s", cell)
		}
	}
	tcp := body(t, newDesk(edited(func(s *Snapshot) { s.Backends[0].Servers[0].Responses = nil })).ask("GET", "/", ""))
	if strings.Contains(rowOf(t, tcp, "nodes/node1"), "2xx") {
		t.Error("a backend without HTTP has columns of responses")
	}
}
