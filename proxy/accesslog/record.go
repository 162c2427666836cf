package accesslog

import (
	"net/netip"
	"time"
)

// Record is what is to be said of one connection or request. Buffer.Begin
// gives one out, Buffer.End takes it back; in between it is the loop's own.
// Times are on the loop's clock; a duration that is None has not been measured
// and does not show, nor does an empty word or a zero Status. The methods that
// note something do nothing on nil, the record of a log that is off.
type Record struct {
	Client   netip.AddrPort // who connected, as a PROXY header says where there is one
	Frontend string
	Backend  string
	Server   string // the last one that was tried
	TLS      string // the protocol's version, such as "1.3"

	Began    int64         // when the client was accepted, or the first byte of its request came
	Ended    int64         // when it was over
	Request  time.Duration // http: from then until the head was complete
	Queue    time.Duration // waiting for a slot
	Connect  time.Duration // from the first attempt to connect until one succeeded
	Response time.Duration // from then, or from the request forwarded, to the answer's first byte, or head

	BytesIn     uint64 // from the client
	BytesOut    uint64 // to the client
	MessagesIn  uint64 // from the client: mode mcp, WebSocket
	MessagesOut uint64 // to the client, but for those spliced

	Status int    // of the answer
	Era    string // of MCP that a JSON-RPC request belongs to
	Call   string // the MCP method that Mcp-Method names, of a fixed set

	Reason  string // what ended it
	Detail  string // what was wrong, where the reason alone does not say it
	Phase   Phase  // what was under way then
	Retries int    // attempts behind the first

	FrontendConns int // clients of the frontend when it ended, this one among them
	ServerConns   int // slots of the server in use then, this one among them

	DialedAt    int64 // when the first attempt to connect began; 0 = there was none
	ConnectedAt int64 // when a server took the connection or the request

	Target Target // of an HTTP request

	next *Record
}

// Target is what a request asks for: its method and its path without the query,
// as much of both as the log keeps. The zero value is that of a connection that
// is no request.
type Target struct {
	method int // length of the method at the beginning of text
	path   int // length of the path behind it
	cut    bool
	text   [maxText]byte
}

// None is a duration that was not measured.
const None time.Duration = -1

// maxText is how much of a request's method and path is kept.
const maxText = 256

// maxMethod is how much of that a method may take.
const maxMethod = 32

// Secured notes the version of TLS that the client speaks.
func (r *Record) Secured(version string) {
	if r != nil {
		r.TLS = version
	}
}

// Routed notes the backend that is to serve the client.
func (r *Record) Routed(backend string) {
	if r != nil {
		r.Backend = backend
	}
}

// Sent notes the server that was chosen.
func (r *Record) Sent(backend, server string) {
	if r != nil {
		r.Backend, r.Server = backend, server
	}
}

// Dialing notes that an attempt to connect to a server begins. Those behind the
// first are retries.
func (r *Record) Dialing(now int64) {
	switch {
	case r == nil:
	case r.DialedAt == 0:
		r.DialedAt = now
	default:
		r.Retries++
	}
}

// Connected notes that an attempt succeeded.
func (r *Record) Connected(now int64) {
	if r == nil {
		return
	}
	r.ConnectedAt = now
	r.Connect = time.Duration(now - r.DialedAt)
}

// Queued notes that the client waited for a slot for so long.
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

// Moved counts bytes that were relayed, and notes the first that a server sent.
// It must not be called on nil.
func (r *Record) Moved(in, out int, now int64) {
	r.BytesIn += uint64(in)
	r.BytesOut += uint64(out)
	if out > 0 && r.Response == None {
		r.Response = time.Duration(now - r.ConnectedAt)
	}
}

// SetTarget keeps a copy of a request's method and of its path, as much as there
// is space for. The path is without its query, which may contain secrets.
func (r *Record) SetTarget(method, path []byte) { r.Target.set(method, path) }

func (t *Target) set(method, path []byte) {
	t.method = copy(t.text[:maxMethod], method)
	t.path = copy(t.text[t.method:], path)
	t.cut = t.path < len(path)
}

// Method is the request's method.
func (r *Record) Method() []byte { return r.Target.text[:r.Target.method] }

// Path is the request's path, as much of it as was kept.
func (r *Record) Path() []byte {
	t := &r.Target
	return t.text[t.method : t.method+t.path]
}

// Phase is what was under way when a connection or request ended.
type Phase uint8

// The phases, in their order.
const (
	PhaseNone      Phase = iota
	PhaseProxy           // the PROXY header is read
	PhaseHandshake       // TLS
	PhaseAdmission       // the limits are asked
	PhaseRequest         // the request is read
	PhaseQueue           // a slot is chosen or waited for
	PhaseConnect         // a server is connected to
	PhaseResponse        // the server's answer is waited for
	PhaseData            // bytes are relayed
	PhaseTunnel          // a WebSocket is relayed
	phases               // how many there are
)

var phaseNames = [phases]string{
	PhaseProxy: "proxy", PhaseHandshake: "handshake", PhaseAdmission: "admission", PhaseRequest: "request",
	PhaseQueue: "queue", PhaseConnect: "connect", PhaseResponse: "response", PhaseData: "data", PhaseTunnel: "tunnel",
}

// String is the word that the log shows; "" of PhaseNone.
func (p Phase) String() string {
	if p >= phases {
		return ""
	}
	return phaseNames[p]
}
