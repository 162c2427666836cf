package admin

import "testing"

func TestHealth(t *testing.T) {
	t.Parallel()
	unusable := func(s *Snapshot) {
		for i := range s.Backends[0].Servers {
			s.Backends[0].Servers[i].Usable = false
		}
	}
	tests := []struct {
		name   string
		edit   func(*Snapshot)
		accept string
		status int
		body   string
	}{
		{"ok", unedited, "", 200, "ok\n"},
		{"ok as JSON", unedited, "application/json", 200, `{"status":"ok","reasons":[]}` + "\n"},
		{"curl", unedited, "*/*", 200, "ok\n"},
		{"browser", unedited, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200, "ok\n"},
		{"JSON first", unedited, "text/html, Application/JSON;q=0.9, text/plain", 200, `{"status":"ok","reasons":[]}` + "\n"},
		{"text first", unedited, "text/plain, application/json", 200, "ok\n"},
		{"no usable server", unusable, "", 503, "unavailable\nbackend nodes has no usable server out of 3\n"},
		{"no usable server as JSON", unusable, "application/json", 503,
			`{"status":"unavailable","reasons":["backend nodes has no usable server out of 3"]}` + "\n"},
		{"draining", func(s *Snapshot) { s.Process.Draining = true }, "", 503, "unavailable\ndraining\n"},
		{"all at once", func(s *Snapshot) {
			unusable(s)
			s.Process.Draining = true
			s.Frontends = append(s.Frontends, Frontend{Backends: []string{"nodes", "other"}})
		}, "", 503, "unavailable\ndraining\nbackend nodes has no usable server out of 3\nbackend other is missing\n"},
		{"an unused backend", func(s *Snapshot) {
			s.Backends = append(s.Backends, Backend{Name: "spare"})
		}, "", 200, "ok\n"},
		{"the second backend of a frontend", func(s *Snapshot) {
			s.Backends = append(s.Backends, Backend{Name: "second"})
			s.Frontends[0].Backends = append(s.Frontends[0].Backends, "second")
		}, "", 503, "unavailable\nbackend second has no usable server out of 0\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var header []string
			if test.accept != "" {
				header = []string{"Accept", test.accept}
			}
			response := request(NewHealthHandler(edited(test.edit)), "GET", "/health", header...)
			if got := body(t, response); response.StatusCode != test.status || got != test.body {
				t.Errorf("%d %q, want %d %q", response.StatusCode, got, test.status, test.body)
			}
		})
	}
}
