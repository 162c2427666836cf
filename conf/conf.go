package conf

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// Config is one valid configuration. It is immutable.
type Config struct {
	Path      string // where it was read from, as given on the command line
	Global    Global
	Admin     Admin
	Resolver  Resolver
	Fleet     Fleet
	RateLimit RateLimit
	Frontends []Frontend // in the order of the file
	Backends  []Backend  // in the order of the file
}

// Backend returns the backend called name, or nil.
func (c *Config) Backend(name string) *Backend {
	for i := range c.Backends {
		if c.Backends[i].Name == name {
			return &c.Backends[i]
		}
	}
	return nil
}

// Frontend returns the frontend called name, or nil.
func (c *Config) Frontend(name string) *Frontend {
	for i := range c.Frontends {
		if c.Frontends[i].Name == name {
			return &c.Frontends[i]
		}
	}
	return nil
}

// Global is the section [global].
type Global struct {
	MaxConn       int           // client connections held at once; 0 = what the open-files limit allows
	Threads       int           // event loops; 0 = one per CPU
	HardStopAfter time.Duration // how long draining may take; 0 = no limit
	LogLevel      slog.Level
	LogFormat     LogFormat
	AccessLog     string // "" = off, Stdout, Stderr, "syslog:...", or a path
}

// LogFormat is the form of log lines.
type LogFormat string

// The values of [global] log_format.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Admin is the section [admin].
type Admin struct {
	Listen       string // "" = off
	HealthListen string // "" = off
	StatsSocket  string // the path of a Unix socket; "" = off
	TokenFile    string // "" = runtime commands from loopback only

	// Of the addresses here, those to be bound for IPv6 alone: see Config.IPv6Only.
	IPv6Only []string

	Hosts          []string // names by which page and API may be requested, beside addresses and localhost; in lower case
	Protect        bool     // looking needs the token, too
	MaxConnections int      // of both addresses together; 0 = no limit
}

// Resolver is the section [resolver]: how host names of servers are looked up.
type Resolver struct {
	NameServers []netip.AddrPort // nil = those of the system's resolver configuration
	Timeout     time.Duration    // of one question to one name server
	MinTTL      time.Duration    // the shortest time for which an answer counts; 0 = no limit
	MaxTTL      time.Duration    // the longest, and the longest pause between failed look-ups; at least MinTTL; 0 = no limit
	Hold        time.Duration    // how long a good address is kept when answers fail; 0 = no limit
}

// Family says which addresses of a host name are used.
type Family string

// The values of a server's family. FamilyAny prefers IPv4.
const (
	FamilyAny  Family = "any"
	FamilyIPv4 Family = "ipv4"
	FamilyIPv6 Family = "ipv6"
)

// Has reports whether an address is of the family. The zero value of a Family is
// FamilyAny.
func (f Family) Has(address netip.Addr) bool {
	switch f {
	case FamilyIPv4:
		return address.Is4() || address.Is4In6()
	case FamilyIPv6:
		return address.Is6() && !address.Is4In6()
	}
	return true
}

// RateLimit is the section [ratelimit]: the limits of one source (an IPv4 address
// or an IPv6 /64). A rate of 0 means no limit.
type RateLimit struct {
	ConnectionRate       int // new connections per second
	ConnectionBurst      int // at least 1 when ConnectionRate is set
	MessageRate          int // messages per second
	MessageBurst         int // at least 1 when MessageRate is set
	OverMessage          OverMessage
	MaxConnections       int           // concurrent connections of one source; 0 = no limit
	BanAfter             int           // violations within a minute that ban a source; 0 = never
	BanTime              time.Duration // how long a ban lasts
	Exempt               []netip.Prefix
	GlobalConnectionRate int
	GlobalMessageRate    int
	TableSize            int // sources remembered at one time
}

// OverMessage is how a message over its source's rate is treated.
type OverMessage string

// The values of [ratelimit] over_message.
const (
	Delay  OverMessage = "delay"  // reading pauses until the bucket has room
	Reject OverMessage = "reject" // the response is a JSON-RPC error, or 429
)

