package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/internal/certificate"
)

// writePair writes lb.pem, a self-signed certificate for a.test that expires at a
// time, and lb.key.
func writePair(t *testing.T, directory string, until time.Time) {
	t.Helper()
	certificate.Write(t, directory, "lb", certificate.New(t, nil, certificate.ECDSA(t), certificate.UntilThen(until), "a.test"))
}

// TestTLS uses curl and openssl as clients, and renews certificates by SIGHUP.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(digest))
	t.Cleanup(server.Close)
	s := newSetup(t, strings.TrimPrefix(server.URL, "http://"))
	directory := filepath.Dir(s.path)
	cert, key := filepath.Join(directory, "lb.pem"), filepath.Join(directory, "lb.key")
	writePair(t, directory, time.Now().AddDate(0, 6, 0))
	s.mode, s.endpoint, s.ratelimit = "http", "http", "connection_rate = 0\nmessage_rate = 0"
	s.frontendLines = fmt.Sprintf("tls = { certificates = [{ cert = %q, key = %q }] }", cert, key)
	b := startBalancer(t, s)
	host, port, err := net.SplitHostPort(b.frontend)
	if err != nil {
		t.Fatal(err)
	}
	url := "https://a.test:" + port + "/"
	curl := []string{"-sS", "-f", "--cacert", cert, "--resolve", "a.test:" + port + ":" + host, "-w", " %{num_connects} %{http_version}\\n"}
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	for _, version := range []string{"--tlsv1.3", "--tls-max 1.2"} {
		arguments := append(append(strings.Fields(version), curl...), "--data-binary", "@-", url, url)
		empty := fmt.Sprintf("%x", sha256.Sum256(nil))
		if text := runClient(t, body, "curl", arguments...); text != sum+" 1 1.1\n"+sum+" 0 1.1\n" && text != sum+" 1 1.1\n"+empty+" 0 1.1\n" {
			t.Errorf("%s: the server got %q, want %s over one connection", version, text, sum)
		}
	}

	session := filepath.Join(directory, "session")
	openssl := []string{"s_client", "-connect", b.frontend, "-servername", "a.test", "-CAfile", cert}
	request := []byte("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	text := runClient(t, request, "openssl", append(openssl, "-ign_eof", "-sess_out", session)...)
	if !strings.Contains(text, "HTTP/1.1 200 ") || !strings.Contains(text, "New, TLSv1.3") {
		t.Errorf("output of openssl:\n%s", text)
	}

	writePair(t, directory, time.Now().AddDate(0, 9, 0))
	reload(t, b, `msg=reloaded .*~frontend.main.tls.certificates\[0\] \(valid until \d{4}-\d\d-\d\d, [0-9a-f]{8}\) -> \(valid until `)
	text = runClient(t, request, "openssl", append(openssl, "-ign_eof", "-sess_in", session)...)
	if !strings.Contains(text, "HTTP/1.1 200 ") || !strings.Contains(text, "Reused, TLSv1.3") {
		t.Errorf("after the reload, output of openssl:\n%s", text)
	}
	runClient(t, nil, "curl", append(curl, url)...) // it trusts only the new certificate

	writePair(t, directory, time.Now().Add(-time.Hour))
	reload(t, b, `level=WARN msg="frontend.main.tls.certificates\[0\]: .*was valid until .*: clients refuse it; renew it and reload`)
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	reload(t, b, `reload failed.*lb.toml:\d+: frontend.main.tls.certificates\[0\]: .* are not a PEM certificate chain and its key`)
	if text := runClient(t, nil, "curl", append(curl, "-k", url)...); !strings.HasSuffix(text, " 1 1.1\n") {
		t.Errorf("after a failed reload: %q", text)
	}
}
