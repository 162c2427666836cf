package admin

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The page shows the state, and all of its links work.
func TestPage(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(func(s *Snapshot) {
		s.Backends[0].Servers[1].Reason = `<script>alert("x")</script>`
	}))
	response := d.ask("GET", "/", "")
	if policy := response.Header.Get("Content-Security-Policy"); policy != pagePolicy || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
	text := body(t, response)
	for _, want := range []string{"node1", "127.0.0.11:9001", "connection_rate", "192.0.2.7/32", `data-do="drain"`, `data-do="unban"`, "&lt;script&gt;", ">2 h2 streams<", "in HTTP/2: reset_flood"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(text, "<script>alert") || strings.Contains(text, "style=") || strings.Contains(text, "http://") || strings.Contains(text, "https://") {
		t.Error("the page contains something that its policy forbids")
	}
	places := regexp.MustCompile(`(?:href|src)="(/[^"]+)"`).FindAllStringSubmatch(text, -1)
	if len(places) != 8 {
		t.Errorf("the page links to %v", places)
	}
	for _, place := range places {
		if answer := d.ask("GET", place[1], ""); answer.StatusCode != 200 {
			t.Errorf("the link to %s has status %d", place[1], answer.StatusCode)
		}
	}
}

// rowOf returns the row of a server.
func rowOf(t *testing.T, page, server string) string {
	t.Helper()
	_, row, found := strings.Cut(page, `<tr id="`+server+`"`)
	if !found {
		t.Fatalf("there is no row of %s", server)
	}
	row, _, _ = strings.Cut(row, "</tr>")
	return row
}

// Clients that may not use commands get no buttons. If a token would help, the page
// asks for it.
func TestPageButtons(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(unedited))
	if text := body(t, d.ask("GET", "/stats", "", "from", "192.0.2.1:9")); strings.Contains(text, "data-do") || strings.Contains(text, `id="token"`) {
		t.Error("the page of another machine has buttons, or asks for a token although none is configured")
	}
	if _, err := d.access.UseFile(writeToken(t, "0123456789abcdef", 0o600)); err != nil {
		t.Fatal(err)
	}
	if text := body(t, d.ask("GET", "/stats", "")); strings.Contains(text, "data-do") || !strings.Contains(text, `id="token"`) {
		t.Error("the page without the token has buttons, or does not ask for the token")
	}
	if text := body(t, d.ask("GET", "/stats", "", "Authorization", "Bearer 0123456789abcdef")); !strings.Contains(text, "data-do") || strings.Contains(text, `id="token"`) {
		t.Error("the page with the token has no buttons, or asks for the token")
	}
}

// many returns a Source of a backend of n servers.
func many(n int) *fixed {
	return edited(func(s *Snapshot) {
		one := s.Backends[0].Servers[0]
		s.Backends[0].Servers = nil
		for i := range n {
			one.Name = fmt.Sprintf("node%03d", i)
			s.Backends[0].Servers = append(s.Backends[0].Servers, one)
		}
	})
}

func TestPageCompressed(t *testing.T) {
	t.Parallel()
	response := newDesk(many(200)).ask("GET", "/", "", "Accept-Encoding", "gzip, br")
	if response.Header.Get("Content-Encoding") != "gzip" || response.ContentLength > 50_000 {
		t.Fatalf("%s, %d bytes", response.Header.Get("Content-Encoding"), response.ContentLength)
	}
	reader, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(reader); err != nil || !strings.Contains(string(text), "node199") {
		t.Errorf("%v", err)
	}
}