// Mode is the protocol that a frontend understands.
type Mode string

// The values of a frontend's mode.
const (
	ModeTCP  Mode = "tcp"  // opaque bytes
	ModeMCP  Mode = "mcp"  // one JSON-RPC message per line
	ModeHTTP Mode = "http" // HTTP/1.1, WebSocket, SSE
)

// endpoint returns which address of a server a frontend of mode m connects to if
// no route says otherwise.
func (m Mode) endpoint() Endpoint {
	if m == ModeHTTP {
		return EndpointHTTP
	}
	return EndpointTCP
}

// Balance names a balancing policy.
type Balance string

// The values of balance. In a frontend, "" means the backend's.
const (
	BalanceSource     Balance = "source"
	BalanceLeastConn  Balance = "leastconn"
	BalanceRoundRobin Balance = "roundrobin"
	BalanceRandom     Balance = "random"
)

// Frontend is a section [frontend.NAME]: where clients connect. Its Name
// identifies it across reloads.
type Frontend struct {
	Name    string
	Listen  []string // host:port in canonical form; an empty host is every address; for port 0 the kernel chooses one
	Mode    Mode
	Backend string  // the name of a Backend in the same Config
	Balance Balance // "" = the backend's

	AcceptProxy    bool           // expect a PROXY protocol header, from TrustedProxies only
	TrustedProxies []netip.Prefix // proxies whose PROXY header and X-Forwarded-* are trusted
	MaxMessage     int64          // bytes; mcp only; 0 = no limit
	TLS            *TLS           // nil = no TLS

	TimeoutClient     time.Duration // idle; 0 = no limit
	TimeoutHalfClosed time.Duration // idle after one side has finished sending; 0 = TimeoutClient
	SendBuffer        int64         // bytes that the kernel may hold for a client that does not read; 0 = the kernel's own limit
	KeepAlive         time.Duration // idle before the first TCP keep-alive probe, in seconds rounded up; 0 = off

	Allow []netip.Prefix // clients that may connect; none = all
	Deny  []netip.Prefix // clients that may not, whatever Allow says

	// For mode http only.
	ForwardedFor          bool // X-Forwarded-For from TrustedProxies names the source of each request
	TimeoutHTTPRequest    time.Duration
	TimeoutKeepalive      time.Duration
	RequestsPerConnection int   // 0 = no limit
	MaxHeader             int64 // bytes
	MaxBody               int64 // bytes; 0 = no limit
	MinBodyRate           int64 // bytes per second that a request's body must bring; 0 = any
	AllowedOrigins        []string
	Compress              []string      // media types
	SSEKeepalive          time.Duration // how long an event stream may be idle before a comment is sent; 0 = off
	HTTP2                 bool          // HTTP/2 is taken: with TLS by ALPN, without by prior knowledge
	ALPN                  []string      // what TLS offers, in order, whatever HTTP2 says; none = as HTTP2 says
	HTTP2Streams          int           // concurrent streams of a connection; 0 = no limit
	HTTP2Buffer           int64         // bytes that a stream may have parked, each way; eight times that a connection
	ErrorPages            []ErrorPage   // sorted: statuses before their class
	CORS                  CORS
	Sticky                Sticky
	Routes                []Route
}

// The protocols of mode http, as ALPN calls them (RFC 9113 section 3.1, RFC 7301).
const (
	ProtocolHTTP1 = "http/1.1"
	ProtocolHTTP2 = "h2"
)

// Protocols returns what a frontend of mode http with TLS offers by ALPN, in order.
func (f *Frontend) Protocols() []string {
	switch {
	case len(f.ALPN) > 0:
		return f.ALPN
	case f.HTTP2:
		return []string{ProtocolHTTP2, ProtocolHTTP1}
	}
	return []string{ProtocolHTTP1}
}

// TakesHTTP1 reports whether f serves HTTP/1.1.
func (f *Frontend) TakesHTTP1() bool {
	return f.TLS == nil || slices.Contains(f.Protocols(), ProtocolHTTP1)
}

