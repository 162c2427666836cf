package admin

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Control executes the runtime commands. Any number of goroutines may call its
// methods at once. A change holds until a reload changes the same value in the
// file, or the process ends.
//
// Errors wrap ErrNotFound, ErrInvalid, ErrConflict or ErrUnavailable where one applies. The
// operator sees their text.
type Control interface {
	// SetServer applies all of change to a server, or nothing, and returns the
	// values that changed.
	SetServer(backend, server string, change ServerChange) ([]Change, error)

	// PutServer adds a server to a backend, or changes one that was added before, to
	// what keys say: those of [[server]] without the name. It returns whether it added
	// one, and the values that changed. Until it is removed, the server stays through
	// reloads and upgrades.
	PutServer(backend, server string, keys ServerKeys) (created bool, changes []Change, err error)
	// RemoveServer removes a server that PutServer added.
	RemoveServer(backend, server string) error

	// ListConnections returns up to most client connections that match filter,
	// and the number of all that match.
	ListConnections(ctx context.Context, filter ConnectionFilter, most int) (ConnectionList, error)
	// Kill resets the connections that match filter and returns their number.
	Kill(ctx context.Context, filter ConnectionFilter) (int, error)
	// KillOne resets the connection with an ID that ListConnections returned.
	KillOne(ctx context.Context, id string) error

	// Bans returns up to most of the bans in force, sorted by address.
	Bans(most int) []Ban
	// Ban bans a source, or a range of addresses, for d; 0 = until the ban is lifted.
	// source has no host bits.
	Ban(source netip.Prefix, d time.Duration) (Ban, error)
	// Unban lifts the ban of exactly that source or range.
	Unban(source netip.Prefix) error

	// Sticky returns up to most entries of a backend's sticky memory: those of
	// source or, if source is invalid, of any sources.
	Sticky(backend string, source netip.Addr, most int) ([]StickyEntry, error)

	// Route finds out which route a request would take, and changes nothing.
	Route(asked RouteRequest) (RouteAnswer, error)

	// ClearPeaks resets every peak to the present value.
	ClearPeaks()
}

// Errors that the methods of Control wrap.
var (
	ErrNotFound    = errors.New("not found")         // no such backend, server or connection
	ErrInvalid     = errors.New("invalid")           // a value out of range
	ErrUnavailable = errors.New("not available now") // the balancer is about to end
	ErrConflict    = errors.New("not possible")      // of a server that was not added at run time
)

// ServerKeys are keys of [[server]] without the name, and their values as JSON has
// them.
type ServerKeys map[string]any

// ServerChange describes a change of a server. Absent members stay unchanged.
type ServerChange struct {
	Admin   *AdminState `json:"admin,omitempty"`
	Weight  *int        `json:"weight,omitempty"`  // 0 to 1000; 0 = takes no new clients
	MaxConn *int        `json:"maxconn,omitempty"` // 0 = no limit
	Reason  string      `json:"reason,omitempty"`  // why, in words; shown next to the admin state

	Explained bool `json:"-"` // the operator gave a reason: it replaces the one of an admin state that stays
}

// Change is one changed value.
type Change struct {
	What string `json:"what"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// ConnectionFilter selects client connections. An empty member matches all.
type ConnectionFilter struct {
	Backend string
	Server  string       // of that backend
	Client  netip.Prefix // what contains the client's address, or that of the proxy that has named it
}

// ConnectionList is the response of /api/v1/connections.
type ConnectionList struct {
	Total       int          `json:"total"`       // the number of connections
	Connections []Connection `json:"connections"` // at most as many as requested
}

// Connection is the connection of a client.
type Connection struct {
	ID          string  `json:"id"` // for DELETE /api/v1/connections/ID
	Frontend    string  `json:"frontend"`
	Client      string  `json:"client"`        // host:port; the address alone where a proxy names the client of the present request
	Proxy       string  `json:"proxy"`         // host:port of the trusted proxy that has named the client; "" = none
	SNI         string  `json:"sni,omitempty"` // the name that it asks for, where routes depend on that
	Backend     string  `json:"backend"`       // "" = it has no server now
	Server      string  `json:"server"`
	State       string  `json:"state"`        // such as "relaying"
	IdleSeconds float64 `json:"idle_seconds"` // time in that state, or since the last transfer
	Requests    uint64  `json:"requests"`     // mode http: requests read so far
}

// StickyEntry is an entry of the sticky memory (policy source). A source that is
// split over several servers has several; one without connections has one only if
// it was displaced.
type StickyEntry struct {
	Source      string  `json:"source"`
	Server      string  `json:"server"`       // its server
	Displaced   bool    `json:"displaced"`    // the server is not its first by hash
	Refuge      string  `json:"refuge"`       // the server that hashing prefers while its own is unavailable; "" = none
	Connections int     `json:"connections"`  // now
	IdleSeconds float64 `json:"idle_seconds"` // since it had a connection; 0 while it has one
}
