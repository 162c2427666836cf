package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// loggedAs is a setup with an access log in a file, and the file.
func loggedAs(t *testing.T, s *setup) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "access.log")
	s.global = fmt.Sprintf("access_log = %q", path)
	return path
}

// visit is a client that connects, sends a line, and closes.
func visit(t *testing.T, b *balancer) {
	t.Helper()
	c := connect(t, b.frontend)
	c.expectEcho(t)
	c.Close()
	b.awaitIdle(t)
}

// awaitLines waits until a file has that many lines. More lines are an error.
func awaitLines(t *testing.T, path string, want int) (lines []string) {
	t.Helper()
	eventually(t, func() error {
		text, err := os.ReadFile(path)
		lines = strings.SplitAfter(string(text), "\n")
		lines = lines[:len(lines)-1]
		if err == nil && len(lines) < want {
			err = fmt.Errorf("%s has %d lines, want %d", path, len(lines), want)
		}
		return err
	})
	if len(lines) > want {
		t.Fatalf("%s has %d lines, want %d: %q", path, len(lines), want, lines)
	}
	return lines
}

// expectFirstLine checks the line of the first client, and the log in the status.
func expectFirstLine(t *testing.T, b *balancer, path string) {
	t.Helper()
	line := awaitLines(t, path, 1)[0]
	if want := regexp.MustCompile(`^time=\S+Z client=127\.\S+:\d+ frontend=main backend=nodes server=node1 connect_ms=\d+\.\d{3} response_ms=\S+ total_ms=\S+ ` +
		`bytes_in=\d+ bytes_out=\d+ reason=client_closed phase=data retries=0 frontend_conns=1 server_conns=1\n$`); !want.MatchString(line) {
		t.Errorf("the log has %q", line)
	}
	if log := b.status(t).Process.AccessLog; log == nil || log.Path != path || log.Lines != 1 || log.Dropped != 0 || log.Error != "" {
		t.Errorf("the status shows %+v", log)
	}
}

// rename renames a file.
func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// The access log is rotated, also while the configuration has mistakes, moved, turned
// off and on, and changed in its format. It is complete at the end.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	path := loggedAs(t, s)
	b := startBalancer(t, s)
	visit(t, b)
	expectFirstLine(t, b, path)

	rename(t, path, path+".1")
	reload(t, b, `msg=reloaded .*nothing changed`)
	visit(t, b)
	awaitLines(t, path, 1)
	awaitLines(t, path+".1", 1)

	rename(t, path, path+".2")
	good := s.global
	s.global = "nonsense = 1"
	reload(t, b, `msg="reload failed`)
	visit(t, b)
	awaitLines(t, path, 1)
	awaitLines(t, path+".2", 1)

	s.global = "access_log = ''"
	reload(t, b, `~global\.access_log`)
	visit(t, b)
	if b.status(t).Process.AccessLog != nil {
		t.Error("the status shows a log that is off")
	}
	s.global = good + "\nlog_format = 'json'"
	reload(t, b, `"msg":"reloaded".*log_format`)
	visit(t, b)
	lines := awaitLines(t, path, 2)
	var object struct{ Reason string }
	if err := json.Unmarshal([]byte(lines[1]), &object); err != nil || object.Reason != "client_closed" {
		t.Errorf("%q: %v", lines[1], err)
	}

	before := s.global
	s.global = fmt.Sprintf("access_log = %q", t.TempDir()+"/absent/log")
	reload(t, b, `reload failed.*cannot be written: there is no directory`)
	s.global = before
	held := connect(t, b.frontend)
	held.expectEcho(t)
	b.signal(t, syscall.SIGTERM)
	b.await(t, `draining`)
	b.signal(t, syscall.SIGTERM)
	b.expectExit(t, exitOK)
	if lines = awaitLines(t, path, 3); !strings.Contains(lines[2], `"reason":"stopped"`) {
		t.Errorf("%q", lines[2])
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// A rotation signals the process that serves. The old process, in which a request
// ends, writes to the new file, too.
func TestAccessLogRotatedDuringUpgrade(t *testing.T) {
	t.Parallel()
	address, answerAll := startSlowWeb(t)
	s := newSetup(t, address)
	s.mode, s.endpoint = "http", "http"
	path := loggedAs(t, s)
	l := startLineage(t, s)
	c := connect(t, l.frontend)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if n := l.status(t).Backends[0].Servers[0].Connections.Current; n != 1 {
			return fmt.Errorf("%d requests are in progress", n)
		}
		return nil
	})
	before, after := l.upgrade(t)
	l.await(t, "the new process serves") // otherwise the upgrade is still in progress
	rename(t, path, path+".1")
	l.send(t, after, syscall.SIGHUP)
	l.await(t, `msg=reloaded`)
	answerAll()
	if line, err := c.lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Errorf("the answer is %q, %v", line, err)
	}
	l.awaitGone(t, before)
	awaitLines(t, path, 1)
	awaitLines(t, path+".1", 0)
}

