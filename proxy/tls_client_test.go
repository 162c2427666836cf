package proxy

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
)

// members are clients with certificates, and what a frontend knows of their authority.
type members struct {
	*authority
	ca, other                       tls.Certificate
	alice, bob, stranger, old, site tls.Certificate
}

// newMembers issues the certificates, and writes ca.pem and crl.pem, which revokes none.
func newMembers(t testing.TB) *members {
	t.Helper()
	m := &members{authority: newAuthority(t)}
	sign := func(issuer *tls.Certificate, name string, o certificate.Options) tls.Certificate {
		o.Subject = pkix.Name{CommonName: name, Organization: []string{"Example, Inc."}}
		c := certificate.Sign(t, issuer, certificate.ECDSA(t), o)
		certificate.Write(t, m.directory, name, c)
		return c
	}
	day := 24 * time.Hour
	m.ca, m.other = sign(nil, "members", certificate.Options{CA: true}), sign(nil, "others", certificate.Options{CA: true})
	m.alice, m.bob = sign(&m.ca, "alice", certificate.Options{}), sign(&m.ca, "bob", certificate.Options{})
	m.stranger = sign(&m.other, "stranger", certificate.Options{})
	m.old = sign(&m.ca, "old", certificate.Options{Valid: certificate.Validity{From: time.Now().Add(-2 * day), Until: time.Now().Add(-day)}})
	m.site = sign(&m.ca, "site", certificate.Options{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	m.write("ca.pem", certificate.Text(m.ca))
	m.revoke()
	return m
}

func (m *members) write(name string, content []byte) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), content, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *members) path(name string) string { return filepath.Join(m.directory, name) }

// revoke writes a list that has these certificates.
func (m *members) revoke(revoked ...tls.Certificate) {
	m.write("crl.pem", certificate.Revoke(m.t, m.ca, time.Now().Add(time.Hour), revoked...))
}

// line is the key tls of a frontend that verifies clients; "" = client_ca alone.
func (m *members) verifying(verify string, more ...string) string {
	m.issue("lb", certificate.ECDSA(m.t), "a.test", "127.0.0.1")
	return m.authority.line(fmt.Sprintf(", client_verify = %q, client_ca = %q, client_crl = %q%s", verify, m.path("ca.pem"), m.path("crl.pem"), strings.Join(more, "")), "lb")
}

// as is the TLS configuration of a client with these certificates.
func (m *members) as(shown ...tls.Certificate) *tls.Config {
	c := m.client()
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(shown) == 0 {
			return &tls.Certificate{}, nil
		}
		return &shown[0], nil
	}
	return c
}

// knock sends a request on a new connection, all at once as browsers do in TLS 1.3, and
// returns what comes back before the end.
func knock(t testing.TB, address string, c *tls.Config) (answer string, err error) {
	t.Helper()
	conn := tls.Client(dialTCP(t, address), c)
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		return "", err
	}
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Padding: "+strings.Repeat("x", 8<<10)+"\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(conn)
	return string(text), err
}

