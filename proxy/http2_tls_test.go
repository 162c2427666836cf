package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcplb/internal/endpoint"
)

// whoServer starts a server that answers with the field X-Who of the request.
func whoServer(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "who=%s proto=%s", strings.Join(r.Header.Values("X-Who"), ","), r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// clientOf returns a client of net/http that connects with the configuration.
func clientOf(t testing.TB, config *tls.Config, address string) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * endpoint.Patience}
}

// ask requests a page, and returns status, protocol and body.
func ask(t testing.TB, c *http.Client, path string, fields ...string) (int, string, string) {
	t.Helper()
	request, _ := http.NewRequest("GET", "https://a.test"+path, nil)
	for i := 0; i < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Proto, string(body)
}

// Clients get the protocol that the frontend offers first, of those that they speak. One
// that is spoken by nobody fails the handshake: otherwise it would wait for an answer that
// it cannot read.
func TestALPN(t *testing.T) {
	t.Parallel()
	server := whoServer(t)
	for keys, want := range map[string]map[string]string{ // by what the client offers
		"":                                    {"h2,http/1.1": "http/1.1", "http/1.1": "http/1.1", "h2": "refused", "": "HTTP/1.1 200"},
		"http2 = true":                        {"http/1.1,h2": "h2", "http/1.1": "http/1.1", "h2": "h2", "": "HTTP/1.1 200", "h3": "refused"},
		`alpn = ["http/1.1", "h2"]`:           {"h2,http/1.1": "http/1.1", "h2": "h2", "": "HTTP/1.1 200"},
		`alpn = ["h2"]`:                       {"h2,http/1.1": "h2", "http/1.1": "refused", "": "HTTP/1.1 426"},
		"http2 = true\nalpn = [\"http/1.1\"]": {"h2,http/1.1": "http/1.1", "h2": "refused"},
	} {
		t.Run(keys, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			r := start(t, frontendText("f", anyPort, "http", "b", a.usual(), keys)+httpBackend(server))
			for offered, expected := range want {
				if got := negotiate(t, r.address("f"), a.client(), offered); got != expected {
					t.Errorf("a client that offers %q: %s, want %s", offered, got, expected)
				}
			}
			if got := r.frontend("f").HTTP.OwnResponses["http2_only"]; keys == `alpn = ["h2"]` && got != 1 {
				t.Errorf("%d answers of http2_only are counted", got)
			}
		})
	}
}

// negotiate returns the protocol that a client gets; without ALPN, how a request of
// HTTP/1.1 is answered.
func negotiate(t testing.TB, address string, config *tls.Config, offered string) string {
	if offered != "" {
		config.NextProtos = strings.Split(offered, ",")
	}
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		return "refused"
	}
	defer c.Close()
	if offered != "" {
		return c.ConnectionState().NegotiatedProtocol
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(c)
	if err != nil || len(answer) < 12 {
		t.Fatalf("%q, %v", answer, err)
	}
	return string(answer[:12])
}

// The certificate of a connection is that of each of its streams: in headers and limits.
// When the verification changes, the connection ends behind its requests.
func TestIdentityOfStreams(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	text := func(verify string) string {
		return frontendText("f", anyPort, "http", "b", "http2 = true", m.verifying(verify)) +
			"[[frontend.f.route]]\npath = \"/\"\nset_request_headers = { \"X-Who\" = \"{tls_subject}\" }\n" +
			`limit = [{ key = "principal", rate = 0.001, burst = 3, over = "reject" }]` + "\n" + httpBackend(whoServer(t))
	}
	r := start(t, text("optional"))
	alice, nobody := clientOf(t, m.as(m.alice), r.address("f")), clientOf(t, m.as(), r.address("f"))
	for range 3 {
		if status, proto, body := ask(t, alice, "/", "X-Who", "CN=bob"); status != 200 || proto != "HTTP/2.0" || body != `who=CN=alice,O=Example\, Inc. proto=https` {
			t.Errorf("%d %s %q", status, proto, body)
		}
	}
	if status, _, body := ask(t, nobody, "/", "X-Who", "CN=bob"); status != 200 || body != "who= proto=https" {
		t.Errorf("without a certificate: %d %q", status, body)
	}
	if status, _, _ := ask(t, alice, "/"); status != http.StatusTooManyRequests {
		t.Errorf("a principal over its limit: %d", status)
	}
	m.revoke(m.alice)
	r.apply(text("optional"))
	r.eventually("connections of the former verification end", func() bool { return r.frontend("f").Connections.Current == 0 })
}
