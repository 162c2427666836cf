package main

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startSessions starts a server that opens a session for a POST without one, and answers a
// GET with an event stream that stays open.
func startSessions(t *testing.T) string {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush() // the client may be gone
			<-r.Context().Done()
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case r.Header.Get("Mcp-Session-Id") == "":
			w.Header().Set("Mcp-Session-Id", fmt.Sprint("session-", time.Now().UnixNano()))
		}
	})
	listener := listen(t)
	server := http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }() // it ends with the listener
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

// exchange sends a request of a session ("" = of none), and returns that of the response.
func exchange(t *testing.T, address, method, session string) string {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+address+"/mcp", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	response, err := webClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Fatalf("%s: %s", method, response.Status)
	}
	return response.Header.Get("Mcp-Session-Id")
}

// drainProcess runs mcplb drain with arguments.
func drainProcess(t *testing.T, admin string, args ...string) *process {
	t.Helper()
	return startProcess(t, exec.Command(filepath.Join(binaries, "mcplb"), append([]string{"drain", "-admin", admin}, args...)...))
}

// A preStop hook waits with drain -wait until a node may be stopped: through a reload and
// an upgrade, no longer than the last stream and session last, and no shorter.
func TestDrainWaits(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startSessions(t), startSessions(t))
	s.mode, s.endpoint = "http", "http"
	s.backend = "balance = 'roundrobin'\n"
	l := startLineage(t, s)
	sessions := []string{exchange(t, l.frontend, "POST", ""), exchange(t, l.frontend, "POST", "")}
	stream, err := net.Dial("tcp", l.frontend)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	fmt.Fprintf(stream, "GET /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: %s\r\nAccept: text/event-stream\r\n\r\n", sessions[0])
	if _, err := stream.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	one := l.serverOf(t, 1)
	wait := drainProcess(t, l.admin, "-wait", "-for", "10m", "node1")
	wait.await(t, `(?m)^nodes/node1: admin ready -> drain$`)
	wait.await(t, `(?m)^nodes/node1: 1 connection, 1 stream, 0 WebSockets and 1 session left$`)
	s.backend += "retries = 2\n"
	s.write(t)
	l.send(t, l.serving(t), syscall.SIGHUP)
	l.await(t, `retries`)
	before, _ := l.upgrade(t)
	l.awaitGone(t, before)
	stream.Close()
	wait.await(t, `(?m)^nodes/node1: 0 connections, 0 streams, 0 WebSockets and 1 session left$`)
	exchange(t, l.frontend, "POST", sessions[one]) // it is served still
	exchange(t, l.frontend, "DELETE", sessions[one])
	wait.await(t, `(?m)^nodes/node1: empty$`)
	wait.expectExit(t, 0)
	l.await(t, `draining server is empty.*node1`)
	if got := l.metrics(t)[`mcplb_server_drained{backend="nodes",server="node1"}`]; got != 1 {
		t.Errorf("mcplb_server_drained is %v", got)
	}
	if got := l.metrics(t)[`mcplb_server_sessions{backend="nodes",server="node2"}`]; got != 1 {
		t.Errorf("node2 has %v sessions", got)
	}
	if status, stdout, _ := mcplb("status", "-admin", l.admin); status != 0 || !strings.Contains(stdout, "drain, empty") {
		t.Errorf("status %d does not say that the server is empty:\n%s", status, stdout)
	}
}

// serverOf checks that the sessions are one a server, and returns which is node1's: the
// first, by round robin.
func (b *balancer) serverOf(t *testing.T, node int) int {
	t.Helper()
	for _, server := range b.status(t).Backends[0].Servers {
		if server.Sessions != 1 {
			t.Fatalf("%s has %d sessions", server.Name, server.Sessions)
		}
	}
	return node - 1
}

// drain -wait ends with a status of its own when time is over, and with an error when an
// operator puts the server back.
func TestDrainWaitEnds(t *testing.T) {
	t.Parallel()
	b := startBalancer(t, newSetup(t, startEcho(t)))
	held := connect(t, b.frontend)
	held.expectEcho(t)
	status, _, stderr := mcplb("drain", "node1", "-wait", "-for", "1ms", "-admin", b.admin)
	if status != exitNotEmpty || !strings.Contains(stderr, "1 connection, 0 streams") || !strings.Contains(stderr, "clients are left after 1ms: nodes/node1") {
		t.Errorf("status %d, %s", status, stderr)
	}
	wait := drainProcess(t, b.admin, "-wait", "node1")
	wait.await(t, `1 connection, `)
	if status, _, stderr := mcplb("ready", "node1", "-reason", "changed my mind", "-admin", b.admin); status != 0 {
		t.Fatal(stderr)
	}
	wait.expectExit(t, 1)
	wait.expectLog(t, `nodes/node1 drains no longer.*changed my mind`)
	for _, args := range []string{"drain node1 -for 5m", "drain node1 -wait -for -5m"} {
		if status, _, _ := mcplb(append(strings.Fields(args), "-admin", b.admin)...); status != exitMisused {
			t.Errorf("%s: status %d", args, status)
		}
	}
	if n := b.status(t).Backends[0].Servers[0].Admin; n != "ready" {
		t.Errorf("a command that was refused has put the server into %s", n)
	}
}
