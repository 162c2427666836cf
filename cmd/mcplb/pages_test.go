package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"mcplb/proxy/admin"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t), startEcho(t))
	s.global = "maxconn = 500\nthreads = 3"
	s.backend = "balance = 'roundrobin'"
	b := startBalancer(t, s)
	for range 4 {
		connect(t, b.frontend).expectEcho(t)
	}
	shown := b.status(t)
	p, f := shown.Process, shown.Frontends[0]
	if p.PID != b.command.Process.Pid || p.ConfigPath != b.path || p.Threads != 3 || len(shown.Loops) != 3 || p.Draining || !p.Reload.Success {
		t.Errorf("the process is shown as %+v with %d loops", p, len(shown.Loops))
	}
	if c := p.Connections; c.Current != 4 || c.Peak != 4 || c.Total != 4 || c.Limit != 500 {
		t.Errorf("the process's connections are shown as %+v, want 4 of 500", c)
	}
	if want := []string{b.frontend}; f.Name != "main" || f.Mode != "tcp" || fmt.Sprint(f.Listen) != fmt.Sprint(want) || f.State != admin.FrontendOpen {
		t.Errorf("the frontend is shown as %s %s %v %s", f.Name, f.Mode, f.Listen, f.State)
	}
	const sent = uint64(4 * len("hello\n"))
	if f.Connections.Current != 4 || f.BytesIn != sent || f.BytesOut != sent || f.Connect.Count != 4 {
		t.Errorf("the frontend shows %+v, %+v, %d connected", f.Connections, f.Traffic, f.Connect.Count)
	}
	for i, server := range shown.Backends[0].Servers {
		if server.Name != fmt.Sprint("node", i+1) || server.Addresses["tcp"] != s.servers[i] || !server.Usable || server.Connections.Current != 2 || server.Share != 0.5 {
			t.Errorf("server %d is shown as %+v", i+1, server)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t)))
	connect(t, b.frontend).expectEcho(t)
	values := b.metrics(t)
	for name, want := range map[string]float64{
		`mcplb_current_connections`:                                        1,
		`mcplb_frontend_bytes_in_total{frontend="main"}`:                   6,
		`mcplb_server_current_connections{backend="nodes",server="node1"}`: 1,
		`mcplb_draining`: 0,
	} {
		if got, shown := values[name]; !shown || got != want {
			t.Errorf("%s is %v (shown: %v), want %v", name, got, shown, want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "process_resident_memory_bytes"} {
		if values[name] <= 0 {
			t.Errorf("%s is %v", name, values[name])
		}
	}
}

// The health address shows no internals.
func TestPagesByAddress(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t)))
	for _, test := range []struct {
		path          string
		admin, health int // status codes
	}{
		{"/", 200, 404},
		{"/api/v1/status", 200, 404},
		{"/metrics", 200, 404},
		{"/health", 200, 200},
		{"/nginx_status", 200, 200},
		{"/nonsense", 404, 404},
	} {
		if code, body := get(t, b.admin, test.path); code != test.admin {
			t.Errorf("admin %s answers %d %q, want %d", test.path, code, body, test.admin)
		}
		if code, body := get(t, b.health, test.path); code != test.health {
			t.Errorf("health %s answers %d %q, want %d", test.path, code, body, test.health)
		}
	}
}

func TestNginxStatus(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t)))
	connect(t, b.frontend).expectEcho(t)
	const want = "Active connections: 1 \nserver accepts handled requests\n 1 1 0 \nReading: 0 Writing: 1 Waiting: 0 \n"
	if _, body := get(t, b.health, "/nginx_status"); body != want {
		t.Errorf("/nginx_status is %q, want %q", body, want)
	}
}

// /health reports to a load balancer in front when no client can be served.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := newSetup(t, freeAddress(t), freeAddress(t)) // no server listens there
	s.check = "interval = '50ms'\nfast_interval = '20ms'"
	b := startBalancer(t, s)
	awaitHealth(t, b, http.StatusServiceUnavailable, "backend nodes has no usable server out of 2")

	listener, err := net.Listen("tcp", s.servers[1])
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	awaitHealth(t, b, http.StatusOK, "ok")

	listener.Close()
	awaitHealth(t, b, http.StatusServiceUnavailable, "no usable server")
}

func awaitHealth(t *testing.T, b *balancer, want int, words string) {
	t.Helper()
	eventually(t, func() error {
		code, body := get(t, b.health, "/health")
		if code != want || !strings.Contains(body, words) {
			return fmt.Errorf("/health answers %d %q, want %d with %q", code, body, want, words)
		}
		return nil
	})
}

func TestLog(t *testing.T) {
	t.Parallel()
	down := freeAddress(t)
	for _, test := range []struct {
		name, global string
		check        func(t *testing.T, log string)
	}{
		{"text", "", func(t *testing.T, log string) { expectEveryLine(t, log, `time=`, `level=`, `msg=`) }},
		{"json", "log_format = 'json'", expectJSON},
		{"errors only", "log_level = 'error'", func(t *testing.T, log string) { expectEveryLine(t, log, `level=ERROR`) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, down)
			s.global = test.global
			b := startMcplb(t, s)
			b.await(t, `nodes/node1 is DOWN`)
			awaitHealth(t, b, http.StatusServiceUnavailable, "no usable server") // it handles signals now
			b.signal(t, syscall.SIGTERM)
			b.expectExit(t, exitOK)
			test.check(t, b.log.String())
		})
	}
}

func expectEveryLine(t *testing.T, log string, parts ...string) {
	t.Helper()
	for line := range strings.Lines(log) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				t.Errorf("no %q in %q", part, line)
			}
		}
	}
}

func expectJSON(t *testing.T, log string) {
	t.Helper()
	var messages []string
	for line := range strings.Lines(log) {
		var entry struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level == "" {
			t.Errorf("%q is not a log line in JSON: %v", line, err)
		}
		messages = append(messages, entry.Msg)
	}
	if all := strings.Join(messages, "|"); !strings.Contains(all, "serving") || !strings.Contains(all, "draining") {
		t.Errorf("the messages are %q", all)
	}
}
