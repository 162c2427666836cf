package admin

import "time"

// Snapshot is the balancer's state at one moment, as /api/v1/status shows it.
//
// Counters are the members of type uint64. They only grow while the process lives
// (an upgrade continues them), unless an operator clears them. A peak is the
// maximum in that time. "In" is from the client to the server, "out" the other
// direction. Durations are in seconds, times in RFC 3339; a time or member without
// a value is absent; an empty list or map is present. Every map by reason has a
// small, fixed set of keys, which are present from the start, if only with 0.
//
// This package computes the fields marked derived; a Source does not set them.
type Snapshot struct {
	Time      time.Time  `json:"time"` // of this state
	Process   Process    `json:"process"`
	Loops     []Loop     `json:"loops"`     // in the order of their numbers, from 0
	Frontends []Frontend `json:"frontends"` // in the order of the file
	Backends  []Backend  `json:"backends"`  // in the order of the file
	RateLimit RateLimit  `json:"ratelimit"`
	Fleet     *Fleet     `json:"fleet,omitempty"` // absent while fleet.redis is ""
	Leaving   Leaving    `json:"leaving"`
	Events    []Event    `json:"events"` // derived: of the last 15 minutes, the oldest first; at most 200

	Summary Summary `json:"summary"` // derived
}

// Leaving lists what reloads removed from the configuration, as long as clients are
// connected to it.
type Leaving struct {
	Frontends []LeavingFrontend `json:"frontends"` // by name
	Servers   []LeavingServer   `json:"servers"`
}

// LeavingFrontend is a removed frontend. It accepts no clients.
type LeavingFrontend struct {
	Name        string `json:"name"`
	Connections int64  `json:"connections"` // of clients, now
}

// LeavingServer is a removed server. It gets no new clients. The configuration may
// have a server of the same name with other addresses.
type LeavingServer struct {
	Backend     string            `json:"backend"`
	Name        string            `json:"name"`
	Addresses   map[string]string `json:"addresses"`   // host:port by endpoint: tcp, http, ws, sse
	Connections int64             `json:"connections"` // slots in use, now
}

// Process is the state of the process.
type Process struct {
	Version       string    `json:"version"`
	GoVersion     string    `json:"go_version"`
	PID           int       `json:"pid"`
	StartTime     time.Time `json:"start_time"`
	UptimeSeconds float64   `json:"uptime_seconds"` // derived
	ConfigPath    string    `json:"config_path"`
	Threads       int       `json:"threads"` // event loops

	Connections Connections `json:"connections"` // of clients, over all frontends; the limit is maxconn
	OpenFiles   OpenFiles   `json:"open_files"`
	Resident    int64       `json:"resident_bytes"` // memory in use, as the kernel counts it

	Draining          bool   `json:"draining"`            // no new clients are accepted; the process will end
	AcceptPaused      bool   `json:"accept_paused"`       // new clients wait in the listeners' backlogs
	AcceptPauseReason string `json:"accept_pause_reason"` // why, such as "maxconn"; "" = not paused

	AcceptFailures uint64 `json:"accept_failures"` // counter: failed accepts, usually because no file descriptor was free

	LogDropped uint64 `json:"log_dropped"` // counter: lines of mcplb's own log that were lost because it was not read or writing failed

	Reload    Reload     `json:"reload"`
	AccessLog *AccessLog `json:"access_log,omitempty"` // absent while it is off

	Rates Rates `json:"rates"` // derived; over all frontends

	acceptsFail bool // some failed in the last minute
}

// AccessLog is the state of the access log.
type AccessLog struct {
	Path    string `json:"path"`    // of the file, or "stdout"
	Lines   uint64 `json:"lines"`   // counter: lines written
	Dropped uint64 `json:"dropped"` // counter: lines lost because writing was too slow or failed
	Error   string `json:"error"`   // why it cannot be written now; "" = it can
}

// Connections is the number of connections of one kind.
type Connections struct {
	Current int64  `json:"current"`
	Peak    int64  `json:"peak"`
	Total   uint64 `json:"total"` // counter; of a frontend, including refused clients
	Limit   int64  `json:"limit"` // 0 = none
}

// Traffic is the amount of data transferred. All members are counters.
type Traffic struct {
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
	MessagesIn  uint64 `json:"messages_in"`  // JSON-RPC messages; none in mode tcp
	MessagesOut uint64 `json:"messages_out"` // JSON-RPC messages; spliced data is not counted
}

// OpenFiles is the use of file descriptors.
type OpenFiles struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"`
}