// TakesHTTP2 reports whether f serves HTTP/2.
func (f *Frontend) TakesHTTP2() bool {
	if f.TLS == nil {
		return f.HTTP2
	}
	return slices.Contains(f.Protocols(), ProtocolHTTP2)
}

// uses reports whether f or one of its routes leads to the backend called name.
func (f *Frontend) uses(name string) bool {
	return f.Backend == name || slices.ContainsFunc(f.Routes, func(r Route) bool { return r.Backend == name })
}

// BackendOf returns the name of the backend that r, a route of f, leads to.
func (f *Frontend) BackendOf(r *Route) string { return cmp.Or(r.Backend, f.Backend) }

// CORS is a section [frontend.NAME.cors]: what lets pages of other origins read
// generated responses (Fetch Standard, section 3.2). AllowedOrigins says which
// origins.
type CORS struct {
	Expose       []string      // the fields that a page may read
	Preflight    bool          // preflights are answered here, not by the server
	AllowMethods []string      // "*" = the one asked for
	AllowHeaders []string      // "*" = those asked for
	MaxAge       time.Duration // how long a browser may keep the answer to a preflight; 0 = not at all
}

// Sticky is a section [frontend.NAME.sticky]: what binds an HTTP client to a
// server.
type Sticky struct {
	Session          bool   // an MCP session stays on the server that opened it
	Cookie           string // the cookie's name; "" = off
	CookieAttributes string
}

// Endpoint names one of a server's addresses.
type Endpoint string

// The values of a route's endpoint; EndpointTCP is what modes tcp and mcp use.
const (
	EndpointTCP  Endpoint = "tcp"
	EndpointHTTP Endpoint = "http"
	EndpointWS   Endpoint = "ws"
	EndpointSSE  Endpoint = "sse"
)

// TLS is a section [frontend.NAME.tls].
type TLS struct {
	Certificates []Certificate // SNI selects one; the first is the default
	MinVersion   string        // "1.2" or "1.3"
	Ciphers      []string      // suites of TLS 1.2, by IANA's names; nil = the usual ones
	TicketKeys   string        // the file of the keys of tickets; "" = own ones, changed daily
	ClientVerify ClientVerify  // whether clients show certificates
	ClientCA     string        // the file of the authorities of clients' certificates; "" = none
	ClientCRL    string        // the file of the authorities' revocation lists; "" = none

	Clients *ClientAuthorities // contents of ClientCA and ClientCRL; nil = no file is named
	Keys    [][]byte           // contents of TicketKeys, newest first: 32 or 48 bytes each
}

// Certificate names the files of a PEM certificate chain and its key, and holds
// their contents as of when the configuration was read.
type Certificate struct {
	Cert string
	Key  string
	Pair *tls.Certificate // with its Leaf
}

// Backend is a section [backend.NAME]: servers and how to use them. Its Name
// identifies it across reloads.
type Backend struct {
	Name           string
	Balance        Balance
	BalanceFactor  float64       // source: the limit of a server, as a multiple of its fair share; 0 = plain hash
	StickyTime     time.Duration // how long a source's server is remembered; 0 = no limit
	Failback       bool          // a source returns to its server once that is in use again
	Retries        int           // further attempts to connect after the first
	TimeoutConnect time.Duration // more than 0
	TimeoutQueue   time.Duration // 0 = no limit
	TimeoutServer  time.Duration // idle; 0 = no limit
	TimeoutTCPUser time.Duration // how long data may be unacknowledged; 0 = as long as the kernel repeats it
	KeepAlive      time.Duration // towards servers: as Frontend.KeepAlive
	MaxIdle        int           // kept-alive HTTP connections per server
	TimeoutIdle    time.Duration // how long such a connection may be unused; 0 = no limit
	Replay         bool          // pure reads that a kept-alive connection swallowed are sent once more
	SessionSeen    time.Duration // how long a session counts that is not used; 0 = until it is deleted
	SlowStart      time.Duration // 0 = off
	OnDown         OnDown
	OnRemoved      OnDown
	PreserveHost   bool         // servers get the Host that the client sent
	Source         []netip.Addr // local addresses to connect from
	SendProxy      SendProxy
	TLS            *ServerTLS // nil = servers speak plain
	Check          Check
	Discover       *Discover // nil = no servers but Servers
	Servers        []Server
}

