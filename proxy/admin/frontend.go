package admin

import "time"

// FrontendState is whether a frontend accepts clients.
type FrontendState string

// The values of Frontend.State.
const (
	FrontendOpen     FrontendState = "open"     // accepts clients
	FrontendPaused   FrontendState = "paused"   // clients wait in the listen backlog
	FrontendDraining FrontendState = "draining" // accepts no new clients
)

// Frontend is one frontend of the configuration.
type Frontend struct {
	Name     string        `json:"name"`
	Mode     string        `json:"mode"`     // tcp, mcp or http
	Listen   []string      `json:"listen"`   // the addresses in use, host:port
	Backends []string      `json:"backends"` // all backends that it may use, the default first
	State    FrontendState `json:"state"`

	Connections Connections `json:"connections"`
	Traffic
	MessagesDelayed  uint64 `json:"messages_delayed"`  // counter: times that the message rate paused a client
	MessagesRejected uint64 `json:"messages_rejected"` // counter: messages answered with an error because of the message rate

	Refused       map[string]uint64 `json:"refused"`        // counters: clients refused before they got a server, by reason
	SessionsEnded map[string]uint64 `json:"sessions_ended"` // counters: sessions of clients that got a server, by the reason of their end
	Connect       Timing            `json:"connect"`        // successful connects to servers
	Queue         Timing            `json:"queue"`          // waits for a slot

	SNIRoutes map[string]uint64 `json:"sni_routes,omitempty"` // counters: clients by route, in mode tcp; "default" = those that took none; absent without routes

	HTTP *HTTP `json:"http,omitempty"` // in mode http
	TLS  *TLS  `json:"tls,omitempty"`  // with TLS

	Rates    Rates  `json:"rates"` // derived
	refusing string // the most frequent reason of recent refusals
}

// HTTP has the additional counters of a frontend in mode http.
type HTTP struct {
	Requests     uint64            `json:"requests"`      // whose head was complete
	Responses    map[string]uint64 `json:"responses"`     // responses by status class, "1xx" to "5xx" and "other" (600 to 999); including generated ones
	OwnResponses map[string]uint64 `json:"own_responses"` // responses that the balancer generated, by reason
	Malformed    map[string]uint64 `json:"malformed"`     // requests refused as malformed, by what is wrong
	Compressed   uint64            `json:"compressed"`    // responses that were compressed
	Tunnels      uint64            `json:"tunnels"`       // connections that became WebSockets
	BadFrames    uint64            `json:"bad_frames"`    // WebSockets that ended because the client sent a malformed frame

	HTTP2Connections uint64            `json:"http2_connections"`     // connections of HTTP/2
	HTTP2Streams     uint64            `json:"http2_streams"`         // streams of HTTP/2, each a request
	HTTP2Current     int64             `json:"http2_streams_current"` // of these, those that are open now
	HTTP2Refused     map[string]uint64 `json:"http2_refused"`         // requests and connections of HTTP/2 refused as malformed, or as too many, by what is wrong

	Eras            map[string]uint64 `json:"eras"`             // JSON-RPC requests by MCP era: session or stateless
	Methods         map[string]uint64 `json:"methods"`          // requests by Mcp-Method, a fixed set and "other"; only those that occurred
	SessionRequests uint64            `json:"session_requests"` // requests with an MCP session
	SessionsOpened  uint64            `json:"sessions_opened"`  // MCP sessions that servers opened
	TaskRequests    uint64            `json:"task_requests"`    // requests for MCP tasks, by the tag of their server
	TasksOpened     uint64            `json:"tasks_opened"`     // MCP tasks that servers created

	Routes map[string]uint64 `json:"routes"` // counters: requests by route; "default" = those that took none; empty without routes
	Tools  map[string]*Tool  `json:"tools"`  // calls of tools by name, at most 100 and "other"
	Limits []RouteLimit      `json:"limits"` // of routes
}

// Tool is what is counted of a tool that clients call.
type Tool struct {
	Requests uint64  `json:"requests"` // counter
	Errors   uint64  `json:"errors"`   // counter: answered with a status of 400 or more, or cut
	Duration Latency `json:"duration"` // from the request's head to the end of the response
}

// RouteLimit is what a limit of a route has done.
type RouteLimit struct {
	Route   string `json:"route"`
	Key     string `json:"key"`     // whose requests it counts together: source, route, session, principal or header:NAME
	Refused uint64 `json:"refused"` // counter: requests answered 429
	Delayed uint64 `json:"delayed"` // counter: requests that waited for their turn
	Active  bool   `json:"active"`  // it did one of both within the last minute
}

// TLS has the additional counters of a frontend with TLS, and its certificates.
type TLS struct {
	Handshakes   map[string]uint64 `json:"handshakes"`   // counters: completed handshakes by kind: full or resumed
	Versions     map[string]uint64 `json:"versions"`     // counters: completed handshakes by TLS version
	Failed       map[string]uint64 `json:"failed"`       // counters: failed handshakes by reason
	Certificates []Certificate     `json:"certificates"` // in the order of the file

	RevocationLists []RevocationList `json:"revocation_lists,omitempty"` // of client_crl, in the order of the file; absent = none
}

// Certificate is a certificate of a frontend.
type Certificate struct {
	File      string    `json:"file"`      // that contains the certificate chain
	Subject   string    `json:"subject"`   // in the format of RFC 2253
	Names     []string  `json:"names"`     // host names and addresses that it is valid for
	Algorithm string    `json:"algorithm"` // of its key: RSA, ECDSA or Ed25519
	NotAfter  time.Time `json:"not_after"` // time of expiry
}

// RevocationList says which certificates of an authority clients may not show any more.
type RevocationList struct {
	File       string    `json:"file"`                 // that contains the list
	Issuer     string    `json:"issuer"`               // the authority, in the format of RFC 2253
	Revoked    int       `json:"revoked"`              // certificates
	NextUpdate time.Time `json:"next_update,omitzero"` // when there will be a new list; absent = the list does not say
}
