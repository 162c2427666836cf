package main

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"mcplb/internal/certificate"
)

// knowsClients shows that clients get in with a certificate alone, and that servers learn
// whose it is, whatever the client writes.
func (e *runningExample) knowsClients(t *testing.T) {
	directory := filepath.Dir(e.path)
	authority, err := tls.LoadX509KeyPair(filepath.Join(directory, "clients-ca.pem"), filepath.Join(directory, "clients-ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	alice := certificate.Sign(t, &authority, certificate.ECDSA(t), certificate.Options{Subject: pkix.Name{CommonName: "alice"}})
	ask := func(shown ...tls.Certificate) (string, error) {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: shown}}}
		request, err := http.NewRequest("GET", "https://"+e.listeners[0]+"/mcp", nil)
		if err != nil {
			return "", err
		}
		request.Header.Set("X-Client-Subject", "CN=admin")
		answer, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}
	if got, err := ask(alice); err != nil || !strings.Contains(got, "X-Client-Subject: CN=alice\r\n") || strings.Contains(got, "admin") {
		t.Errorf("alice: %q, %v", got, err)
	}
	if got, err := ask(); err == nil {
		t.Errorf("nobody gets in: %q", got)
	}
}