// TestClientCertificates checks in every mode that clients get in, or are refused, for
// what their certificates are, that the refused see the alert and never a byte of an
// answer, and that an operator finds each in counters and log.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	m.revoke(m.bob)
	log := filepath.Join(t.TempDir(), "log")
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "welcome ", r.Header.Get("X-Client")) })
	lines := endpoint.Serve(t, endpoint.Echo)
	r := start(t, fmt.Sprintf("[global]\naccess_log = %q\n", log)+
		frontendText("http", anyPort, "http", "w", m.verifying("require"))+
		"[[frontend.http.route]]\npath = \"/\"\nset_request_headers = { \"X-Client\" = \"{tls_subject} {tls_fingerprint}\" }\n"+
		frontendText("mcp", anyPort, "mcp", "l", m.verifying("require"))+frontendText("tcp", anyPort, "tcp", "l", m.verifying("require"))+
		strings.Replace(httpBackend(web), "backend.b", "backend.w", 2)+backendText("l", []string{lines.Address}))
	sum := sha256.Sum256(m.alice.Leaf.Raw)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		good := m.as(m.alice)
		good.MaxVersion = version
		if answer, err := knock(t, r.address("http"), good); err != nil || !strings.HasSuffix(answer, `welcome CN=alice,O=Example\, Inc. `+hex.EncodeToString(sum[:])) {
			t.Errorf("%x: %q, %v", version, answer, err)
		}
		for _, mode := range []string{"mcp", "tcp"} {
			conn := dialTLS(t, r.address(mode), good)
			checkLine(t, conn)
			conn.Close()
		}
		for reason, shown := range map[string][]tls.Certificate{
			"tls_client_cert_missing": nil, "tls_client_cert_unknown_ca": {m.stranger}, "tls_client_cert_expired": {m.old},
			"tls_client_cert_revoked": {m.bob}, "tls_client_cert_bad": {m.site},
		} {
			bad := m.as(shown...)
			bad.MaxVersion = version
			for _, mode := range []string{"http", "mcp", "tcp"} {
				answer, err := knock(t, r.address(mode), bad)
				if answer != "" || err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
					t.Errorf("%s, %s, %x: %q, %v", reason, mode, version, answer, err)
				}
			}
		}
	}
	for _, mode := range []string{"http", "mcp", "tcp"} {
		for _, reason := range []string{"missing", "unknown_ca", "expired", "revoked", "bad"} {
			r.ended(mode, "tls_client_cert_"+reason, 2)
		}
		if f := r.frontend(mode); f.TLS.Failed["client_certificate"] != 10 || harness.Sum(f.TLS.Failed) != 10 {
			t.Errorf("%s: counted %v", mode, f.TLS.Failed)
		}
	}
	text := ""
	r.eventually("the log has all lines", func() bool {
		content, _ := os.ReadFile(log)
		text = string(content)
		return strings.Count(text, "\n") == 36
	})
	for _, want := range []string{
		`tls_subject="CN=alice,O=Example\\, Inc." tls_fingerprint=` + hex.EncodeToString(sum[:]), "reason=tls_client_cert_missing detail=\"the client showed none\" phase=handshake",
		"reason=tls_client_cert_expired detail=\"the certificate \\\"CN=old,", "reason=tls_client_cert_revoked detail=\"the certificate \\\"CN=bob,",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s:\n%s", want, text)
		}
	}
	if strings.Count(text, "tls_subject=") != 6 {
		t.Errorf("refused clients have a subject:\n%s", text)
	}
}

// TestIdentityCannotBeForged checks that no client can write itself the headers in which
// servers are told who it is: with and without a certificate, in every spelling, on the
// route that sets them and on all others.
func TestIdentityCannotBeForged(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Client-Dn", "X_client_dn", "X-Fingerprint", "X-Other"} {
			fmt.Fprintf(w, "%s=%s;", name, strings.Join(r.Header[name], "|"))
		}
	})
	r := start(t, frontendText("f", anyPort, "http", "b", m.verifying("optional"))+
		"[[frontend.f.route]]\npath = \"/named\"\nset_request_headers = { \"X-Client-DN\" = \"{tls_subject}\" }\nadd_request_headers = { \"X-Fingerprint\" = \"sha256:{tls_fingerprint}\" }\n"+
		"[[frontend.f.route]]\npath = \"/other\"\nset_request_headers = { \"X-Other\" = \"1\" }\n"+httpBackend(web))
	ask := func(client *http.Client, path string) string {
		request, err := http.NewRequest("GET", "https://a.test"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"X-Client-DN", "x_client_dn", "X-FINGERPRINT", "X-Other"} {
			request.Header[name] = []string{"CN=admin"}
		}
		request.Header["Connection"] = []string{"X-Client-DN"}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	nobody, alice := browser(t, r.address("f"), m.as()), browser(t, r.address("f"), m.as(m.alice))
	sum := sha256.Sum256(m.alice.Leaf.Raw)
	for path, want := range map[string][2]string{
		"/named": {"X-Client-Dn=;X_client_dn=;X-Fingerprint=sha256:;X-Other=CN=admin;",
			`X-Client-Dn=CN=alice,O=Example\, Inc.;X_client_dn=;X-Fingerprint=sha256:` + hex.EncodeToString(sum[:]) + ";X-Other=CN=admin;"},
		"/other": {"X-Client-Dn=;X_client_dn=;X-Fingerprint=;X-Other=1;", "X-Client-Dn=;X_client_dn=;X-Fingerprint=;X-Other=1;"},
		"/":      {"X-Client-Dn=;X_client_dn=;X-Fingerprint=;X-Other=CN=admin;", "X-Client-Dn=;X_client_dn=;X-Fingerprint=;X-Other=CN=admin;"},
	} {
		if got := ask(nobody, path); got != want[0] {
			t.Errorf("%s without a certificate: %s", path, got)
		}
		if got := ask(alice, path); got != want[1] {
			t.Errorf("%s with a certificate: %s", path, got)
		}
	}
}

