package admin

import (
	"fmt"
	"time"
)

// ServerTLS is how the servers of a backend are spoken to over TLS.
type ServerTLS struct {
	Verify     bool      `json:"verify"`             // their certificates are verified
	CA         string    `json:"ca"`                 // the file of the authorities that are trusted; "" = the system's
	ServerName string    `json:"server_name"`        // for SNI and verification; "" = the host in the server's address
	Cert       string    `json:"cert"`               // the file of the balancer's own certificate; "" = none
	NotAfter   time.Time `json:"not_after,omitzero"` // until when that is valid; absent = there is none
	MinVersion string    `json:"min_version"`
	Checks     bool      `json:"checks"` // checks speak TLS, too
}

// ServerHandshakes are the TLS handshakes with a server, in connections of clients.
// Those of checks do not count, nor those that a timeout cut short.
type ServerHandshakes struct {
	Handshakes map[string]uint64 `json:"handshakes"` // counters: completed handshakes by kind: full or resumed
	Failed     map[string]uint64 `json:"failed"`     // counters: failed handshakes by reason
}

func (h *ServerHandshakes) sub(before *ServerHandshakes) {
	if h != nil && before != nil {
		subMap(h.Handshakes, before.Handshakes)
		subMap(h.Failed, before.Failed)
	}
}

// serverTLS adds findings about the TLS to a backend's servers.
func (sum *Summary) serverTLS(now time.Time, b *Backend) {
	t := b.TLS
	if t == nil {
		return
	}
	if !t.Verify {
		sum.add(Notice, fmt.Sprintf("backend %s: the certificates of its servers are not verified", b.Name),
			fmt.Sprintf("set backend.%s.tls.ca to the file of their authority, and verify = true", b.Name))
	}
	if t.Cert == "" {
		return
	}
	left, name := t.NotAfter.Sub(now), fmt.Sprintf("certificate %s of backend %s", t.Cert, b.Name)
	switch {
	case left <= 0:
		sum.addOf(kindExpired, t.Cert, Critical, fmt.Sprintf("%s expired %s ago", name, forHowLong(-left)), "renew it, then mcplb reload")
	case left < expiresSoon:
		sum.addOf(kindExpiring, t.Cert, Degraded, fmt.Sprintf("%s expires in %s", name, forHowLong(left)), "renew it, then mcplb reload")
	}
}
