package proxy

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
)

// authority signs certificates. Clients trust it.
type authority struct {
	t         testing.TB
	directory string
	cert      tls.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	return &authority{t: t, directory: t.TempDir(), cert: certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "test authority")}
}

// issue writes NAME.pem and NAME.key, for these hosts and addresses, and overwrites
// what is there.
func (a *authority) issue(name string, key crypto.Signer, hosts ...string) *x509.Certificate {
	a.t.Helper()
	cert := certificate.New(a.t, &a.cert, key, certificate.Today(), hosts...)
	certificate.Write(a.t, a.directory, name, cert)
	return cert.Leaf
}

// line is the key tls of a frontend that presents the certificates of these names.
func (a *authority) line(more string, names ...string) string {
	var pairs []string
	for _, name := range names {
		path := filepath.Join(a.directory, name)
		pairs = append(pairs, fmt.Sprintf("{ cert = %q, key = %q }", path+".pem", path+".key"))
	}
	return "tls = { certificates = [" + strings.Join(pairs, ", ") + "]" + more + " }"
}

// client is the TLS configuration of clients of a.test.
func (a *authority) client() *tls.Config {
	return &tls.Config{RootCAs: certificate.Pool(a.cert), ServerName: "a.test"}
}

// usual issues a certificate for a.test and returns the key tls with it.
func (a *authority) usual() string {
	a.issue("lb", certificate.ECDSA(a.t), "a.test", "127.0.0.1")
	return a.line("", "lb")
}

// dialTLS connects, and completes the handshake.
func dialTLS(t testing.TB, address string, c *tls.Config) *tls.Conn {
	t.Helper()
	conn := tls.Client(dialTCP(t, address), c)
	if err := conn.Handshake(); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// dialTCP connects without TLS.
func dialTCP(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	return endpoint.Dial(t, address).TCPConn
}

// browser is an HTTP client that resolves every name to one address.
func browser(t testing.TB, address string, c *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: c, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: endpoint.Patience}
}

// serveHTTP runs an HTTP server until the test ends.
func serveHTTP(t testing.TB, h http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// httpBackend is a backend called b of one HTTP server.
func httpBackend(address string) string {
	return fmt.Sprintf("[backend.b]\n[[backend.b.server]]\nname = \"s1\"\nhttp = %q\n", address)
}