// Reload is the time and the result of reading the configuration last, at the start
// or in a reload.
type Reload struct {
	Time    time.Time `json:"time,omitzero"`
	Success bool      `json:"success"`
	Error   string    `json:"error"` // what is wrong with the file; "" = nothing. After an error the old configuration stays in force.
}

// Loop is one event loop.
type Loop struct {
	Connections        int64   `json:"connections"`                    // of clients and servers, now
	Turns              uint64  `json:"turns,omitempty"`                // counter: wake-ups
	LongestTurnSeconds float64 `json:"longest_turn_seconds,omitempty"` // peak
}

// RateLimit is the state of the rate limits and bans.
type RateLimit struct {
	SourcesRemembered int64             `json:"sources_remembered"`
	SourcesForgotten  uint64            `json:"sources_forgotten"` // counter: sources forgotten because the table was full
	TableSize         int64             `json:"table_size"`        // the maximum of sources remembered
	Refused           map[string]uint64 `json:"refused"`           // counters, by reason
	MessagesDelayed   uint64            `json:"messages_delayed"`  // counter: times that the message rate paused a client, over all frontends
	MessagesRejected  uint64            `json:"messages_rejected"` // counter: messages answered with an error because of the message rate, over all frontends
	Throttled         []Throttled       `json:"throttled"`         // who was delayed or refused within the last minute, the most affected first; at most 16
	BansActive        int64             `json:"bans_active"`
	BansImposed       uint64            `json:"bans_imposed"` // counter
	Bans              []Ban             `json:"bans"`         // those in force, sorted by address; only some if there are very many
}

// Throttled is a source that a limit delays or refuses now. The numbers are those
// since it began: it is over when nothing has happened for a minute.
type Throttled struct {
	Source       string  `json:"source"`        // an IPv4 address or an IPv6 /64; "" = all sources together, by a global rate
	ForSeconds   float64 `json:"for_seconds"`   // since it began
	Delayed      int64   `json:"delayed"`       // messages delayed
	Rejected     int64   `json:"rejected"`      // messages answered with an error
	Refused      int64   `json:"refused"`       // connections refused
	TrustedProxy bool    `json:"trusted_proxy"` // it is a trusted proxy that does not name its clients
}

// Fleet is what several balancers share through Redis.
type Fleet struct {
	Redis    string   `json:"redis"`    // its URL, without the password
	Name     string   `json:"name"`     // of the fleet
	Instance string   `json:"instance"` // this balancer in it
	Shares   []string `json:"shares"`   // what is shared: sticky, bans, rates

	Connected        bool      `json:"connected"`          // the last exchange with Redis succeeded; otherwise this balancer works alone
	Since            time.Time `json:"since"`              // when that changed last
	Error            string    `json:"error"`              // why it failed; "" = it did not
	Advice           string    `json:"advice"`             // what to do about it
	Conflict         bool      `json:"conflict"`           // another balancer has the same instance
	LagSeconds       float64   `json:"lag_seconds"`        // since the last exchange that succeeded
	RoundTripSeconds float64   `json:"round_trip_seconds"` // of that exchange
	Waiting          int64     `json:"waiting"`            // changes that the other balancers do not know yet
	Errors           uint64    `json:"errors"`             // counter: exchanges that failed

	Sent     map[string]uint64 `json:"sent"`     // counters, by what is shared: entries written
	Received map[string]uint64 `json:"received"` // entries read and carried out
	Lost     map[string]uint64 `json:"lost"`     // not written: there was no room
	Invalid  map[string]uint64 `json:"invalid"`  // found in Redis, but no entries

	Balancers []FleetBalancer `json:"balancers"` // by instance, this one included
}

// FleetBalancer is one balancer of a fleet, as it says itself.
type FleetBalancer struct {
	Instance          string    `json:"instance"`
	Self              bool      `json:"self"`  // it is this balancer
	State             string    `json:"state"` // serving, full (at its maxconn), draining; unknown: of another version
	Connections       int64     `json:"connections"`
	MessagesPerSecond float64   `json:"messages_per_second"` // from clients
	Version           string    `json:"version"`
	Admin             string    `json:"admin"` // its admin.listen
	StartTime         time.Time `json:"start_time"`
	AgeSeconds        float64   `json:"age_seconds"` // of what it says; after 10 s it is not shown any more
}

// Ban is a banned source.
type Ban struct {
	Source           string  `json:"source"`            // an IPv4 /32 or IPv6 /64, or a range that an operator has banned
	Reason           string  `json:"reason"`            // why it is banned, or "manual"
	RemainingSeconds float64 `json:"remaining_seconds"` // 0 = until the ban is lifted
	Note             string  `json:"note,omitempty"`    // in the answer to the command: where the ban has no effect
}
