package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mcplb/proxy/lograte"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
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

	drawings *drawings

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
	mux.HandleFunc("PUT /api/v1/backends/{backend}/servers/{server}", c.guard(c.putServer))
	mux.HandleFunc("DELETE /api/v1/backends/{backend}/servers/{server}", c.guard(c.removeServer))
	mux.HandleFunc("GET /api/v1/backends/{backend}/sticky", c.guard(c.sticky, "limit", "source"))
	mux.HandleFunc("GET /api/v1/connections", c.guard(c.connections, "backend", "client", "limit", "server"))
	mux.HandleFunc("DELETE /api/v1/connections", c.guard(c.kill, "backend", "client", "server"))
	mux.HandleFunc("DELETE /api/v1/connections/{id}", c.guard(c.killOne))
	mux.HandleFunc("GET /api/v1/bans", c.guard(c.bans, "limit"))
	mux.HandleFunc("POST /api/v1/bans", c.guard(c.ban))
	mux.HandleFunc("DELETE /api/v1/bans/{source...}", c.guard(c.unban))
	mux.HandleFunc("POST /api/v1/route", c.guard(c.route))
	mux.HandleFunc("POST /api/v1/counters/clear", c.guard(c.clear))
	mux.HandleFunc("POST /api/v1/reload", c.guard(c.reloadNow))
}

// command executes an authorized request of who and returns the response, which is
// encoded as JSON, or an error.
type command func(who string, r *http.Request) (any, error)

// guard authorizes a request, runs the command and writes its response. The request's query
// may have these parameters.
func (c *commands) guard(run command, parameters ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, no := c.access.check(r)
		if no != nil {
			c.deny(w, r, no)
			return
		}
		if err := checkQuery(r, parameters); err != nil {
			writeJSON(w, statusOf(err), Failure{err.Error()})
			return
		}
		if !isSafe(r.Method) {
			defer c.drawings.expire() // the next page shows what has changed
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		answer, err := run(who, r)
		if err != nil {
			writeJSON(w, statusOf(err), Failure{err.Error()})
			return
		}
		status := http.StatusOK
		if put, is := answer.(PutServer); is && put.Created {
			status = http.StatusCreated
		}
		writeJSON(w, status, answer)
	}
}

// checkQuery refuses a query that cannot be read, and parameters that the command does not
// have or has got twice: a command without what its caller meant to say would do more than
// was asked for, such as end every connection of a server in place of one client's.
func checkQuery(r *http.Request, parameters []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: the query cannot be read: %v", ErrInvalid, err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case len(parameters) == 0:
			return fmt.Errorf("%w: %s takes no parameters in the query, not %q", ErrInvalid, r.URL.Path, name)
		case !slices.Contains(parameters, name):
			return fmt.Errorf("%w: %s has no parameter %q: it has %s", ErrInvalid, r.URL.Path, name, strings.Join(parameters, ", "))
		case len(query[name]) > 1:
			return fmt.Errorf("%w: the parameter %q stands twice in the query: give one", ErrInvalid, name)
		}
	}
	return nil
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

// changed logs a change, with further attributes.
func (c *commands) changed(who, what, target, from, to string, more ...any) {
	c.log.Info("command", append([]any{"by", who, "changed", what, "of", target, "old", from, "new", to}, more...)...)
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
	case errors.Is(err, errFailed), errors.Is(err, ErrConflict):
		return http.StatusConflict
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// maxBody limits a request body.
const maxBody = 64 << 10

// errTooLarge is for a body above maxBody.
var errTooLarge = fmt.Errorf("the request's body is larger than %d bytes", maxBody)

// decode reads the body into value. It must be one JSON object and have no members
// that value lacks. An empty body counts as an empty object.
func decode(r *http.Request, value any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != applicationJSON {
		return errMediaType
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	decoder.UseNumber() // where a value may be of any type
	err := decoder.Decode(value)
	if errors.Is(err, io.EOF) {
		return nil // empty
	}
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("must be one JSON object, and something follows it")
		}
	}
	if err != nil {
		return explainJSON(err)
	}
	return nil
}

// explainJSON says what is wrong with a request's body.
func explainJSON(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var large *http.MaxBytesError
	const body = "%w: the request's body "
	switch {
	case errors.As(err, &large):
		return errTooLarge
	case errors.As(err, &syntax):
		return fmt.Errorf(body+"is not JSON: %v (byte %d)", ErrInvalid, syntax, syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf(body+"is not JSON: it ends too early", ErrInvalid)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf(body+"must be a JSON object, not a JSON %s", ErrInvalid, kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf(body+"has the wrong type for %q: it must be %s, not %s", ErrInvalid, kind.Field, jsonType(kind.Type.Kind()), kind.Value)
	}
	return fmt.Errorf(body+"is not accepted: %s", ErrInvalid, strings.TrimPrefix(err.Error(), "json: "))
}

// jsonType is what JSON calls the values of a kind.
func jsonType(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a JSON " + kind.String()
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
