package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
)

// Source is where the pages get what they show.
type Source interface {
	// Snapshot builds the present state. The value is the caller's own: nothing
	// in it is shared or changed afterwards. Any number of goroutines may call
	// it at once.
	Snapshot() Snapshot
}

// Options are what the admin pages work with.
type Options struct {
	Source  Source
	Control Control // nil: there are no runtime commands
	Access  *Access // who may use them; nil: loopback only
	Log     *slog.Logger
	History *History // what plots and rates are made of; nil: there are none

	// Reload reads the configuration again and tells in words what changed.
	// nil: it cannot be asked for here.
	Reload func(context.Context) (changes string, err error)
}

// NewAdminHandler returns a handler of every page above. It may be used by any
// number of goroutines at once.
func NewAdminHandler(o Options) http.Handler {
	source := o.Source
	v := &view{source: o.Source, history: o.History}
	mux := http.NewServeMux()
	if o.Access == nil {
		o.Access = &Access{}
	}
	stats := newStatsPage(v, &o)
	mux.Handle("GET /{$}", stats)
	mux.Handle("GET /stats", stats)
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("GET /stats;csv", serveCSV(v))
	mux.HandleFunc("GET /;csv", serveCSV(v))
	mux.HandleFunc("GET /api/v1/openapi.json", serveSchema)
	mux.HandleFunc("GET /api/v1/status", serveStatus(v))
	if o.Control != nil {
		c := &commands{source: source, control: o.Control, access: o.Access, reload: o.Reload, since: &v.since, log: o.Log}
		c.register(mux)
	}
	mux.Handle("GET /metrics", newMetricsHandler(source))
	mux.HandleFunc("GET /health", serveHealth(source))
	mux.HandleFunc("GET /nginx_status", serveNginxStatus(source))
	return secured(mux)
}

// view is what page and JSON show: the Source's Snapshot, with counters that
// count from when they were cleared, and what is derived from it.
type view struct {
	source  Source
	since   baseline
	history *History
}

// take draws one up.
func (v *view) take() Snapshot {
	s := take(v.source)
	v.since.subtract(&s)
	if v.history != nil {
		v.history.fill(&s)
	}
	s.Summary = assess(&s)
	return s
}

// NewHealthHandler returns a handler of /health and /nginx_status alone. It may
// be used by any number of goroutines at once.
func NewHealthHandler(source Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", serveHealth(source))
	mux.HandleFunc("GET /nginx_status", serveNginxStatus(source))
	return secured(mux)
}

// secured adds the headers that every answer bears, errors included: no
// guessing of types, no keeping, nothing loaded, no frame around it.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func serveStatus(v *view) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := v.take()
		writeJSON(w, http.StatusOK, &s)
	}
}

const (
	textPlain       = "text/plain; charset=utf-8"
	applicationJSON = "application/json"
)

// writeJSON answers with value as one line of JSON.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // a number that is not finite
		http.Error(w, "cannot encode the status as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, status, applicationJSON, append(body, '\n'))
}

// write answers with body. That it cannot be sent concerns nobody but the
// client, who is gone then.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
