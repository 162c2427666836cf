package tlsio

import (
	"crypto/tls"
	"sync/atomic"

	"mcplb/proxy/reactor"
)

// Config is what a Server presents. It must not be changed once it is given
// to one.
type Config struct {
	// Certificates, of which the first that suits the client (its server name,
	// its signature algorithms) is presented, or the first of all where none
	// does. At least one.
	Certificates []tls.Certificate
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13.
	MinVersion uint16
	// Protocols are offered to clients that ask for one (ALPN, RFC 7301): those
	// that want none of these are refused. Empty = ALPN is ignored.
	Protocols []string
}

// Server is TLS as one frontend speaks it. It is safe for use by all loops at
// once.
type Server struct {
	base     *tls.Config // lives as long as the Server, and with it the keys of its tickets
	current  atomic.Pointer[tls.Config]
	workers  *Workers
	counters counters
}

// NewServer makes a server whose connections are on the workers' loops.
func NewServer(c Config, workers *Workers) *Server {
	s := &Server{workers: workers}
	s.base = &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load(), nil },
	}
	s.Apply(c)
	return s
}

// Apply changes the settings for handshakes to come. Connections that are open
// stay as they are, and their sessions can be resumed under the new settings.
func (s *Server) Apply(c Config) {
	s.current.Store(&tls.Config{
		Certificates: c.Certificates,
		MinVersion:   c.MinVersion,
		NextProtos:   c.Protocols,
		CipherSuites: suites,
		// Full records from the start: one read of a loop makes a few of them
		// at the most.
		DynamicRecordSizingDisabled: true,
	})
}

// suites are those of TLS 1.2: forward secret and authenticated, Mozilla's
// "intermediate" list without finite-field Diffie-Hellman. (Those of TLS 1.3
// are not configurable.)
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// speaks tells whether the server offers an application protocol.
func (s *Server) speaks(protocol string) bool {
	for _, offered := range s.current.Load().NextProtos {
		if offered == protocol {
			return true
		}
	}
	return false
}

// Secure puts a Layer upon a client's connection, of which nothing but a PROXY
// header may have been read: its handshake begins with the client's first
// bytes. Only the connection's loop may call it.
func (s *Server) Secure(c *reactor.Conn) {
	c.SetTransport(&Layer{server: s, conn: c, worker: s.workers.of(c.Loop())})
}

// Workers are what the servers of one engine share: on each loop a place to
// read and write records, and how many handshakes compute at once.
type Workers struct {
	loops  []worker
	tokens chan struct{} // one is in it for every handshake that computes
}

// NewWorkers makes workers for an engine's loops, and lets so many handshakes
// compute at once, at least 1.
func NewWorkers(loops []*reactor.Loop, handshakes int) *Workers {
	ws := &Workers{loops: make([]worker, len(loops)), tokens: make(chan struct{}, handshakes)}
	for i, loop := range loops {
		ws.loops[i].loop = loop
	}
	return ws
}

// worker is one loop's; only that loop's goroutine touches it.
type worker struct {
	loop *reactor.Loop
	in   []byte // what one read of a socket brings; nil until the loop has TLS
	out  []byte // records before they are sent
}

func (ws *Workers) of(loop *reactor.Loop) *worker {
	w := &ws.loops[loop.ID()]
	if w.in == nil {
		w.in = make([]byte, reactor.ReadSize)
	}
	return w
}

// mostOut is how large a worker's memory for records may stay.
const mostOut = 4 * reactor.ReadSize

// drained forgets the records that were sent.
func (w *worker) drained() {
	if cap(w.out) > mostOut {
		w.out = nil
	}
	w.out = w.out[:0]
}
