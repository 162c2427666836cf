package proxy

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mcplb/internal/certificate"
	"mcplb/proxy/admin"
)

// checkedNever keeps checks out of a test: clients alone speak to the servers.
const checkedNever = "[backend.b.check]\ninterval = \"1h\"\n"

// TestServerTLSCounted checks the numbers from which an operator sees that sessions are
// resumed, and why servers are not accepted.
func TestServerTLSCounted(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := serveHTTPS(t, a.issued("127.0.0.1"), func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	r := start(t, frontendText("f", anyPort, "http", "b")+a.table("checks = false")+httpBackend(server.address)+checkedNever)
	for range 3 {
		get(t, "http://"+r.address("f"))
	}
	seen := map[string]uint64{}
	for _, state := range server.seen() {
		seen[map[bool]string{false: "full", true: "resumed"}[state.DidResume]]++
	}
	if counted := r.server("s1").TLS; counted == nil || counted.Handshakes["resumed"] != 2 || !maps.Equal(counted.Handshakes, seen) || sum(counted.Failed) != 0 {
		t.Errorf("counted %+v, and the server has seen %v", counted, seen)
	}
	for _, test := range refusals {
		if test.kind == "" {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			address := serveHTTP(t, func(http.ResponseWriter, *http.Request) {})
			if test.config != nil {
				address = serveHTTPS(t, test.config(a), func(http.ResponseWriter, *http.Request) {}).address
			}
			r := start(t, frontendText("f", anyPort, "http", "b")+a.table(test.more, "checks = false")+httpBackend(address)+checkedNever)
			if status, _ := get(t, "http://"+r.address("f")); status < 500 {
				t.Errorf("answered %d", status)
			}
			counted := r.server("s1").TLS
			if counted == nil || counted.Failed[test.kind] == 0 || counted.Failed[test.kind] != sum(counted.Failed) || sum(counted.Handshakes) != 0 {
				t.Errorf("counted %+v, want failures of the kind %s alone", counted, test.kind)
			}
		})
	}
}

func sum(counters map[string]uint64) (all uint64) {
	for _, n := range counters {
		all += n
	}
	return all
}

// TestServerTLSByAddress checks that a server whose address is an IP is verified by
// the addresses in its certificate, without SNI: IPv6 as IPv4.
func TestServerTLSByAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, issuedTo, reason string }{
		{"127.0.0.1", "127.0.0.1", ""},
		{"::1", "::1", ""},
		{"::1", "127.0.0.1", "certificate is valid for 127.0.0.1, not ::1"},
		{"127.0.0.1", "::1", "certificate is valid for ::1, not 127.0.0.1"},
		{"::1", "localhost", "certificate is valid for localhost, not ::1"},
	} {
		t.Run(test.host+" issued to "+test.issuedTo, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", net.JoinHostPort(test.host, "0"))
			if err != nil {
				t.Skip(err)
			}
			a := newAuthority(t)
			s := &tlsServer{address: listener.Addr().String()}
			server := &httptest.Server{Listener: listener, TLS: a.issued(test.issuedTo),
				Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}}
			server.TLS.VerifyConnection = s.note
			server.StartTLS()
			t.Cleanup(server.Close)
			r := start(t, frontendText("f", anyPort, "http", "b")+a.table()+httpBackend(s.address)+"[backend.b.check]\ninterval = \"30ms\"\nfast_interval = \"30ms\"\n")
			if test.reason != "" {
				r.awaitServer(admin.ServerDown, "L6RSP", "^"+regexp.QuoteMeta(test.reason)+"$")
				return
			}
			r.awaitServer(admin.ServerUp, "L6OK", "")
			if status, body := get(t, "http://"+r.address("f")); status != 200 || body != "ok" {
				t.Errorf("answered %d %q", status, body)
			}
			for _, state := range s.seen() {
				if state.ServerName != "" {
					t.Errorf("asked for the name %q", state.ServerName)
				}
			}
		})
	}
}

// rootsOfChild is where the child process of TestServerTLSSystemRoots finds its server.
const rootsOfChild = "MCPLB_TEST_SYSTEM_ROOTS"

// TestServerTLSSystemRoots checks that without ca the system's roots count, and no other
// authority. The system's are read once per process: another one has others.
func TestServerTLSSystemRoots(t *testing.T) {
	t.Parallel()
	if address := os.Getenv(rootsOfChild); address != "" {
		r := start(t, frontendText("f", anyPort, "http", "b")+"[backend.b.tls]\nserver_name = \"mcp.internal\"\n"+httpBackend(address)+"[backend.b.check]\ninterval = \"30ms\"\nfast_interval = \"30ms\"\n")
		r.eventually("the server is checked", func() bool { return !slices.Contains([]string{"", "L4TOUT", "L6TOUT"}, r.server("s1").Check.Code) })
		status, _ := get(t, "http://"+r.address("f"))
		fmt.Printf("status %d, check %s %s\n", status, r.server("s1").Check.Code, r.server("s1").Check.Text)
		return
	}
	a, other := newAuthority(t), newAuthority(t)
	certificate.Write(t, a.directory, "system", a.cert)
	certificate.Write(t, a.directory, "other", other.cert)
	server := serveHTTPS(t, a.issued("mcp.internal"), func(http.ResponseWriter, *http.Request) {})
	for file, want := range map[string]string{
		"system.pem": "status 200, check L6OK",
		"other.pem":  "status 503, check L6RSP certificate signed by unknown authority (add its CA to backend.b.tls.ca)",
	} {
		child := exec.Command(os.Args[0], "-test.run", "^TestServerTLSSystemRoots$")
		child.Env = append(os.Environ(), rootsOfChild+"="+server.address, "SSL_CERT_FILE="+filepath.Join(a.directory, file), "SSL_CERT_DIR="+t.TempDir())
		if output, err := child.CombinedOutput(); err != nil || !strings.Contains(string(output), want) {
			t.Errorf("with the roots in %s: %v, %s; want %q", file, err, output, want)
		}
	}
}
