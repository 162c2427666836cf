package proxy

import (
	"log/slog"
	"time"

	"mcplb/backend"
	"mcplb/backend/servertls"
	"mcplb/conf"
	"mcplb/proxy/admin"
	"mcplb/proxy/lograte"
	"mcplb/proxy/reactor"
	"mcplb/proxy/session"
	"mcplb/proxy/tlsio"
)

// serverTLS is the TLS to the servers of a backend: session.ServerTLS. One stands for
// its settings; its sessions end with it.
type serverTLS struct {
	settings *conf.ServerTLS
	client   *tlsio.Client
	log      *slog.Logger
	lines    *lograte.Limiter
}

// How often failed handshakes with the servers of one backend are logged.
const (
	handshakeLogInterval = 10 * time.Second
	handshakeLogBurst    = 5
)

// secure puts the TLS that c says in force for new connections to a pool's servers.
// Connections that are kept under other settings end, those in use end after their
// request.
func (p *Proxy) secure(b *backend.Pool, c *conf.ServerTLS) {
	before, _ := b.Attached().(*serverTLS)
	if before == nil && c == nil || before != nil && before.settings.Same(c) {
		return
	}
	var after any
	if c != nil {
		after = &serverTLS{c, tlsio.NewClient(p.tlsWorkers), p.options.Log, lograte.New(handshakeLogInterval, handshakeLogBurst)}
	}
	b.Attach(after)
	for _, server := range b.Servers() {
		p.workers.CloseIdle(server)
	}
}

// Secure implements session.ServerTLS.
func (s *serverTLS) Secure(c *reactor.Conn, server *backend.Server, endpoint conf.Endpoint) {
	s.client.Secure(c, servertls.Config(s.settings, server.Written(endpoint)), server.Addr(endpoint).String())
}

// Shaken implements session.ServerTLS: it counts, and logs why a handshake failed.
func (s *serverTLS) Shaken(c *reactor.Conn, server *backend.Server, failed bool) {
	t, ok := c.Transport().(*tlsio.Transport)
	if !ok {
		return
	}
	counters := &server.Counters(c.Loop().ID()).Handshakes
	switch {
	case !failed && t.Resumed():
		counters.Resumed.Add(1)
		return
	case !failed:
		counters.Full.Add(1)
		return
	case t.Err() == nil: // the kernel's error
		counters.Failed[servertls.ServerGone].Add(1)
		return
	}
	counters.Failed[servertls.FailureOf(t.Err())].Add(1)
	if omitted, ok := s.lines.Allow(); ok {
		s.log.Warn("TLS handshake with a server failed", "server", server.Backend()+"/"+server.Name(), "reason", servertls.Explain(s.settings, t.Err()), "omitted", omitted)
	}
}

// showServerTLS shows the TLS to the servers of a backend; nil = none.
func showServerTLS(c *conf.ServerTLS) *admin.ServerTLS {
	if c == nil {
		return nil
	}
	shown := &admin.ServerTLS{Verify: c.Verify, CA: c.CA, ServerName: c.ServerName, MinVersion: c.MinVersion, Checks: c.Checks}
	if pair := c.Pair(); pair != nil {
		shown.Cert, shown.NotAfter = c.Cert, pair.Leaf.NotAfter
	}
	return shown
}

// showHandshakes shows the handshakes with a server of a backend that speaks TLS, or
// did; nil = there were none.
func showHandshakes(b *pool, t *backend.Totals) *admin.ServerHandshakes {
	shown := &admin.ServerHandshakes{Handshakes: map[string]uint64{"full": t.FullHandshakes, "resumed": t.ResumedHandshakes}, Failed: map[string]uint64{}}
	all := t.FullHandshakes + t.ResumedHandshakes
	for kind, n := range t.FailedHandshakes {
		shown.Failed[servertls.Failure(kind).String()] = n
		all += n
	}
	if all == 0 && session.TLSOf(b.Pool) == nil {
		return nil
	}
	return shown
}

var _ session.ServerTLS = (*serverTLS)(nil)
