package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"unicode"
)

// maxReason limits the reason of a change.
const maxReason = 200

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
	if len(reason) > maxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return nil, fmt.Errorf("%w: reason must be one line of at most %d bytes", ErrInvalid, maxReason)
	}
	change.Reason = "by " + who
	if reason != "" {
		change.Reason, change.Explained = reason+", by "+who, true
	}
	changes, err := c.control.SetServer(backend, server, change)
	target := backend + "/" + server
	var why []any // attributes of the log line
	if reason != "" {
		why = []any{"reason", reason}
	}
	for _, done := range changes {
		c.changed(who, done.What, target, done.Old, done.New, why...)
	}
	return Changed{target, present(changes)}, err
}

// PutServer is the response of a command that adds a server, or changes one.
type PutServer struct {
	Target  string   `json:"target"`
	Created bool     `json:"created"` // the server is new
	Changes []Change `json:"changes"` // of a server that is not new; empty: nothing had to change
}

func (c *commands) putServer(who string, r *http.Request) (any, error) {
	var keys ServerKeys
	if err := decode(r, &keys); err != nil {
		return nil, err
	}
	backend, server := r.PathValue("backend"), r.PathValue("server")
	target := backend + "/" + server
	created, changes, err := c.control.PutServer(backend, server, keys)
	if err != nil {
		return nil, err
	}
	if created {
		c.changed(who, "server", target, "absent", "added")
	}
	for _, done := range changes {
		c.changed(who, done.What, target, done.Old, done.New)
	}
	return PutServer{target, created, present(changes)}, nil
}

func (c *commands) removeServer(who string, r *http.Request) (any, error) {
	backend, server := r.PathValue("backend"), r.PathValue("server")
	if err := c.control.RemoveServer(backend, server); err != nil {
		return nil, err
	}
	target := backend + "/" + server
	c.changed(who, "server", target, "added", "removed")
	return Changed{target, []Change{{"server", "added", "removed"}}}, nil
}

// StickyList is the response of /api/v1/backends/BACKEND/sticky.
type StickyList struct {
	Entries []StickyEntry `json:"entries"` // at most as many as requested
}

func (c *commands) sticky(_ string, r *http.Request) (any, error) {
	most, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	var source netip.Addr
	if text := r.URL.Query().Get("source"); text != "" {
		prefix, err := sourceOf(text)
		if err != nil {
			return nil, err
		}
		source = prefix.Addr()
	}
	entries, err := c.control.Sticky(r.PathValue("backend"), source, most)
	return StickyList{present(entries)}, err
}
