package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// commands serves what changes something, or shows what is not for everybody.
type commands struct {
	source  Source
	control Control
	access  *Access
	reload  func(context.Context) (string, error)
	since   *baseline
	log     *slog.Logger
}

// register adds the commands to mux. openapi.json describes each.
func (c *commands) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/access", c.mayI)
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

// command answers a request of somebody who may: with a value to be shown as
// JSON, or an error.
type command func(who string, r *http.Request) (any, error)

// guard lets in who may, and shows what came of it.
func (c *commands) guard(run command) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, no := c.access.check(r)
		if no != nil {
			c.deny(w, r, no)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		answer, err := run(who, r)
		if err != nil {
			writeJSON(w, statusOf(err), Failure{err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// deny refuses, and logs the attempt.
func (c *commands) deny(w http.ResponseWriter, r *http.Request, no *denial) {
	c.log.Warn("command refused", "by", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "reason", no.reason)
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mcplb"`)
	}
	writeJSON(w, no.status, Failure{no.reason})
}

// changed logs what somebody changed.
func (c *commands) changed(who, what, target, from, to string) {
	c.log.Info("command", "by", who, "changed", what, "of", target, "old", from, "new", to)
}

// Failure is the answer when something could not be done.
type Failure struct {
	Error string `json:"error"`
}

// errMediaType refuses what an HTML form of another site could have sent.
var errMediaType = errors.New("the request's Content-Type must be application/json")

// statusOf is the HTTP status that fits an error.
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

// mostBody is the longest body that is read.
const mostBody = 64 << 10

// decode reads the body, which must be one JSON object with members that value
// has. No body is an empty object.
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

// AccessAnswer is the answer of /api/v1/access.
type AccessAnswer struct {
	May    bool   `json:"may"`    // the runtime commands may be used by who asks, as he asks
	Token  bool   `json:"token"`  // a token is in force
	Reason string `json:"reason"` // why not; "" = he may
}

// mayI tells a page whether to show buttons.
func (c *commands) mayI(w http.ResponseWriter, r *http.Request) {
	answer := AccessAnswer{May: true, Token: c.access.digest.Load() != nil}
	if _, no := c.access.check(r); no != nil {
		answer.May, answer.Reason = false, no.reason
	}
	writeJSON(w, http.StatusOK, answer)
}

// Changed is the answer of a command that changed something.
type Changed struct {
	Target  string   `json:"target"`
	Changes []Change `json:"changes"` // empty: it was so already
}

// mostReason is the longest reason that is kept.
const mostReason = 200

func (c *commands) setServer(who string, r *http.Request) (any, error) {
	var change ServerChange
	if err := decode(r, &change); err != nil {
		return nil, err
	}
	if change.Admin == nil && change.Weight == nil && change.MaxConn == nil {
		return nil, fmt.Errorf("%w: name what is to change: admin, weight or maxconn", ErrInvalid)
	}
	backend, server := r.PathValue("backend"), r.PathValue("server")
	reason := change.Reason
	if len(reason) > mostReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return nil, fmt.Errorf("%w: reason must be one line of at most %d bytes", ErrInvalid, mostReason)
	}
	change.Reason = "by " + who
	if reason != "" {
		change.Reason = reason + ", by " + who
	}
	changes, err := c.control.SetServer(backend, server, change)
	target := backend + "/" + server
	for _, done := range changes {
		c.changed(who, done.What, target, done.Old, done.New)
	}
	return Changed{target, present(changes)}, err
}

func (c *commands) connections(_ string, r *http.Request) (any, error) {
	filter, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	most, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	list, err := c.control.ListConnections(r.Context(), filter, most)
	list.Connections = present(list.Connections)
	return list, err
}

// filterOf reads a filter from the query.
func filterOf(r *http.Request) (ConnectionFilter, error) {
	query := r.URL.Query()
	filter := ConnectionFilter{Backend: query.Get("backend"), Server: query.Get("server")}
	if filter.Server != "" && filter.Backend == "" {
		return filter, fmt.Errorf("%w: name the server's backend, too", ErrInvalid)
	}
	if client := query.Get("client"); client != "" {
		address, err := netip.ParseAddr(client)
		if err != nil {
			return filter, fmt.Errorf("%w: client: %w", ErrInvalid, err)
		}
		filter.Client = address.Unmap()
	}
	return filter, nil
}

// How many lines of a list are shown.
const (
	usualLimit = 100
	mostLimit  = 10_000
)

// limitOf reads how many lines are asked for.
func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return usualLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostLimit {
		return 0, fmt.Errorf("%w: limit must be a number from 1 to %d", ErrInvalid, mostLimit)
	}
	return n, nil
}

// Killed is the answer of a command that ended connections.
type Killed struct {
	Ended int `json:"ended"`
}

func (c *commands) kill(who string, r *http.Request) (any, error) {
	filter, err := filterOf(r)
	if err != nil {
		return nil, err
	}
	if filter == (ConnectionFilter{}) {
		return nil, fmt.Errorf("%w: name a backend, a server of it, or a client", ErrInvalid)
	}
	n, err := c.control.Kill(r.Context(), filter)
	if err == nil {
		c.log.Info("command", "by", who, "ended", n, "backend", filter.Backend, "server", filter.Server, "client", r.URL.Query().Get("client"))
	}
	return Killed{n}, err
}

func (c *commands) killOne(who string, r *http.Request) (any, error) {
	if err := c.control.KillOne(r.Context(), r.PathValue("id")); err != nil {
		return nil, err
	}
	c.log.Info("command", "by", who, "ended", 1, "connection", r.PathValue("id"))
	return Killed{1}, nil
}

// BanList is the answer of /api/v1/bans.
type BanList struct {
	Bans []Ban `json:"bans"` // by address
}

func (c *commands) bans(_ string, r *http.Request) (any, error) {
	most, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	return BanList{present(c.control.Bans(most))}, nil
}

// BanRequest is the body of POST /api/v1/bans.
type BanRequest struct {
	Source  string  `json:"source"`  // an address; IPv6: its /64 is banned
	Seconds float64 `json:"seconds"` // 0 = until it is lifted
}

func (c *commands) ban(who string, r *http.Request) (any, error) {
	var asked BanRequest
	if err := decode(r, &asked); err != nil {
		return nil, err
	}
	source, err := sourceOf(asked.Source)
	if err != nil {
		return nil, err
	}
	const longest = 10 * 365 * 24 * 3600
	if !(asked.Seconds >= 0 && asked.Seconds <= longest) {
		return nil, fmt.Errorf("%w: seconds must be from 0 to %d", ErrInvalid, longest)
	}
	d := time.Duration(asked.Seconds * float64(time.Second))
	if d == 0 && asked.Seconds > 0 {
		d = 1
	}
	ban := c.control.Ban(source, d)
	c.changed(who, "ban", ban.Source, "", d.String())
	return ban, nil
}

// sourceOf reads an address, or what Ban.Source shows.
func sourceOf(text string) (netip.Addr, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil && (prefix.Bits() == 32 && prefix.Addr().Is4() || prefix.Bits() == 64 && prefix.Addr().Is6()) {
		return prefix.Addr(), nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, fmt.Errorf("%w: source must be an IP address: %w", ErrInvalid, err)
	}
	return address.Unmap().WithZone(""), nil
}

func (c *commands) unban(who string, r *http.Request) (any, error) {
	source, err := sourceOf(r.PathValue("source"))
	if err != nil {
		return nil, err
	}
	if !c.control.Unban(source) {
		return nil, fmt.Errorf("%w: %s is not banned", ErrNotFound, source)
	}
	c.changed(who, "ban", source.String(), "banned", "")
	return Changed{source.String(), []Change{{"ban", "banned", ""}}}, nil
}

// StickyList is the answer of /api/v1/backends/BACKEND/sticky.
type StickyList struct {
	Entries []StickyEntry `json:"entries"` // some of them, where there are very many
}

func (c *commands) sticky(_ string, r *http.Request) (any, error) {
	most, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	var source netip.Addr
	if text := r.URL.Query().Get("source"); text != "" {
		if source, err = sourceOf(text); err != nil {
			return nil, err
		}
	}
	entries, err := c.control.Sticky(r.PathValue("backend"), source, most)
	return StickyList{present(entries)}, err
}

// ClearRequest is the body of POST /api/v1/counters/clear.
type ClearRequest struct {
	All bool `json:"all"` // counters too, not only peaks
}

// clear has peaks begin anew, and with all also what page, JSON and CSV count.
func (c *commands) clear(who string, r *http.Request) (any, error) {
	var asked ClearRequest
	if err := decode(r, &asked); err != nil {
		return nil, err
	}
	c.control.ClearPeaks()
	what := "peaks"
	if asked.All {
		c.since.set(c.source.Snapshot())
		what = "peaks and counters"
	}
	c.changed(who, "counters", "everything", "", what+" cleared")
	return Changed{"counters", []Change{{what, "", "cleared"}}}, nil
}

// errFailed is a reload that changed nothing, or not all.
var errFailed = errors.New("reload failed")

// Reloaded is the answer of POST /api/v1/reload.
type Reloaded struct {
	Changes string `json:"changes"` // in words
}

func (c *commands) reloadNow(who string, r *http.Request) (any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return nil, err
	}
	if c.reload == nil {
		return nil, fmt.Errorf("%w: this process cannot reload", ErrUnavailable)
	}
	c.log.Info("command", "by", who, "asked", "reload")
	changes, err := c.reload(r.Context())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFailed, err)
	}
	return Reloaded{changes}, nil
}
