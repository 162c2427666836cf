package proxy

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcplb/internal/certificate"
)

// offering is one address of a server: what it presents, and whom it lets in.
type offering struct {
	address     string
	certificate string // files, without .pem and .key
	version     string // the only one: 1.2 or 1.3
	wants       string // a file of the authorities whose certificates it insists on; "" = it asks for none
}

// serverPrograms start servers of HTTP at all addresses. Their answers say whether the
// session was resumed: "welcome reused" or "welcome new", openssl's "Reused, " or "New, ".
var serverPrograms = map[string]func(t *testing.T, all []offering){"openssl": opensslServers, "nginx": nginxServer, "haproxy": haproxyServer}

// runBeside runs a program until the test ends.
func runBeside(t *testing.T, program string, arguments ...string) {
	t.Helper()
	command := exec.Command(mustHave(t, program), arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // nginx has children
	var output lockedBuffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Logf("output of %s: %s", program, output.String())
		}
	})
}

func opensslServers(t *testing.T, all []offering) {
	for _, o := range all {
		arguments := []string{"s_server", "-accept", o.address, "-cert", o.certificate + ".pem", "-key", o.certificate + ".key", "-www", "-tls" + strings.ReplaceAll(o.version, ".", "_")}
		if o.wants != "" {
			arguments = append(arguments, "-CAfile", o.wants, "-Verify", "1", "-verify_return_error")
		}
		runBeside(t, "openssl", arguments...)
	}
}

func nginxServer(t *testing.T, all []offering) {
	var text strings.Builder
	directory := t.TempDir()
	fmt.Fprintf(&text, "pid %[1]s/pid; error_log stderr; daemon off; worker_processes 1; user root;\nevents {}\nhttp {\naccess_log off; keepalive_timeout 0;\n", directory)
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&text, "%s_temp_path %s/%s;\n", kind, directory, kind)
	}
	fmt.Fprintln(&text, `map $ssl_session_reused $reused { r "reused"; default "new"; }`)
	for i, o := range all {
		fmt.Fprintf(&text, "server {\nlisten %s ssl; ssl_certificate %[2]s.pem; ssl_certificate_key %[2]s.key; ssl_protocols TLSv%s; ssl_session_cache shared:s%d:1m;\n", o.address, o.certificate, o.version, i)
		if o.wants != "" {
			fmt.Fprintf(&text, "ssl_client_certificate %s; ssl_verify_client on;\n", o.wants)
		}
		fmt.Fprintln(&text, `location / { return 200 "welcome $reused"; }`+"\n}")
	}
	path := filepath.Join(directory, "nginx.conf")
	writeText(t, path, text.String()+"}\n")
	runBeside(t, "nginx", "-e", "stderr", "-p", directory, "-c", path)
}

func haproxyServer(t *testing.T, all []offering) {
	var text strings.Builder
	directory := t.TempDir()
	fmt.Fprintf(&text, "defaults\nmode http\noption httpclose\ntimeout connect 5s\ntimeout client 5s\ntimeout server 5s\n")
	for i, o := range all {
		pair := filepath.Join(directory, fmt.Sprintf("%d.pem", i))
		var content []byte
		for _, part := range []string{".pem", ".key"} {
			read, err := os.ReadFile(o.certificate + part)
			if err != nil {
				t.Fatal(err)
			}
			content = append(content, read...)
		}
		writeText(t, pair, string(content))
		fmt.Fprintf(&text, "frontend f%d\nbind %s ssl crt %s ssl-min-ver TLSv%[4]s ssl-max-ver TLSv%[4]s", i, o.address, pair, o.version)
		if o.wants != "" {
			fmt.Fprintf(&text, " ca-file %s verify required", o.wants)
		}
		fmt.Fprintf(&text, "\nhttp-request return status 200 content-type text/plain string \"welcome reused\" if { ssl_fc_is_resumed }\nhttp-request return status 200 content-type text/plain string \"welcome new\"\n")
	}
	path := filepath.Join(directory, "haproxy.cfg")
	writeText(t, path, text.String())
	runBeside(t, "haproxy", "-db", "-f", path)
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serverCase is a backend whose server is another program.
type serverCase struct {
	name        string
	certificate string // the server's
	wants       bool   // the server insists on a certificate of the balancer
	own         string // the balancer's certificate; "" = none
	reason      string // what the checks say, a pattern; "" = the server is up
}

// missed and disliked are the words for a server that insists on a certificate: nginx
// completes the handshake, and answers 400.
const (
	missed   = `^the server .*a certificate of the balancer.*set backend\.\w+\.tls\.cert and key|^HTTP status 400, expected 200$`
	disliked = `^the server refused the handshake or the certificate in backend\.\w+\.tls\.cert: |^HTTP status 400, expected 200$`
)

var serverCases = []serverCase{
	{"good", "server", false, "", ""},
	{"gets the balancer's certificate", "server", true, "own", ""},
	{"misses it", "server", true, "", missed},
	{"gets an expired one", "server", true, "own-expired", disliked},
	{"gets one of another authority", "server", true, "own-stranger", disliked},
	{"expired", "expired", false, "", `^certificate expired on 2020-05-01T00:00:00Z$`},
	{"wrong name", "elsewhere", false, "", `^certificate is valid for elsewhere\.test, not node\.internal$`},
	{"another authority", "stranger", false, "", `^certificate signed by unknown authority \(none of those in backend\.\w+\.tls\.ca\)$`},
}

// TestProgramsAsServers speaks TLS with the servers that people have, in both versions.
// Those that can be trusted serve, and resume sessions; of the others an operator learns
// what is wrong, and no client reaches them.
func TestProgramsAsServers(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts many processes")
	}
	t.Parallel()
	for program, begin := range serverPrograms {
		for _, version := range []string{"1.2", "1.3"} {
			t.Run(program+" "+version, func(t *testing.T) {
				t.Parallel()
				mustHave(t, program)
				a := serverMaterial(t)
				text := frontendText("f", anyPort, "http", "b0")
				var offerings []offering
				for i, c := range serverCases {
					text += fmt.Sprintf("[[frontend.f.route]]\npath = \"/%d\"\nbackend = \"b%d\"\n", i, i)
					offerings = append(offerings, a.offering(c, version))
				}
				for i, c := range serverCases {
					text += a.backendOf(i, c, offerings[i].address)
				}
				begin(t, offerings)
				r := start(t, text)
				for i, c := range serverCases {
					checkServerCase(t, r, i, c)
				}
			})
		}
	}
}

