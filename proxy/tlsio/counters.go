package tlsio

import (
	"crypto/tls"

	"mcplb/proxy/metrics"
)

// failure is why a handshake failed.
type failure uint8

const (
	failedPlain       failure = iota // the first bytes were not a handshake
	failedGone                       // the client closed the connection during the handshake
	failedRefused                    // the client rejected the handshake with an alert
	failedProtocol                   // no version or algorithm in common, or a malformed message
	failedCertificate                // the client's certificate was refused, or it has shown none
	failures
)

var failureNames = [failures]string{
	failedPlain:       "not_tls",
	failedGone:        "client_gone",
	failedRefused:     "client_alert",
	failedProtocol:    "protocol",
	failedCertificate: "client_certificate",
}

// counters are shared by all loops, as each handshake adds to them only once.
type counters struct {
	full, resumed metrics.Counter
	older         metrics.Counter // TLS 1.2
	failed        [failures]metrics.Counter
}

// Visit implements metrics.Set.
func (c *counters) Visit(v metrics.Visitor) {
	v.Counter("full", &c.full)
	v.Counter("resumed", &c.resumed)
	v.Counter("older", &c.older)
	v.Counters("failed", c.failed[:])
}

// complete counts a completed handshake.
func (c *counters) complete(state *tls.ConnectionState) {
	if state.DidResume {
		c.resumed.Add(1)
	} else {
		c.full.Add(1)
	}
	if state.Version == tls.VersionTLS12 {
		c.older.Add(1)
	}
}

// Totals are what a Server has counted. A handshake that a timeout or a stop cut
// short is not counted.
type Totals struct {
	Full     uint64            // completed handshakes, with a certificate
	Resumed  uint64            // completed handshakes that resumed a session by its ticket
	Versions map[string]uint64 // of both, by TLS version: "1.2", "1.3"
	Failed   map[string]uint64 // handshakes that failed: not_tls, client_gone, client_alert, protocol, client_certificate
}

// Counters returns the counters, for a hand-over.
func (s *Server) Counters() metrics.Set { return &s.counters }

// Totals returns what the server has counted. Any goroutine may call it.
func (s *Server) Totals() Totals {
	c := &s.counters
	older := c.older.Load() // first, as full and resumed include it
	t := Totals{Full: c.full.Load(), Resumed: c.resumed.Load(), Failed: map[string]uint64{}}
	t.Versions = map[string]uint64{"1.2": older, "1.3": t.Full + t.Resumed - older}
	for why, name := range failureNames {
		t.Failed[name] = c.failed[why].Load()
	}
	return t
}