// A draining process does not reload, but still reopens the log if the file was moved
// away.
func TestAccessLogRotatedDuringStop(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	path := loggedAs(t, s)
	b := startBalancer(t, s)
	c := connect(t, b.frontend)
	c.expectEcho(t)
	b.signal(t, syscall.SIGTERM)
	b.await(t, `msg=draining`)
	rename(t, path, path+".1")
	reload(t, b, `not reloading`)
	awaitLines(t, path, 0) // it is opened beside that
	c.Close()
	b.expectExit(t, exitOK)
	awaitLines(t, path, 1)
	awaitLines(t, path+".1", 0)
}

// The start fails with the reason if the log cannot be opened.
func TestAccessLogThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	s := newSetup(t, "127.0.0.1:9")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s.global = fmt.Sprintf("access_log = %q", pipe)
	b := startMcplb(t, s)
	b.expectExit(t, exitError)
	b.expectLog(t, `^mcplb: cannot start: global\.access_log: cannot write to `+regexp.QuoteMeta(pipe)+`: it is a named pipe without a reader: start its reader first\n$`)
}

// A pipe whose reader has stopped reading loses lines, and has no other effect.
func TestAccessLogToStoppedReader(t *testing.T) {
	t.Parallel()
	s := newSetup(t, startEcho(t))
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.global = fmt.Sprintf("access_log = %q", pipe)
	b := startBalancer(t, s)
	visit(t, b)
	reader.Close()
	visit(t, b)
	b.await(t, `level=ERROR msg="the access log cannot be written: lines wait, and are dropped when too many do" path=\S+ err="broken pipe"`)
	visit(t, b)
	if log := b.status(t).Process.AccessLog; log.Error != "broken pipe" {
		t.Errorf("the status shows %+v", log)
	}
	if v := b.metrics(t); v["mcplb_access_log_failing"] != 1 {
		t.Errorf("the metrics show %v", v["mcplb_access_log_failing"])
	}
	b.signal(t, syscall.SIGTERM)
	b.expectExit(t, exitOK)
}

// Each request has a line on standard output, without data that may be secret, and no
// input of a client breaks its line.
func TestAccessLogOfRequests(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "fine") }))
	t.Cleanup(web.Close)
	s := newSetup(t, strings.TrimPrefix(web.URL, "http://"))
	s.mode, s.endpoint, s.global = "http", "http", "access_log = 'stdout'"
	b := startBalancer(t, s)
	request, err := http.NewRequest("POST", "http://"+b.frontend+"/mcp?token=secret", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "echo", "Authorization": "Bearer secret",
	} {
		request.Header.Set(name, value)
	}
	response, err := webClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	b.await(t, `(?m)^time=\S+Z client=127\.\S+ frontend=main backend=nodes server=node1 method=POST path=/mcp status=200 era=stateless mcp_method=tools/call mcp_name=echo `+
		`request_ms=\S+ connect_ms=\S+ response_ms=\S+ total_ms=\S+ bytes_in=\d+ bytes_out=\d+ reason=completed phase=data retries=0 frontend_conns=1 server_conns=1$`)
	if code, _ := get(t, b.frontend, `/%22%20reason=x%0Atime=2026`); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	b.await(t, `path="/%22%20reason=x%0Atime=2026" status=200 `)
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, "secret") || !regexp.MustCompile(`^time=\S+Z (level|client)=`).MatchString(line) {
			t.Errorf("the output has %q", line)
		}
	}
}