// TestResumedSessionsAreVerified checks that tickets do not outlive what they were issued
// for: a certificate that was revoked, an authority that has gone, and the time when
// nobody was asked. Others are resumed on.
func TestResumedSessionsAreVerified(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		m := newMembers(t)
		lines := endpoint.Serve(t, endpoint.Echo)
		frontend := func(verify string) string {
			return frontendText("f", anyPort, "tcp", "b", m.verifying(verify)) + backendText("b", []string{lines.Address})
		}
		off := frontend("off")
		r := start(t, off)
		caching := func(shown ...tls.Certificate) *tls.Config {
			c := m.as(shown...)
			c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
			return c
		}
		resumes := func(who string, c *tls.Config, want bool) {
			t.Helper()
			conn := dialTLS(t, r.address("f"), c)
			checkLine(t, conn) // and the ticket has come
			conn.Close()
			if got := conn.ConnectionState().DidResume; got != want {
				t.Errorf("%x, %s: resumed is %t", version, who, got)
			}
		}
		anybody := caching(m.alice)
		resumes("first, off", anybody, false)
		resumes("off", anybody, true)
		r.apply(strings.Replace(off, `"off"`, `"optional"`, 1))
		resumes("asked now", anybody, false)
		resumes("asked again", anybody, true)
		r.apply(strings.Replace(off, `"off"`, `"require"`, 1))
		resumes("required", anybody, true)

		alice, bob := caching(m.alice), caching(m.bob)
		resumes("first", alice, false)
		resumes("first", bob, false)
		m.revoke(m.bob)
		if summary := r.apply(strings.Replace(off, `"off"`, `"require"`, 1)); !strings.HasPrefix(summary, "~frontend.f.tls.client_crl (") {
			t.Errorf("the list is new: %s", summary)
		}
		resumes("not revoked", alice, true)
		if answer, err := knock(t, r.address("f"), bob); err == nil {
			t.Errorf("%x: a revoked certificate resumes: %q", version, answer)
		}
		r.ended("f", "tls_client_cert_revoked", 1)
		m.write("ca.pem", certificate.Text(m.other))
		m.write("crl.pem", certificate.Revoke(t, m.other, time.Now().Add(time.Hour)))
		r.apply(strings.Replace(off, `"off"`, `"require"`, 1))
		if answer, err := knock(t, r.address("f"), alice); err == nil {
			t.Errorf("%x: a certificate of an authority that has gone resumes: %q", version, answer)
		}
		r.ended("f", "tls_client_cert_unknown_ca", 1)
	}
}

// TestVerificationEndsConnections checks that a reload which changes who may enter ends
// kept-alive connections: those at rest at once, those in use with their response.
// Another reload ends none.
func TestVerificationEndsConnections(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	began, finish := make(chan struct{}), make(chan struct{})
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- struct{}{}
			<-finish
		}
		fmt.Fprint(w, "ok")
	})
	text := frontendText("f", anyPort, "http", "b", m.verifying("require")) + httpBackend(web)
	r := start(t, text)
	open := func(path string) (*tls.Conn, *bufio.Reader) {
		conn := dialTLS(t, r.address("f"), m.as(m.alice))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", path)
		return conn, bufio.NewReader(conn)
	}
	read := func(from *bufio.Reader) *http.Response {
		t.Helper()
		answer, err := http.ReadResponse(from, nil)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
		}
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	idle, idleReader := open("/")
	read(idleReader)
	r.apply(strings.Replace(text, "mode =", "timeout_client = \"299s\"\nmode =", 1))
	fmt.Fprint(idle, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	if answer := read(idleReader); answer.Close {
		t.Error("a reload of something else ends connections")
	}
	_, busyReader := open("/slow")
	endpoint.Receive(t, began)
	m.revoke(m.alice)
	r.apply(text)
	if rest, err := io.ReadAll(idleReader); len(rest) > 0 || err != nil {
		t.Errorf("at rest: %q, %v", rest, err)
	}
	close(finish)
	if answer := read(busyReader); !answer.Close {
		t.Error("a connection in use is kept although its client is revoked")
	}
	if rest, err := io.ReadAll(busyReader); len(rest) > 0 || err != nil {
		t.Errorf("in use: %q, %v", rest, err)
	}
}

// TestPrincipalLimit checks that a limit by principal counts by certificate: clients
// behind one address have each their own, and one client has one on every connection.
func TestPrincipalLimit(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {})
	r := start(t, frontendText("f", anyPort, "http", "b", m.verifying("optional"))+
		"[[frontend.f.route]]\npath = \"/\"\nlimit = [{ key = \"principal\", rate = 0.001, burst = 1, over = \"reject\" }]\n"+httpBackend(web))
	for _, who := range [][]tls.Certificate{{m.alice}, {m.bob}, nil} {
		for i, want := range []string{"HTTP/1.1 200", "HTTP/1.1 429"} {
			if answer, err := knock(t, r.address("f"), m.as(who...)); err != nil || !strings.HasPrefix(answer, want) {
				t.Errorf("%d certificates, request %d: %.20q, %v", len(who), i, answer, err)
			}
		}
	}
}