// HAProxy's columns are read by their names, as its documentation recommends.
func TestHAProxyCSV(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(func(s *Snapshot) { s.Backends[0].Servers[0].Check.Text = `said "no", twice` }))
	text := body(t, d.ask("GET", "/stats;csv", ""))
	if again := body(t, d.ask("GET", "/;csv", "")); again != text {
		t.Error("/;csv differs from /stats;csv")
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# "))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string]string{}
	for _, r := range rows[1:] {
		for i, name := range rows[0] {
			cells[r[0]+"/"+r[1]+" "+name] = r[i]
		}
	}
	for cell, want := range map[string]string{
		"tcp/FRONTEND status": "OPEN", "tcp/FRONTEND scur": "30", "tcp/FRONTEND slim": "100000", "tcp/FRONTEND bin": "200000", "tcp/FRONTEND type": "0", "tcp/FRONTEND dcon": "9",
		"nodes/node1 status": "UP", "nodes/node1 scur": "21", "nodes/node1 smax": "40", "nodes/node1 lastchg": "3600", "nodes/node1 check_status": "L4OK",
		"nodes/node1 last_chk": `said "no", twice`, "nodes/node1 type": "2", "nodes/node1 chkdown": "0", "nodes/node1 downtime": "0", "nodes/node2 chkdown": "2", "nodes/node2 downtime": "185", "nodes/node2 chkfail": "3", "nodes/node1 addr": "127.0.0.11:9001",
		"nodes/node2 status": "DOWN 1/2", "nodes/node2 throttle": "50", "nodes/node2 weight": "25", "nodes/node2 uweight": "50",
		"nodes/node3 status": "no check", "nodes/node3 slim": "",
		"nodes/BACKEND status": "UP", "nodes/BACKEND act": "2", "nodes/BACKEND scur": "28", "nodes/BACKEND qcur": "1", "nodes/BACKEND algo": "source", "nodes/BACKEND type": "1",
	} {
		if got, there := cells[cell]; !there || got != want {
			t.Errorf("%s is %q (there: %v), want %q", cell, got, there, want)
		}
	}
}

// Prometheus's exporter for HAProxy can read the page, and the stats socket.
func TestHAProxyExporterReads(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("prometheus-haproxy-exporter")
	if err != nil {
		t.Skip("prometheus-haproxy-exporter is not installed (apt-get install prometheus-haproxy-exporter)")
	}
	server := httptest.NewServer(newDesk(edited(unedited)).handler)
	defer server.Close()
	for i, uri := range []string{server.URL + "/stats;csv", "unix:" + startSocket(t, &recorder{})} {
		t.Run(strings.Split(uri, ":")[0], func(t *testing.T) {
			expectExported(t, path, uri, fmt.Sprintf("127.0.%d.%d:%d", 200+os.Getpid()%50, os.Getpid()/50%250, 9101+i))
		})
	}
}

// expectExported expects the exporter to show on address what it reads from uri.
func expectExported(t *testing.T, path, uri, address string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), path, "--haproxy.scrape-uri="+uri, "--web.listen-address="+address)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var text []byte
	for deadline := time.Now().Add(20 * time.Second); len(text) == 0; {
		if response, err := client.Get("http://" + address + "/metrics"); err == nil {
			text, _ = io.ReadAll(response.Body)
			response.Body.Close()
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		`haproxy_up 1`,
		`haproxy_exporter_csv_parse_failures_total 0`,
		`haproxy_server_current_sessions{backend="nodes",server="node1"} 21`,
		`haproxy_server_up{backend="nodes",server="node1"} 1`,
		`haproxy_server_up{backend="nodes",server="node2"} 0`,
		`haproxy_frontend_bytes_in_total{frontend="tcp"} 200000`,
		`haproxy_backend_current_queue{backend="nodes"} 1`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("the exporter does not show %s", want)
		}
	}
	if t.Failed() {
		t.Log(string(text))
	}
}

// The page of 200 servers with 15 minutes of plots is drawn in less than 50 ms, and is small
// enough for a slow line: it is fetched again and again while somebody looks at it. Processor
// time is measured, since other work shares the processors; a slow one has three times the limit.
func TestPageIsDrawnQuickly(t *testing.T) {
	source := crowd(200)
	v := &view{source: source, history: NewHistory(source)}
	for range historySamples {
		v.history.sample()
	}
	stats := newStatsPage(v, &Options{Source: source, Control: &recorder{}, Access: &Access{}})
	least, size := time.Hour, [2]int{}
	for i := range 10 {
		r := httptest.NewRequest("GET", "http://127.0.0.1:8404/", nil)
		r.RemoteAddr = "127.0.0.1:50000"
		if i%2 == 1 {
			r.Header.Set("Accept-Encoding", "gzip")
		}
		w, began := httptest.NewRecorder(), processorTime(t)
		stats.ServeHTTP(w, r)
		least, size[i%2] = min(least, processorTime(t)-began), w.Body.Len()
	}
	t.Logf("%v, %d bytes, compressed %d", least, size[0], size[1])
	limit := 3 * 50 * time.Millisecond
	if testing.Short() {
		limit *= 10 // with the race detector
	}
	if least > limit {
		t.Errorf("drawing takes %v of processor time, more than %v", least, limit)
	}
	if size[0] > 900_000 || size[1] > 90_000 {
		t.Errorf("the page has %d bytes, compressed %d", size[0], size[1])
	}
}

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
