package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// TLS is what a frontend that speaks TLS counts besides, and what it presents.
type TLS struct {
	Handshakes   map[string]uint64 `json:"handshakes"`   // counters: complete, by kind: full or resumed
	Versions     map[string]uint64 `json:"versions"`     // counters: complete, by TLS version
	Failed       map[string]uint64 `json:"failed"`       // counters: not complete, by reason
	Certificates []Certificate     `json:"certificates"` // in the order of the file
}

// Certificate is one that a frontend presents.
type Certificate struct {
	File      string    `json:"file"`      // where its chain was read from
	Subject   string    `json:"subject"`   // as RFC 2253 writes it
	Names     []string  `json:"names"`     // of hosts and addresses that it is for
	Algorithm string    `json:"algorithm"` // of its key: RSA, ECDSA, Ed25519
	NotAfter  time.Time `json:"not_after"` // when it expires
}

// tlsMetrics are those of a frontend that speaks TLS.
var tlsMetrics = []metric[TLS]{
	counters("frontend_tls_handshakes_total", "TLS handshakes complete: full, or resumed by a ticket.", byFrontend, "kind",
		func(t *TLS) map[string]uint64 { return t.Handshakes }),
	counters("frontend_tls_versions_total", "TLS handshakes complete, by version.", byFrontend, "version",
		func(t *TLS) map[string]uint64 { return t.Versions }),
	reasons("frontend_tls_failed_handshakes_total", "TLS handshakes that failed.", byFrontend,
		func(t *TLS) map[string]uint64 { return t.Failed }),
}

// certificateExpiry is there to be alerted on.
var certificateExpiry = describe("frontend_certificate_expiry_timestamp_seconds", "When the certificate expires, as Unix time.", "frontend", "file")

// sendTLS sends what a frontend's TLS counts.
func sendTLS(out chan<- prometheus.Metric, t *TLS, labels []*dto.LabelPair) {
	sendAll(out, tlsMetrics, t, labels)
	for i := range t.Certificates {
		c := &t.Certificates[i]
		out <- &sample{certificateExpiry, prometheus.GaugeValue, float64(c.NotAfter.Unix()), pairs(labels, "file", c.File)}
	}
}
