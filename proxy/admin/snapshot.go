package admin

import "time"

// Snapshot is the balancer's state at one moment, as /api/v1/status shows it.
//
// Throughout: counters only grow while the process (or, over an upgrade, its
// successors) lives, unless an operator clears them; they are the members of
// type uint64. A peak is the most there has been in that time; "in" is
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
	Leaving   Leaving    `json:"leaving"`

	Summary Summary `json:"summary"` // derived
}

// Leaving is what reloads took out of the configuration, for as long as clients
// are connected.
type Leaving struct {
	Frontends []LeavingFrontend `json:"frontends"` // by name
	Servers   []LeavingServer   `json:"servers"`
}

// LeavingFrontend is a frontend that takes nobody any more.
type LeavingFrontend struct {
	Name        string `json:"name"`
	Connections int64  `json:"connections"` // of clients, now
}

// LeavingServer is a server that is used by nobody new. There may be a server of
// its name in the configuration, with other addresses.
type LeavingServer struct {
	Backend     string            `json:"backend"`
	Name        string            `json:"name"`
	Addresses   map[string]string `json:"addresses"`   // host:port by endpoint: tcp, http, ws, sse
	Connections int64             `json:"connections"` // slots in use, now
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
	Resident    int64       `json:"resident_bytes"` // memory in use, as the kernel counts it

	Draining          bool   `json:"draining"`            // no new clients; the process is about to end
	AcceptPaused      bool   `json:"accept_paused"`       // new clients wait in the listeners' backlogs
	AcceptPauseReason string `json:"accept_pause_reason"` // why, such as "maxconn"; "" = not paused

	AcceptFailures uint64 `json:"accept_failures"` // counter: accepts that failed, as a rule for want of open files

	Reload    Reload     `json:"reload"`
	AccessLog *AccessLog `json:"access_log,omitempty"` // absent while it is off

	Rates Rates `json:"rates"` // derived; over all frontends

	acceptsFail bool // some did of late
}

// AccessLog tells of the access log.
type AccessLog struct {
	Path    string `json:"path"`    // or "stdout"
	Lines   uint64 `json:"lines"`   // counter: written
	Dropped uint64 `json:"dropped"` // counter: lost, because writing fell behind or failed
	Error   string `json:"error"`   // why it cannot be written at present; "" = it can
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

	HTTP *HTTP `json:"http,omitempty"` // of mode http
	TLS  *TLS  `json:"tls,omitempty"`  // of one that speaks TLS

	Rates    Rates  `json:"rates"` // derived
	refusing string // why most clients were turned away of late
}

// HTTP is what a frontend of mode http counts besides. All are counters.
type HTTP struct {
	Requests     uint64            `json:"requests"`      // whose head was read whole
	Responses    map[string]uint64 `json:"responses"`     // answers by the class of their status, "1xx" to "5xx"; the balancer's own among them
	OwnResponses map[string]uint64 `json:"own_responses"` // the balancer's own answers, by reason
	Malformed    map[string]uint64 `json:"malformed"`     // requests refused as malformed, by what is wrong
	Compressed   uint64            `json:"compressed"`    // answers that were compressed
	Tunnels      uint64            `json:"tunnels"`       // connections that became WebSockets
	BadFrames    uint64            `json:"bad_frames"`    // WebSockets that ended for a malformed frame of the client's

	Eras            map[string]uint64 `json:"eras"`             // JSON-RPC requests, by MCP's era: session or stateless
	Methods         map[string]uint64 `json:"methods"`          // requests by Mcp-Method, a fixed set and "other"; those met so far
	SessionRequests uint64            `json:"session_requests"` // requests that bore an MCP session
	SessionsOpened  uint64            `json:"sessions_opened"`  // MCP sessions that servers opened
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

// LatencyBounds are the durations, in seconds and rising, that Latency.Below
// tells of.
var LatencyBounds = []float64{
	0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
}

// Latency tells how long something took, many times.
type Latency struct {
	Count      uint64   `json:"count"`       // counter
	SumSeconds float64  `json:"sum_seconds"` // counter; over Count it is the mean
	P50Seconds float64  `json:"p50_seconds"` // within which half of them were done; exact to an eighth, 0 of none
	P95Seconds float64  `json:"p95_seconds"`
	P99Seconds float64  `json:"p99_seconds"`
	Below      []uint64 `json:"below"` // counters: how many took less than each of LatencyBounds
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

	AdminReason string `json:"admin_reason"` // why Admin is what it is, and by whom; "" until first set

	Weight          int     `json:"weight"`           // as configured or set
	EffectiveWeight float64 `json:"effective_weight"` // while slow start holds it back, less than Weight

	Connections Connections `json:"connections"`
	Share       float64     `json:"share"`      // derived: its part of the backend's connections now, 0 to 1
	FairShare   float64     `json:"fair_share"` // derived: what its effective weight among the usable ones would give it
	Traffic
	Errors       map[string]uint64 `json:"errors"`       // counters, by reason
	Retries      uint64            `json:"retries"`      // counter: further attempts on this server after a failed one
	Redispatches uint64            `json:"redispatches"` // counter: attempts that left this server for another after a failed one

	Responses map[string]uint64 `json:"responses"` // counters: its answers by class, "1xx" to "5xx"; empty where it has no HTTP address
	Idle      int64             `json:"idle"`      // kept-alive connections that wait to be used
	Connect   Latency           `json:"connect"`   // connecting, where it succeeded
	Response  Latency           `json:"response"`  // mode http: from the request forwarded to the head of the answer

	Check Check `json:"check"`

	Rates            Rates   `json:"rates"`              // derived
	RecentP95Seconds float64 `json:"recent_p95_seconds"` // derived: what Response's 95th percentile was over the last minute; 0 = none came
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
		f.HTTP.complete()
	}
	s.Backends = present(s.Backends)
	for i := range s.Backends {
		s.Backends[i].derive()
	}
	s.RateLimit.Refused = presentMap(s.RateLimit.Refused)
	s.RateLimit.Bans = present(s.RateLimit.Bans)
	s.Leaving.Frontends, s.Leaving.Servers = present(s.Leaving.Frontends), present(s.Leaving.Servers)
	return s
}

// complete has JSON show absent maps as empty ones.
func (h *HTTP) complete() {
	if h == nil {
		return
	}
	h.Responses, h.OwnResponses, h.Malformed = presentMap(h.Responses), presentMap(h.OwnResponses), presentMap(h.Malformed)
	h.Eras, h.Methods = presentMap(h.Eras), presentMap(h.Methods)
}

// complete fills in what a Latency of nothing lacks.
func (l *Latency) complete() {
	if l.Below == nil {
		l.Below = make([]uint64, len(LatencyBounds))
	}
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
		server.Responses = presentMap(server.Responses)
		server.Connect.complete()
		server.Response.complete()
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
