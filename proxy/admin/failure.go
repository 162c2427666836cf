package admin

import (
	"net/http"
	"strings"
)

// Failure is the response to a request of the API that failed, whatever the reason.
type Failure struct {
	Error string `json:"error"` // the reason, and what to do
}

// isAPI reports whether a path is of the API, whose every response is JSON.
func isAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// fail responds to a request that failed, in the format of its path.
func fail(w http.ResponseWriter, r *http.Request, status int, reason string) {
	if isAPI(r.URL.Path) {
		writeJSON(w, status, Failure{reason})
		return
	}
	write(w, status, textPlain, []byte(reason+"\n"))
}

// routed is mux, with errors of the API in JSON: for paths that do not exist, and for
// methods that a path does not have (RFC 9110 section 15.5.6).
func routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		missing, pattern := mux.Handler(r)
		if pattern != "" || !isAPI(r.URL.Path) {
			mux.ServeHTTP(w, r)
			return
		}
		var text captured
		missing.ServeHTTP(&text, r) // ServeMux finds out which methods there are
		allow := text.Header().Get("Allow")
		if allow == "" {
			fail(w, r, http.StatusNotFound, "there is no "+r.URL.Path+": /api/v1/openapi.json describes what there is")
			return
		}
		w.Header().Set("Allow", allow)
		fail(w, r, http.StatusMethodNotAllowed, r.URL.Path+" has no method "+r.Method+": it has "+allow)
	})
}
