package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mcplb/conf"
	"mcplb/internal/certificate"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestWorse(t *testing.T) {
	t.Parallel()
	pass, fail, warn := result{status: success}, result{status: "FAILURE"}, result{status: "WARNING"}
	for _, test := range []struct {
		name             string
		direct, proxied  results
		worse, tolerated int
	}{
		{"the same", results{"a": pass, "b": fail, "c": warn}, results{"a": pass, "b": fail, "c": warn}, 0, 0},
		{"fails", results{"a": pass}, results{"a": fail}, 1, 0},
		{"a warning instead", results{"a": pass}, results{"a": warn}, 1, 0},
		{"fails otherwise", results{"a": warn}, results{"a": fail}, 1, 0},
		{"not run", results{"a": pass}, results{}, 1, 0},
		{"run only through mcplb", results{}, results{"a": fail}, 1, 0},
		{"passes only through mcplb", results{"a": fail}, results{"a": pass, "b": pass}, 0, 0},
		{"another output", results{"a": {success, "x"}}, results{"a": {success, "y"}}, 1, 0},
		{"shared state", results{"shared": pass}, results{"shared": warn}, 0, 1},
		{"shared state, but it fails", results{"shared": pass}, results{"shared": fail}, 1, 0},
	} {
		list, tolerated := worse(test.direct, test.proxied, []string{"shared"})
		if len(list) != test.worse || len(tolerated) != test.tolerated {
			t.Errorf("%s: %q are worse and %q tolerated, want %d and %d", test.name, list, tolerated, test.worse, test.tolerated)
		}
	}
}

func TestDifference(t *testing.T) {
	t.Parallel()
	if got, want := difference("a\nb", "b\nc"), `only directly ["a"], only through mcplb ["c"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	r := results{}
	for _, status := range []string{success, "WARNING", success, "FAILURE"} {
		r.add("the same check", result{status: status})
	}
	if got, want := r.summary(), "2 passed, 1 FAILURE, 1 WARNING"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadChecks(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if _, err := readChecks(directory); err == nil {
		t.Error("missing results are not an error")
	}
	scenario := filepath.Join(directory, "server-tools-list-2026-11-21T23-08-13-948Z")
	if err := os.Mkdir(scenario, 0o755); err != nil {
		t.Fatal(err)
	}
	checks := `[{"id":"a","status":"SUCCESS","name":"x"},{"id":"a","status":"FAILURE"}]`
	if err := os.WriteFile(filepath.Join(scenario, "checks.json"), []byte(checks), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := readChecks(directory)
	if err != nil || got["tools-list: a"].status != success || got["tools-list: a (2)"].status != "FAILURE" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestEssence(t *testing.T) {
	t.Parallel()
	printed := "to URL1/mcp\nNotification: 7\n  second\nfirst\nClient error: Error: AbortError\n    at x\n"
	if got, want := essence(printed, "URL1/mcp"), "first\nsecond\nto URL"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFreeAddresses(t *testing.T) {
	t.Parallel()
	addresses, err := freeAddresses(4)
	if err != nil || len(addresses) != 4 || len(slices.Compact(slices.Sorted(slices.Values(addresses)))) != 4 {
		t.Errorf("got %v, %v", addresses, err)
	}
}

// TestConfiguration checks that the balancer reads the configuration of the
// suites.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) { checkConfiguration(t, mode) })
	}
}

func checkConfiguration(t *testing.T, mode mode) {
	t.Parallel()
	directory := t.TempDir()
	if err := certificate.WriteSelfSigned(directory, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	text := configuration("127.0.0.1:1", "127.0.0.1:2", settings{mode, []string{"127.0.0.1:3", "127.0.0.1:4"}, []string{"/sse"}}, directory)
	path := filepath.Join(directory, "lb.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	config, err := conf.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if f, b := config.Frontends[0], config.Backends[0]; (f.TLS != nil) != mode.tls || f.HTTP2 != mode.http2 || (b.TLS != nil) != mode.tls {
		t.Errorf("the frontend is %+v, the backend %+v", f, b)
	}
	if servers := config.Backends[0].Servers; len(servers) != 2 || config.Backends[0].Balance != conf.BalanceRoundRobin {
		t.Errorf("the backend is %+v", config.Backends[0])
	}
	if routes := config.Frontends[0].Routes; len(routes) != 1 || routes[0].Endpoint != conf.EndpointSSE {
		t.Errorf("the routes are %+v", routes)
	}
}

// A terminator passes everything to the client before it ends, and the client's end to the
// server.
func TestTerminator(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	directory := t.TempDir()
	terminators, err := terminateAll([]string{server.Addr().String()}, directory)
	if err != nil {
		t.Fatal(err)
	}
	defer terminators.close()
	pem, err := os.ReadFile(terminators.trusted)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dial := func() (client *tls.Conn, accepted net.Conn) {
		client, err := tls.Dial("tcp", terminators.addresses()[0], &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		accepted, err = server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return client, accepted
	}
	client, accepted := dial()
	go func(server net.Conn) {
		_, _ = server.Write(make([]byte, 1<<20))
		server.Close()
	}(accepted)
	if n, err := io.Copy(io.Discard, client); n != 1<<20 || err != nil {
		t.Errorf("the client got %d bytes, then %v", n, err)
	}
	client.Close()
	client, accepted = dial()
	client.Close()
	if _, err := accepted.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the server sees %v of the client's end", err)
	}
	accepted.Close()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-h"}, 0, "-mcplb file"},
		{[]string{"-x"}, 2, "not defined: -x"},
		{[]string{"x"}, 2, `unexpected argument "x"`},
		{[]string{"-only", "("}, 2, "-only: error parsing"},
		{[]string{"-mode", "tls,x"}, 2, `-mode: "x" is unknown`},
		{[]string{"-mcplb", "no/such"}, 1, "build it (make build) or name it with -mcplb"},
	} {
		var printed strings.Builder
		if status := run(t.Context(), test.args, &printed, &printed); status != test.status || !strings.Contains(printed.String(), test.want) {
			t.Errorf("%v: status %d and %q, want %d and %q", test.args, status, &printed, test.status, test.want)
		}
	}
}
