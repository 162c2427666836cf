package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mcplb/conf"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	path, remove, err := writeDemo("", 1)
	if err != nil {
		t.Fatal(err)
	}
	config, err := conf.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if warnings := config.Warnings(time.Now()); len(warnings) > 0 {
		t.Errorf("the demonstration has warnings: %q", warnings)
	}
	if leaf := config.Frontend("https").TLS.Certificates[0].Pair.Leaf; leaf.VerifyHostname("localhost") != nil || leaf.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("the certificate is for %v and %v", leaf.DNSNames, leaf.IPAddresses)
	}
	remove()
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v, %v", path, err)
	}
	if backend := config.Backends[0]; backend.Check.Type != conf.CheckMCP {
		t.Errorf("the check is %q, want mcp", backend.Check.Type)
	}
	members := plan(config, path)
	var got []string
	for _, member := range members {
		got = append(got, fmt.Sprint(member.role, " ", member.name, member.args, member.addresses))
	}
	want := []string{
		"node node1[-name node1 -tcp 127.0.0.11:9001 -http 127.0.0.11:8080 -sse 127.0.0.11:8081] [{tcp 127.0.0.11:9001} {http 127.0.0.11:8080} {sse 127.0.0.11:8081}]",
		"node node2[-name node2 -tcp 127.0.0.12:9002 -http 127.0.0.12:8081 -sse 127.0.0.12:8082] [{tcp 127.0.0.12:9002} {http 127.0.0.12:8081} {sse 127.0.0.12:8082}]",
		"node node3[-name node3 -tcp 127.0.0.13:9003 -http 127.0.0.13:8082 -sse 127.0.0.13:8083] [{tcp 127.0.0.13:9003} {http 127.0.0.13:8082} {sse 127.0.0.13:8083}]",
		"node node4[-name node4 -tcp 127.0.0.14:9004 -http 127.0.0.14:8083 -sse 127.0.0.14:8084] [{tcp 127.0.0.14:9004} {http 127.0.0.14:8083} {sse 127.0.0.14:8084}]",
		"balancer mcplb[-c " + path + "] [{tcp :8000} {http 127.0.0.1:8080} {https 127.0.0.1:8443} {admin 127.0.0.1:8404} {health 127.0.0.1:8888}]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the plan is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const a, b, c = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"
	for _, test := range []struct {
		name     string
		backends []conf.Backend
		want     string // the nodes' command lines
	}{
		{"a server in two backends", []conf.Backend{
			{Name: "a", Servers: []conf.Server{{Name: "n1", TCP: a}}},
			{Name: "b", Servers: []conf.Server{{Name: "n1", TCP: a}}},
		}, "-name n1 -tcp " + a},
		{"the same with more addresses", []conf.Backend{
			{Name: "a", Servers: []conf.Server{{Name: "n1", TCP: a}}},
			{Name: "b", Servers: []conf.Server{{Name: "n1", TCP: a, HTTP: b}}},
		}, "-name n1 -tcp " + a + " -http " + b},
		{"one name, two servers", []conf.Backend{
			{Name: "a", Servers: []conf.Server{{Name: "n1", TCP: a}}},
			{Name: "b", Servers: []conf.Server{{Name: "n1", TCP: b}}},
		}, "-name n1 -tcp " + a + "; -name b.n1 -tcp " + b},
		{"http alone", []conf.Backend{
			{Name: "a", Servers: []conf.Server{{Name: "n1", HTTP: a, WS: a, SSE: a}}},
		}, "-name n1 -http " + a},
		{"each service apart", []conf.Backend{
			{Name: "a", Servers: []conf.Server{{Name: "n1", HTTP: a, WS: b, SSE: c}}},
		}, "-name n1 -http " + a + " -ws " + b + " -sse " + c},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var lines []string
			for _, member := range plan(&conf.Config{Backends: test.backends, Admin: conf.Admin{HealthListen: "x"}}, "path") {
				if member.role == roleNode {
					lines = append(lines, strings.Join(member.args, " "))
				}
			}
			if got := strings.Join(lines, "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A node is ready when each of its addresses serves its purpose.
func TestNodeReady(t *testing.T) {
	t.Parallel()
	var announcement string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health":
		case "/mcp/sse":
			fmt.Fprint(w, announcement)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	line, web := answering(t, `{"jsonrpc":"2.0","id":1,"result":{}}`), server.Listener.Addr().String()
	bare := httptest.NewServer(http.NotFoundHandler())
	defer bare.Close()
	none := bare.Listener.Addr().String()
	for _, test := range []struct {
		name         string
		announcement string
		addresses    []endpoint
		want         string // in the error; "" = none
	}{
		{"all", "event: endpoint\ndata: /mcp/sse?sessionid=1\n\n", []endpoint{{"tcp", line}, {"http", web}, {"ws", web}, {"sse", web}}, ""},
		{"no health", "", []endpoint{{"tcp", line}, {"http", none}}, "http: http://" + none + "/health answers 404"},
		{"no stream", "", []endpoint{{"sse", none}}, "sse: http://" + none + "/mcp/sse answers 404"},
		{"another event", "event: message\n\n", []endpoint{{"sse", web}}, `begins with "event: message\n"`},
		{"no event", "", []endpoint{{"sse", web}}, "read the first event"},
	} {
		announcement = test.announcement
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := nodeReady(ctx, test.addresses)
		cancel()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// The balancer is verified in the best way that the configuration allows.
func TestBalancerReady(t *testing.T) {
	t.Parallel()
	status := http.StatusServiceUnavailable
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(status)
		}
	}))
	defer health.Close()
	node, bare, closed := answering(t, `{"jsonrpc":"2.0","id":1,"result":{}}`), answering(t, "SSH-2.0"), freeAddresses(t, 1)[0]
	_, port, _ := net.SplitHostPort(node)
	frontend := func(mode conf.Mode, address string, proxy bool) conf.Frontend {
		return conf.Frontend{Listen: []string{address}, Mode: mode, AcceptProxy: proxy}
	}
	for _, test := range []struct {
		name      string
		health    string
		frontends []conf.Frontend
		want      string // in the error; "" = none
	}{
		{"unhealthy", health.Listener.Addr().String(), nil, "503 Service Unavailable"},
		{"mcp", "", []conf.Frontend{frontend(conf.ModeMCP, node, false)}, ""},
		{"mcp on every address", "", []conf.Frontend{frontend(conf.ModeMCP, ":"+port, false)}, ""},
		{"tcp, no MCP behind it", "", []conf.Frontend{frontend(conf.ModeTCP, bare, false)}, `answers a ping with "SSH-2.0\n"`},
		{"tcp refused", "", []conf.Frontend{frontend(conf.ModeTCP, closed, false)}, "connection refused"},
		{"PROXY protocol only", "", []conf.Frontend{frontend(conf.ModeMCP, bare, true)}, ""},
		{"the second is the better", "", []conf.Frontend{frontend(conf.ModeHTTP, closed, false), frontend(conf.ModeMCP, node, false)}, ""},
	} {
		config := &conf.Config{Admin: conf.Admin{HealthListen: test.health}, Frontends: test.frontends}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := balancerReady(config)(ctx)
		cancel()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	status = http.StatusOK
	if err := healthy(t.Context(), health.Listener.Addr().String()); err != nil {
		t.Error(err)
	}
}

// answering accepts connections until the test ends and writes one line on each.
func answering(t *testing.T, line string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, line)
			conn.(*net.TCPConn).CloseWrite()
			defer conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		":8000": "127.0.0.1:8000", "0.0.0.0:8000": "127.0.0.1:8000", "[::]:8000": "[::1]:8000",
		"127.0.0.11:9001": "127.0.0.11:9001", "node.example:1": "node.example:1", "nonsense": "nonsense",
	} {
		if got := reachable(in); got != want {
			t.Errorf("reachable(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestPoll(t *testing.T) {
	t.Parallel()
	failure := errors.New("not yet")
	synctest.Test(t, func(t *testing.T) {
		start, attempts := time.Now(), 0
		err := poll(t.Context(), func(context.Context) error {
			if attempts++; attempts < 3 {
				return failure
			}
			return nil
		})
		if err != nil || attempts != 3 || time.Since(start) != 2*attemptPause {
			t.Errorf("%d attempts in %v, %v", attempts, time.Since(start), err)
		}
		cause := errors.New("too late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		if err := poll(ctx, func(context.Context) error { return failure }); !errors.Is(err, cause) || !errors.Is(err, failure) {
			t.Errorf("got %v, want both the cause and the last failure", err)
		}
		attempt := func(ctx context.Context) error { // never ends by itself
			<-ctx.Done()
			return ctx.Err()
		}
		slow := func(ctx context.Context) error { // as on a busy machine
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * attemptTimeout):
				return nil
			}
		}
		if err := poll(t.Context(), slow); err != nil {
			t.Errorf("a member that takes five seconds to answer: %v", err)
		}
		ctx, cancel = context.WithTimeoutCause(t.Context(), attemptTimeout/2, cause)
		defer cancel()
		if err := poll(ctx, attempt); err == nil || err.Error() != "too late (last attempt: none)" {
			t.Errorf("got %v", err)
		}
	})
}

func TestCheckAddresses(t *testing.T) {
	t.Parallel()
	address := freeAddresses(t, 1)[0]
	_, port, _ := net.SplitHostPort(address)
	foreign := func(errno error) func(string) (func(), error) {
		return func(string) (func(), error) { return nil, &net.OpError{Op: "listen", Err: errno} }
	}
	for _, test := range []struct {
		name    string
		probe   func(string) (func(), error)
		members []member
		want    string
	}{
		{"two with the same address", probe, []member{nodeMember("n1", address), nodeMember("n2", address)},
			"tcp of node n2: .*another member of this cluster has that port"},
		{"one on every address", probe, []member{nodeMember("n1", address), nodeMember("n2", ":"+port)},
			"tcp of node n2: .*another member of this cluster has that port, on this address or on every one"},
		{"address of another machine", foreign(syscall.EADDRNOTAVAIL), []member{nodeMember("n1", "192.0.2.1:1")}, "this machine does not have the address"},
		{"privileged", foreign(syscall.EACCES), []member{nodeMember("n1", "127.0.0.1:1")}, "the port needs privileges"},
		{"holder unknown", foreign(syscall.EADDRINUSE), []member{nodeMember("n1", "127.0.0.1:1")}, "another process listens there"},
		{"something else", foreign(syscall.EAFNOSUPPORT), []member{nodeMember("n1", "[::1]:1")}, "correct the address"},
	} {
		err := checkAddresses(system{probe: test.probe, proc: "/proc"}, test.members)
		if err == nil || !regexp.MustCompile("(?s)nothing was started.*"+test.want).MatchString(err.Error()) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	if err := checkAddresses(realSystem(), []member{nodeMember("n1", address)}); err != nil {
		t.Errorf("a free address: %v", err)
	}
}

func TestProcessLog(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	for i := range keptLines + 10 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	for _, test := range []struct {
		name   string
		writes []string
		want   []string // the last lines
		lines  int
	}{
		{"no output", nil, nil, 0},
		{"one line in pieces", []string{"on", "e li", "ne\n"}, []string{"one line"}, 1},
		{"no end", []string{"a\nb"}, []string{"a", "b"}, 2},
		{"empty lines and CRLF", []string{"a\r\n\r\n\nb\r\n"}, []string{"a", "", "", "b"}, 4},
		{"too many lines", []string{long.String()}, []string{"line 58", "line 59"}, keptLines},
		{"a line too long", []string{strings.Repeat("x", maxLine+3) + "\ny\n"}, []string{strings.Repeat("x", maxLine), "xxx", "y"}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := &processLog{}
			for _, data := range test.writes {
				if n, err := log.Write([]byte(data)); n != len(data) || err != nil {
					t.Errorf("Write gives %d, %v", n, err)
				}
			}
			if len(test.want) == 0 {
				if got := log.last(); got != "it has printed nothing" {
					t.Errorf("got %q", got)
				}
				return
			}
			got := strings.Split(log.last(), "\n  | ")[1:]
			if len(got) != test.lines || !slices.Equal(got[max(0, len(got)-len(test.want)):], test.want) {
				t.Errorf("%d lines kept, the last %q; want %d and %q", len(got), got, test.lines, test.want)
			}
		})
	}
}