// TestTicketKeys checks that balancers with one file of keys resume each other's
// sessions, also while the file is changed on one of them, and no others do.
func TestTicketKeys(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	lines := endpoint.Serve(t, endpoint.Echo)
	key := func() string {
		p := make([]byte, 48)
		_, _ = rand.Read(p)
		return hex.EncodeToString(p) + "\n"
	}
	first, second := key(), key()
	m.write("keys", []byte(first))
	text := func(verify, file string) string {
		return frontendText("f", anyPort, "tcp", "b", m.verifying(verify, fmt.Sprintf(", ticket_keys = %q", m.path(file)))) + backendText("b", []string{lines.Address})
	}
	shared := text("require", "keys")
	one, two := start(t, shared), start(t, shared)
	m.write("foreign", []byte(second))
	foreign, open := start(t, text("require", "foreign")), start(t, text("off", "keys"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := m.as(m.alice)
		client.MaxVersion, client.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		resumes := func(r *running, what string, want bool) {
			t.Helper()
			conn := dialTLS(t, r.address("f"), client)
			checkLine(t, conn)
			conn.Close()
			if got := conn.ConnectionState().DidResume; got != want {
				t.Errorf("%x, %s: resumed is %t", version, what, got)
			}
		}
		m.write("keys", []byte(first))
		one.apply(shared)
		two.apply(shared)
		resumes(one, "first", false)
		resumes(two, "the other balancer", true)
		m.write("keys", []byte(second+first))
		if summary := one.apply(shared); !strings.HasPrefix(summary, "~frontend.f.tls.ticket_keys (") {
			t.Errorf("new keys: %s", summary)
		}
		resumes(one, "an older key", true)
		two.apply(shared)
		resumes(two, "the newer key", true)
		m.write("keys", []byte(second))
		two.apply(shared)
		resumes(two, "the newer key alone", true)
		resumes(open, "one that verifies nobody", false)
		resumes(two, "a ticket of one that verifies nobody", false)
		resumes(foreign, "the same key in another file", true)
		m.write("keys", []byte(first))
		one.apply(shared)
		resumes(one, "the older key alone", false)
	}
}

// TestCiphers checks that TLS 1.2 has the suites that are named, and no others.
func TestCiphers(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.issue("lb", certificate.ECDSA(t), "a.test")
	lines := endpoint.Serve(t, endpoint.Echo)
	r := start(t, frontendText("f", anyPort, "tcp", "b", a.line(`, ciphers = ["ECDHE-ECDSA-AES256-GCM-SHA384"]`, "lb"))+backendText("b", []string{lines.Address}))
	client := a.client()
	client.MaxVersion = tls.VersionTLS12
	conn := dialTLS(t, r.address("f"), client)
	checkLine(t, conn)
	if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
		t.Errorf("spoken: %s", tls.CipherSuiteName(suite))
	}
	client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	if err := tls.Client(dialTCP(t, r.address("f")), client).Handshake(); err == nil {
		t.Error("a suite that is not named is spoken")
	}
	checkLine(t, dialTLS(t, r.address("f"), a.client()))
}

// A revocation list that should have been replaced goes on to count, and an operator can
// see that it is old: its authority's outage neither locks clients out nor lets those in
// who are revoked.
func TestStaleRevocationList(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	due := time.Now().Add(-time.Hour).Truncate(time.Second)
	m.write("crl.pem", certificate.Revoke(t, m.ca, due, m.bob))
	web := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "welcome") })
	r := start(t, frontendText("f", anyPort, "http", "b", m.verifying("require"))+httpBackend(web))
	if answer, err := knock(t, r.address("f"), m.as(m.alice)); err != nil || !strings.HasSuffix(answer, "welcome") {
		t.Errorf("one who is not revoked gets %q, %v", answer, err)
	}
	if answer, err := knock(t, r.address("f"), m.as(m.bob)); err == nil {
		t.Errorf("one who is revoked gets %q", answer)
	}
	r.ended("f", "tls_client_cert_revoked", 1)
	lists := r.frontend("f").TLS.RevocationLists
	if len(lists) != 1 || !lists[0].NextUpdate.Equal(due) || lists[0].Revoked != 1 || lists[0].File != m.path("crl.pem") || lists[0].Issuer == "" {
		t.Errorf("the status shows %+v", lists)
	}
	m.revoke(m.bob)
	r.apply(frontendText("f", anyPort, "http", "b", m.verifying("require")) + httpBackend(web))
	if lists := r.frontend("f").TLS.RevocationLists; len(lists) != 1 || !lists[0].NextUpdate.After(time.Now()) {
		t.Errorf("after a reload the status shows %+v", lists)
	}
}
