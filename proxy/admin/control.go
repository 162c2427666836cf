package admin

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Control is what the runtime commands act on. Any number of goroutines may
// call its methods at once. What they change holds until a reload changes the
// same value in the file, or the process ends.
//
// Errors wrap ErrNotFound, ErrInvalid or ErrUnavailable where they fit, and are
// shown to the operator as they are.
type Control interface {
	// SetServer changes a server, all that change names or nothing, and tells
	// what has become different.
	SetServer(backend, server string, change ServerChange) ([]Change, error)

	// ListConnections lists up to most of the clients' connections that filter
	// admits, and counts all of these.
	ListConnections(ctx context.Context, filter ConnectionFilter, most int) (ConnectionList, error)
	// Kill ends the connections that filter admits, with RST, and counts them.
	Kill(ctx context.Context, filter ConnectionFilter) (int, error)
	// KillOne ends one connection, which ListConnections has listed.
	KillOne(ctx context.Context, id string) error

	// Bans lists the bans in force, by address; most at the most.
	Bans(most int) []Ban
	// Ban bans a source for a time, 0 = until it is lifted.
	Ban(source netip.Addr, d time.Duration) Ban
	// Unban lifts the ban of a source, and tells whether there was one.
	Unban(source netip.Addr) bool

	// Sticky lists up to most lines of a backend's sticky memory: those of one
	// source, if it is valid, or some.
	Sticky(backend string, source netip.Addr, most int) ([]StickyEntry, error)

	// ClearPeaks has every peak begin anew with what is now.
	ClearPeaks()
}

// The errors that Control's methods wrap.
var (
	ErrNotFound    = errors.New("not found")         // no such backend, server or connection
	ErrInvalid     = errors.New("invalid")           // a value out of range
	ErrUnavailable = errors.New("not available now") // the balancer is about to end
)

// ServerChange says what is to become of a server. What is absent stays.
type ServerChange struct {
	Admin   *AdminState `json:"admin,omitempty"`
	Weight  *int        `json:"weight,omitempty"`  // 0 to 1000; 0 = takes no new clients
	MaxConn *int        `json:"maxconn,omitempty"` // 0 = no limit
	Reason  string      `json:"reason,omitempty"`  // why, in words: shown beside an admin state
}

// Change is one value that was changed.
type Change struct {
	What string `json:"what"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// ConnectionFilter chooses among the clients' connections. Empty members choose
// all.
type ConnectionFilter struct {
	Backend string
	Server  string     // of that backend
	Client  netip.Addr // who connected
}

// ConnectionList is an answer of /api/v1/connections.
type ConnectionList struct {
	Total       int          `json:"total"`       // how many there are
	Connections []Connection `json:"connections"` // some of them, where there are very many
}

// Connection is one of a client.
type Connection struct {
	ID          string  `json:"id"` // for DELETE /api/v1/connections/ID
	Frontend    string  `json:"frontend"`
	Client      string  `json:"client"`  // host:port
	Backend     string  `json:"backend"` // "" = it has no server at the moment
	Server      string  `json:"server"`
	State       string  `json:"state"`        // such as "relaying"
	IdleSeconds float64 `json:"idle_seconds"` // in that state, or since something last moved
	Requests    uint64  `json:"requests"`     // mode http: read so far
}

// StickyEntry is a line of the sticky memory (policy source). A source that was
// too much for one server has several.
type StickyEntry struct {
	Source      string  `json:"source"`
	Server      string  `json:"server"`       // where it belongs
	Refuge      string  `json:"refuge"`       // which it uses while that is out of use; "" = none
	Connections int     `json:"connections"`  // now
	IdleSeconds float64 `json:"idle_seconds"` // since it had one; 0 while it has
}
