package proxy

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcplb/internal/endpoint"
)

// request sends a request on a kept-alive connection, and returns the answer.
func request(t *testing.T, conn *tls.Conn, answers *bufio.Reader) (status int, body string) {
	t.Helper()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Client: mallory\r\n\r\n")
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Who a client is, by its certificate, moves with its connection: to headers, limits and
// log of the new process. If this fails, a server takes a client for another after an
// upgrade, or for none, or a client who was revoked goes on.
func TestHandOverIdentity(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	log := filepath.Join(t.TempDir(), "log")
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Join(r.Header["X-Client"], "+")) })
	lines := endpoint.Serve(t, endpoint.Echo)
	text := fmt.Sprintf("[global]\naccess_log = %q\n", log) +
		frontendText("http", anyPort, "http", "b", m.verifying("require")) +
		"[[frontend.http.route]]\npath = \"/\"\nset_request_headers = { \"X-Client\" = \"{tls_subject} {tls_fingerprint}\" }\n" +
		"limit = [{ key = \"principal\", rate = 0.001, burst = 3, over = \"reject\" }]\n" +
		frontendText("mcp", "127.0.0.16:0", "mcp", "l", m.verifying("require")) +
		httpBackend(web) + backendText("l", []string{lines.Address})
	r := startOld(t, text)
	who := func(c tls.Certificate, name string) string {
		sum := sha256.Sum256(c.Leaf.Raw)
		return fmt.Sprintf(`CN=%s,O=Example\, Inc. %s`, name, hex.EncodeToString(sum[:]))
	}
	alice, bob := dialTLS(t, r.address("http"), m.as(m.alice)), dialTLS(t, r.address("http"), m.as(m.bob))
	raw := dialTLS(t, r.address("mcp"), m.as(m.bob))
	fromAlice, fromBob := bufio.NewReader(alice), bufio.NewReader(bob)
	h := r
	for i := range 3 {
		if status, body := request(t, alice, fromAlice); status != 200 || body != who(m.alice, "alice") {
			t.Errorf("after %d upgrades the server hears of alice: %d %q", i, status, body)
		}
		checkLine(t, raw)
		h = h.upgrade(text)
	}
	t.Cleanup(h.end)
	if status, _ := request(t, alice, fromAlice); status != 429 {
		t.Errorf("alice's fourth request of three is answered %d", status)
	}
	if status, body := request(t, bob, fromBob); status != 200 || body != who(m.bob, "bob") {
		t.Errorf("the server hears of bob: %d %q", status, body)
	}
	raw.Close()
	m.revoke(m.alice) // both were verified under what does not hold any more
	h.apply(text)
	for name, c := range map[string]*bufio.Reader{"alice": fromAlice, "bob": fromBob} {
		if n, err := c.Discard(1); n != 0 || err != io.EOF {
			t.Errorf("the kept-alive connection of %s goes on after the lists have changed: %d, %v", name, n, err)
		}
	}
	alice.Close()
	bob.Close()
	h.empty()
	var content []byte
	h.eventually("the log has all lines", func() bool {
		content, _ = os.ReadFile(log)
		return strings.Count(string(content), "\n") == 6
	})
	for name, want := range map[string]int{"alice": 4, "bob": 2} {
		if n := strings.Count(string(content), `tls_subject="CN=`+name+`,O=Example\\, Inc." tls_fingerprint=`); n != want {
			t.Errorf("%d lines of the log have the certificate of %s, want %d:\n%s", n, name, want, content)
		}
	}
}
