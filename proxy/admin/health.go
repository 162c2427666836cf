package admin

import (
	"fmt"
	"net/http"
	"strings"
)

// health is the JSON form of /health.
type health struct {
	Status  string   `json:"status"`  // "ok" or "unavailable"
	Reasons []string `json:"reasons"` // what is wrong; empty when ok
}

// serveHealth answers 200 when the balancer can serve a new client on every
// frontend, and 503 with the reasons when it cannot.
func serveHealth(source Source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := take(source)
		answer := health{Status: "ok", Reasons: troubles(&s)}
		status := http.StatusOK
		if len(answer.Reasons) > 0 {
			answer.Status = "unavailable"
			status = http.StatusServiceUnavailable
		}
		w.Header().Set("Vary", "Accept")
		if wantsJSON(r) {
			writeJSON(w, status, answer)
			return
		}
		lines := append([]string{answer.Status}, answer.Reasons...)
		write(w, status, textPlain, []byte(strings.Join(lines, "\n")+"\n"))
	}
}

// troubles lists why a new client might not be served: draining, and backends
// in use without a usable server.
func troubles(s *Snapshot) []string {
	reasons := []string{}
	if s.Process.Draining {
		reasons = append(reasons, "draining")
	}
	backends := map[string]*Backend{}
	for i := range s.Backends {
		backends[s.Backends[i].Name] = &s.Backends[i]
	}
	seen := map[string]bool{}
	for i := range s.Frontends {
		for _, name := range s.Frontends[i].Backends {
			if seen[name] {
				continue
			}
			seen[name] = true
			b := backends[name]
			switch {
			case b == nil:
				reasons = append(reasons, fmt.Sprintf("backend %s is missing", name))
			case b.ServersUsable == 0:
				reasons = append(reasons, fmt.Sprintf("backend %s has no usable server out of %d", name, b.ServersTotal))
			}
		}
	}
	return reasons
}

// wantsJSON reports whether the client would rather have JSON than text: which
// of the two it names first in Accept (RFC 9110, section 12.5.1), quality
// values left aside. Text is for who does not say.
func wantsJSON(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept") {
		for accepted := range strings.SplitSeq(header, ",") {
			mediaType, _, _ := strings.Cut(accepted, ";")
			switch strings.ToLower(strings.TrimSpace(mediaType)) {
			case "application/json", "application/*":
				return true
			case "text/plain", "text/*", "*/*":
				return false
			}
		}
	}
	return false
}
