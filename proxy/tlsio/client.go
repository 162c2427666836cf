package tlsio

import (
	"crypto/tls"

	"mcplb/proxy/reactor"
)

// Client is the TLS side towards servers whose connections have the same settings. It
// keeps their sessions, to resume them. It is safe for concurrent use by all loops.
type Client struct {
	workers  *Workers
	sessions tls.ClientSessionCache
}

// mostSessions is how many sessions a Client keeps, of all servers.
const mostSessions = 4096

// NewClient returns a client for connections on the workers' loops. A client must not
// be used for other settings: sessions made under one must not open connections under
// another.
func NewClient(workers *Workers) *Client {
	return &Client{workers: workers, sessions: tls.NewLRUClientSessionCache(mostSessions)}
}

// Secure puts a Transport on a connection to a server, to which nothing but a PROXY
// header may have been sent, and begins the handshake. The config, which must have a
// ServerName, is the Transport's from then on. server tells apart servers of one name:
// each has its own sessions. Only the connection's loop may call it.
//
// The end of the stream without close_notify is an error here (RFC 8446 section 6.1):
// an answer that ends with its connection could be cut by anybody otherwise.
func (s *Client) Secure(c *reactor.Conn, config *tls.Config, server string) *Transport {
	config.ClientSessionCache = sessionsOf{s.sessions, server}
	t := &Transport{conn: c, worker: s.workers.of(c.Loop()), strict: true}
	c.SetTransport(t)
	t.start(func(w *wire) *tls.Conn {
		config.KeyLogWriter = &w.secrets
		return tls.Client(w, config)
	})
	return t
}

// sessionsOf are the sessions with one server.
type sessionsOf struct {
	all    tls.ClientSessionCache
	server string
}

// Get implements tls.ClientSessionCache.
func (s sessionsOf) Get(name string) (*tls.ClientSessionState, bool) {
	return s.all.Get(s.server + " " + name)
}

// Put implements tls.ClientSessionCache.
func (s sessionsOf) Put(name string, state *tls.ClientSessionState) {
	s.all.Put(s.server+" "+name, state)
}
