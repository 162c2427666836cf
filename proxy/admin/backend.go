package admin

import (
	"fmt"
	"strings"
	"time"
)

// Backend is one backend of the configuration.
type Backend struct {
	Name          string `json:"name"`
	Balance       string `json:"balance"`        // balancing policy
	ServersUsable int    `json:"servers_usable"` // derived
	ServersTotal  int    `json:"servers_total"`  // derived

	QueueCurrent  int64  `json:"queue_current"`  // clients that wait for a slot
	QueuePeak     int64  `json:"queue_peak"`     // the peak of queue_current
	StickySources int64  `json:"sticky_sources"` // sources whose server is remembered
	Retries       uint64 `json:"retries"`        // counter: further attempts to connect to the same server
	Redispatches  uint64 `json:"redispatches"`   // counter: clients sent to another server after a failed connect

	TLS *ServerTLS `json:"tls,omitempty"` // absent: its servers speak plain

	Discovery *Discovery `json:"discovery,omitempty"` // absent: no servers are found for it

	Servers []Server `json:"servers"` // in the order of the file; then those that were added, and those that were found
}

// Discovery is how the servers of a backend are found.
type Discovery struct {
	Kind       string    `json:"kind"`                 // dns, file or kubernetes
	Target     string    `json:"target"`               // the name, the path, or NAMESPACE/SERVICE
	Servers    int64     `json:"servers"`              // found
	Left       int64     `json:"left"`                 // found beyond the most that are wanted
	Answered   time.Time `json:"answered,omitzero"`    // when the source last said which servers there are; absent = never
	AgeSeconds float64   `json:"age_seconds"`          // since then; 0 = never
	Changed    time.Time `json:"changed,omitzero"`     // when they last changed; absent = never
	Updates    uint64    `json:"updates"`              // counter: changes of the servers
	Errors     uint64    `json:"errors"`               // counter: failures of the source
	Error      string    `json:"error"`                // why the source cannot say which servers there are now; "" = it can
	ErrorSince time.Time `json:"error_since,omitzero"` // when that began; absent = it can
}

// ServerState is the result of a server's health checks.
type ServerState string

// The values of Server.State.
const (
	ServerUp        ServerState = "up"
	ServerDown      ServerState = "down"
	ServerUnchecked ServerState = "unchecked" // no result yet; used as if it were up
)

// AdminState is the state that the operator has set.
type AdminState string

// The values of Server.Admin.
const (
	AdminReady AdminState = "ready" // gets clients if it is healthy
	AdminDrain AdminState = "drain" // gets only clients with a session or cookie of this server
	AdminMaint AdminState = "maint" // gets no clients
)

// Server is one server of a backend.
type Server struct {
	Name      string            `json:"name"`
	Addresses map[string]string `json:"addresses"` // host:port by endpoint: tcp, http, ws, sse

	Source    string `json:"source"`    // where it comes from: file, discover or runtime (added by a command)
	Withdrawn bool   `json:"withdrawn"` // what has found it wants no new clients there: it is not ready, or about to go

	State   ServerState `json:"state"`
	Admin   AdminState  `json:"admin"`
	Usable  bool        `json:"usable"`  // gets new clients, according to state, admin and weight
	Suspect bool        `json:"suspect"` // a check is overdue: new clients get this server only if no other is usable
	Reason  string      `json:"reason"`  // of the state, in words
	Since   time.Time   `json:"since"`   // when the state last changed; the admin state has its own time

	Downs           uint64    `json:"downs"`              // counter: how often it went down
	DowntimeSeconds float64   `json:"downtime_seconds"`   // how long it was down in total, the present outage included; grows like a counter
	LastDown        time.Time `json:"last_down,omitzero"` // when it last went down; absent = never

	AdminReason string    `json:"admin_reason"`         // of the admin state, and who set it; "" = never set
	AdminSince  time.Time `json:"admin_since,omitzero"` // when the admin state last changed; absent = never set

	Backup bool `json:"backup"` // gets new clients only while no other server of the backend is usable

	DrainRequest      string    `json:"drain_request"`                // what the server's check answered by which it asks to be drained (drain_on); "" = it does not ask
	DrainRequestSince time.Time `json:"drain_request_since,omitzero"` // when it last began or ceased to ask; absent = it never asked

	Weight          int     `json:"weight"`           // as configured or set by a command
	InitialWeight   int     `json:"initial_weight"`   // as configured
	EffectiveWeight float64 `json:"effective_weight"` // lower than weight during slow start

	Connections Connections `json:"connections"`
	Share       float64     `json:"share"`            // derived: its share of the backend's connections now, 0 to 1
	FairShare   float64     `json:"fair_share"`       // derived: its share of the effective weight of the servers that get new clients: the usable ones, without backup servers while another is usable
	Queued      int64       `json:"queued"`           // clients that wait for a slot of this server and no other: a session or cookie binds them; part of queue_current
	Streams     int64       `json:"streams"`          // of the connections now: HTTP responses that are event streams
	Tunnels     int64       `json:"tunnels"`          // of the connections now: WebSockets
	Sessions    int64       `json:"sessions"`         // MCP sessions used within session_seen and not deleted; exact for few, an estimate for thousands
	Emptied     time.Time   `json:"emptied,omitzero"` // since when a server that drains has no connections and no sessions; absent = it has, or does not drain
	Traffic
	Errors       map[string]uint64 `json:"errors"`       // counters, by reason
	Retries      uint64            `json:"retries"`      // counter: further connect attempts to this server after a failed one
	Redispatches uint64            `json:"redispatches"` // counter: clients sent to another server after a failed connect to this one

	Responses map[string]uint64 `json:"responses"`     // counters: its responses by status class, "1xx" to "5xx" and "other" (600 to 999); empty if it has no HTTP address
	TLS       *ServerHandshakes `json:"tls,omitempty"` // absent: it speaks plain
	Idle      int64             `json:"idle"`          // idle connections to the server
	Connect   Latency           `json:"connect"`       // successful connects
	Response  Latency           `json:"response"`      // mode http: from the forwarded request to the response head

	Check Check  `json:"check"`
	Names []Name `json:"names,omitempty"` // host names of its addresses; absent = it has none

	Rates            Rates   `json:"rates"`              // derived
	RecentResponses  int64   `json:"recent_responses"`   // derived: responses in the last minute, to which the percentiles apply
	RecentP50Seconds float64 `json:"recent_p50_seconds"` // derived: median of response in the last minute; 0 = no responses
	RecentP95Seconds float64 `json:"recent_p95_seconds"` // derived: 95th percentile of response in the last minute; 0 = no responses
	RecentP99Seconds float64 `json:"recent_p99_seconds"` // derived: 99th percentile of response in the last minute; 0 = no responses

	slow bool // compared with the others: assess finds that out
}

