package tlsio

import (
	"crypto/tls"
	"slices"
	"sync/atomic"

	"mcplb/proxy/reactor"
)

// Config holds the settings of a Server. It must not be changed once a Server
// has it.
type Config struct {
	// Certificates, at least one. The server presents the first that suits the
	// client (its server name, its signature algorithms), or the first of all
	// if none does.
	Certificates []tls.Certificate
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13.
	MinVersion uint16
	// Protocols are the application protocols offered (ALPN, RFC 7301), in order. A
	// client that asks for ALPN but for none of these is refused. Empty = ALPN
	// is ignored.
	Protocols []string
	// CipherSuites are those of TLS 1.2. Empty = the usual ones.
	CipherSuites []uint16
	// TicketKeys encrypt session tickets, the first of them new ones. Empty = own keys,
	// changed daily.
	TicketKeys [][32]byte
	// Verification is how clients' certificates are verified; nil = clients are not
	// asked for any.
	Verification *Verification
}

// Server is the TLS side of one frontend. It is safe for concurrent use by all
// loops.
type Server struct {
	current  atomic.Pointer[settings]
	workers  *Workers
	counters counters
}

// NewServer returns a server for connections on the workers' loops.
func NewServer(c Config, workers *Workers) *Server {
	s := &Server{workers: workers}
	s.Apply(c)
	return s
}

// Apply changes the settings for future handshakes; one goroutine at a time may call it.
// Open connections stay as they are, and their sessions can be resumed under the new
// settings, unless one of both asks for certificates of clients and the other does not.
func (s *Server) Apply(c Config) {
	next := &settings{verification: c.Verification, config: &tls.Config{
		Certificates: c.Certificates,
		MinVersion:   c.MinVersion,
		NextProtos:   c.Protocols,
		CipherSuites: suites,
		// Full records from the start: one read of a loop fills only a few.
		DynamicRecordSizingDisabled: true,
	}}
	if len(c.CipherSuites) > 0 {
		next.config.CipherSuites = c.CipherSuites
	}
	if len(c.TicketKeys) > 0 {
		next.config.SetSessionTicketKeys(c.TicketKeys)
	}
	c.Verification.verify(next.config)
	if before := s.current.Load(); before != nil && before.verification.same(c.Verification) {
		next.base = before.base
	} else {
		next.base = s.newBase()
	}
	s.current.Store(next)
}

// protocolsFor returns a configuration for a client. crypto/tls lets a client that offers
// http/1.1 alone pass where only h2 is offered; here it fails the handshake, as every
// client does that offers nothing that is spoken.
func (s *Server) protocolsFor(hello *tls.ClientHelloInfo, config *tls.Config) *tls.Config {
	offered := hello.SupportedProtos
	if len(offered) == 0 || len(config.NextProtos) == 0 || slices.ContainsFunc(offered, s.offers) {
		return config
	}
	config = config.Clone()
	config.NextProtos = []string{"none of those"}
	return config
}

// suites are the cipher suites of TLS 1.2: forward secret and authenticated,
// Mozilla's "intermediate" list without finite-field Diffie-Hellman. (Those of
// TLS 1.3 are not configurable.)
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// offers reports whether the server offers an application protocol.
func (s *Server) offers(protocol string) bool {
	return slices.Contains(s.current.Load().config.NextProtos, protocol)
}

// Secure puts a Transport on a client's connection, from which nothing but a
// PROXY header may have been read: the handshake begins with the client's first
// bytes. Only the connection's loop may call it.
func (s *Server) Secure(c *reactor.Conn) {
	c.SetTransport(&Transport{server: s, conn: c, worker: s.workers.of(c.Loop())})
}

// Workers are shared by the servers and clients of one engine: buffers for records on each
// loop, and a limit on how many handshakes compute at once.
type Workers struct {
	loops  []worker
	tokens chan struct{} // holds one token per handshake that computes
}

// NewWorkers returns workers for an engine's loops that let at most the given
// number of handshakes, at least 1, compute at once.
func NewWorkers(loops []*reactor.Loop, handshakes int) *Workers {
	ws := &Workers{loops: make([]worker, len(loops)), tokens: make(chan struct{}, handshakes)}
	for i, loop := range loops {
		ws.loops[i].loop, ws.loops[i].tokens, ws.loops[i].workers = loop, ws.tokens, ws
		ws.loops[i].inUse.loop = loop
	}
	return ws
}

// worker holds the buffers of one loop, whose goroutine alone uses it.
type worker struct {
	loop    *reactor.Loop
	workers *Workers
	tokens  chan struct{} // of the Workers
	in      []byte        // for one read of a socket; nil until the loop has TLS
	out     []byte        // records before they are sent
	plain   []byte        // for a record that does not fit where it is read to; nil until one came
	nonce   [nonceSize]byte
	inUse   inUse // the connections that have keys
}

func (ws *Workers) of(loop *reactor.Loop) *worker {
	w := &ws.loops[loop.ID()]
	if w.in == nil {
		w.in = make([]byte, reactor.ReadSize)
	}
	return w
}

// plainRoom returns room for the content of any record.
func (w *worker) plainRoom() []byte {
	if w.plain == nil {
		w.plain = make([]byte, maxCiphertext)
	}
	return w.plain
}

// maxOut is the largest buffer for records that a worker keeps.
const maxOut = 4 * reactor.ReadSize

// resetOut empties the buffer of records that were sent.
func (w *worker) resetOut() {
	if cap(w.out) > maxOut {
		w.out = nil
	}
	w.out = w.out[:0]
}
