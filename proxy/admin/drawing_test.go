package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A drawing is used for 200 ms once pages are requested often, and never after a command:
// an operator always sees what a command has changed.
func TestDrawingsAreReused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := edited(unedited)
		d := newDesk(source)
		status := func() int64 {
			if answer := d.ask("GET", "/api/v1/status", ""); answer.StatusCode != 200 {
				t.Fatalf("status %d", answer.StatusCode)
			}
			return source.asked.Load()
		}
		if first, second := status(), status(); first != 1 || second != 2 {
			t.Errorf("two requests in a row made %d and %d drawings, want a new one for each", first, second)
		}
		for range 100 {
			status()
		}
		drawn := status()
		if drawn > freshBurst+2 {
			t.Errorf("%d drawings for 103 requests", drawn)
		}
		d.ask("PATCH", "/api/v1/backends/nodes/servers/node1", `{"weight":5}`)
		if now := status(); now != drawn+1 {
			t.Errorf("the status after a command is an old drawing")
		}
		if now := status(); now != drawn+1 {
			t.Errorf("%d drawings, want that after the command again", now)
		}
		time.Sleep(reuseTime)
		if now := status(); now == drawn+1 {
			t.Error("a drawing is still used after its time")
		}
		synctest.Wait()
		time.Sleep(longestRest)
	})
}

// Requests for a page that is about to be drawn share the drawing, and different pages are drawn
// one after the other: drawing takes one processor at the most.
func TestDrawingsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		source := edited(func(*Snapshot) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
		})
		d := newDesk(source)
		var all sync.WaitGroup
		for _, path := range []string{"/", "/stats", "/stats;csv", "/api/v1/status", "/metrics"} {
			for range 50 {
				all.Go(func() { d.ask("GET", path, "") })
			}
		}
		begin := time.Now()
		all.Wait()
		if most != 1 {
			t.Errorf("%d drawings at once", most)
		}
		if drawn, took := source.asked.Load(), time.Since(begin); drawn > 5+freshBurst || took < time.Duration(drawn-1)*(1+restFactor)*10*time.Millisecond {
			t.Errorf("%d drawings in %v, without a rest between them", drawn, took)
		}
		time.Sleep(longestRest)
	})
}

// A bug in a page or a command ends with an answer and a line in the log, not with a
// connection that breaks off.
func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(func(*Snapshot) { panic("a bug") }))
	for _, path := range []string{"/api/v1/status", "/", "/metrics", "/health"} {
		answer := d.ask("GET", path, "")
		if answer.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: status %d", path, answer.StatusCode)
		}
		if path == "/api/v1/status" {
			var failure Failure
			if err := json.Unmarshal([]byte(body(t, answer)), &failure); err != nil || failure.Error == "" {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if answer := d.ask("POST", "/api/v1/counters/clear", `{"all":true}`); answer.StatusCode != http.StatusInternalServerError || !isFailure(t, answer) {
		t.Errorf("a command: status %d", answer.StatusCode)
	}
	if !strings.Contains(d.log.String(), "panic=\"a bug\"") {
		t.Error("the log does not show the bug")
	}
}

// isFailure reports whether a response is a Failure in JSON.
func isFailure(t *testing.T, answer *http.Response) bool {
	t.Helper()
	var failure Failure
	text := body(t, answer)
	err := json.Unmarshal([]byte(text), &failure)
	if err != nil || failure.Error == "" || answer.Header.Get("Content-Type") != applicationJSON {
		t.Logf("%s: %q, %v", answer.Header.Get("Content-Type"), text, err)
		return false
	}
	return true
}

// Programs that use the API parse each of its responses as JSON, whatever went wrong.
func TestFailuresAreJSON(t *testing.T) {
	t.Parallel()
	const server = "/api/v1/backends/nodes/servers/node1"
	for _, test := range []struct {
		method, path, body string
		head               []string
		status             int
		says               string
	}{
		{"GET", "/api", "", nil, 404, "openapi.json"},
		{"GET", "/api/", "", nil, 404, "there is no /api/"},
		{"GET", "/api/v2/status", "", nil, 404, "there is no /api/v2/status"},
		{"POST", "/api/v1/nothing", "{}", nil, 404, "there is no"},
		{"DELETE", "/api/v1/status", "", nil, 405, "GET, HEAD"},
		{"GET", "/api/v1/reload", "", nil, 405, "POST"},
		{"POST", server, "{}", nil, 405, "DELETE, PATCH, PUT"},
		{"PUT", server, "[1]", nil, 400, "JSON object"},
		{"PUT", server, `{"tcp":"192.0.2.9:1"}`, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"PUT", server, `{"tcp":"192.0.2.9:1"}`, []string{"from", "192.0.2.1:1"}, 403, "admin.token_file"},
		{"DELETE", server, "", []string{"from", "192.0.2.1:1"}, 403, "admin.token_file"},
		{"DELETE", server, "", []string{CommandHeader, ""}, 403, CommandHeader},
		{"OPTIONS", "/api/v1/bans", "", nil, 405, "GET, HEAD, POST"},
		{"GET", "/api/v1/connections?limit=x", "", nil, 400, "limit"},
		{"PATCH", server, "{", nil, 400, "ends too early"},
		{"PATCH", server, "{weight: 5}", nil, 400, "not JSON"},
		{"PATCH", server, `{"weight":5}{"weight":6}`, nil, 400, "one JSON object"},
		{"PATCH", server, `{"weight":5} x`, nil, 400, "one JSON object"},
		{"PATCH", server, "[1]", nil, 400, "JSON object"},
		{"PATCH", server, `"drain"`, nil, 400, "JSON object"},
		{"PATCH", server, `{"weight":"5"}`, nil, 400, `"weight": it must be a whole number, not string`},
		{"PATCH", server, `{"weight":5.5}`, nil, 400, "a whole number"},
		{"PATCH", server, `{"maxconn":99999999999999999999}`, nil, 400, "a whole number"},
		{"PATCH", server, `{"wieght":5}`, nil, 400, `unknown field "wieght"`},
		{"PATCH", server, `{"reason":"` + strings.Repeat("x", maxBody) + `"}`, nil, 413, "65536"},
		{"PATCH", server, `{"weight":5}`, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"PATCH", server, `{"weight":5}`, []string{"from", "192.0.2.1:1"}, 403, "admin.token_file"},
		{"GET", "/api/v1/status", "", []string{"Host", "evil.example"}, 403, "admin.hosts"},
		{"GET", "/api/v9", "", []string{"Host", "evil.example"}, 403, "admin.hosts"},
	} {
		t.Run(test.method+" "+test.path+" "+test.says, func(t *testing.T) {
			t.Parallel()
			answer := newDesk(edited(unedited)).ask(test.method, test.path, test.body, test.head...)
			text := body(t, answer)
			var failure Failure
			if err := json.Unmarshal([]byte(text), &failure); err != nil || answer.StatusCode != test.status || !strings.Contains(failure.Error, test.says) {
				t.Errorf("%d %s (%v), want %d with %q", answer.StatusCode, text, err, test.status, test.says)
			}
			if answer.Header.Get("Content-Type") != applicationJSON || (answer.StatusCode == 405) != (answer.Header.Get("Allow") != "") {
				t.Errorf("headers %v", answer.Header)
			}
		})
	}
}
