package servertls

import (
	"cmp"
	"crypto/tls"
	"net"
	"strings"

	"mcplb/conf"
)

// Config returns the settings for one connection to the server whose address is
// written as hostport. The caller may change what it returns.
func Config(t *conf.ServerTLS, hostport string) *tls.Config {
	c := &tls.Config{
		ServerName:         Name(t, hostport),
		RootCAs:            t.Roots(),
		InsecureSkipVerify: !t.Verify, //nolint:gosec // the operator wants it, and is warned
		MinVersion:         versions[t.MinVersion],
		CipherSuites:       suites,
		// Full records from the start: one read of a loop fills only a few.
		DynamicRecordSizingDisabled: true,
	}
	if pair := t.Pair(); pair != nil {
		// Whatever authorities the server names: what it thinks of this certificate is
		// a better message than that there was none.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return c
}

// versions are the values of the key min_version.
var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// suites are the cipher suites of TLS 1.2, as for clients.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Name is the name for SNI and verification of the server whose address is written as
// hostport: that of the settings, or the host. A zone is no part of it.
func Name(t *conf.ServerTLS, hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host, _, _ = strings.Cut(host, "%")
	return strings.TrimSuffix(cmp.Or(t.ServerName, host), ".")
}
