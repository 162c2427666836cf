package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// health is the JSON form of /health.
type health struct {
	Status  string   `json:"status"`  // "ok" or "unavailable"
	Reasons []string `json:"reasons"` // problems; empty if ok
}

// serveHealth responds with 200 if the balancer can serve new clients on every
// frontend, or else with 503 and the reasons. It closes the connection: between two checks
// it would hold one of few.
func serveHealth(source Source) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := snapshotOf(source)
		answer := health{Status: "ok", Reasons: healthProblems(&s)}
		status := http.StatusOK
		if len(answer.Reasons) > 0 {
			answer.Status = "unavailable"
			status = http.StatusServiceUnavailable
		}
		w.Header().Set("Vary", "Accept")
		w.Header().Set("Connection", "close")
		if wantsJSON(r) {
			writeJSON(w, status, answer)
			return
		}
		lines := append([]string{answer.Status}, answer.Reasons...)
		write(w, status, textPlain, []byte(strings.Join(lines, "\n")+"\n"))
	}
}

// healthKey tells the formats of /health apart.
func healthKey(r *http.Request) string { return strconv.FormatBool(wantsJSON(r)) }

// healthProblems returns the reasons why a new client may not be served: draining,
// and backends of frontends without a usable server.
func healthProblems(s *Snapshot) []string {
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

// wantsJSON reports whether the client prefers JSON to text, that is, names it first
// in Accept (RFC 9110 section 12.5.1). It ignores quality values. Text is the
// default.
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
