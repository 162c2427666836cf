package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
)

// knocking is a connection that a program makes, and what it is to find.
type knocking struct {
	Address     string `json:"address"`
	Version     string `json:"version"`     // as Node writes it: TLSv1.3
	CA          string `json:"ca"`          // a file
	Certificate string `json:"certificate"` // files, without .pem and .key; "" = none
	Ciphers     string `json:"ciphers"`     // by OpenSSL's name; "" = the program's
	Say         string `json:"say"`
	Resume      bool   `json:"resume"` // a second connection resumes the session of the first, and is judged

	name    string
	mode    string
	welcome bool   // it is served
	suite   string // by IANA's name; "" = any
}

// found is what a program has found.
type found struct {
	Text   string `json:"text"`   // what the server has sent
	Error  string `json:"error"`  // how it failed
	Cipher string `json:"cipher"` // by IANA's name; "" = not known
	Reused bool   `json:"reused"`
}

// curlsWords are how curl reports some alerts about its certificate.
const curlsWords = "curl: (60) SSL certificate verification failed"

// judge checks what has been found.
func (k *knocking) judge(t *testing.T, program string, got found) {
	t.Helper()
	served := strings.Contains(got.Text, "welcome")
	switch {
	case served != k.welcome:
		t.Errorf("%s, %s, %s: served is %t, want %t: %+v", program, k.name, k.Version, served, k.welcome, got)
	case !served && !strings.Contains(got.Error, "alert") && !strings.Contains(got.Error, curlsWords):
		t.Errorf("%s, %s, %s: does not see an alert: %+v", program, k.name, k.Version, got)
	case served && k.suite != "" && got.Cipher != k.suite:
		t.Errorf("%s, %s, %s: suite %s, want %s", program, k.name, k.Version, got.Cipher, k.suite)
	case k.Resume && !got.Reused:
		t.Errorf("%s, %s, %s: the session is not resumed: %+v", program, k.name, k.Version, got)
	}
}

// tlsPrograms are clients, and what they leave out: a process of openssl or curl takes
// 50 ms, and one of Node makes all connections.
var tlsPrograms = map[string]struct {
	connect func(*testing.T, []*knocking) []found
	skips   func(k *knocking) bool
}{
	"node":    {nodeClients, func(*knocking) bool { return false }},
	"openssl": {opensslClients, func(k *knocking) bool { return k.Address == "mcp_optional" }},
	"curl":    {curlClients, func(k *knocking) bool { return k.mode != "http" || k.Address == "http_optional" || k.Resume }},
}

// mustHave skips the test without the program.
func mustHave(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(err)
	}
	return path
}

