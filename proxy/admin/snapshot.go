package admin

import "time"

// Snapshot is the balancer's state at one moment, as /api/v1/status shows it.
//
// Throughout: counters only grow while the process (or, over an upgrade, its
// successors) lives; a peak is the most there has been in that time; "in" is
// from the client towards the server, "out" the way back; durations are
// seconds, times RFC 3339, and a time or member that has no value yet is absent;
// an absent list or map is shown as empty. Every map by reason has a fixed,
// small set of keys, each present from the start, if only with 0.
//
// Fields marked derived are filled in by this package and need not be set.
type Snapshot struct {
	Time      time.Time  `json:"time"` // when it was taken
	Process   Process    `json:"process"`
	Loops     []Loop     `json:"loops"`     // in the order of their numbers, from 0
	Frontends []Frontend `json:"frontends"` // in the order of the file
	Backends  []Backend  `json:"backends"`  // in the order of the file
	RateLimit RateLimit  `json:"ratelimit"`
}

// Process is the balancer as a whole.
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
	Resident    uint64      `json:"resident_bytes"` // memory in use, as the kernel counts it

	Draining          bool   `json:"draining"`            // no new clients; the process is about to end
	AcceptPaused      bool   `json:"accept_paused"`       // new clients wait in the listeners' backlogs
	AcceptPauseReason string `json:"accept_pause_reason"` // why, such as "maxconn"; "" = not paused

	Reload Reload `json:"reload"`
}

// Connections counts connections of one kind.
type Connections struct {
	Current int64  `json:"current"`
	Peak    int64  `json:"peak"`
	Total   uint64 `json:"total"` // counter; clients that were refused are among a frontend's
	Limit   int64  `json:"limit"` // 0 = none
}

// OpenFiles is the use of file descriptors.
type OpenFiles struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"`
}

// Reload tells of the configuration: when it was last read, at the start or by
// a reload, and what came of it.
type Reload struct {
	Time    time.Time `json:"time,omitzero"`
	Success bool      `json:"success"`
	Error   string    `json:"error"` // what was wrong with the file; "" = nothing. The one before stays in force.
}

// Loop is one event loop.
type Loop struct {
	Connections        int64   `json:"connections"`                    // of clients and servers, now
	Turns              uint64  `json:"turns,omitempty"`                // counter: times it woke up to work
	LongestTurnSeconds float64 `json:"longest_turn_seconds,omitempty"` // peak
}

// FrontendState says whether a frontend takes clients.
type FrontendState string

// The values of Frontend.State.
const (
	FrontendOpen     FrontendState = "open"     // takes clients
	FrontendPaused   FrontendState = "paused"   // clients wait in the backlog
	FrontendDraining FrontendState = "draining" // takes no new ones
)

// Frontend is where clients connect.
type Frontend struct {
	Name     string        `json:"name"`
	Mode     string        `json:"mode"`     // tcp, mcp or http
	Listen   []string      `json:"listen"`   // the addresses in use, host:port
	Backends []string      `json:"backends"` // every backend that its clients may be sent to, the default first
	State    FrontendState `json:"state"`

	Connections Connections `json:"connections"`
	Traffic
	MessagesDelayed  uint64 `json:"messages_delayed"`  // counter: times the message rate made a client wait
	MessagesRejected uint64 `json:"messages_rejected"` // counter: messages answered by an error for the message rate

	Refused       map[string]uint64 `json:"refused"`        // counters: clients turned away before a server had them, by reason
	SessionsEnded map[string]uint64 `json:"sessions_ended"` // counters: clients that had a server, by what ended it
	Connect       Timing            `json:"connect"`        // how long connecting to a server took, where it succeeded
	Queue         Timing            `json:"queue"`          // how long clients waited for a slot, where they had to
}

// Traffic counts what was carried. All are counters.
type Traffic struct {
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
	MessagesIn  uint64 `json:"messages_in"`  // JSON-RPC messages; none in mode tcp
	MessagesOut uint64 `json:"messages_out"` // the same; what was spliced is not counted
}

// Timing sums how long something took.
type Timing struct {
	Count      uint64  `json:"count"`       // counter
	SumSeconds float64 `json:"sum_seconds"` // counter; over Count it is the mean
	MaxSeconds float64 `json:"max_seconds"` // peak
}

// Backend is a set of servers.
type Backend struct {
	Name          string `json:"name"`
	Balance       string `json:"balance"`        // the policy
	ServersUsable int    `json:"servers_usable"` // derived
	ServersTotal  int    `json:"servers_total"`  // derived

	QueueCurrent  int64  `json:"queue_current"`  // clients that wait for a slot
	QueuePeak     int64  `json:"queue_peak"`     // the most there have been
	StickySources int64  `json:"sticky_sources"` // sources whose server is remembered
	Retries       uint64 `json:"retries"`        // counter: further attempts to connect to the same server
	Redispatches  uint64 `json:"redispatches"`   // counter: clients sent to another server after a failed attempt

	Servers []Server `json:"servers"` // in the order of the file
}

