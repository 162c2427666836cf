package tlsio

import (
	"crypto/tls"
	"sync/atomic"
)

// failure says why a handshake failed.
type failure uint8

const (
	failedPlain    failure = iota // what came first was no handshake
	failedGone                    // the client ended before its handshake did
	failedRefused                 // the client did not accept what it was shown, and said so
	failedProtocol                // nothing in common, or a broken message
	failures
)

var failureNames = [failures]string{
	failedPlain:    "not_tls",
	failedGone:     "client_gone",
	failedRefused:  "client_alert",
	failedProtocol: "protocol",
}

// counters are added to once a handshake: all loops share them.
type counters struct {
	full, resumed atomic.Uint64
	older         atomic.Uint64 // TLS 1.2
	failed        [failures]atomic.Uint64
}

// complete counts a handshake that is complete.
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

// Totals are what a Server has counted. A handshake that was cut short by a
// timeout or a stop is not among them.
type Totals struct {
	Full     uint64            // handshakes complete, with a certificate
	Resumed  uint64            // handshakes complete, of a session known by its ticket
	Versions map[string]uint64 // of both, by TLS version: "1.2", "1.3"
	Failed   map[string]uint64 // handshakes that failed: not_tls, client_gone, client_alert, protocol
}

// Counters returns what is counted: a pointer to a struct, for a process that
// takes the place of this one.
func (s *Server) Counters() any { return &s.counters }

// Totals returns what the server has counted. Any goroutine may ask.
func (s *Server) Totals() Totals {
	c := &s.counters
	older := c.older.Load() // first: it is among the others
	t := Totals{Full: c.full.Load(), Resumed: c.resumed.Load(), Failed: map[string]uint64{}}
	t.Versions = map[string]uint64{"1.2": older, "1.3": t.Full + t.Resumed - older}
	for why, name := range failureNames {
		t.Failed[name] = c.failed[why].Load()
	}
	return t
}