// opensslClients makes the connections by openssl s_client, one after the other.
func opensslClients(t *testing.T, all []*knocking) (results []found) {
	path := mustHave(t, "openssl")
	for _, k := range all {
		arguments := []string{"s_client", "-connect", k.Address, "-servername", "a.test", "-CAfile", k.CA, "-verify_return_error", "-ign_eof",
			map[string]string{"TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}[k.Version]}
		if k.Certificate != "" {
			arguments = append(arguments, "-cert", k.Certificate+".pem", "-key", k.Certificate+".key")
		}
		switch {
		case k.Ciphers != "" && k.Version == "TLSv1.2":
			arguments = append(arguments, "-cipher", k.Ciphers)
		case k.Ciphers != "":
			arguments = append(arguments, "-ciphersuites", k.Ciphers)
		}
		if k.Resume {
			session := t.TempDir() + "/session"
			runProgram(t, k.Say, path, append(arguments, "-sess_out", session)...)
			arguments = append(arguments, "-sess_in", session)
		}
		output := runProgram(t, k.Say, path, arguments...)
		got := found{Text: output, Error: output, Reused: strings.Contains(output, "Reused, TLS")}
		if _, after, ok := strings.Cut(output, "Cipher is "); ok {
			got.Cipher, _, _ = strings.Cut(after, "\n")
			got.Cipher = ianaName(got.Cipher)
		}
		results = append(results, got)
	}
	return results
}

// ianaName returns the name of a suite that OpenSSL calls otherwise in TLS 1.2.
func ianaName(name string) string {
	if strings.HasPrefix(name, "TLS_") {
		return name
	}
	name = strings.NewReplacer("AES128-GCM", "AES-128-GCM", "AES256-GCM", "AES-256-GCM").Replace(name)
	kind, rest, _ := strings.Cut(strings.TrimPrefix(name, "ECDHE-"), "-")
	rest = strings.ReplaceAll(rest, "-", "_")
	if rest == "CHACHA20_POLY1305" {
		rest += "_SHA256"
	}
	return "TLS_ECDHE_" + kind + "_WITH_" + rest
}

// runProgram returns all that a program writes. How it ends does not matter.
func runProgram(t *testing.T, input, path string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), path, arguments...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return string(output)
}

// nodeClients makes the connections by one process of Node.
func nodeClients(t *testing.T, all []*knocking) (results []found) {
	command := exec.CommandContext(t.Context(), mustHave(t, "node"), "testdata/tlsclients.mjs")
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	command.Stdin = bytes.NewReader(input)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if err := json.Unmarshal(output, &results); err != nil || len(results) != len(all) {
		t.Fatalf("%v: %s", err, output)
	}
	return results
}

// curlClients makes the connections by curl, one after the other. It does not show the
// suite.
func curlClients(t *testing.T, all []*knocking) (results []found) {
	path := mustHave(t, "curl")
	for _, k := range all {
		host, port, err := net.SplitHostPort(k.Address)
		if err != nil {
			t.Fatal(err)
		}
		arguments := []string{"-sS", "--cacert", k.CA, "--resolve", "a.test:" + port + ":" + host, "https://a.test:" + port + "/", "--tls-max", strings.TrimPrefix(k.Version, "TLSv")}
		if k.Version == "TLSv1.3" {
			arguments = append(arguments, "--tlsv1.3")
		}
		if k.Certificate != "" {
			arguments = append(arguments, "--cert", k.Certificate+".pem", "--key", k.Certificate+".key")
		}
		switch {
		case k.Ciphers != "" && k.Version == "TLSv1.2":
			arguments = append(arguments, "--ciphers", k.Ciphers)
		case k.Ciphers != "":
			arguments = append(arguments, "--tls13-ciphers", k.Ciphers)
		}
		output := runProgram(t, "", path, arguments...)
		results = append(results, found{Text: output, Error: output, Cipher: k.suite})
	}
	return results
}

// visits are what a client says in each mode.
var visits = map[string]string{
	"http": "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
	"mcp":  `{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n",
}

// TestProgramsAsClients lets the clients that people have connect over TLS: with every
// kind of certificate, where one is required and where it is optional, in modes http and
// mcp, in both versions, with suites by name, with resumed sessions. Who must not get in
// sees an alert, and nothing else, and is counted for what is wrong.
func TestProgramsAsClients(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts many processes")
	}
	t.Parallel()
	for program, of := range tlsPrograms {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			mustHave(t, program)
			m := newMembers(t)
			m.revoke(m.bob)
			certificate.Write(t, m.directory, "authority", m.cert)
			m.issue("rsa", certificate.RSA(t), "a.test")
			r := startForPrograms(t, m)
			var all []*knocking
			for _, version := range []string{"TLSv1.2", "TLSv1.3"} {
				for mode := range visits {
					all = append(all, membersKnock(m, mode, version)...)
				}
			}
			all = slices.DeleteFunc(append(all, suitesKnock()...), of.skips)
			frontends := map[string]bool{}
			for _, k := range all {
				frontends[k.Address] = true
				k.Address, k.CA, k.Say = r.address(k.Address), m.path("authority.pem"), visits[k.mode]
				if k.Certificate != "" {
					k.Certificate = m.path(k.Certificate)
				}
			}
			for i, got := range of.connect(t, all) {
				all[i].judge(t, program, got)
			}
			checkCounted(r, frontends)
		})
	}
}

// startForPrograms starts frontends that require certificates of clients, or not.
func startForPrograms(t *testing.T, m *members) *running {
	web := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "welcome") })
	lines := endpoint.Serve(t, func(c *net.TCPConn) {
		if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			fmt.Fprintln(c, `{"jsonrpc":"2.0","id":1,"result":"welcome"}`)
		}
	})
	text := strings.Replace(httpBackend(web), "backend.b", "backend.http", 2) + backendText("mcp", []string{lines.Address})
	for mode := range visits {
		for _, verify := range []string{"require", "optional"} {
			text += frontendText(mode+"_"+verify, anyPort, mode, mode, m.verifying(verify))
		}
	}
	// Of two certificates for one name, a client gets the one whose key its suites can use.
	text += frontendText("suites", anyPort, "http", "http", m.line(`, ciphers = ["ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"]`, "lb", "rsa"))
	text += frontendText("latest", anyPort, "http", "http", m.line(`, min_version = "1.3"`, "lb"))
	return start(t, text)
}

// membersKnock returns connections with every kind of certificate.
func membersKnock(m *members, mode, version string) (all []*knocking) {
	for _, verify := range []string{"require", "optional"} {
		for certificate, welcome := range map[string]bool{"alice": true, "": verify == "optional", "old": false, "bob": false, "stranger": false} {
			all = append(all, &knocking{Address: mode + "_" + verify, Version: version, Certificate: certificate, name: fmt.Sprintf("%s, %s, %q", mode, verify, certificate), mode: mode, welcome: welcome})
		}
	}
	return append(all, &knocking{Address: mode + "_require", Version: version, Certificate: "alice", Resume: true, name: mode + ", resumed", mode: mode, welcome: true})
}

// suitesKnock returns connections with suites by name, and with versions.
func suitesKnock() (all []*knocking) {
	for _, s := range []struct {
		frontend, version, ciphers string
		suite                      string // "" = refused
	}{
		{"suites", "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
		{"suites", "TLSv1.2", "ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
		{"suites", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", ""},
		{"suites", "TLSv1.2", "AES128-SHA", ""},
		{"suites", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
		{"suites", "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
		{"http_optional", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"http_optional", "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
		{"http_optional", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", ""},
		{"latest", "TLSv1.3", "", ""},
		{"latest", "TLSv1.2", "", ""},
	} {
		all = append(all, &knocking{Address: s.frontend, Version: s.version, Ciphers: s.ciphers, name: s.frontend + ", " + s.ciphers, mode: "http",
			suite: s.suite, welcome: s.suite != "" || s.frontend == "latest" && s.version == "TLSv1.3"})
	}
	return all
}

// checkCounted checks that an operator finds who was refused at these frontends.
func checkCounted(r *running, frontends map[string]bool) {
	for name := range frontends {
		mode, verify, _ := strings.Cut(name, "_")
		if visits[mode] == "" {
			continue
		}
		if verify == "require" {
			r.ended(name, "tls_client_cert_missing", 2)
		}
		for _, reason := range []string{"unknown_ca", "expired", "revoked"} {
			r.ended(name, "tls_client_cert_"+reason, 2)
		}
	}
}
