package admin

import (
	"errors"
	"fmt"
	"net/http"
)

// AccessAnswer is the response of /api/v1/access.
type AccessAnswer struct {
	May    bool   `json:"may"`    // a client like this one may use the runtime commands; without a token, with the header X-Mcplb-Command: 1
	Token  bool   `json:"token"`  // a token is in force
	Reason string `json:"reason"` // why not; "" = it may
}

// serveAccess reports whether the request may use the commands.
func (c *commands) serveAccess(w http.ResponseWriter, r *http.Request) {
	answer := AccessAnswer{May: true, Token: c.access.digest.Load() != nil}
	if no := c.access.mayCommand(r); no != nil {
		answer.May, answer.Reason = false, no.reason
	}
	writeJSON(w, http.StatusOK, answer)
}

// ClearRequest is the body of POST /api/v1/counters/clear.
type ClearRequest struct {
	All bool `json:"all"` // also counters, not only peaks
}

// clear resets peaks and, if all is set, the counters of page, JSON and CSV.
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

// errFailed is for a reload that failed completely or in part.
var errFailed = errors.New("reload failed")

// Reloaded is the response of POST /api/v1/reload.
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
