package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"mcplb/proxy/lograte"
	"net/http"
	"slices"
	"strconv"
)

// Source provides what the pages show.
type Source interface {
	// Snapshot returns the present state. The value belongs to the caller:
	// nothing in it is shared or changed later. Any number of goroutines may
	// call it at once.
	Snapshot() Snapshot
}

// Options configure the admin pages.
type Options struct {
	Source  Source
	Control Control // nil: there are no runtime commands
	Access  *Access // who may use them; nil: loopback addresses only
	Log     *slog.Logger
	History *History // source of plots and rates; nil: there are none

	// Reload reads the configuration again and returns a description of the
	// changes. nil: the command fails.
	Reload func(context.Context) (changes string, err error)
}

// NewAdminHandler returns a handler of all pages and commands. Any number of
// goroutines may use it at once.
func NewAdminHandler(o Options) http.Handler {
	if o.Access == nil {
		o.Access = &Access{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	v := &view{source: o.Source, history: o.History}
	d := newDrawings(o.Log)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("GET /api/v1/openapi.json", serveSchema)
	registerPages(mux, v, d, &o)
	if o.Control != nil {
		c := &commands{
			source: o.Source, control: o.Control, access: o.Access, reload: o.Reload, since: &v.since, log: o.Log,
			drawings: d, refusals: lograte.New(refusalsInterval, refusalsBurst),
		}
		c.register(mux)
	}
	mux.Handle("GET /metrics", d.cached(metricsKey, newMetricsHandler(o.Source)))
	registerHealth(mux, o.Source, d)
	return secured(recovered(protected(underOwnName(routed(mux), o.Access), o.Access), o.Log))
}

// registerPages adds the pages that show a Snapshot.
func registerPages(mux *http.ServeMux, v *view, d *drawings, o *Options) {
	stats := newStatsPage(v, o)
	mux.Handle("GET /{$}", d.cached(stats.key, stats))
	mux.Handle("GET /stats", d.cached(stats.key, stats))
	mux.Handle("GET /stats;csv", d.cached(noKey, serveCSV(v)))
	mux.Handle("GET /;csv", d.cached(noKey, serveCSV(v)))
	mux.Handle("GET /api/v1/status", d.cached(noKey, serveStatus(v)))
}

// registerHealth adds the pages for who has to know only whether the balancer is well.
func registerHealth(mux *http.ServeMux, source Source, d *drawings) {
	mux.Handle("GET /health", d.cached(healthKey, serveHealth(source)))
	mux.Handle("GET /nginx_status", d.cached(noKey, serveNginxStatus(source)))
}

// noKey is for a page that looks the same for all.
func noKey(*http.Request) string { return "" }

// forEveryName are the pages that show no names of clients, and that programs request under
// any name.
var forEveryName = []string{"/metrics", "/health", "/nginx_status"}

// underOwnName refuses requests under a Host that is not the balancer's.
func underOwnName(next http.Handler, access *Access) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if no := access.checkHost(r); no != nil && !slices.Contains(forEveryName, r.URL.Path) {
			fail(w, r, no.status, no.reason)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// protected refuses looking without the token where that is wanted. Commands have their
// own check. A browser asks its user for the token.
func protected(next http.Handler, access *Access) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if no := access.checkLook(r, r.URL.Path); no != nil && isSafe(r.Method) {
			if no.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Basic realm="mcplb: any user name, the token as password", charset="UTF-8"`)
			}
			fail(w, r, no.status, no.reason)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// view makes the Snapshots that page, JSON and CSV show: those of the Source, with
// counters relative to the last clearing, rates and a summary.
type view struct {
	source  Source
	since   baseline
	history *History
}

func (v *view) snapshot() Snapshot {
	s := snapshotOf(v.source)
	v.since.subtract(&s)
	if v.history != nil {
		v.history.setRates(&s)
	}
	s.Summary = assess(&s)
	return s
}

// NewHealthHandler returns a handler of /health and /nginx_status only. Any number
// of goroutines may use it at once.
func NewHealthHandler(source Source) http.Handler {
	mux := http.NewServeMux()
	log := slog.New(slog.DiscardHandler)
	registerHealth(mux, source, newDrawings(log))
	return secured(recovered(mux, log))
}

// secured adds security headers to every response, errors included: no guessing
// of content types, no caching, no loading of anything, no framing.
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
		s := v.snapshot()
		writeJSON(w, http.StatusOK, &s)
	}
}

const (
	textPlain       = "text/plain; charset=utf-8"
	applicationJSON = "application/json"
)

// writeJSON responds with value as one line of JSON.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // such as a number that is not finite
		http.Error(w, "cannot encode the status as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, status, applicationJSON, append(body, '\n'))
}

// write responds with body. A write error is ignored: the client has closed the
// connection.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