// Server returns the server called name, or nil.
func (b *Backend) Server(name string) *Server {
	for i := range b.Servers {
		if b.Servers[i].Name == name {
			return &b.Servers[i]
		}
	}
	return nil
}

// OnDown is what happens to a server's connections when it goes down, or when a
// reload removes it.
type OnDown string

// The values of on_down.
const (
	OnDownClose OnDown = "close"
	OnDownKeep  OnDown = "keep"
)

// SendProxy is the version of the PROXY protocol header sent to servers.
type SendProxy string

// The values of send_proxy.
const (
	SendProxyOff SendProxy = ""
	SendProxyV1  SendProxy = "v1"
	SendProxyV2  SendProxy = "v2"
)

// CheckType is a type of health probe.
type CheckType string

// The values of a check's type.
const (
	CheckTCP  CheckType = "tcp"
	CheckHTTP CheckType = "http"
	CheckMCP  CheckType = "mcp" // over tcp, or over http for a server without a tcp address
)

// Check is a section [backend.NAME.check].
type Check struct {
	Type         CheckType
	Interval     time.Duration
	FastInterval time.Duration // at most Interval, even by default
	Timeout      time.Duration
	Rise         int
	Fall         int
	Path         string   // http, and mcp over http; it may have a query
	Expect       Statuses // http: at least one
	ExpectBody   string   // http: what the first 64 KiB of the body must have; "" = anything, unread
	Host         string   // http, and mcp over http; "" = the server's host as written
	Method       string   // http
	Headers      []Header // http, and mcp over http: in the order of their names
	Port         int      // another port than the endpoint's; 0 = the same
	DrainOn      Statuses // http: by these, a server asks to be drained; none is in Expect
	SendProxy    bool     // the PROXY header is sent where the backend sends it
	Observe      bool     // a refused or reset connection counts as a failed check

	ProxyHeader SendProxy  // the header that checks send: the backend's, if SendProxy says so
	TLS         *ServerTLS // the backend's, if checks speak it; nil = they do not
}

// Server is a section [[backend.NAME.server]]. Its addresses are in canonical form;
// their hosts may be names, which this package does not resolve. Its Name
// identifies it across reloads.
type Server struct {
	Name    string
	TCP     string // host:port; "" = none
	HTTP    string // host:port; "" = none
	WS      string // host:port; HTTP if the file has none
	SSE     string // host:port; HTTP if the file has none
	MaxConn int    // connections to all addresses together; 0 = no limit
	Weight  int    // 0 = gets no new clients
	Family  Family // which addresses of host names are used

	Backup   bool // takes new clients only while no other server of the backend is usable
	Disabled bool // starts in maintenance

	// NoNewClients is set where a source of found servers says that this one is about
	// to go or not ready: it serves those that it has. No key of a file sets it.
	NoNewClients bool
}

// serverEndpoints are all of a server's addresses, in the order of the file.
var serverEndpoints = []Endpoint{EndpointTCP, EndpointHTTP, EndpointWS, EndpointSSE}

// SameAddresses reports whether two servers have the same addresses as written, and
// the same family.
func (s *Server) SameAddresses(other *Server) bool {
	return s.TCP == other.TCP && s.HTTP == other.HTTP && s.WS == other.WS && s.SSE == other.SSE && s.Family == other.Family
}

// Address returns the server's address for e as host:port, or "" if it has none.
func (s *Server) Address(e Endpoint) string {
	switch e {
	case EndpointTCP:
		return s.TCP
	case EndpointHTTP:
		return s.HTTP
	case EndpointWS:
		return s.WS
	case EndpointSSE:
		return s.SSE
	}
	return ""
}
