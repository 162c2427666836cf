package convert

import (
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcplb/conf"
	"mcplb/internal/certificate"
)

// A frontend that let in clients with certificates alone lets in no others after the
// move: mcplb reads the files that the result names.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := certificate.Sign(t, nil, certificate.ECDSA(t), certificate.Options{Subject: pkix.Name{CommonName: "clients"}, CA: true})
	certificate.Write(t, dir, "ca", ca)
	certificate.Write(t, dir, "site", certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "side.example.com"))
	for _, c := range []struct {
		language Language
		text     string
		verify   conf.ClientVerify
		ciphers  int
		http2    bool
	}{
		{HAProxy, "frontend f\n mode http\n bind :8443 ssl crt DIR/both.pem alpn h2,http/1.1 verify required ca-file DIR/ca.pem ciphers ECDHE-RSA-AES128-GCM-SHA256:!aNULL\n", "require", 1, true},
		{HAProxy, "frontend f\n mode http\n bind :8443 ssl crt DIR/both.pem verify optional ca-file DIR/ca.pem\n", "optional", 0, false},
		{HAProxy, "frontend f\n mode http\n bind :8443 ssl crt DIR/both.pem verify none ca-file DIR/ca.pem\n", "off", 0, false},
		{Nginx, "server { listen 8443 ssl http2; ssl_certificate DIR/site.pem; ssl_certificate_key DIR/site.key; ssl_verify_client on; ssl_client_certificate DIR/ca.pem; }", "require", 0, true},
		{Nginx, "server { listen 8443 ssl; ssl_certificate DIR/site.pem; ssl_certificate_key DIR/site.key; ssl_verify_client optional; ssl_trusted_certificate DIR/ca.pem; ssl_ciphers HIGH; }", "optional", 0, false},
		{Nginx, `server { listen 8443 ssl; server_name a; ssl_certificate DIR/site.pem; ssl_certificate_key DIR/site.key; ssl_verify_client optional; ssl_client_certificate DIR/ca.pem; }
			server { listen 8443 ssl; server_name b; ssl_certificate DIR/site.pem; ssl_certificate_key DIR/site.key; ssl_verify_client on; ssl_client_certificate DIR/ca.pem; }`, "require", 0, false},
		{Nginx, `server { listen 8443 ssl; server_name a; ssl_certificate DIR/site.pem; ssl_certificate_key DIR/site.key; ssl_verify_client on; ssl_client_certificate DIR/ca.pem; }
			server { listen 8443 ssl; server_name b; ssl_certificate DIR/site.pem; ssl_certificate_key DIR/site.key; }`, "require", 0, false},
	} {
		both := append(read(t, filepath.Join(dir, "site.pem")), read(t, filepath.Join(dir, "site.key"))...)
		if err := os.WriteFile(filepath.Join(dir, "both.pem"), both, 0o600); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "in")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(c.text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := Files(c.language, file)
		if err != nil {
			t.Fatal(err)
		}
		config, err := conf.Parse("lb.toml", []byte(result.Text))
		if err != nil {
			t.Errorf("%s: %v\n%s", c.text, err, result.Text)
			continue
		}
		f := config.Frontends[0]
		if f.TLS.ClientVerify != c.verify || len(f.TLS.Ciphers) != c.ciphers || f.HTTP2 != c.http2 {
			t.Errorf("%s: %+v, HTTP/2 %t", c.text, f.TLS, f.HTTP2)
		}
	}
}