// full reports whether all slots are in use.
func (s *Server) full() bool {
	return s.Connections.Limit > 0 && s.Connections.Current >= s.Connections.Limit
}

// problem reports whether the server needs attention. That an operator has drained it, or
// put it into maintenance, is none.
func (s *Server) problem() bool {
	if s.Admin == AdminMaint {
		return false
	}
	return s.State == ServerDown || s.Suspect || s.slow || s.full() || strings.HasSuffix(s.Check.Progress, "down")
}

// ServerErrors counts the failures that are the server's: not the connections that a client
// broke off, and not those that the balancer or an operator ended.
func (s *Server) ServerErrors() uint64 {
	return total(s.Errors) - s.Errors[clientAbort] - s.Errors[ownAbort]
}

// The keys of Server.Errors for connections whose end is not the server's fault.
const (
	clientAbort = "client_abort" // the client broke off
	ownAbort    = "abort"        // the balancer ended it: the server is down or in maintenance, limits, shutdown
)

// Changed is when the state, the admin state or the server's own request last changed.
func (s *Server) Changed() time.Time {
	last := s.Since
	for _, other := range []time.Time{s.AdminSince, s.DrainRequestSince} {
		if other.After(last) {
			last = other
		}
	}
	return last
}

// Draining reports whether the server gets no new clients, while those there may stay.
func (s *Server) Draining() bool {
	return s.Admin == AdminDrain || s.Admin == AdminReady && (s.DrainRequest != "" || s.Withdrawn)
}

// Left says what a server that drains still has, in words; "" = it does not drain.
func (s *Server) Left() string {
	switch {
	case !s.Draining():
		return ""
	case !s.Emptied.IsZero():
		return "empty"
	}
	return fmt.Sprintf("%s, %s, %s and %s left", plural(s.Connections.Current, "connection"), plural(s.Streams, "stream"),
		plural(s.Tunnels, "WebSocket"), plural(s.Sessions, "session"))
}

// plural is a number of things.
func plural(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// asksToDrain reports whether the server's own request keeps new clients away, and nothing
// else does.
func (s *Server) asksToDrain() bool {
	return s.DrainRequest != "" && s.Admin == AdminReady && s.State != ServerDown
}

// ShownSince is when what pages show as the server's state began: with the operator's word, if
// that is not ready, with the server's own request to be drained, or else with the verdict of
// the checks.
func (s *Server) ShownSince() time.Time {
	if s.Admin != AdminReady || s.asksToDrain() {
		return s.Changed()
	}
	return s.Since
}

// Check is the state of a server's health checks.
type Check struct {
	Type           string    `json:"type"`            // tcp, http or mcp
	Checks         uint64    `json:"checks"`          // counter
	Failures       uint64    `json:"failures"`        // counter: failed checks
	Observed       uint64    `json:"observed"`        // counter: failures of client connections
	Progress       string    `json:"progress"`        // of a pending change of state, such as "1/2 down"; "" = none
	Code           string    `json:"code"`            // of the last check, such as "L4OK"; "" = no check yet
	Text           string    `json:"text"`            // of the last check, in words
	Time           time.Time `json:"time,omitzero"`   // when the last check ended
	LatencySeconds float64   `json:"latency_seconds"` // of the last check
}