// ServerState is what the checks say of a server.
type ServerState string

// The values of Server.State.
const (
	ServerUp        ServerState = "up"
	ServerDown      ServerState = "down"
	ServerUnchecked ServerState = "unchecked" // used as if it were up
)

// AdminState is what the operator says of a server.
type AdminState string

// The values of Server.Admin.
const (
	AdminReady AdminState = "ready" // takes clients as its health allows
	AdminDrain AdminState = "drain" // takes bound clients only
	AdminMaint AdminState = "maint" // takes none
)

// Server is one server of a backend.
type Server struct {
	Name      string            `json:"name"`
	Addresses map[string]string `json:"addresses"` // host:port by endpoint: tcp, http, ws, sse

	State   ServerState `json:"state"`
	Admin   AdminState  `json:"admin"`
	Usable  bool        `json:"usable"`  // takes new clients, as far as state, admin and weight go
	Suspect bool        `json:"suspect"` // a check is overdue: chosen only where nothing better is to be had
	Reason  string      `json:"reason"`  // why it is in this state, in words
	Since   time.Time   `json:"since"`   // when it came into this state

	Weight          int     `json:"weight"`           // as configured or set
	EffectiveWeight float64 `json:"effective_weight"` // while slow start holds it back, less than Weight

	Connections Connections `json:"connections"`
	Share       float64     `json:"share"`      // derived: its part of the backend's connections now, 0 to 1
	FairShare   float64     `json:"fair_share"` // derived: what its effective weight among the usable ones would give it
	Traffic
	Errors map[string]uint64 `json:"errors"` // counters, by reason

	Check Check `json:"check"`
}

// Check tells of a server's health checks.
type Check struct {
	Type           string    `json:"type"`            // tcp, http or mcp
	Checks         uint64    `json:"checks"`          // counter
	Failures       uint64    `json:"failures"`        // counter: of these, failed
	Observed       uint64    `json:"observed"`        // counter: failures that clients' connections met
	Progress       string    `json:"progress"`        // of a change of state under way, such as "1/2 down"; "" = none
	Code           string    `json:"code"`            // of the last one, such as "L4OK"; "" = none yet
	Text           string    `json:"text"`            // of the last one, in words
	Time           time.Time `json:"time,omitzero"`   // when the last one ended
	LatencySeconds float64   `json:"latency_seconds"` // of the last one
}

// RateLimit is what the limits did, and to whom.
type RateLimit struct {
	SourcesRemembered int64             `json:"sources_remembered"`
	SourcesForgotten  uint64            `json:"sources_forgotten"` // counter: because the table was full
	TableSize         int64             `json:"table_size"`        // the most that are remembered
	Refused           map[string]uint64 `json:"refused"`           // counters, by reason
	BansActive        int64             `json:"bans_active"`
	BansImposed       uint64            `json:"bans_imposed"` // counter
	Bans              []Ban             `json:"bans"`         // those in force, by address; where they are very many, some of them
}

// Ban is a source that may not connect.
type Ban struct {
	Source           string  `json:"source"`            // an IPv4 /32 or IPv6 /64
	Reason           string  `json:"reason"`            // what it did, or "manual"
	RemainingSeconds float64 `json:"remaining_seconds"` // 0 = until it is lifted
}

// take asks source for a Snapshot and fills in what is derived.
func take(source Source) Snapshot {
	s := source.Snapshot()
	s.Process.UptimeSeconds = s.Time.Sub(s.Process.StartTime).Seconds()
	s.Loops = present(s.Loops)
	s.Frontends = present(s.Frontends)
	for i := range s.Frontends {
		f := &s.Frontends[i]
		f.Listen, f.Backends = present(f.Listen), present(f.Backends)
		f.Refused, f.SessionsEnded = presentMap(f.Refused), presentMap(f.SessionsEnded)
	}
	s.Backends = present(s.Backends)
	for i := range s.Backends {
		s.Backends[i].derive()
	}
	s.RateLimit.Refused = presentMap(s.RateLimit.Refused)
	s.RateLimit.Bans = present(s.RateLimit.Bans)
	return s
}

// derive counts the backend's servers and divides its connections.
func (b *Backend) derive() {
	b.Servers = present(b.Servers)
	b.ServersUsable, b.ServersTotal = 0, len(b.Servers)
	var connections int64
	var weight float64
	for i := range b.Servers {
		server := &b.Servers[i]
		server.Addresses, server.Errors = presentMap(server.Addresses), presentMap(server.Errors)
		connections += server.Connections.Current
		if server.Usable {
			b.ServersUsable++
			weight += server.EffectiveWeight
		}
	}
	for i := range b.Servers {
		server := &b.Servers[i]
		server.Share = part(float64(server.Connections.Current), float64(connections))
		server.FairShare = 0
		if server.Usable {
			server.FairShare = part(server.EffectiveWeight, weight)
		}
	}
}

// part is of/whole, and 0 of nothing.
func part(of, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return of / whole
}

// present makes a list that JSON shows as one: [] rather than null.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// presentMap does the same for a map.
func presentMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
