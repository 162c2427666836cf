package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mcplb/proxy/lograte"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// commands serves the runtime commands and lists of single clients.
type commands struct {
	source  Source
	control Control
	access  *Access
	reload  func(context.Context) (string, error)
	since   *baseline
	log     *slog.Logger

	refusals *lograte.Limiter
}

// Refused commands are logged up to a burst, and then one per interval.
const (
	refusalsBurst    = 20
	refusalsInterval = time.Second
)

// register adds the commands to mux. openapi.json describes each.
func (c *commands) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/access", c.serveAccess)
	mux.HandleFunc("PATCH /api/v1/backends/{backend}/servers/{server}", c.guard(c.setServer))
	mux.HandleFunc("GET /api/v1/backends/{backend}/sticky", c.guard(c.sticky))
	mux.HandleFunc("GET /api/v1/connections", c.guard(c.connections))
	mux.HandleFunc("DELETE /api/v1/connections", c.guard(c.kill))
	mux.HandleFunc("DELETE /api/v1/connections/{id}", c.guard(c.killOne))
	mux.HandleFunc("GET /api/v1/bans", c.guard(c.bans))
	mux.HandleFunc("POST /api/v1/bans", c.guard(c.ban))
	mux.HandleFunc("DELETE /api/v1/bans/{source...}", c.guard(c.unban))
	mux.HandleFunc("POST /api/v1/counters/clear", c.guard(c.clear))
	mux.HandleFunc("POST /api/v1/reload", c.guard(c.reloadNow))
}

// command executes an authorized request of who and returns the response, which is
// encoded as JSON, or an error.
type command func(who string, r *http.Request) (any, error)

// guard authorizes a request, runs the command and writes its response.
func (c *commands) guard(run command) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, no := c.access.check(r)
		if no != nil {
			c.deny(w, r, no)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		answer, err := run(who, r)
		if err != nil {
			writeJSON(w, statusOf(err), Failure{err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// deny refuses a request and logs it, limited in rate.
func (c *commands) deny(w http.ResponseWriter, r *http.Request, no *denial) {
	if omitted, ok := c.refusals.Allow(); ok {
		c.log.Warn("command refused", "by", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "reason", no.reason, "omitted", omitted)
	}
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mcplb"`)
	}
	writeJSON(w, no.status, Failure{no.reason})
}

// changed logs a change.
func (c *commands) changed(who, what, target, from, to string) {
	c.log.Info("command", "by", who, "changed", what, "of", target, "old", from, "new", to)
}

// Failure is the response to a request that failed.
type Failure struct {
	Error string `json:"error"`
}

// errMediaType is for a body that an HTML form of another site could have sent.
var errMediaType = errors.New("the request's Content-Type must be application/json")

// statusOf returns the HTTP status of an error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrUnavailable):
		return http.StatusServiceUnavailable
	case errors.Is(err, errMediaType):
		return http.StatusUnsupportedMediaType
	case errors.Is(err, errFailed):
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

// maxBody limits a request body.
const maxBody = 64 << 10

// decode reads the body into value. It must be one JSON object and have no members
// that value lacks. An empty body counts as an empty object.
func decode(r *http.Request, value any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != applicationJSON {
		return errMediaType
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the request's body: %w", ErrInvalid, err)
	}
	return nil
}

// Changed is the response of a command that changes something.
type Changed struct {
	Target  string   `json:"target"`
	Changes []Change `json:"changes"` // empty: nothing had to change
}

// Limits on the length of a list.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// limitOf reads the requested limit on the length of a list.
func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, fmt.Errorf("%w: limit must be a number from 1 to %d", ErrInvalid, maxLimit)
	}
	return n, nil
}
