package doctor

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/healthcheck"
	"mcplb/internal/certificate"
)

// What is wrong with the TLS of a server is found before clients find it, at every
// address that they use, whatever checks do.
func TestServersOverTLS(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	authority := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "authority")
	certificate.Write(t, directory, "ca", authority)
	issued := func(valid certificate.Validity, name string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{certificate.New(t, &authority, certificate.ECDSA(t), valid, name)}}
	}
	wants := issued(certificate.Today(), "127.0.0.1")
	wants.ClientAuth = tls.RequireAnyClientCert
	for name, test := range map[string]struct {
		more   string
		config *tls.Config // nil = the server speaks plain
		level  Level
		says   string
		advice string
	}{
		"good":                {"", issued(certificate.Today(), "127.0.0.1"), OK, "can be reached over TLS, and its check passes", ""},
		"without checks":      {"checks = false", issued(certificate.UntilThen(time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC)), "127.0.0.1"), Problem, "but the TLS handshake fails: certificate expired on 2020-05-01", "renew the server's certificate"},
		"expired":             {"", issued(certificate.UntilThen(time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC)), "127.0.0.1"), Problem, "certificate expired on 2020-05-01", "renew"},
		"another name":        {"", issued(certificate.Today(), "a.test"), Problem, "certificate is valid for a.test, not 127.0.0.1", "set backend.b.tls.server_name"},
		"its name":            {"server_name = 'a.test'", issued(certificate.Today(), "a.test"), OK, "over TLS", ""},
		"plain":               {"", nil, Problem, "the server does not speak TLS", "openssl s_client -connect 127.0.0.1:"},
		"wants a certificate": {"", wants, Problem, "the server wants a certificate of the balancer", "openssl s_client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			server.TLS = test.config
			if test.config == nil {
				server.Start()
			} else {
				server.StartTLS()
			}
			defer server.Close()
			machine := sound()
			machine.Dial, machine.Check = dial, healthcheck.Once
			settings := fmt.Sprintf("[backend.b.tls]\nca = '%s'\n%s\n", filepath.Join(directory, "ca.pem"), test.more)
			config := parse(t, "", settings, fmt.Sprintf("[[backend.b.server]]\nname = 'n1'\ntcp = '%s'\n", server.Listener.Addr()))
			for _, f := range Examine(t.Context(), config, machine) {
				if f.Subject != "server b/n1" {
					continue
				}
				if f.Level != test.level || !strings.Contains(f.Text, test.says) || !strings.Contains(f.Advice, test.advice) {
					t.Errorf("found %s", shown([]Finding{f}))
				}
				return
			}
			t.Error("nothing is found about the server")
		})
	}
}
