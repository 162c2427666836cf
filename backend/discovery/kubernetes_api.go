package discovery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"mcplb/conf"
)

// apiClient asks the Kubernetes API. It verifies the API by the authorities of the CA
// file alone before it sends the token, follows no redirection, and uses no proxy.
type apiClient struct {
	settings  *conf.Kubernetes
	authority []byte // the CA file that transport was made with
	transport *http.Transport
}

// retryAfterError is an answer that says when to ask again.
type retryAfterError struct {
	error
	after time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// get asks for a path, and returns the body of an answer with status 200, which the
// caller must close. It ends after most.
func (a *apiClient) get(ctx context.Context, path string, query url.Values, most time.Duration) (io.ReadCloser, error) {
	address, err := a.address()
	if err != nil {
		return nil, err
	}
	if err := a.trust(); err != nil {
		return nil, err
	}
	token, err := conf.ReadFile(a.settings.TokenFile, conf.MostSmall) // it is replaced every hour
	if err != nil {
		return nil, fmt.Errorf("the token for the Kubernetes API: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+path+"?"+query.Encode(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "mcplb")
	response, err := a.transport.RoundTrip(request)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("the Kubernetes API at %s: %w", address, err)
	}
	body := &cancelled{response.Body, cancel}
	if response.StatusCode != http.StatusOK {
		defer body.Close()
		return nil, a.refusal(response)
	}
	return body, nil
}

// cancelled is a body whose request's context ends with it.
type cancelled struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body.
func (c *cancelled) Close() error {
	c.cancel()
	return c.ReadCloser.Close()
}

// address returns where the API is.
func (a *apiClient) address() (string, error) {
	if a.settings.API != "" {
		return a.settings.API, nil
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" {
		return "", errors.New("KUBERNETES_SERVICE_HOST is not set, so this is no pod: set discover.kubernetes.api, token_file and ca")
	}
	if port == "" {
		port = "443"
	}
	return "https://" + net.JoinHostPort(host, port), nil
}

// trust makes a transport that trusts the authorities of the CA file, again if that has
// changed.
func (a *apiClient) trust() error {
	pem, err := conf.ReadFile(a.settings.CA, conf.MostSmall)
	if err != nil {
		return fmt.Errorf("the authority of the Kubernetes API: %w", err)
	}
	if a.transport != nil && bytes.Equal(pem, a.authority) {
		return nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("the authority of the Kubernetes API: %q has no certificate in PEM", a.settings.CA)
	}
	a.close()
	a.authority = pem
	a.transport = &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   1,
		IdleConnTimeout:       time.Minute,
		// A connection that died silently ends a watch that would hear nothing any more.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	return nil
}

// close closes idle connections.
func (a *apiClient) close() {
	if a.transport != nil {
		a.transport.CloseIdleConnections()
	}
}

// refusal explains an answer that is not 200.
func (a *apiClient) refusal(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var status struct{ Message string }
	_ = json.Unmarshal(text, &status) // another body says nothing that helps
	err := fmt.Errorf("the Kubernetes API answers %s", response.Status)
	if status.Message != "" {
		err = fmt.Errorf("%w: %s", err, status.Message)
	}
	switch response.StatusCode {
	case http.StatusGone:
		return errTooOld
	case http.StatusForbidden:
		err = fmt.Errorf("%w; allow this service account to list and watch endpointslices of discovery.k8s.io (docs/discovery.md)", err)
	case http.StatusUnauthorized:
		err = fmt.Errorf("%w; the token in %s is not accepted", err, a.settings.TokenFile)
	}
	if seconds, wrong := strconv.Atoi(response.Header.Get("Retry-After")); wrong == nil && seconds > 0 {
		return &retryAfterError{err, time.Duration(seconds) * time.Second}
	}
	return err
}
