package accesslog

import (
	"net/netip"
	"time"

	"mcplb/proxy/clientcert"
)

// Record holds the data of one connection or request for its line. Buffer.Begin
// returns one, Buffer.End takes it back; in between it belongs to the loop.
// Times are on the loop's clock. A duration of None was not measured and is
// omitted from the line, and so is an empty string or a zero Status. The
// methods that record something do nothing on nil, the record of a log that is
// off.
type Record struct {
	Client   netip.AddrPort // the client, as the proxy in front names it if there is one; port 0: not known
	Proxy    netip.AddrPort // the trusted proxy that named the client in X-Forwarded-For; invalid: none
	Frontend string
	Backend  string
	Server   string // the last one tried
	TLS      string // the TLS version, such as "1.3"

	Identity *clientcert.Identity // of the client; nil: it was not asked for a certificate

	Began    int64         // when the client was accepted, or the first byte of the request arrived
	Ended    int64         // when the connection or request ended
	Request  time.Duration // http: from Began until the head was complete
	Queue    time.Duration // waiting for a slot
	Connect  time.Duration // from the first attempt to connect until one succeeded
	Response time.Duration // from then, or from forwarding the request, to the response's first byte or head

	BytesIn     uint64 // from the client
	BytesOut    uint64 // to the client
	MessagesIn  uint64 // from the client: mode mcp, WebSocket
	MessagesOut uint64 // to the client, except those spliced

	Status int    // of the response
	Era    string // the era of MCP of a JSON-RPC request
	Call   string // the MCP method in Mcp-Method, from a fixed set

	RequestID []byte // of an HTTP request, where routes use one
	Name      []byte // of the tool, resource, prompt or task that a request is about, as far as it is known; of a connection, what the client asks for by SNI, where routes depend on it

	Reason  string // why it ended
	Detail  string // what was wrong, if the reason alone does not say it
	Retries int    // attempts after the first

	FrontendConns int32 // clients of the frontend at the end, including this one
	ServerConns   int32 // slots of the server in use at the end, including this one

	DialedAt    int64 // when the first attempt to connect began; 0 = not yet
	ConnectedAt int64 // when a server accepted the connection or received the request

	Phase  Phase  // what was in progress when it ended; it takes no room here
	HTTP2  bool   // the request came over HTTP/2; nor does this
	Target Target // of an HTTP request

	next *Record
}

// Target is what a request asks for: its method and its path without the query,
// as much of both as the log keeps. The zero value is that of a connection that
// is no request.
type Target struct {
	method uint16 // length of the method at the beginning of text
	path   uint16 // length of the path after it
	cut    bool
	text   [maxText]byte
}

// None is a duration that was not measured.
const None time.Duration = -1

// maxText is how much of a request's method and path is kept, in bytes.
const maxText = 256

// maxMethod is how much of that is for the method.
const maxMethod = 32

// Identified records a copy of the request's id.
func (r *Record) Identified(id []byte) {
	if r != nil {
		r.RequestID = append(r.RequestID[:0], id...)
	}
}

// mostName is how much of a Name is kept, in bytes.
const mostName = 128

// Named records a copy of what the request is about.
func (r *Record) Named(name []byte) {
	if r != nil {
		r.Name = append(r.Name[:0], name[:min(len(name), mostName)]...)
	}
}

// Secured records the client's version of TLS.
func (r *Record) Secured(version string) {
	if r != nil {
		r.TLS = version
	}
}

// Asked records a copy of the name that the client of a connection asks for by SNI.
func (r *Record) Asked(name string) {
	if r != nil {
		r.Name = append(r.Name[:0], name...)
	}
}

// Routed records the backend chosen for the client.
func (r *Record) Routed(backend string) {
	if r != nil {
		r.Backend = backend
	}
}

// Sent records the server chosen.
func (r *Record) Sent(backend, server string) {
	if r != nil {
		r.Backend, r.Server = backend, server
	}
}

// Dialing records the beginning of an attempt to connect to a server. Attempts
// after the first are retries.
func (r *Record) Dialing(now int64) {
	switch {
	case r == nil:
	case r.DialedAt == 0:
		r.DialedAt = now
	default:
		r.Retries++
	}
}

// Connected records that an attempt succeeded.
func (r *Record) Connected(now int64) {
	if r == nil {
		return
	}
	r.ConnectedAt = now
	r.Connect = time.Duration(now - r.DialedAt)
}

// Queued adds the time that the client waited for a slot.
func (r *Record) Queued(d time.Duration) {
	if r != nil {
		r.Queue = max(r.Queue, 0) + d
	}
}

// Messages counts messages that were relayed.
func (r *Record) Messages(in, out int) {
	if r != nil {
		r.MessagesIn += uint64(in)
		r.MessagesOut += uint64(out)
	}
}

// Retried counts an attempt that needed no connection.
func (r *Record) Retried() {
	if r != nil {
		r.Retries++
	}
}

// Moved counts relayed bytes, and records the time of the server's first.
func (r *Record) Moved(in, out int, now int64) {
	if r == nil {
		return
	}
	r.BytesIn += uint64(in)
	r.BytesOut += uint64(out)
	if out > 0 && r.Response == None {
		r.Response = time.Duration(now - r.ConnectedAt)
	}
}

// SetTarget keeps a copy of a request's method and path, as much as fits. Pass
// the path without its query, which may contain secrets.
func (r *Record) SetTarget(method, path []byte) { r.Target.set(method, path) }

func (t *Target) set(method, path []byte) {
	t.method = uint16(copy(t.text[:maxMethod], method))
	t.path = uint16(copy(t.text[t.method:], path))
	t.cut = int(t.path) < len(path)
}

// Method returns the request's method.
func (r *Record) Method() []byte { return r.Target.text[:r.Target.method] }

// Path returns the request's path, as far as it was kept.
func (r *Record) Path() []byte {
	t := &r.Target
	return t.text[t.method : t.method+t.path]
}

// Phase is what was in progress when a connection or request ended.
type Phase uint8

// The phases, in their order.
const (
	PhaseNone      Phase = iota
	PhaseProxy           // reading the PROXY header
	PhaseHandshake       // TLS
	PhaseAdmission       // checking the limits
	PhaseHello           // waiting for the ClientHello that picks the backend
	PhaseRequest         // reading the request
	PhaseQueue           // choosing or waiting for a slot
	PhaseConnect         // connecting to a server
	PhaseResponse        // waiting for the server's response
	PhaseData            // relaying bytes
	PhaseTunnel          // relaying a WebSocket
	phases               // the number of phases
)

var phaseNames = [phases]string{
	PhaseProxy: "proxy", PhaseHandshake: "handshake", PhaseAdmission: "admission", PhaseHello: "hello", PhaseRequest: "request",
	PhaseQueue: "queue", PhaseConnect: "connect", PhaseResponse: "response", PhaseData: "data", PhaseTunnel: "tunnel",
}

// String returns the word in the log; "" for PhaseNone.
func (p Phase) String() string {
	if p >= phases {
		return ""
	}
	return phaseNames[p]
}