// serverMaterial writes the certificates of servers and of the balancer.
func serverMaterial(t *testing.T) *authority {
	a := newAuthority(t)
	then := time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC)
	stranger := certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "stranger")
	certificate.Write(t, a.directory, "ca", a.cert)
	for name, c := range map[string]tls.Certificate{
		"server":       certificate.New(t, &a.cert, certificate.RSA(t), certificate.Today(), "node.internal"),
		"expired":      certificate.New(t, &a.cert, certificate.ECDSA(t), certificate.UntilThen(then), "node.internal"),
		"elsewhere":    certificate.New(t, &a.cert, certificate.ECDSA(t), certificate.Today(), "elsewhere.test"),
		"stranger":     certificate.New(t, &stranger, certificate.ECDSA(t), certificate.Today(), "node.internal"),
		"own":          certificate.New(t, &a.cert, certificate.ECDSA(t), certificate.Today(), "mcplb"),
		"own-expired":  certificate.New(t, &a.cert, certificate.ECDSA(t), certificate.UntilThen(then), "mcplb"),
		"own-stranger": certificate.New(t, &stranger, certificate.ECDSA(t), certificate.Today(), "mcplb"),
	} {
		certificate.Write(t, a.directory, name, c)
	}
	return a
}

// lastServer numbers addresses of servers, which nobody else uses: their ports stay free
// until the programs listen.
var lastServer atomic.Uint32

// offering returns what a server has for a case.
func (a *authority) offering(c serverCase, version string) offering {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.9.%d:0", lastServer.Add(1)))
	if err != nil {
		a.t.Fatal(err)
	}
	defer listener.Close()
	o := offering{address: listener.Addr().String(), certificate: filepath.Join(a.directory, c.certificate), version: version}
	if c.wants {
		o.wants = filepath.Join(a.directory, "ca.pem")
	}
	return o
}

// backendOf returns backend number i.
func (a *authority) backendOf(i int, c serverCase, address string) string {
	own := ""
	if path := filepath.Join(a.directory, c.own); c.own != "" {
		own = fmt.Sprintf("cert = %q\nkey = %q\n", path+".pem", path+".key")
	}
	return fmt.Sprintf("[backend.b%d]\n[[backend.b%[1]d.server]]\nname = \"s%[1]d\"\nhttp = %q\n"+
		"[backend.b%[1]d.check]\ntype = \"http\"\ninterval = \"100ms\"\nfast_interval = \"100ms\"\n"+
		"[backend.b%[1]d.tls]\nserver_name = \"node.internal\"\nca = %[3]q\n%[4]s", i, address, filepath.Join(a.directory, "ca.pem"), own)
}

// checkServerCase checks what becomes of backend number i and its clients.
func checkServerCase(t *testing.T, r *running, i int, c serverCase) {
	t.Helper()
	name, url := fmt.Sprintf("s%d", i), fmt.Sprintf("http://%s/%d", r.address("f"), i)
	if c.reason != "" {
		// The first checks may have come before the program listened.
		r.eventually(c.name+": the server is down, and the reason is "+c.reason, func() bool {
			s := r.server(name)
			return s.State == "down" && regexp.MustCompile(c.reason).MatchString(s.Check.Text)
		})
		if status, body := get(t, url); status != 503 {
			t.Errorf("%s: a client got %d %q", c.name, status, body)
		}
		return
	}
	r.eventually(c.name+": the server is up", func() bool { return r.server(name).State == "up" && r.server(name).Check.Code == "L7OK" })
	r.eventually(c.name+": sessions are resumed", func() bool {
		status, body := get(t, url)
		if status != 200 || !strings.Contains(body, "welcome") && !strings.Contains(body, "New, ") && !strings.Contains(body, "Reused, ") {
			t.Fatalf("%s: a client got %d %q", c.name, status, body)
		}
		return strings.Contains(body, "welcome reused") || strings.Contains(body, "Reused, ")
	})
}
